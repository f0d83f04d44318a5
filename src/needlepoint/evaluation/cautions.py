"""What a reader must not overlook: saturation, neurons named twice, features that are one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

SAME = 0.95
"""Correlation of labels, of either sign, from which on two features count as one."""
FEWEST_COMMON = 20
"""Fewer common rows than this do not show that two features are the same."""


def cautions(
    features: Sequence[Mapping[str, Any]],
    labels: Bool[np.ndarray, "example feature"],
    asked: Bool[np.ndarray, "example feature"],
) -> list[str]:
    """One sentence for each thing about these results that must not be overlooked.

    Args:
        features: The features of a summary: `feature`, `site`, `n_perfect`.
        labels: Whether each row has each feature.
        asked: Which rows each feature is asked on.
    """
    names = [str(one["feature"]) for one in features]
    return [
        *_saturated(features),
        *_shared(names, [str(one["site"]) for one in features]),
        *_same(names, label_correlations(labels, asked)),
    ]


def label_correlations(
    labels: Bool[np.ndarray, "example feature"], asked: Bool[np.ndarray, "example feature"]
) -> Float[np.ndarray, "feature feature"]:
    """Correlation (phi) of the labels of each two features on the rows that both are asked on.

    NaN where there are fewer than 20 such rows, or one of the two has one class only on them.

    Example:
        >>> labels = np.array([[True, True], [False, False]] * 10)
        >>> label_correlations(labels, np.ones_like(labels)).tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """
    yes, no = (labels & asked).astype(float), (~labels & asked).astype(float)
    both, neither, only, other = yes.T @ yes, no.T @ no, yes.T @ no, no.T @ yes
    spread = (both + only) * (other + neither) * (both + other) * (only + neither)
    known = (spread > 0) & (both + neither + only + other >= FEWEST_COMMON)
    found = (both * neither - only * other) / np.sqrt(np.where(known, spread, 1.0))
    return np.where(known, found, np.nan)


def _saturated(features: Sequence[Mapping[str, Any]]) -> list[str]:
    full = [one for one in features if one["n_perfect"] > 1]
    if not full:
        return []
    listed = ", ".join(f"{one['feature']} {one['n_perfect']:,}" for one in full[:6])
    more = f" and {len(full) - 6} more" if len(full) > 6 else ""
    return [
        f"More neurons than one have a validation F1 of 1 ({listed}{more}): these scores are "
        "saturated, and the neuron named is one of many equals."
    ]


def _shared(names: Sequence[str], sites: Sequence[str]) -> list[str]:
    of_site: dict[str, list[str]] = {}
    for name, site in zip(names, sites, strict=True):
        of_site.setdefault(site, []).append(name)
    return [
        f"{site} is the best neuron of {_listed(sharing)}: it does not tell them apart."
        for site, sharing in of_site.items()
        if len(sharing) > 1
    ]


def _same(names: Sequence[str], correlation: np.ndarray) -> list[str]:
    sentences = []
    for one, other in np.argwhere(np.triu(np.abs(correlation) >= SAME, 1)).tolist():
        how = "the same" if correlation[one, other] > 0 else "opposite"
        sentences.append(
            f"{names[one]} and {names[other]} have nearly {how} labels (correlation "
            f"{correlation[one, other]:.2f}): count them as one feature."
        )
    return sentences


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
