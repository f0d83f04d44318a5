"""One feature of a collection as a collection of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from needlepoint._core.errors import unknown_name
from needlepoint.features.collection import Collection


def only_feature(collection: Collection, feature: str) -> Collection:
    """The rows that one feature is asked on, and the texts that these rows are of.

    Raises:
        UnknownNameError: If the collection has no such feature.
    """
    if feature not in collection.features:
        raise unknown_name("feature", feature, collection.features)
    rows = collection.rows_of(feature)
    texts, place = np.unique(collection.rows[rows, 0], return_inverse=True)
    kept = texts.tolist()
    return replace(
        collection,
        ids=tuple(collection.ids[text] for text in kept),
        documents=tuple(collection.documents[text] for text in kept),
        texts=tuple(collection.texts[text] for text in kept) if collection.texts else (),
        rows=np.column_stack([place.reshape(-1), collection.rows[rows, 1:]]),
        features=(feature,),
        labels=collection.labels[rows][:, [collection.features.index(feature)]],
        members=None,
    )


def commonest_feature(collection: Collection) -> str:
    """The feature with the most positive rows; of equals the first.

    Ask for more rows than there are before, or all features will have as many as were asked for.
    """
    counts = collection.counts()
    return str(counts["feature"].iloc[int(counts["positives"].argmax())])
