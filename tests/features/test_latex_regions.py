"""The scanner finds mathematics, arguments and headings, and is not misled by what is not read."""

from __future__ import annotations

import pytest

from needlepoint._core.errors import DataError
from needlepoint.features.latex_lexemes import lexemes
from needlepoint.features.latex_regions import latex_regions


def parts(text, kind):
    return [text[a:b] for found, a, b in latex_regions(text) if found == kind]


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("a $x$ b", "inline", ["x"]),
        (r"a \(x\) b", "inline", ["x"]),
        ("$$y$$", "display", ["y"]),
        (r"\[ y \]", "display", [" y "]),
        (r"\begin{align*}a\\[2pt]b\end{align*}", "display", [r"a\\[2pt]b"]),
        ("$a$$b$", "inline", ["a", "b"]),
        (r"costs \$5 and \$6, $x$", "inline", ["x"]),
        (r"$a \text{ if $b$ } c$", "inline", [r"a \text{ if $b$ } c"]),
        (r"$$ a \mbox{$b$} $$", "display", [r" a \mbox{$b$} "]),
        (r"$x^2_{i_j}$", "superscript", ["2"]),
        (r"$x^2_{i_j}$", "subscript", ["i_j", "j"]),
        (r"$x^\alpha_\mathrm{max} y$", "superscript", [r"\alpha"]),
        (r"$x^\alpha_\mathrm{max} y$", "subscript", [r"\mathrm{max}"]),
        (r"$x^{}y$ a_b \_ x^2", "superscript", []),
        (r"$\frac{a^{2}}{b{c}}d$", "numerator", ["a^{2}"]),
        (r"$\frac{a^{2}}{b{c}}d$", "denominator", ["b{c}"]),
        (r"$\frac{a^{2}}{b{c}}d$", "frac", ["{a^{2}}{b{c}}"]),
        (r"$\dfrac12$", "denominator", ["2"]),
        (r"$\frac{\frac{1}{2}}{3}$", "numerator", [r"\frac{1}{2}", "1"]),
        (r"\title[short]{A {\bf B}}", "title", [r"A {\bf B}"]),
        (r"\author{A \and B}", "author", [r"A \and B"]),
        (r"\begin{abstract}We.\end{abstract}", "abstract", ["We."]),
        (r"\Abstract{We.}", "abstract", ["We."]),
        (r"\citep[see][p.~2]{a, b} \nocite{c}", "reference", ["a, b", "c"]),
        (r"\renewcommand{\title}{x}", "title", []),
    ],
)
def test_what_is_found(text, kind, expected):
    assert parts(text, kind) == expected


@pytest.mark.parametrize(
    "hidden",
    [
        "% $x_1$\n",
        r"\verb|$x_1$|",
        r"\code{a$b}",
        r"\Sexpr{d$x{1}}",
        "\\begin{verbatim}\n$x_1\n\\end{verbatim}",
        "\\begin{Sinput}\n> d$x { \n\\end{Sinput}",
        "\n<<a, echo=FALSE>>=\nd$x <- '{'\n@ \n",
    ],
)
def test_comments_verbatim_text_and_programs_are_skipped(hidden):
    text = "\\section{A} " + hidden + " then $y$."
    assert parts(text, "inline") == ["y"]
    assert any(hidden.strip()[:5] in part for part in parts(text, "skipped"))


def test_the_preamble_is_skipped_but_for_its_title():
    text = "\\documentclass{a}\n\\newcommand{\\R}{$x$}\\title{T}\n\\begin{document}\n$y$"
    (skipped,) = parts(text, "skipped")
    assert skipped.endswith("\\begin{document}")
    assert parts(text, "title") == ["T"]


def test_markdown_of_pandoc():
    text = "---\nabstract: |\n    We show $x$.\nauthor:\n- 'A. B.'\ntitle: On 5% of $y$\n---\n\n"
    text += "As in [@key; @other], 50% of $$z^{2}$$ holds.\n"
    assert parts(text, "abstract") == ["We show $x$."]
    assert parts(text, "author") == ["- 'A. B.'"]
    assert parts(text, "title") == ["On 5% of $y$"]
    assert parts(text, "reference") == ["key; @other"]
    assert parts(text, "display") == ["z^{2}"]
    assert parts(text, "inline") == ["x", "y"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n$x", r"line 2: \$ is opened and not closed"),
        ("{a", "{ is opened and not closed"),
        ("a}", "} is closed and not opened"),
        (r"a \]", "is closed and not opened"),
        ("$a\n\nb$ c", "is opened and not closed"),
        (r"a \end{equation}", "is closed and not opened"),
    ],
)
def test_what_does_not_balance_is_refused(text, message):
    with pytest.raises(DataError, match=message.replace("{", r"\{").replace("}", r"\}", 1)):
        latex_regions(text)


def test_names_of_environments_are_read_with_spaces():
    pieces = [piece.text for piece in lexemes(r"\begin {align}a\end{align}").pieces]
    assert pieces == [r"\begin{align}", r"\end{align}"]
