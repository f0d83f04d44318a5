"""Probes under several ridges are those of one solver each, within one time."""

from __future__ import annotations

import math
from itertools import count
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.probing.optimal import ridges, search
from needlepoint.probing.optimal.certificate import OptimalProbe
from needlepoint.probing.optimal.ridges import optimal_ridges
from needlepoint.probing.optimal.search import Search
from needlepoint.probing.optimal.solve import optimal_path, run

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


def test_each_search_starts_from_the_size_before_and_the_ridge_before(monkeypatch) -> None:
    starts: dict[tuple[float, int], list[tuple[float, int]]] = {}

    def recorded(begun: Search, *warm: OptimalProbe) -> OptimalProbe:
        starts[begun.objective.gamma, begun.k] = [(one.gamma, one.k) for one in warm]
        return run(begun, *warm)

    monkeypatch.setattr(ridges, "run", recorded)
    optimal_ridges(*data(), gammas=GAMMAS, ks=(1, 2, 3), seconds=60.0)
    assert starts == {
        (0.1, 1): [],
        (0.1, 2): [(0.1, 1)],
        (0.1, 3): [(0.1, 2)],
        (1.0, 1): [(0.1, 1)],
        (1.0, 2): [(1.0, 1), (0.1, 2)],
        (1.0, 3): [(1.0, 2), (0.1, 3)],
        (10.0, 1): [(1.0, 1)],
        (10.0, 2): [(10.0, 1), (1.0, 2)],
        (10.0, 3): [(10.0, 2), (1.0, 3)],
    }


def honest(found: tuple[OptimalProbe, ...], acts: Tensor, label: Tensor) -> None:
    """Bound <= optimum <= objective, the optimum being bounded by an unhurried search."""
    for one in found:
        (slow,) = optimal_path(acts, label, ks=(one.k,), gamma=one.gamma, time_limit=20.0)
        assert one.bound <= slow.objective * (1 + 1e-9)
        assert one.objective >= slow.bound * (1 - 1e-9)
        assert (one.status == "exact") == (one.gap < 1e-4)


def test_the_time_is_for_all_of_them_and_pairs_end_with_a_gap(monkeypatch) -> None:
    acts, label = data(n=150, d=600, seed=1)
    clock = count(0.0)  # a second passes whenever it is read
    with monkeypatch.context() as patched:
        for module in (ridges, search):
            patched.setattr(module, "time", SimpleNamespace(perf_counter=clock.__next__))
        found = optimal_ridges(acts, label, gammas=(100.0, 1000.0), ks=(1, 2, 3), seconds=30.0)
    assert next(clock) < 40
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
        ({"tolerance": 0.0}, "tolerance must be between 0 and 1"),
        ({"tolerance": 2.0}, "tolerance must be between 0 and 1"),
    ],
)
def test_what_cannot_be_asked_is_refused(options: dict, said: str) -> None:
    acts, label = data()
    with pytest.raises(DataError, match=said):
        optimal_ridges(acts, label, **{"gammas": GAMMAS, "ks": (1, 2), "seconds": 1.0, **options})
