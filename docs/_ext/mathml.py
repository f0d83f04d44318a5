"""Formulas as MathML, which browsers show by themselves: no script and no font is fetched."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

BAR = re.compile(
    r'<mover>(<mrow>(?:(?!<mover>).)*?</mrow>)<mo accent="true">&#x02015;</mo></mover>'
)
"""A mean as the converter writes it: a dash above, which does not grow with what it is over."""
PLAIN = {"<mi>&#x029F5;</mi>": "<mo>\\</mo>"}
"""Signs that common fonts lack, and what is shown in their place."""


def inline(writer: Any, node: nodes.math) -> None:
    """Write a formula that stands in a line."""
    writer.body.append(_written(node.astext(), "inline"))
    raise nodes.SkipNode


def block(writer: Any, node: nodes.math_block) -> None:
    """Write a formula that stands alone; it can be scrolled where the screen is narrow."""
    writer.body.append(f'<div class="formula">{_written(node.astext(), "block")}</div>')
    raise nodes.SkipNode


def _written(formula: str, display: str) -> str:
    """The formula, with its LaTeX for those whose reader does not know MathML."""
    made = convert(formula.strip(), display=display)
    made = BAR.sub(r'<mrow class="mean">\1</mrow>', made)
    for sign, plain in PLAIN.items():
        made = made.replace(sign, plain)
    return made.replace("<math ", f'<math alttext="{escape(formula.strip())}" ', 1)


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the renderer `mathml`."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
