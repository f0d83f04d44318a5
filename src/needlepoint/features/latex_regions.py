"""Where in a LaTeX document its mathematics, title, abstract, authors and citations stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from needlepoint._core.errors import DataError
from needlepoint.features.latex_lexemes import Lexeme, environment, lexemes

SKIPPED = "skipped"
"""Kind of a region that nothing is asked of: comment, verbatim text, program, preamble."""

DISPLAYS = frozenset(
    f"{name}{star}"
    for name in ("equation", "align", "eqnarray", "gather", "multline", "flalign", "alignat")
    for star in ("", "*")
) | {"displaymath", "dmath", "dmath*"}
INLINES = frozenset({"math"})
FRACTIONS = frozenset({"\\frac", "\\dfrac", "\\tfrac", "\\cfrac"})
_CITE = re.compile(r"\\[A-Za-z]*cite[A-Za-z]*\*?")
_ONE_OF = {"\\title": "title", "\\author": "author", "\\abstract": "abstract"}
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_HEADER = re.compile(r"\A---[ \t]*\n(.*?\n)---[ \t]*$", re.DOTALL | re.MULTILINE)
_ENTRY = re.compile(r"^(title|author|abstract):(.*?)(?=^[A-Za-z_-]+:|\Z)", re.DOTALL | re.MULTILINE)
_MARKED = re.compile(r"\[@([^\]]*)\]")


class Region(NamedTuple):
    """A stretch of characters `[start, end)` and what it is."""

    kind: str
    start: int
    end: int


def latex_regions(text: str) -> list[Region]:
    r"""What stands where in a document of LaTeX, or of Markdown that was made from LaTeX.

    Kinds are `inline` and `display` (between the marks of mathematics), `start` and `end` (these
    marks themselves), `superscript`, `subscript`, `numerator`, `denominator` (arguments, without
    their braces), `frac` (both arguments with braces), `title`, `author`, `abstract`,
    `reference` (the keys of a citation) and `skipped`. Macros are not expanded: mathematics that
    a macro opens is not found.

    Raises:
        DataError: If mathematics or a brace is opened and not closed, or the other way round. The
            message has the line.

    Example:
        >>> text = r"so $x^{2n}$"
        >>> [(kind, text[a:b]) for kind, a, b in latex_regions(text)]
        [('start', '$'), ('superscript', '2n'), ('inline', 'x^{2n}'), ('end', '$')]
    """
    pieces, skipped = lexemes(text)
    found = _Scanner(text, pieces).regions()
    return [*(Region(SKIPPED, *span) for span in skipped), *found, *_markdown(text)]


class _Scanner:
    """Walks over the lexemes once, with the braces matched beforehand."""

    def __init__(self, text: str, lexemes: list[Lexeme]) -> None:
        self.text, self.lexemes = text, lexemes
        self.at = {lexeme.start: lexeme for lexeme in lexemes}
        self.close = self._matched_braces()
        self.found: list[Region] = []
        self.math: tuple[str, str, Lexeme, int] | None = None
        """Kind of the open mathematics, what closes it, what opened it, and at what depth."""

    def _matched_braces(self) -> dict[int, int]:
        """Start of each closing brace by that of its opening one."""
        close: dict[int, int] = {}
        open_braces: list[Lexeme] = []
        for lexeme in self.lexemes:
            if lexeme.text == "{":
                open_braces.append(lexeme)
            elif lexeme.text == "}":
                if not open_braces:
                    raise self._error(lexeme, "closed and not opened")
                close[open_braces.pop().start] = lexeme.start
        if open_braces:
            raise self._error(open_braces[0], "opened and not closed")
        return close

    def regions(self) -> list[Region]:
        """All regions but the skipped ones, in the order in which they end or are met."""
        depth = 0
        abstract: int | None = None
        for lexeme in self.lexemes:
            mark = lexeme.text
            depth += (mark == "{") - (mark == "}")
            if mark == "\\begin{abstract}":
                abstract = lexeme.end
            elif mark == "\\end{abstract}" and abstract is not None:
                self._add("abstract", abstract, lexeme.start)
                abstract = None
            elif mark in _ONE_OF or mark.lower() in _ONE_OF or _CITE.fullmatch(mark):
                self._argument_of(lexeme)
            self._mathematics(lexeme, depth)
        if self.math:
            raise self._error(self.math[2], "opened and not closed")
        return self.found

    def _mathematics(self, lexeme: Lexeme, depth: int) -> None:
        """Open, close, or look inside."""
        if self.math is None:
            kind, closing = _opens(lexeme.text)
            if kind:
                self.math = kind, closing, lexeme, depth
                self._add("start", lexeme.start, lexeme.end)
            elif lexeme.text in ("\\)", "\\]") or lexeme.text in _ENDS:
                raise self._error(lexeme, "closed and not opened")
            return
        kind, closing, opening, at_depth = self.math
        if lexeme.text == closing and depth == at_depth:
            if kind == "inline" and _PARAGRAPH.search(self.text, opening.end, lexeme.start):
                raise self._error(opening, "opened and not closed")
            self._add(kind, opening.end, lexeme.start)
            self._add("end", lexeme.start, lexeme.end)
            self.math = None
        elif lexeme.text == "$$" and closing == "$":  # one closes, the next opens
            self._mathematics(Lexeme("$", lexeme.start, lexeme.start + 1), depth)
            self._mathematics(Lexeme("$", lexeme.start + 1, lexeme.end), depth)
        elif lexeme.text in ("^", "_"):
            low, high = self._argument(lexeme.end)
            self._add("superscript" if lexeme.text == "^" else "subscript", low, high)
        elif lexeme.text in FRACTIONS:
            self._fraction(lexeme)

    def _fraction(self, lexeme: Lexeme) -> None:
        top = self._argument(lexeme.end)
        bottom = self._argument(self._after(*top))
        start = self._space(lexeme.end)
        if top[0] < top[1] and bottom[0] < bottom[1]:
            self._add("frac", start, self._after(*bottom))
            self._add("numerator", *top)
            self._add("denominator", *bottom)

    def _argument_of(self, lexeme: Lexeme) -> None:
        """The argument in braces of a title, an author, an abstract or a citation."""
        position = self._space(lexeme.end)
        while self.text[position : position + 1] == "[":
            close = self.text.find("]", position)
            if close < 0:
                return
            position = self._space(close + 1)
        if position in self.close:
            kind = _ONE_OF.get(lexeme.text.lower(), "reference")
            self._add(kind, position + 1, self.close[position])

    def _argument(self, position: int) -> tuple[int, int]:
        """Characters of the argument that comes next, without the braces around it."""
        position = self._space(position)
        if position in self.close:
            return position + 1, self.close[position]
        lexeme = self.at.get(position)
        if lexeme is None:
            return position, min(position + 1, len(self.text))
        if lexeme.text[0] != "\\":
            return position, position
        end = lexeme.end
        while end in self.close:
            end = self.close[end] + 1
        return position, end

    def _after(self, start: int, end: int) -> int:
        """Where an argument has ended, its closing brace included."""
        return end + 1 if self.close.get(start - 1) == end else end

    def _space(self, position: int) -> int:
        while self.text[position : position + 1].isspace():
            position += 1
        return position

    def _add(self, kind: str, start: int, end: int) -> None:
        if start < end:
            self.found.append(Region(kind, start, end))

    def _error(self, lexeme: Lexeme, what: str) -> DataError:
        line = self.text.count("\n", 0, lexeme.start) + 1
        return DataError(f"line {line}: {lexeme.text} is {what}; this is no whole document.")


_SIMPLE = {
    "$": ("inline", "$"),
    "$$": ("display", "$$"),
    "\\(": ("inline", "\\)"),
    "\\[": ("display", "\\]"),
}
_ENDS = frozenset(f"\\end{{{name}}}" for name in DISPLAYS | INLINES)


def _opens(mark: str) -> tuple[str, str]:
    """Which mathematics a lexeme opens, and what closes it; empty if none."""
    if mark in _SIMPLE:
        return _SIMPLE[mark]
    if mark.startswith("\\begin") and (name := environment(mark)) in DISPLAYS | INLINES:
        return "inline" if name in INLINES else "display", f"\\end{{{name}}}"
    return "", ""


def _markdown(text: str) -> Iterator[Region]:
    """Citations in square brackets, and the entries of the header that pandoc writes."""
    header = _HEADER.match(text)
    if header is None:
        return
    for entry in _ENTRY.finditer(header[1]):
        start, end = (header.start(1) + position for position in entry.span(2))
        inner = text[start:end]
        marks = len(inner) - len(inner.lstrip(" |>\n"))
        if inner.strip(" |>\n"):
            yield Region(entry[1], start + marks, start + len(inner.rstrip()))
    for match in _MARKED.finditer(text):
        yield Region("reference", *match.span(1))
