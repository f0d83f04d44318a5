"""How a neuron's activations are spread, and how often the feature is there at each strength."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from needlepoint.evaluation.dossier.document_intervals import share_intervals
from needlepoint.probing.scores import roc_auc

BINS = 32
DECILES = tuple(f"decile {place}" for place in range(1, 11))
TOP = "top 1 %"
FEWEST = 500
"""Tokens from which on the highest hundredth is looked at."""
STRATA_COLUMNS = [
    "site", "feature", "stratum", "low", "high", "mean", "tokens", "documents",
    "positives", "precision", "precision_low", "precision_high", "share_of_positives",
]  # fmt: skip
HISTOGRAM_COLUMNS = ["site", "feature", "unit", "label", "bin_left", "bin_right", "count"]


def strata_frame(
    site: str,
    feature: str | None,
    values: Float[np.ndarray, " row"],
    labels: Int[np.ndarray, " row"],
    documents: Int[np.ndarray, " row"],
    generator: np.random.Generator,
) -> pd.DataFrame:
    """Tenths of the tokens by activation, lowest first, and the highest hundredth of many.

    Activations come turned, so that the last tenth is where the neuron is strongest. With labels,
    `precision` is the share of tokens of the stratum that have the feature. It is of these texts:
    where the feature is rarer, as in text at large, it is lower.

    Args:
        site: The neuron.
        feature: The feature that labels are of; without one precision is missing.
        values: Activation of each token.
        labels: 1 or 0 for each token; ignored without a feature.
        documents: Document of each token.
        generator: Source of the resamples behind the intervals.
    """
    ranks = values.argsort(kind="stable").argsort(kind="stable")
    tenth = ranks * 10 // max(len(values), 1)
    top = np.where(ranks >= len(values) - max(len(values) // 100, 1), 0, -1)
    rows = []
    for names, groups in ((DECILES, tenth), ((TOP,), top))[: 1 + (len(values) >= FEWEST)]:
        low, high = share_intervals(
            labels.astype(np.float64), groups, documents, len(names), generator
        )
        for number, name in enumerate(names):
            here = groups == number
            if not here.any():
                continue
            row: dict[str, object] = {"site": site, "feature": feature, "stratum": name}
            row |= _spread(values[here], documents[here])
            if feature is not None:
                row |= _precision(labels, here, float(low[number]), float(high[number]))
            rows.append(row)
    return pd.DataFrame(rows, columns=STRATA_COLUMNS).astype({"positives": "Int64"})


def _spread(values: np.ndarray, documents: np.ndarray) -> dict[str, object]:
    return {
        "low": float(values.min()),
        "high": float(values.max()),
        "mean": float(values.mean(dtype=np.float64)),
        "tokens": len(values),
        "documents": len(np.unique(documents)),
    }


def _precision(labels: np.ndarray, here: np.ndarray, low: float, high: float) -> dict[str, object]:
    positives = int(labels[here].sum())
    return {
        "positives": positives,
        "precision": positives / int(here.sum()),
        "precision_low": low,
        "precision_high": high,
        "share_of_positives": positives / max(int(labels.sum()), 1),
    }


def histogram_frame(
    site: str,
    feature: str | None,
    unit: str,
    values: Float[np.ndarray, " row"],
    labels: Int[np.ndarray, " row"],
) -> pd.DataFrame:
    """Counts of values in equal bins: of both classes, or of all together without a feature.

    Args:
        site: The neuron.
        feature: The feature that labels are of, if any; `label` is missing without one.
        unit: What a value is of: `token`, or `row` as the collection reduces them.
        values: In the neuron's own units.
        labels: 1 or 0 for each value; ignored without a feature.
    """
    edges = np.histogram_bin_edges(values.astype(np.float64), BINS)
    classes: list[tuple[bool | None, np.ndarray]] = [(None, np.ones(len(values), dtype=bool))]
    if feature is not None:
        classes = [(True, labels == 1), (False, labels == 0)]
    parts = []
    for label, mask in classes:
        counts, _ = np.histogram(values[mask], edges)
        columns = {"site": site, "feature": feature, "unit": unit, "label": label}
        ends = {"bin_left": edges[:-1], "bin_right": edges[1:], "count": counts}
        parts.append(pd.DataFrame({**columns, **ends}))
    return pd.concat(parts, ignore_index=True)[HISTOGRAM_COLUMNS].astype({"label": "boolean"})


def token_auc(values: Float[np.ndarray, " row"], labels: Int[np.ndarray, " row"]) -> float:
    """Probability that a token with the feature has a higher value than one without it."""
    import torch

    scores, truth = torch.from_numpy(values.copy())[:, None], torch.from_numpy(labels == 1)[:, None]
    return float(roc_auc(scores.double(), truth)[0])
