"""How much a layer knows besides its best neurons: take the best away, fit again, and so on."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint.evaluation.case_studies.basis_contrast import Parts, sweep
from needlepoint.evaluation.clustered import f1_of
from needlepoint.evaluation.intervals import percentile_interval
from needlepoint.probing.select import score_neurons

COLUMNS = [
    "round",
    "k",
    "f1_validation",
    "f1",
    "low",
    "high",
    "change",
    "change_low",
    "change_high",
]


@dataclass(frozen=True)
class Pruned:
    """The rounds of pruning, and which neuron each took away."""

    frame: pd.DataFrame
    removed: tuple[int, ...]


def prune_neurons(
    acts: Float[Tensor, "example neuron"], parts: Parts, *, k: int, rounds: int
) -> Pruned:
    """Fit a probe of `k` neurons, drop the one with the best validation F1 alone, fit again.

    The published procedure drops the neuron with the best test F1; here test rows choose nothing.
    Each round's probe is tested, and its change from the first is on the same resamples of
    documents. It stops early where fewer than `k` neurons would be left.

    Args:
        acts: Activations of one layer on all rows.
        parts: The feature and the rows of each part.
        k: Neurons that each probe reads.
        rounds: Neurons to take away.

    Returns:
        One row for each fit, the first with nothing taken away: `round, k, f1_validation, f1, low,
        high, change, change_low, change_high, site_neuron` of the neuron that is dropped next.
    """
    alone = _alone(acts, parts)
    left = torch.arange(acts.shape[1])
    first: Tensor | None = None
    rows: list[dict[str, object]] = []
    removed: list[int] = []
    for number in range(min(rounds, acts.shape[1] - k) + 1):
        found = sweep(acts[:, left], parts, ks=(k,))
        called = found.called[:, 0]
        first = called if first is None else first
        support = left[found.support[0]]
        worst = int(support[alone[support].argmax()])
        rows.append({"round": number, "k": k, **_row(called, first, parts), "neuron": worst})
        removed.append(worst)
        left = left[left != worst]
    return Pruned(pd.DataFrame(rows, columns=[*COLUMNS, "neuron"]), tuple(removed[:-1]))


def _alone(acts: Tensor, parts: Parts) -> Float[Tensor, " neuron"]:
    """F1 of the best training cut of each neuron, on validation rows."""
    labels = parts.truth[:, None]
    scores = score_neurons(
        acts[parts.train], labels[parts.train], acts[parts.validation], labels[parts.validation]
    )
    return scores.f1_validation[0]


def _row(called: Tensor, first: Tensor, parts: Parts) -> dict[str, object]:
    def of(rows: Int[Tensor, "_"]) -> float:
        return f1_of(called[rows], parts.truth[rows])

    row: dict[str, object] = {"f1_validation": of(parts.validation), "f1": of(parts.test)}
    row["change"] = of(parts.test) - f1_of(first[parts.test], parts.truth[parts.test])
    if parts.resamples is None:
        return row
    both = parts.resamples.f1(torch.stack([called[parts.test], first[parts.test]], dim=1))
    row["low"], _, row["high"] = percentile_interval(both[:, 0], of(parts.test))
    row["change_low"], _, row["change_high"] = percentile_interval(both[:, 0] - both[:, 1], 0.0)
    return row
