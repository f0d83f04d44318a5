"""The pieces of LaTeX that a scanner must know, and the stretches it must pass over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

VERBATIM = re.compile(
    r"(?:[Vv]erbatim|lstlisting|minted|alltt|comment|filecontents|S(?:input|output|chunk|code)|"
    r"Code(?:Input|Output|Chunk)?)\*?"
)
_LEXEME = re.compile(
    r"(?P<chunk>^<<.*>>=[ \t]*$)|(?P<comment>%[^\n]*)|(?P<verb>\\(?:verb|lstinline)\b\*?)"
    r"|(?P<program>\\(?:Sexpr|code|url)\{)"
    r"|(?P<environment>\\(?:begin|end)[ \t]*\{[^{}\n]*\})|(?P<command>\\[A-Za-z@]+\*?)"
    r"|(?P<escaped>\\[\s\S])|(?P<dollars>\$\$)|(?P<sign>[${}^_])",
    re.MULTILINE,
)
_BRACE = re.compile(r"\\[\s\S]|[{}]")
_CHUNK_END = re.compile(r"^@.*$", re.MULTILINE)
_IS_LATEX = re.compile(r"\\(?:documentclass|begin\{document\}|(?:sub)*section|chapter)\b")


class Lexeme(NamedTuple):
    """A piece of LaTeX that means something to the scanner."""

    text: str
    start: int
    end: int


class Lexemes(NamedTuple):
    """A text taken apart."""

    pieces: list[Lexeme]
    """Commands, escaped characters and signs with a meaning, in order."""
    skipped: list[tuple[int, int]]
    """Comments, verbatim text, programs, and what stands before the document begins."""


def lexemes(text: str) -> Lexemes:
    r"""The lexemes of a text, those in comments, verbatim text and programs left out.

    A title or an author before the document begins has its lexemes all the same. In text that is
    not LaTeX as it stands, but Markdown made from it, a percent sign starts no comment.

    Example:
        >>> found = lexemes(r"50\% of {x} % \section{no}")
        >>> [piece.text for piece in found.pieces], found.skipped
        (['\\%', '{', '}'], [(12, 26)])
    """
    is_latex = _IS_LATEX.search(text) is not None
    found = Lexemes([], list(_preamble(text)))
    position = 0
    while match := _LEXEME.search(text, position):
        end = _end_of_skipped(text, match)
        if match.lastgroup == "comment" and not is_latex:
            position = match.start() + 1
        elif end:
            position = end
            found.skipped.append((match.start(), end))
        else:
            position = match.end()
            piece = match.group()
            if match.lastgroup == "environment":
                piece = re.sub(r"[ \t]", "", piece)
            found.pieces.append(Lexeme(piece, match.start(), position))
    return found


def environment(mark: str) -> str:
    r"""Name of the environment that `\begin{name}` or `\end{name}` stands for."""
    return mark[mark.find("{") + 1 : -1]


def _preamble(text: str) -> Iterator[tuple[int, int]]:
    opening = re.search(r"^[^%\n]*\\begin\{document\}", text, re.MULTILINE)
    if opening:
        yield 0, opening.end()


def _end_of_skipped(text: str, match: re.Match[str]) -> int:
    """Where the stretch that starts here and is not to be read ends; 0 if there is none."""
    if match.lastgroup == "comment":
        return match.end()
    if match.lastgroup == "chunk":
        end = _CHUNK_END.search(text, match.end())
        return end.end() if end else len(text)
    if match.lastgroup == "verb":
        mark = text[match.end() : match.end() + 1]
        close = text.find("}" if mark == "{" else mark, match.end() + 1)
        return close + 1 if mark and close >= 0 else match.end()
    if match.lastgroup == "program":
        return _closing_brace(text, match.end()) or match.end()
    opens = match.lastgroup == "environment" and match.group().startswith("\\begin")
    if opens and VERBATIM.fullmatch(name := environment(match.group())):
        end_mark = f"\\end{{{name}}}"
        close = text.find(end_mark, match.end())
        return close + len(end_mark) if close >= 0 else len(text)
    return 0


def _closing_brace(text: str, position: int) -> int:
    """One past the brace that closes one opened before this position; 0 if none does."""
    depth = 1
    for brace in _BRACE.finditer(text, position):
        depth += {"{": 1, "}": -1}.get(brace.group(), 0)
        if not depth:
            return brace.end()
    return 0
