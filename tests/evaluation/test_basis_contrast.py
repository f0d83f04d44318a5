"""A random basis destroys a feature of one neuron, and leaves one that has no basis as it was."""

from __future__ import annotations

import pytest
import torch

from needlepoint.evaluation.case_studies.basis_contrast import (
    Parts,
    best_unit,
    path_contrast,
    path_frame,
    sweep,
    unit_contrast,
    unit_frame,
)
from needlepoint.evaluation.case_studies.prune_neurons import prune_neurons
from needlepoint.evaluation.clustered import Resamples
from needlepoint.probing.hadamard import RandomBasis

WIDTH = 64


def parts_of(truth: torch.Tensor) -> Parts:
    thirds = torch.arange(len(truth)).split(len(truth) // 3)
    rng = torch.Generator().manual_seed(0)
    resamples = Resamples.draw(thirds[2], truth[thirds[2]], rng, n_resamples=300)
    return Parts(truth, *thirds, resamples)


def along(direction: torch.Tensor, shift: float, seed: int = 0) -> tuple[torch.Tensor, Parts]:
    """Unit noise in all directions, positives shifted along one."""
    rng = torch.Generator().manual_seed(seed)
    truth = torch.rand(900, generator=rng) < 0.4
    acts = torch.randn(900, WIDTH, generator=rng)
    return acts + shift * truth[:, None] * direction, parts_of(truth)


def bases(n: int = 3) -> list[RandomBasis]:
    rng = torch.Generator().manual_seed(5)
    return [RandomBasis.draw(WIDTH, rng) for _ in range(n)]


def test_a_feature_of_one_neuron_is_lost_in_a_random_basis() -> None:
    axis = torch.zeros(WIDTH)
    axis[9] = 1.0
    acts, parts = along(axis, 5.0)
    assert best_unit(acts, parts).unit == 9
    frame = unit_frame(unit_contrast(acts, bases(), parts, 4)).set_index("basis")
    assert float(frame.loc["neuron", "f1"]) > 0.95
    assert (frame.loc["random direction", "f1"] < 0.85).all()
    assert float(frame.loc["gap", "low"]) > 0.1
    path = path_frame(path_contrast(acts, bases(), parts, 4)).set_index("k")
    assert path.loc[1, "gap_low"] > 0.1
    assert abs(path.loc[64, "gap"]) < 0.02
    assert path.loc[64, "auc_neurons"] == pytest.approx(path.loc[64, "auc_random"], abs=0.003)


def test_a_feature_that_prefers_no_basis_is_as_easy_in_all() -> None:
    rng = torch.Generator().manual_seed(2)
    direction = torch.randn(WIDTH, generator=rng)
    acts, parts = along(direction / direction.norm(), 5.0)
    gap = unit_frame(unit_contrast(acts, bases(5), parts, 0)).set_index("basis").loc["gap"]
    assert gap["low"] < 0 < gap["high"]
    assert abs(gap["f1"]) < 0.08


def test_without_documents_to_resample_there_is_no_interval() -> None:
    axis = torch.zeros(WIDTH)
    axis[0] = 1.0
    acts, parts = along(axis, 5.0)
    bare = Parts(parts.truth, parts.train, parts.validation, parts.test, None)
    gap = unit_frame(unit_contrast(acts, bases(1), bare, 0)).iloc[-1]
    assert gap["low"] is not None
    assert str(gap["low"]) == "<NA>"
    assert gap["f1"] > 0.1


def test_pruning_takes_the_planted_neurons_in_order_of_strength() -> None:
    rng = torch.Generator().manual_seed(1)
    truth = torch.rand(1200, generator=rng) < 0.4
    acts = torch.randn(1200, WIDTH, generator=rng)
    planted = (40, 8, 23, 51)
    for neuron, shift in zip(planted, (5.0, 3.5, 2.4, 1.5), strict=True):
        acts[:, neuron] += shift * truth
    parts = parts_of(truth)
    found = prune_neurons(acts, parts, k=2, rounds=5)
    assert found.removed[:4] == planted
    frame = found.frame
    assert frame["round"].tolist() == list(range(6))
    assert frame["f1"].iloc[0] > 0.97
    assert frame["f1"].iloc[4] < 0.75
    assert frame["change"].iloc[0] == 0.0
    assert frame["change_high"].iloc[4] < 0


def test_pruning_ends_where_too_few_neurons_are_left() -> None:
    acts, parts = along(torch.ones(WIDTH), 1.0)
    frame = prune_neurons(acts[:, :6], parts, k=5, rounds=10).frame
    assert len(frame) == 2


def test_test_rows_choose_nothing() -> None:
    axis = torch.zeros(WIDTH)
    axis[9] = 1.0
    acts, parts = along(axis, 2.0)
    changed = acts.clone()
    changed[parts.test] += 100.0
    one, other = (prune_neurons(some, parts, k=2, rounds=3) for some in (acts, changed))
    assert one.removed == other.removed
    assert torch.equal(sweep(acts, parts).support[3], sweep(changed, parts).support[3])
