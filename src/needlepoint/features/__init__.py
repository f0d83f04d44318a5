"""Features: text labelled by something a person can name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from needlepoint._core.registry import Registry
from needlepoint._core.text import Encoder
from needlepoint._core.user_code import object_of_file
from needlepoint.features import (
    compound_words,
    data_source,
    dependencies,
    latex,
    morphology,
    natural_language,
    part_of_speech,
    people,
    places,
    programming_language,
    sae_probes,
    text_features,
)
from needlepoint.features.align import show_alignment, tokens_of_span
from needlepoint.features.collection import Card, Collection, Reduce
from needlepoint.features.compound_finder import find_compounds
from needlepoint.features.compound_words import compound_collection
from needlepoint.features.duplicates import duplicate_groups, merge_documents
from needlepoint.features.from_file import from_file
from needlepoint.features.spec import CollectionSpec
from needlepoint.features.split import Split, split_by_document, split_collection
from needlepoint.features.tables import SUFFIXES

__all__ = [
    "COLLECTIONS",
    "Card",
    "Collection",
    "CollectionSpec",
    "Reduce",
    "Split",
    "collection_spec",
    "compound_collection",
    "duplicate_groups",
    "find_compounds",
    "from_file",
    "load_collection",
    "merge_documents",
    "show_alignment",
    "split_by_document",
    "split_collection",
    "tokens_of_span",
]


COLLECTIONS: Registry[CollectionSpec] = Registry("feature collection")
for _module in (
    part_of_speech,
    dependencies,
    morphology,
    programming_language,
    natural_language,
    data_source,
    people,
    places,
    sae_probes,
    text_features,
    compound_words,
    latex,
):
    COLLECTIONS.add(_module.SPEC.card.name)(_module.SPEC)


def collection_spec(name_or_path: str | Path) -> CollectionSpec | None:
    """The built-in collection of a name, or the one a Python file defines; None for a data file.

    A Python file is run, and has the collection under the name `SPEC`.

    Raises:
        UnknownNameError: If it is neither a name nor a file. The message names the nearest.
        DataError: If the Python file cannot be run or has no such collection.
    """
    path = Path(name_or_path)
    if str(name_or_path) in COLLECTIONS:
        return COLLECTIONS[str(name_or_path)]
    if path.suffix.lower() == ".py":
        return object_of_file(path, "SPEC", CollectionSpec)
    if path.suffix.lower() in SUFFIXES or path.exists():
        return None
    return COLLECTIONS[str(name_or_path)]


def load_collection(name_or_path: str | Path, encoder: Encoder, **options: Any) -> Collection:
    """A built-in collection, one of a Python file, or labelled text from a table.

    Args:
        name_or_path: A name in `COLLECTIONS`; or a Python file that defines a `CollectionSpec`
            named `SPEC`, which is run; or a CSV, JSONL or Parquet file.
        encoder: The tokenizer of the model to be probed.
        **options: `n_per_feature`, `n_tokens`, `seed`, `source` of a collection by name or in a
            Python file, or those of `from_file`.

    Raises:
        UnknownNameError: If it is none of these. The message names the nearest collection.
        DataError: If the text cannot be used.
        SourceError: If a package that a collection is made from cannot be had.
    """
    spec = collection_spec(name_or_path)
    if spec is None:
        return from_file(name_or_path, encoder, **options)
    return spec(encoder, **options)
