"""Labelled text whose long texts are cut into windows that a model can read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from needlepoint._core.errors import DataError
from needlepoint.features.collection import Collection


def windowed(collection: Collection, most: int) -> Collection:
    """The same labels on texts of at most `most` tokens; the collection itself if all are.

    A row of at most half a window is read in a window that begins where a half begins, with at
    least as many tokens before it as are left of that half; rows that start early keep all that
    came before them. A longer row, such as one for a whole text, becomes several, of about equal
    length and one for each window, all with its labels. Windows are of the document their text was
    of, so that no split parts them. Long texts without rows are left out.

    Args:
        collection: Labelled text.
        most: Most tokens of a window, without any first token.

    Raises:
        DataError: If a window has not even two tokens.
    """
    if most < 2:
        raise DataError(f"a window of {most} tokens is none; let it have two or more.")
    if max(map(len, collection.ids)) <= most:
        return collection
    cut = _Cut(collection, most)
    for number, (text, start, end) in enumerate(collection.rows.tolist()):
        cut.place(number, text, start, end)
    return cut.collection()


@dataclass
class _Cut:
    """Windows as they are needed, and the rows in them."""

    whole: Collection
    most: int
    index: dict[tuple[int, int, int], int] = field(default_factory=dict)
    """Number of the window of a text that begins at a token and ends before another."""
    ids: list[tuple[int, ...]] = field(default_factory=list)
    text_of: list[int] = field(default_factory=list)
    rows: list[tuple[int, int, int]] = field(default_factory=list)
    row_of: list[int] = field(default_factory=list)

    def place(self, number: int, text: int, start: int, end: int) -> None:
        """Put a row into a window, or into as many as it takes."""
        n, half = len(self.whole.ids[text]), self.most // 2
        if n <= self.most:
            self._put(number, text, (0, n), start, end)
        elif end - start <= half:
            first = half * max(0, -(-(end - self.most) // half))
            self._put(number, text, (first, min(n, first + self.most)), start, end)
        else:
            parts = -(-(end - start) // self.most)
            cuts = [start + (end - start) * part // parts for part in range(parts + 1)]
            for low, high in pairwise(cuts):
                self._put(number, text, (low, high), low, high)

    def _put(self, number: int, text: int, window: tuple[int, int], start: int, end: int) -> None:
        key = (text, *window)
        if key not in self.index:
            self.index[key] = len(self.ids)
            self.ids.append(self.whole.ids[text][slice(*window)])
            self.text_of.append(text)
        self.rows.append((self.index[key], start - window[0], end - window[0]))
        self.row_of.append(number)

    def collection(self) -> Collection:
        """The windows with their rows and labels."""
        whole, rows = self.whole, np.array(self.row_of)
        how = f"{whole.card.aggregation}; texts of more than {self.most} tokens cut into windows"
        return replace(
            whole,
            card=replace(whole.card, aggregation=how),
            ids=tuple(self.ids),
            documents=tuple(whole.documents[text] for text in self.text_of),
            texts=tuple(whole.texts[text] for text in self.text_of) if whole.texts else (),
            rows=np.array(self.rows, dtype=np.int64),
            labels=whole.labels[rows],
            members=None if whole.members is None else whole.members[rows],
        )
