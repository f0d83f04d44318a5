"""Paragraphs of hard-wrapped text, each on one line."""

from __future__ import annotations

import re
import textwrap

MIN_WORDS = 4
LONG = 400
"""Characters after which a paragraph is broken at the end of a sentence."""

_RST_BLOCK = re.compile(r"^(?:\.\. |[=\-~^\"'*+#`:.]{3,}\s*$|:[\w -]+:|\+-|\|)")
_SENTENCE = re.compile(r"(?<=[.!?;]) +(?=[\"'(]?[A-Z])")


def paragraphs(text: str) -> list[str]:
    r"""The paragraphs of four words or more: what blank lines part, without line breaks.

    Long ones are broken at ends of sentences, so that a text has several places to start at.

    Example:
        >>> paragraphs("Title\n\nOne sentence that\nis wrapped.\n\n\nAnd this is another.\n")
        ['One sentence that is wrapped.', 'And this is another.']
    """
    joined = (" ".join(part.split()) for part in re.split(r"\n\s*\n", text))
    return [piece for part in joined for piece in broken(part) if len(piece.split()) >= MIN_WORDS]


def rst_paragraphs(text: str) -> list[str]:
    r"""The paragraphs of a reStructuredText document that stand at its left margin.

    Titles, directives, field lists and all that is indented, such as listings, are left out.

    Example:
        >>> rst_paragraphs("Title\n=====\n\nSome words of text.\n\n.. note::\n\n    In a box.\n")
        ['Some words of text.']
    """
    kept = []
    for part in re.split(r"\n\s*\n", text):
        lines = part.strip("\n").split("\n")
        if not any(_RST_BLOCK.match(line) for line in lines) and not lines[0].startswith("  "):
            kept.append(textwrap.dedent(part))
    return paragraphs("\n\n".join(kept))


def broken(paragraph: str) -> list[str]:
    """A paragraph in pieces of some sentences, each longer than 400 characters but the last.

    Example:
        >>> [len(piece) for piece in broken("This is it. " * 70)]
        [407, 407, 23]
    """
    pieces = [""]
    for sentence in _SENTENCE.split(paragraph.strip()):
        pieces[-1] = f"{pieces[-1]} {sentence}".strip()
        if len(pieces[-1]) > LONG:
            pieces.append("")
    return [piece for piece in pieces if piece]
