"""Running text of manual pages, out of the markup of the `man` macros."""

from __future__ import annotations

import re
from collections.abc import Iterator

_ESCAPES = (
    (re.compile(r'\\".*'), ""),
    (re.compile(r"\\f(?:\[[^\]]*\]|\(..|.)"), ""),
    (re.compile(r"\\s(?:[-+]?\d|\[[^\]]*\])"), ""),
    (re.compile(r"\\\((?:lq|rq)|\\\[(?:lq|rq)\]|\\\*[lr]q|\\\*\((?:lq|rq|\"\")"), '"'),
    (re.compile(r"\\\*?\((?:aq|cq|oq|Aq)|\\\*?\[(?:aq|cq|oq|Aq)\]|\\'"), "'"),
    (re.compile(r"\\\(em|\\\[em\]"), " - "),
    (re.compile(r"\\\(bu|\\\[bu\]"), ""),
    (re.compile(r"\\\(en|\\\[en\]|\\-"), "-"),
    (re.compile(r"\\\[lB\]|\\\(lB"), "["),
    (re.compile(r"\\\[rB\]|\\\(rB"), "]"),
    (re.compile(r"\\\(ha|\\\[ha\]"), "^"),
    (re.compile(r"\\\(ti|\\\[ti\]"), "~"),
    (re.compile(r"\\\*?\[[^\]]*\]?|\\\*?\(\S{0,2}|\\\*\S?|\\[vhw]'[^']*'"), ""),
    (re.compile(r"\\[&|^%:/,c]"), ""),
    (re.compile(r"\\[ ~0]"), " "),
    (re.compile(r"\\e|\\\\"), r"\\"),
)
"""What is put in place of escapes, in the order in which they are looked for."""
_WORDS = re.compile(r'"((?:[^"]|"")*)"|(\S+)')
_ONE_FONT = {"B", "I", "SM", "SB"}
_TWO_FONTS = {"BR", "RB", "BI", "IB", "IR", "RI"}
_BREAKS = {"PP", "P", "LP", "TP", "IP", "HP", "TQ", "br", "sp", "RS", "RE", "SH", "SS"}
_SKIPPED = {"TS": "TE", "EQ": "EN", "EX": "EE", "nf": "fi", "ig": "."}
"""Tables, equations and listings: where they begin and end."""


def manual_paragraphs(source: str) -> list[str]:
    r"""The paragraphs of a manual page, in order, each on one line.

    Headings, tables, equations and listings are left out, and so are pages that only point to
    another or are written with other macros (`mdoc`).

    Example:
        >>> manual_paragraphs('.TH A 1\n.SH NAME\na \\- do it\n.PP\nUse\n.BR b (2)\nfor that.\n')
        ['a - do it', 'Use b(2) for that.']
    """
    if re.search(r"^\.(?:so|Dd)\b", source, re.MULTILINE):
        return []
    found: list[str] = []
    words: list[str] = []
    for piece in [*_pieces(source), None]:
        if piece is None:
            found.append(" ".join(words))
            words = []
        else:
            words += piece.split()
    return [paragraph for paragraph in found if paragraph]


def _pieces(source: str) -> Iterator[str | None]:
    """Stretches of text; None where a paragraph ends."""
    until = ""
    heading = False
    for line in source.replace("\\\n", "").split("\n"):
        macro, _, rest = line[1:].strip().partition(" ") if line[:1] in (".", "'") else ("", "", "")
        if until:
            until = "" if macro == until else until
        elif macro in _SKIPPED:
            until = _SKIPPED[macro]
            yield None
        elif line[:1] in (".", "'"):
            heading = macro in ("SH", "SS") and not rest
            yield from _of_macro(macro, rest)
        elif heading:
            heading = False
        else:
            yield unescaped(line) if line.strip() else None


def _of_macro(macro: str, rest: str) -> Iterator[str | None]:
    """What a line with a macro adds to the text."""
    if macro in _BREAKS:
        yield None
    elif macro in _ONE_FONT or macro in _TWO_FONTS:
        words = [quoted.replace('""', '"') or bare for quoted, bare in _WORDS.findall(rest)]
        yield unescaped(("" if macro in _TWO_FONTS else " ").join(words))


def unescaped(line: str) -> str:
    r"""A line without its escapes: fonts, sizes, signs that roff spells out.

    Example:
        >>> unescaped(r"\fBnpm\fR \-\-all \(lqnow\(rq")
        'npm --all "now"'
    """
    for pattern, replacement in _ESCAPES:
        line = pattern.sub(replacement, line)
    return line
