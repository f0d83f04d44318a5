"""Labelled text of the user's own: one label for each text, or labelled stretches of characters."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool

from needlepoint._core.errors import DataError, OneClassError
from needlepoint._core.text import Encoder, Span
from needlepoint.features.align import tokens_of_span
from needlepoint.features.collection import Card, Collection, Reduce
from needlepoint.features.split import require_documents
from needlepoint.features.tables import read_table, require_columns

YES = frozenset({"1", "yes", "true"})
NO = frozenset({"0", "no", "false"})
MOST_VALUES = 50


class NamedSpan(NamedTuple):
    """Characters `[start, end)` of a text that have a feature."""

    start: int
    end: int
    name: str


def from_file(
    path: str | Path,
    encoder: Encoder,
    *,
    text: str = "text",
    label: str = "label",
    spans: str = "spans",
    document: str | None = None,
    reduce: Reduce = "mean",
) -> Collection:
    """Labelled text from a CSV, JSONL or Parquet file.

    With a column of labels each text is one row. Labels yes and no (or true and false, 1 and 0)
    make one feature with the name of the column; other values make one feature each, against
    all others. With a column of spans each token is one row, and has the feature if it overlaps
    a labelled stretch; `spans` holds a list of `[start, end, name]`, in CSV as JSON.

    Args:
        path: The file.
        encoder: The tokenizer of the model to be probed.
        text: Column of the texts.
        label: Column of the labels.
        spans: Column of the spans, used where there is no column of labels.
        document: Column that says which texts belong together and must not be parted by a
            split; a column named `document` if there is one, else each text stands alone.
        reduce: How the tokens of a text become one row. Has no effect on spans.

    Raises:
        DataError: If the file cannot be read, a column is missing, a text is empty, a label or
            span does not fit, or there are too few documents. The message names the row,
            counted from 1 without the heading.
        OneClassError: If all labels are the same.
    """
    path = Path(path)
    frame = read_table(path)
    if document is None and "document" in frame.columns:
        document = "document"
    require_columns(frame, [text, *([document] if document else [])], path)
    by_span = spans in frame.columns and label not in frame.columns
    if not by_span:
        require_columns(frame, [label], path)
    texts = _texts(frame[text].tolist(), path)
    if by_span:
        parsed = [_spans(value, f"{_row(i)} of {path}") for i, value in enumerate(frame[spans])]
        ids, rows, features, labels = _token_rows(texts, parsed, encoder, path)
    else:
        features, labels = _text_labels(frame[label].tolist(), label, path)
        ids = tuple(tuple(encoder.encode(entry)) for entry in texts)
        rows = [(i, 0, len(tokens)) for i, tokens in enumerate(ids)]
    collection = Collection(
        card=_card(path, "each token is one row" if by_span else f"{reduce} over the tokens"),
        question=f"Which neurons tell {_listed(features)} in {path.name}?",
        ids=ids,
        documents=_documents(frame, document, path),
        rows=np.array(rows, dtype=np.int64),
        reduce="last" if by_span else reduce,
        features=features,
        labels=labels,
        texts=texts,
    )
    try:
        require_documents(collection.row_documents, labels, features)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return collection


def _texts(column: Sequence[object], path: Path) -> tuple[str, ...]:
    texts = []
    for i, value in enumerate(column):
        if _missing(value):
            raise DataError(f"{_row(i)} of {path} has an empty text; fill it or leave it out.")
        if not isinstance(value, str):
            raise DataError(f"{_row(i)} of {path} has {value!r} for a text; write it as a text.")
        texts.append(value)
    return tuple(texts)


def _documents(frame: pd.DataFrame, document: str | None, path: Path) -> tuple[str, ...]:
    if document is None:
        return tuple(_row(i) for i in range(len(frame)))
    for i, value in enumerate(frame[document]):
        if _missing(value):
            raise DataError(f"{_row(i)} of {path} has no {document!r}; name its document.")
    return tuple(map(str, frame[document]))


def _text_labels(
    column: Sequence[object], name: str, path: Path
) -> tuple[tuple[str, ...], Bool[np.ndarray, "example feature"]]:
    """The features that the values of a column stand for, and which texts have them."""
    for i, value in enumerate(column):
        if _missing(value):
            raise DataError(f"{_row(i)} of {path} has no {name!r}; give it a label.")
    values = [_plain(value) for value in column]
    lowered = [value.lower() for value in values]
    found = sorted(set(values))
    if set(lowered) <= YES | NO:
        positive = np.array([value in YES for value in lowered])
        if positive.all() or not positive.any():
            raise OneClassError(
                f"{path}: column {name!r} is {values[0]} in all {len(values)} rows."
            )
        return (name,), positive[:, None]
    if len(found) == 1:
        raise OneClassError(f"{path}: column {name!r} is {found[0]!r} in all {len(values)} rows.")
    if len(found) > MOST_VALUES:
        raise DataError(
            f"{path}: column {name!r} has {len(found)} different values, such as {found[0]!r}; "
            f"labels are yes and no, or 2 to {MOST_VALUES} names."
        )
    return tuple(found), np.array([[value == one for one in found] for value in values])


def _token_rows(
    texts: Sequence[str], spans: Sequence[Sequence[NamedSpan]], encoder: Encoder, path: Path
) -> tuple[
    tuple[tuple[int, ...], ...],
    list[tuple[int, int, int]],
    tuple[str, ...],
    Bool[np.ndarray, "example feature"],
]:
    """One row for each token of each text, and which of the spans' names each has."""
    features = tuple(sorted({span.name for of_text in spans for span in of_text}))
    if not features:
        raise OneClassError(f"{path} has no labelled span in any text; label at least one.")
    ids, rows, labels = [], [], []
    for i, (text, of_text) in enumerate(zip(texts, spans, strict=True)):
        tokens, offsets = encoder.encode_with_offsets(text)
        has = np.zeros((len(tokens), len(features)), dtype=bool)
        for span in of_text:
            first, stop = _tokens(span, offsets, text, f"{_row(i)} of {path}")
            has[first:stop, features.index(span.name)] = True
        ids.append(tuple(tokens))
        rows += [(i, at, at + 1) for at in range(len(tokens))]
        labels.append(has)
    return tuple(ids), rows, features, np.concatenate(labels)


