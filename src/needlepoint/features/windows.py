"""Windows of equal token length, cut from documents of known class: one row each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

import numpy as np

from needlepoint._core.errors import DataError
from needlepoint._core.seeds import seed_for
from needlepoint._core.text import Encoder
from needlepoint.features.collection import Card, Collection

MOST_PER_DOCUMENT = 4
MIN_DOCUMENTS = 8
FEWEST_DOCUMENTS = 20
"""Documents of a class below which its card says so."""
REACH = 28
"""Characters of a document, for each token of a window, that windows are cut from."""


class ClassText(NamedTuple):
    """One document of known class."""

    group: str
    """Where it comes from: a project, a book. Groups of a class take turns."""
    document: str
    """Its name; documents of one name are never parted by a split."""
    label: str
    text: str


class Window(NamedTuple):
    """Some consecutive tokens of one document."""

    of: ClassText
    ids: tuple[int, ...]
    text: str


def window_collection(
    documents: Sequence[ClassText],
    encoder: Encoder,
    *,
    card: Callable[[Sequence[str], Sequence[str]], Card],
    question: str,
    n_per_feature: int,
    n_tokens: int,
    seed: int,
    most_per_document: int = MOST_PER_DOCUMENT,
) -> Collection:
    """Equally long windows of documents, each one row, the mean over its tokens.

    There is one yes-or-no feature for each class with 8 documents and three quarters of the
    windows asked for; windows of the other classes only serve as negatives.

    Args:
        documents: Documents of all classes, in any order.
        encoder: The tokenizer of the model to be probed.
        card: Makes the card from the classes that are features and those that are not.
        question: What a study of the collection asks.
        n_per_feature: Windows of each class; also of all classes that are no features together.
        n_tokens: Tokens of a window.
        seed: The seed of the whole run.
        most_per_document: Most windows of one document; none overlap.

    Raises:
        DataError: If fewer than two classes have enough documents for such windows.
    """
    of_class: dict[str, list[ClassText]] = defaultdict(list)
    for document in documents:
        of_class[document.label].append(document)
    windows = {
        label: windows_of_class(
            found, encoder, n=n_per_feature, n_tokens=n_tokens, seed=seed, most=most_per_document
        )
        for label, found in of_class.items()
    }
    features = tuple(sorted(name for name in windows if _enough(windows[name], n_per_feature)))
    if len(features) < 2:
        raise DataError(
            f"fewer than two classes have {MIN_DOCUMENTS} documents with {n_per_feature} windows "
            f"of {n_tokens} tokens; ask for a smaller n_tokens or n_per_feature."
        )
    others = sorted(set(windows) - set(features))
    chosen = [window for label in features for window in windows[label]]
    chosen += _some_of_each([windows[label] for label in others], n_per_feature)
    n = len(chosen)
    return Collection(
        card=card(features, others),
        question=question,
        ids=tuple(window.ids for window in chosen),
        documents=tuple(window.of.document for window in chosen),
        rows=np.column_stack([np.arange(n), np.zeros(n, np.int64), np.full(n, n_tokens)]),
        reduce="mean",
        features=features,
        labels=np.array([[window.of.label == name for name in features] for window in chosen]),
        texts=tuple(window.text for window in chosen),
    )


def windows_of_class(
    documents: Sequence[ClassText],
    encoder: Encoder,
    *,
    n: int,
    n_tokens: int,
    seed: int,
    most: int = MOST_PER_DOCUMENT,
) -> list[Window]:
    """Up to `n` windows of one class, from as many documents as can be.

    Documents are taken in an order drawn from the seed, groups taking turns; no document gives
    more than `most` windows, and none a second before every document has been asked for its
    first.
    """
    cuts: list[Iterator[Window]] = [
        windows_of_document(document, encoder, n_tokens=n_tokens, seed=seed)
        for document in _shuffled(documents, seed)
    ]
    found: list[Window] = []
    for _ in range(most):
        for cut in cuts:
            if len(found) == n:
                return found
            found += [window for window in [next(cut, None)] if window is not None]
    return found


def windows_of_document(
    document: ClassText, encoder: Encoder, *, n_tokens: int, seed: int
) -> Iterator[Window]:
    """The windows of one document in an order drawn from the seed; none overlap.

    Each starts where a line starts, so that a person can read it.
    """
    draw = np.random.default_rng(seed_for(seed, use="windows", document=document.document))
    region = _region(document.text, REACH * n_tokens, draw)
    ids, offsets = encoder.encode_with_offsets(region)
    starts = [
        i for i, (low, _) in enumerate(offsets) if i == 0 or "\n" in region[offsets[i - 1][0] : low]
    ]
    taken: list[int] = []
    for start in draw.permutation(starts):
        stop = int(start) + n_tokens
        if stop <= len(ids) and all(abs(start - other) >= n_tokens for other in taken):
            taken.append(int(start))
            text = region[offsets[start][0] : offsets[stop - 1][1]]
            yield Window(document, tuple(ids[start:stop]), text)


def take_turns(groups: Mapping[str, list[ClassText]]) -> list[ClassText]:
    """All documents, the first of each group before the second of any."""
    rounds = zip_longest(*(groups[name] for name in sorted(groups)))
    return [document for turn in rounds for document in turn if document is not None]


def _region(text: str, length: int, draw: np.random.Generator) -> str:
    """A stretch of the text that starts where a line does, drawn from all such."""
    if len(text) <= length:
        return text
    start = text.find("\n", int(draw.integers(len(text) - length))) + 1
    return text[start : start + length]


def _shuffled(documents: Sequence[ClassText], seed: int) -> list[ClassText]:
    """The documents in an order drawn from the seed, groups taking turns."""
    groups: dict[str, list[ClassText]] = defaultdict(list)
    for document in documents:
        groups[document.group].append(document)
    for name, found in groups.items():
        draw = np.random.default_rng(
            seed_for(seed, use="files", project=name, language=found[0].label)
        )
        groups[name] = [found[i] for i in draw.permutation(len(found))]
    return take_turns(groups)


def _enough(windows: Sequence[Window], n: int) -> bool:
    """Whether a class can be a feature: 8 documents, and 3 of 4 of the windows asked for."""
    return (
        len({window.of.document for window in windows}) >= MIN_DOCUMENTS
        and len(windows) >= 0.75 * n
    )


def _some_of_each(classes: Sequence[Sequence[Window]], n: int) -> list[Window]:
    """At most `n` windows of all these classes together, shared out evenly."""
    ranked = [(i, window) for windows in classes for i, window in enumerate(windows)]
    return [window for _, window in sorted(ranked, key=lambda entry: entry[0])[:n]]
