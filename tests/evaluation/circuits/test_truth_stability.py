"""Stability from effects at hand: sure heads stay, borderline ones come and go."""

from __future__ import annotations

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.evaluation.circuits.truth_stability import truth_stability


def effects(n_sure: int, n_unsure: int, n: int = 40) -> torch.Tensor:
    """Effects far above noise, others at three standard errors exactly, and 30 that are nothing."""
    noise = torch.randn(n, n_sure + n_unsure + 30, generator=torch.Generator().manual_seed(4))
    noise = (noise - noise.mean(0)) / noise.std(0)
    mean = torch.zeros(noise.shape[1])
    mean[:n_sure] = 3.0
    mean[n_sure : n_sure + n_unsure] = 3.01 / n**0.5
    return noise + mean


def test_sure_effects_are_stable_and_borderline_ones_are_not(generator) -> None:
    sure = truth_stability(effects(6, 0), value_range=5.0, generator=generator)
    assert (sure.k, sure.n_units, sure.n_resamples) == (6, 36, 200)
    assert sure.verdict == "stable"
    assert sure.jaccard.estimate > 0.9
    unsure = truth_stability(effects(0, 6), value_range=5.0, generator=generator)
    assert unsure.k == 6
    assert unsure.verdict != "stable"
    assert unsure.chance < unsure.jaccard.estimate < sure.jaccard.estimate - 0.2


def test_what_is_the_same_on_every_pair_is_found_every_time(generator) -> None:
    same = torch.tensor([[1.0, 0.0, -1.0]]).expand(12, 3)
    found = truth_stability(same, value_range=2.0, generator=generator, n_resamples=5)
    assert found.jaccard == (1, 1, 1)
    assert found.k == 2


def test_without_a_head_that_matters_there_is_nothing_to_tell(generator) -> None:
    with pytest.raises(DataError, match="no head matters"):
        truth_stability(torch.zeros(12, 3), value_range=2.0, generator=generator)