def _tokens(span: NamedSpan, offsets: Sequence[Span], text: str, where: str) -> Span:
    try:
        return tokens_of_span(offsets, span.start, span.end, text=text)
    except DataError as error:
        around = text[max(span.start, 0) : max(span.end, 0)][:40]
        raise DataError(
            f"{where}, {span.name!r}: {error} The text has {around!r} there."
        ) from error


def _spans(value: object, where: str) -> list[NamedSpan]:
    if _missing(value):
        return []
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: its spans are not JSON ({error}).") from error
    value = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(value, list):
        raise DataError(f"{where}: its spans are {value!r}; write [[start, end, name], ...].")
    return [_span(entry, where) for entry in value]


def _span(entry: object, where: str) -> NamedSpan:
    if isinstance(entry, dict):
        entry = [entry.get(key) for key in NamedSpan._fields]
    entry = list(entry) if isinstance(entry, (list, tuple, np.ndarray)) else entry
    match entry:
        case [start, end, str(name)] if name:
            low, high = _position(start), _position(end)
            if low is not None and high is not None:
                return NamedSpan(low, high, name)
    raise DataError(f"{where}: {entry!r} is not a span; write [start, end, name].")


def _position(value: object) -> int | None:
    """A whole number, also written as text, which a Parquet list needs beside names."""
    if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
        return int(value)
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return int(value)
    return None


def _missing(value: object) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is None or value is pd.NA or (isinstance(value, float) and bool(np.isnan(value)))


def _plain(value: object) -> str:
    """The value as text; 1.0, which a column with gaps makes of 1, as 1."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _row(index: int) -> str:
    return f"row {index + 1}"


def _listed(features: Sequence[str]) -> str:
    shown = ", ".join(map(repr, features[:3]))
    return shown if len(features) <= 3 else f"{shown} and {len(features) - 3} more"


def _card(path: Path, aggregation: str) -> Card:
    name = re.sub(r"[^A-Za-z0-9_.\-]+", "_", path.stem).strip("_.-") or "features"
    return Card(
        name=name,
        title=path.stem,
        description=f"Labelled text from {path.name}.",
        source=path.name,
        licence="not stated",
        how_labelled="By whoever made the file; nothing is known of how.",
        confounds=("Whatever else differs between the labels of this file.",),
        aggregation=aggregation,
    )
