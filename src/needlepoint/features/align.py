"""Labels on characters, moved to the tokens that hold these characters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from needlepoint._core.errors import DataError
from needlepoint._core.text import Encoder, Span

SHOWN = str.maketrans({"\n": "⏎", "\r": "␍", "\t": "⇥"})


def tokens_of_span(offsets: Sequence[Span], start: int, end: int, *, text: str) -> Span:
    """Tokens `(first, last + 1)` that hold any of the characters `[start, end)`.

    White space at either end of the span does not count: a token that holds the space before a
    word is not taken for the word that ends there. One character can be several tokens (an
    emoji in byte-level BPE), and one token several characters; all tokens that overlap are
    taken, and what lies between them.

    Args:
        offsets: For each token the characters `[start, end)` it came from.
        start: First character of the span, counted from 0.
        end: One past its last character.
        text: The text that the characters are counted in.

    Raises:
        DataError: If the span is empty, outside the text, only white space, or if no token
            holds any of it. The message says what stands there.

    Example:
        >>> tokens_of_span([(0, 3), (3, 7), (7, 8)], 4, 7, text="the cat.")
        (1, 2)
    """
    if not 0 <= start < end <= len(text):
        raise DataError(
            f"span {start} to {end} does not fit a text of {len(text)} characters; "
            f"a span needs 0 <= start < end <= {len(text)}."
        )
    inner = text[start:end]
    low = start + len(inner) - len(inner.lstrip())
    high = start + len(inner.rstrip())
    if low >= high:
        raise DataError(
            f"span {start} to {end} holds only white space ({inner!r}); "
            "label the characters of a word."
        )
    inside = [i for i, (a, b) in enumerate(offsets) if a < high and b > low]
    if not inside:
        raise DataError(
            f"span {start} to {end} ({inner!r}) is in no token; the tokenizer drops these "
            "characters, so label others."
        )
    return inside[0], inside[-1] + 1


def show_alignment(text: str, encoder: Encoder, spans: Iterable[Span]) -> str:
    """The tokens of a text on one line, parted by bars, the labelled ones in [brackets].

    For a person to see where labels come to lie. Line ends and tabs are shown as signs.

    Raises:
        DataError: If a span does not fit the text (see `tokens_of_span`).
    """
    ids, offsets = encoder.encode_with_offsets(text)
    labelled: set[int] = set()
    for start, end in spans:
        labelled.update(range(*tokens_of_span(offsets, start, end, text=text)))
    pieces = (piece.translate(SHOWN) for piece in encoder.pieces(ids))
    return "|".join(f"[{piece}]" if i in labelled else piece for i, piece in enumerate(pieces))
