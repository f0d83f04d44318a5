"""Features: text labelled by something a person can name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from needlepoint._core.registry import Registry
from needlepoint._core.text import Encoder
from needlepoint.features import programming_language
from needlepoint.features.align import show_alignment, tokens_of_span
from needlepoint.features.collection import Card, Collection, Reduce
from needlepoint.features.duplicates import duplicate_groups, merge_documents
from needlepoint.features.from_file import from_file
from needlepoint.features.split import Split, split_by_document, split_collection
from needlepoint.features.tables import SUFFIXES

__all__ = [
    "COLLECTIONS",
    "Card",
    "Collection",
    "Load",
    "Reduce",
    "Split",
    "duplicate_groups",
    "from_file",
    "load_collection",
    "merge_documents",
    "show_alignment",
    "split_by_document",
    "split_collection",
    "tokens_of_span",
]


Load = Callable[..., Collection]
"""Makes a built-in collection from an `Encoder` and options that differ from one to the next."""

COLLECTIONS: Registry[Load] = Registry("feature collection")
COLLECTIONS.add("programming_language")(programming_language.load)


def load_collection(name_or_path: str | Path, encoder: Encoder, **options: Any) -> Collection:
    """A built-in collection, or labelled text from a CSV, JSONL or Parquet file.

    Args:
        name_or_path: A name in `COLLECTIONS`, or a path that exists or has one of these endings.
        encoder: The tokenizer of the model to be probed.
        **options: Options of that collection (`n_per_feature`, `n_tokens`, `seed`), or of
            `from_file`.

    Raises:
        UnknownNameError: If it is neither. The message names the nearest collection.
        DataError: If the text cannot be used.
        SourceError: If a package that a collection is made from cannot be had.
    """
    path = Path(name_or_path)
    is_file = path.suffix.lower() in SUFFIXES or path.exists()
    if is_file and str(name_or_path) not in COLLECTIONS:
        return from_file(path, encoder, **options)
    return COLLECTIONS[str(name_or_path)](encoder, **options)
