"""The n-grams of a neuron as a table, and the polysemanticity view as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from needlepoint._core.text import Encoder
from needlepoint.evaluation.dossier.corpus import TokenCorpus
from needlepoint.evaluation.dossier.document_intervals import mean_intervals
from needlepoint.evaluation.dossier.firing import Firing
from needlepoint.evaluation.ngrams import (
    LONGEST,
    Drivers,
    GramMeans,
    Occurrences,
    drivers,
    explained_share,
    gram_means,
    unrelated_groups,
)

LEADING = 12
"""Tokens that are broken down: those with the highest means, and those with the highest maximum."""
CONTEXTS = 3
"""N-grams of each length that are shown for a token."""
OFTEN = 3
"""Occurrences from which on a mean counts as high."""
COLUMNS = [
    "site", "n", "before", "token", "count", "documents", "mean", "low", "high", "maximum",
    "token_mean", "drives", "firing", "group",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Ngrams:
    """The table, and what it comes to."""

    frame: pd.DataFrame
    summary: dict[str, Any]


def ngrams_of(
    site: str,
    values: Float[np.ndarray, " row"],
    firing: Firing,
    corpus: TokenCorpus,
    encoder: Encoder,
    draw: np.random.Generator,
) -> Ngrams:
    """Which n-grams drive a neuron, how many of them are unrelated, what the tokens explain.

    The table has, for each leading token, its n-grams with the highest means, and every n-gram
    that drives the neuron: the shortest one that ends in a firing occurrence, occurs at least
    twice and fires in the mean. `group` numbers the drivers; related ones share a number.
    """
    up = firing.turned(values)
    rows = Occurrences(corpus.tokens, corpus.texts, corpus.row_documents, up)
    means = [gram_means(rows, n) for n in range(1, LONGEST + 1)]
    fires = firing.fires(values)
    found = drivers(means, fires, firing.sign * firing.cut)
    driving = [
        (n, gram)
        for n in range(1, LONGEST + 1)
        for gram in np.unique(means[n - 1].of_row[found.length == n]).tolist()
    ]
    chosen = list(dict.fromkeys([*driving, *_leading(means)]))
    spelled = {key: _spell(means, key, corpus, encoder) for key in chosen}
    groups = dict(zip(driving, unrelated_groups([spelled[key] for key in driving]), strict=True))
    records = []
    for n in range(1, LONGEST + 1):
        grams = [gram for length, gram in chosen if length == n]
        records += _rows(site, n, grams, means, rows, fires, spelled, groups, draw, firing.sign)
    frame = pd.DataFrame(records, columns=COLUMNS).astype({"group": "Int64"})
    summary = _summary(
        found, fires, rows, groups, [explained_share(rows, means, n) for n in (1, 2, 3)]
    )
    return Ngrams(frame, summary)


def _leading(means: list[GramMeans]) -> list[tuple[int, int]]:
    """The leading tokens, and the strongest contexts of each."""
    tokens = means[0]
    often = np.flatnonzero(tokens.counts >= OFTEN)
    by_mean = often[(-tokens.means[often]).argsort(kind="stable")][:LEADING]
    by_maximum = (-tokens.highest).argsort(kind="stable")[:LEADING]
    leading = list(dict.fromkeys([*by_mean.tolist(), *by_maximum.tolist()]))
    found = [(1, token) for token in leading]
    for token in leading:
        here = np.flatnonzero(tokens.of_row == token)
        if len(here) == 1:
            continue
        for n in range(2, LONGEST + 1):
            longer = means[n - 1]
            grams = np.unique(longer.of_row[here])
            grams = grams[grams >= 0]
            best = grams[(-longer.means[grams]).argsort(kind="stable")][:CONTEXTS]
            found += [(n, gram) for gram in best.tolist()]
    return found


def _spell(
    means: list[GramMeans], key: tuple[int, int], corpus: TokenCorpus, encoder: Encoder
) -> list[str]:
    n, gram = key
    last = int(means[n - 1].first[gram])
    return encoder.pieces(corpus.tokens[last + 1 - n : last + 1].tolist())


def _rows(
    site: str,
    n: int,
    grams: list[int],
    means: list[GramMeans],
    rows: Occurrences,
    fires: np.ndarray,
    spelled: dict[tuple[int, int], list[str]],
    groups: dict[tuple[int, int], int],
    draw: np.random.Generator,
    sign: int,
) -> list[dict[str, Any]]:
    """Rows of the table for n-grams of one length, in the neuron's own units."""
    found, place = means[n - 1], {gram: number for number, gram in enumerate(grams)}
    of_row = np.array([place.get(gram, -1) for gram in found.of_row.tolist()])
    low, high = mean_intervals(rows.values, of_row, rows.documents, len(grams), draw)
    ends = (low, high) if sign > 0 else (-high, -low)
    records = []
    for number, gram in enumerate(grams):
        here, words = of_row == number, spelled[n, gram]
        token = means[0].of_row[found.first[gram]]
        records.append(
            {
                "site": site,
                "n": n,
                "before": "".join(words[:-1]),
                "token": words[-1],
                "count": int(found.counts[gram]),
                "documents": len(np.unique(rows.documents[here])),
                "mean": sign * float(found.means[gram]),
                "low": float(ends[0][number]),
                "high": float(ends[1][number]),
                "maximum": sign * float(found.highest[gram]),
                "token_mean": sign * float(means[0].means[token]),
                "drives": (n, gram) in groups,
                "firing": int(fires[here].sum()),
                "group": groups.get((n, gram)),
            }
        )
    return records


def _summary(
    found: Drivers,
    fires: np.ndarray,
    rows: Occurrences,
    groups: dict[tuple[int, int], int],
    explained: list[float | None],
) -> dict[str, Any]:
    n_firing = int(fires.sum())
    told = int(found.again.sum())
    by_length = {str(n): int((found.length == n).sum()) for n in range(1, LONGEST + 1)}
    reason = "the neuron is constant, or all text is of one document"
    return {
        "n_firing": n_firing,
        "n_told": told,
        "by_length": by_length,
        "n_longer": int(((found.length == 0) & found.again).sum()),
        "n_drivers": len(groups),
        "n_unrelated": len(set(groups.values())),
        "n_documents": len(np.unique(rows.documents[fires])),
        "explained": dict(zip(("token", "pair", "triple"), explained, strict=True)),
        **({"explained_reason": reason} if explained[0] is None else {}),
    }
