"""Stretches of text around chosen tokens, with the activation at each token."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from needlepoint._core.text import Encoder
from needlepoint.evaluation.dossier.corpus import TokenCorpus
from needlepoint.evaluation.dossier.firing import Firing

BEFORE, AFTER = 24, 8
"""Tokens that are shown before and after the chosen one."""
SAME = 4
"""Tokens up to the chosen one in which two excerpts must not agree."""
GROUPS = {"top": 6, "middle": 4, "random": 3, "opposite": 2}
"""How many excerpts of each kind are shown."""
COLUMNS = [
    "feature", "site", "group", "rank", "document", "label", "place", "activation",
    "tokens", "activations",
]  # fmt: skip


def excerpt_frame(
    site: str,
    feature: str | None,
    values: Float[np.ndarray, " row"],
    firing: Firing,
    corpus: TokenCorpus,
    encoder: Encoder,
    draw: np.random.Generator,
) -> pd.DataFrame:
    """Where the neuron is strongest, half as strong, anywhere at random, and lowest.

    Within a kind no document comes twice, nor the same few tokens up to the one chosen, so that
    one text does not fill the list. `label` is that of the chosen token, missing where unknown.
    """
    up = firing.turned(values)
    full, middle = firing.sign * firing.strongest, firing.sign * firing.median
    share = (up - middle) / (full - middle) if full > middle else np.zeros_like(up)
    between = np.flatnonzero((share > 0.25) & (share < 0.75))
    orders = {
        "top": (-up).argsort(kind="stable"),
        "middle": between[draw.permutation(len(between))],
        "random": draw.permutation(len(up)),
        "opposite": up.argsort(kind="stable"),
    }
    labels = None if feature is None else corpus.asked(feature)
    rows = []
    for group, order in orders.items():
        for rank, row in enumerate(_distinct(order.tolist(), corpus, GROUPS[group])):
            known = {"feature": feature, "site": site, "group": group, "rank": rank}
            label = None if labels is None or labels[row] < 0 else bool(labels[row])
            rows.append({**known, "label": label, **_around(row, values, corpus, encoder)})
    return pd.DataFrame(rows, columns=COLUMNS).astype({"label": "boolean"})


MISTAKES = 12
MISTAKE_COLUMNS = [
    "site", "feature", "kind", "rank", "document", "before", "token", "after", "activation"
]  # fmt: skip


def mistake_frame(
    site: str,
    feature: str,
    towards: Float[np.ndarray, " row"],
    corpus: TokenCorpus,
    encoder: Encoder,
    values: Float[np.ndarray, " row"],
) -> pd.DataFrame:
    """Tokens without the feature that look most like it, and tokens with it that look least so.

    Args:
        site: The neuron.
        feature: The feature.
        towards: Activations turned so that high speaks for the feature.
        corpus: The texts.
        encoder: The tokenizer.
        values: Activations as they are.
    """
    labels = corpus.asked(feature)
    order = (-towards).argsort(kind="stable")
    of_kind = {
        "false positive": order[labels[order] == 0],
        "false negative": order[::-1][labels[order[::-1]] == 1],
    }
    rows = []
    for kind, found in of_kind.items():
        for rank, row in enumerate(_distinct(found.tolist(), corpus, MISTAKES)):
            shown = _around(row, values, corpus, encoder)
            tokens, place = shown["tokens"], shown["place"]
            rows.append(
                {
                    "site": site,
                    "feature": feature,
                    "kind": kind,
                    "rank": rank,
                    "document": shown["document"],
                    "before": "".join(tokens[:place]),
                    "token": tokens[place],
                    "after": "".join(tokens[place + 1 :]),
                    "activation": shown["activation"],
                }
            )
    return pd.DataFrame(rows, columns=MISTAKE_COLUMNS)


def _distinct(order: Iterable[int], corpus: TokenCorpus, most: int) -> list[int]:
    """The first rows of an order, one of each document and of each few tokens."""
    documents: set[int] = set()
    seen: set[tuple[int, ...]] = set()
    found: list[int] = []
    for row in order:
        if len(found) == most:
            break
        first = int(corpus.starts[corpus.texts[row]])
        tail = tuple(corpus.tokens[max(first, row + 1 - SAME) : row + 1].tolist())
        document = int(corpus.row_documents[row])
        if document not in documents and tail not in seen:
            documents.add(document)
            seen.add(tail)
            found.append(row)
    return found


def _around(
    row: int, values: Float[np.ndarray, " row"], corpus: TokenCorpus, encoder: Encoder
) -> dict[str, Any]:
    """The stretch around a row, as columns of a table."""
    text = corpus.texts[row]
    start = max(int(corpus.starts[text]), row - BEFORE)
    end = min(int(corpus.starts[text + 1]), row + AFTER + 1)
    return {
        "document": corpus.documents[text],
        "place": row - start,
        "activation": float(values[row]),
        "tokens": encoder.pieces(corpus.tokens[start:end].tolist()),
        "activations": values[start:end].tolist(),
    }
