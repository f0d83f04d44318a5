import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from needlepoint.probing.optimal.branch import filled
from needlepoint.probing.optimal.capped import least_quadratic
from needlepoint.probing.optimal.losses import LossName
from needlepoint.probing.optimal.objective import Objective
from needlepoint.probing.optimal.refit import fit_columns
from needlepoint.probing.optimal.relaxation import Region, relax


def objective_on(n: int, d: int, *, gamma: float, loss: LossName, seed: int = 0) -> Objective:
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(n) % 4 == 0
    acts = torch.randn(n, d, generator=generator)
    acts += label[:, None] * torch.randn(d, generator=generator)
    return Objective.of(acts, label, gamma=gamma, loss=loss, balanced=True)


def cost(objective: Objective, shares: np.ndarray) -> float:
    """The cost of neurons taken by shares."""
    return float(fit_columns(objective, (objective.X.T * np.sqrt(shares)[:, None])[None]).bound[0])


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 9), st.integers(1, 5), st.integers(0, 10**6))
def test_quadratics_over_shares_meet_their_optimality_conditions(
    d: int, rank: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    factor = generator.normal(size=(d, rank))
    hessian, gradient = factor @ factor.T, generator.normal(size=d)
    room = int(generator.integers(0, d + 1))
    shares = np.zeros(d)
    shares[generator.permutation(d)[:room]] = 1.0
    found = least_quadratic(gradient, hessian, shares)
    assert found.sum() == pytest.approx(room, abs=1e-8)
    assert (found >= 0).all()
    assert (found <= 1).all()
    slope = gradient + hessian @ (found - shares)
    may_fall, may_rise = found > 1e-9, found < 1 - 1e-9
    if may_fall.any() and may_rise.any():
        assert slope[may_fall].max() <= slope[may_rise].min() + 1e-6


def test_without_curvature_the_steepest_shares_are_taken() -> None:
    flat = np.zeros((3, 3))
    found = least_quadratic(np.array([2.0, -1.0, 0.5]), flat, np.array([1.0, 0.0, 0.0]))
    assert found.tolist() == [0.0, 1.0, 0.0]
    still = np.array([1.0, 0.0, 0.0])
    assert least_quadratic(np.zeros(3), flat, still).tolist() == still.tolist()


@pytest.mark.parametrize("gamma", [0.1, 3.0])
@pytest.mark.parametrize("loss", ["logistic", "hinge"])
def test_the_relaxation_is_the_least_cost_over_shares(loss: LossName, gamma: float) -> None:
    objective = objective_on(40, 6, gamma=gamma, loss=loss)
    region = Region(3, np.array([2]), np.array([0, 1, 3, 4]))
    solved = relax(objective, region, np.array([1.0, 1.0, 0.0, 0.0]))

    def at(free: np.ndarray) -> float:
        shares = np.zeros(6)
        shares[region.inside], shares[region.free] = 1.0, np.clip(free, 0, 1)
        return cost(objective, shares)

    reference = minimize(
        at,
        np.full(4, 0.5),
        method="SLSQP",
        bounds=[(1e-9, 1)] * 4,
        constraints={"type": "eq", "fun": lambda free: free.sum() - 2},
    )
    loose = 1e-5 if loss == "logistic" else 2e-3
    assert solved.bound <= reference.fun * (1 + 1e-6)
    assert solved.bound >= reference.fun * (1 - loose)
    assert solved.shares.sum() == pytest.approx(2)
    assert solved.upper >= reference.fun * (1 - 1e-6)


def test_it_stops_once_it_is_enough() -> None:
    objective = objective_on(60, 30, gamma=1.0, loss="logistic")
    region = Region(3, np.zeros(0, np.int64), np.arange(30))
    shares = np.zeros(30)
    shares[:3] = 1.0
    whole = relax(objective, region, shares)
    early = relax(objective, region, shares, enough=whole.bound * 0.9)
    assert len(early.cuts) < len(whole.cuts)
    assert whole.upper - whole.bound <= 1e-6 * whole.upper
    again = relax(objective, region, whole.shares, start=whole.start)
    assert len(again.cuts) == 1


@given(st.integers(1, 8), st.integers(0, 10**6))
def test_shares_are_filled_to_any_sum(d: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    shares, room = generator.random(d), int(generator.integers(0, d + 1))
    found = filled(shares, generator.random(d), room)
    assert found.sum() == pytest.approx(room)
    assert (found >= 0).all()
    assert (found <= 1 + 1e-12).all()
