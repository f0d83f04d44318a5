"""Neurons against the directions of random bases: one direction, and probes of k directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint.evaluation.clustered import Resamples, f1_of
from needlepoint.evaluation.intervals import Interval, percentile_interval
from needlepoint.probing.hadamard import RandomBasis
from needlepoint.probing.scores import best_cut, roc_auc
from needlepoint.probing.select import L2_GRID, choose_neurons, score_neurons
from needlepoint.probing.sweep import DEFAULT_KS, adaptive_thresholding

START = 256


@dataclass(frozen=True, eq=False)
class Parts:
    """One feature on the rows of one layer, and the numbers of the rows of each part."""

    truth: Bool[Tensor, " example"]
    train: Int[Tensor, "_"]
    validation: Int[Tensor, "_"]
    test: Int[Tensor, "_"]
    resamples: Resamples | None
    """Of the test rows; None if documents are too few for intervals."""


@dataclass(frozen=True, eq=False)
class BestUnit:
    """The best single column of a layer, a neuron or a direction, and what it calls positive."""

    unit: int
    sign: int
    f1_validation: float
    called: Bool[Tensor, " example"]


def best_unit(acts: Float[Tensor, "example unit"], parts: Parts) -> BestUnit:
    """The column that tells the feature best by one cut, chosen as a single neuron is."""
    labels = parts.truth[:, None]
    scores = score_neurons(
        acts[parts.train], labels[parts.train], acts[parts.validation], labels[parts.validation]
    )
    (kept,) = choose_neurons([scores])
    values = acts[:, kept.neuron]
    called = values > kept.threshold if kept.sign > 0 else values < kept.threshold
    return BestUnit(kept.neuron, kept.sign, kept.f1_validation, called)


def unit_contrast(
    acts: Float[Tensor, "example neuron"], bases: Sequence[RandomBasis], parts: Parts, layer: int
) -> list[dict[str, object]]:
    """One row for the best neuron and each best direction of one layer, and one for their gap.

    The gap is the test F1 of the neuron minus the mean test F1 of the directions, all on the same
    resamples of documents.
    """
    neuron = best_unit(acts, parts)
    drawn = [best_unit(basis.rotate(acts), parts) for basis in bases]
    calls = torch.stack([one.called[parts.test] for one in (neuron, *drawn)], dim=1)
    f1 = [f1_of(column, parts.truth[parts.test]) for column in calls.T]
    names = ["neuron", *["random direction"] * len(drawn)]
    rows: list[dict[str, object]] = [
        {
            "layer": layer,
            "basis": name,
            "draw": max(place - 1, 0),
            "unit": one.unit,
            "f1_validation": one.f1_validation,
            "f1": value,
        }
        for place, (name, one, value) in enumerate(zip(names, (neuron, *drawn), f1, strict=True))
    ]
    gap = contrast(calls, f1, parts)
    rows.append(
        {"layer": layer, "basis": "gap", "draw": 0, "f1": gap[1], "low": gap[0], "high": gap[2]}
    )
    return rows


def path_contrast(
    acts: Float[Tensor, "example neuron"], bases: Sequence[RandomBasis], parts: Parts, layer: int
) -> list[dict[str, object]]:
    """F1 by number of directions read, in the basis of the neurons and in random ones.

    In each basis the ridge is chosen on validation rows by the mean AUC over k, and the cut of
    each k by its F1 there. Every k is tested; none is chosen.
    """
    paths = [sweep(acts, parts), *(sweep(basis.rotate(acts), parts) for basis in bases)]
    truth = parts.truth[parts.test]
    rows: list[dict[str, object]] = []
    for at, k in enumerate(paths[0].ks):
        calls = torch.stack([path.called[parts.test, at] for path in paths], dim=1)
        f1 = [f1_of(column, truth) for column in calls.T]
        auc = [_auc(path.odds[parts.test, at], truth) for path in paths]
        low, gap, high = contrast(calls, f1, parts)
        rows.append(
            {
                "layer": layer,
                "k": k,
                "f1_neurons": f1[0],
                "f1_random": sum(f1[1:]) / len(bases),
                "f1_random_least": min(f1[1:]),
                "f1_random_most": max(f1[1:]),
                "auc_neurons": auc[0],
                "auc_random": sum(auc[1:]) / len(bases),
                "gap": gap,
                "gap_low": low,
                "gap_high": high,
            }
        )
    return rows


@dataclass(frozen=True, eq=False)
class Sweep:
    """Probes of each size: log-odds of all rows, and what they call positive."""

    ks: tuple[int, ...]
    support: tuple[Int[Tensor, "_"], ...]
    odds: Float[Tensor, "example k"]
    called: Bool[Tensor, "example k"]


def sweep(
    acts: Float[Tensor, "example unit"],
    parts: Parts,
    ks: Sequence[int] = DEFAULT_KS,
    l2: Sequence[float] = L2_GRID,
) -> Sweep:
    """Adaptive thresholding with ridge and cuts from validation rows."""
    labels = parts.truth[:, None].expand(-1, len(l2))
    grid = torch.tensor(sorted(l2, reverse=True), dtype=torch.float64)
    path = adaptive_thresholding(
        acts[parts.train], labels[parts.train].contiguous(), l2=grid, ks=ks, start=START
    )
    odds = path.log_odds(acts)
    wanted = parts.truth[parts.validation, None].expand(-1, len(path.ks))
    auc = torch.stack([roc_auc(odds[parts.validation, i], wanted).mean() for i in range(len(l2))])
    at = int(auc.argmax())
    chosen = odds[:, at]
    cuts = best_cut(chosen[parts.validation], wanted)
    support = tuple(path.probe(at, k).support for k in path.ks)
    return Sweep(path.ks, support, chosen, chosen > cuts)


def contrast(
    calls: Bool[Tensor, "example unit"], f1: Sequence[float], parts: Parts
) -> Interval | tuple[None, float, None]:
    """F1 of the first calls minus the mean F1 of the others, on the same resamples."""
    estimate = f1[0] - sum(f1[1:]) / (len(f1) - 1)
    if parts.resamples is None:
        return None, estimate, None
    found = parts.resamples.f1(calls)
    return percentile_interval(found[:, 0] - found[:, 1:].mean(1), estimate)


def unit_frame(rows: Sequence[dict[str, object]]) -> pd.DataFrame:
    """The table of single neurons and directions."""
    columns = ["layer", "basis", "draw", "unit", "f1_validation", "f1", "low", "high"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.astype({"unit": "Int64", "low": "Float64", "high": "Float64"})


def path_frame(rows: Sequence[dict[str, object]]) -> pd.DataFrame:
    """The table of probes of k neurons or directions."""
    return pd.DataFrame(rows).astype({"gap_low": "Float64", "gap_high": "Float64"})


def _auc(odds: Tensor, truth: Tensor) -> float:
    return float(roc_auc(odds[:, None], truth[:, None])[0])
