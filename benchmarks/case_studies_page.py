"""docs/case_studies.md and docs/scaling.md with their figures, drawn from the records."""

from __future__ import annotations

import matplotlib.pyplot as plt

from compound_words_page import superposition
from context_page import context
from needlepoint._core.files import write_text
from scaling_page import scaling
from study_cells import DOCS, FIGURES, MADE, Records
from weights_page import weights

STYLE = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "needlepoint",
    "svg.fonttype": "none",
}


def write_pages(records: Records) -> None:
    """Write both pages and their figures, as far as there are records."""
    FIGURES.mkdir(exist_ok=True)
    with plt.rc_context(STYLE):
        for name, text in pages(records).items():
            write_text(DOCS / name, text)


def pages(records: Records) -> dict[str, str]:
    """The text of each page that has a record; figures are drawn on the way."""
    studies = [part(records) for part in (superposition, context, weights)]
    found = {}
    if any(studies):
        lines = [*_head(records), *(line for study in studies for line in study)]
        found["case_studies.md"] = "\n".join(lines).rstrip() + "\n"
    if "scaling" in records:
        found["scaling.md"] = "\n".join(scaling(records["scaling"])).rstrip() + "\n"
    return found


def _head(records: Records) -> list[str]:
    return [
        "# Case studies of neurons",
        "",
        f"{MADE} {_named(records)}, seed 0, float32. What was chosen on text was chosen on "
        "training and validation documents and tested once on others. Several models side by side "
        "are in [scaling.md](scaling.md), all features in all layers in [neurons.md](neurons.md). "
        "Times are of a machine that others used too.",
        "",
    ]


def _named(records: Records) -> str:
    """Which studies are on the page."""
    titles = {
        "superposition": "superposition of compound words",
        "context": "context neurons",
        "weights": "weights by depth",
    }
    kinds = {name.partition(".")[0] for name in records}
    found = [title for kind, title in titles.items() if kind in kinds]
    text = ", ".join(found[:-1]) + (" and " if len(found) > 1 else "") + found[-1]
    return text[0].upper() + text[1:]
