"""Probes under several ridges are those of one solver each, within one time."""

from __future__ import annotations

import math
import time

import pytest
import torch
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.probing.optimal.certificate import OptimalProbe
from needlepoint.probing.optimal.ridges import optimal_ridges
from needlepoint.probing.optimal.solve import optimal_path

GAMMAS = (0.1, 1.0, 10.0)


def data(n: int = 120, d: int = 40, seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    acts = torch.randn(n, d, generator=rng)
    noise = torch.randn(n, generator=rng)
    return acts, acts[:, 3] - acts[:, 17] + 0.5 * acts[:, 8] + noise > 0


def test_each_is_the_optimum_under_its_own_ridge() -> None:
    acts, label = data()
    found = optimal_ridges(acts, label, gammas=GAMMAS, ks=(1, 2, 3), seconds=60.0)
    assert [(one.gamma, one.k) for one in found] == [(g, k) for g in GAMMAS for k in (1, 2, 3)]
    for gamma in GAMMAS:
        alone = optimal_path(acts, label, ks=(1, 2, 3), gamma=gamma)
        for one, other in zip([f for f in found if f.gamma == gamma], alone, strict=True):
            assert one.status == other.status == "exact"
            assert one.objective == pytest.approx(other.objective, rel=1e-5)
            assert one.bound <= other.objective * (1 + 1e-9), "a bound of another ridge"


def honest(found: tuple[OptimalProbe, ...], acts: Tensor, label: Tensor) -> None:
    """Bound <= optimum <= objective, the optimum being bounded by an unhurried search."""
    for one in found:
        (slow,) = optimal_path(acts, label, ks=(one.k,), gamma=one.gamma, time_limit=20.0)
        assert one.bound <= slow.objective * (1 + 1e-9)
        assert one.objective >= slow.bound * (1 - 1e-9)
        assert (one.status == "exact") == (one.gap < 1e-4)


def test_the_time_is_for_all_of_them_and_pairs_end_with_a_gap() -> None:
    acts, label = data(n=150, d=600, seed=1)
    begin = time.perf_counter()
    found = optimal_ridges(acts, label, gammas=(100.0, 1000.0), ks=(1, 2, 3), seconds=0.4)
    assert time.perf_counter() - begin < 5
    pairs = [one for one in found if one.k == 2]
    assert any(one.status == "time limit" for one in pairs), "made too hard for the time"
    honest(tuple(pairs), acts, label)


def test_what_there_is_no_time_for_is_missing() -> None:
    acts, label = data()
    found = optimal_ridges(acts, label, gammas=GAMMAS, ks=(1, 2, 3), seconds=1e-9)
    assert [(one.gamma, one.k, one.status) for one in found] == [(0.1, 1, "exact")]
    few = optimal_ridges(acts, label, gammas=GAMMAS, ks=(1, 2, 3), seconds=0.01)
    order = [(one.gamma, one.k) for one in few]
    assert order == [(g, k) for g in GAMMAS for k in (1, 2, 3)][: len(order)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"gammas": ()}, "give at least one"),
        ({"gammas": (1.0, math.inf)}, "all of them finite"),
        ({"gammas": (0.0, 1.0)}, "gamma must be positive"),
        ({"ks": ()}, "give sizes from 1 to 40"),
        ({"ks": (1, 41)}, "give sizes from 1 to 40"),
        ({"ks": (0, 1)}, "give sizes from 1 to 40"),
        ({"seconds": 0.0}, "seconds must be positive"),
    ],
)
def test_what_cannot_be_asked_is_refused(options: dict, said: str) -> None:
    acts, label = data()
    with pytest.raises(DataError, match=said):
        optimal_ridges(acts, label, **{"gammas": GAMMAS, "ks": (1, 2), "seconds": 1.0, **options})
