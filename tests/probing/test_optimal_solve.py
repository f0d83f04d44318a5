import itertools
import time

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from torch import Tensor

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.probing.optimal.certificate import OptimalProbe
from needlepoint.probing.optimal.losses import LossName
from needlepoint.probing.optimal.objective import Objective
from needlepoint.probing.optimal.refit import fit_supports
from needlepoint.probing.optimal.solve import optimal_path, optimal_probe

LOSSES: tuple[LossName, ...] = ("logistic", "hinge")


def correlated(n: int, d: int, *, shift: float = 1.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Neurons read from a narrower stream, some of them shifted on a third of the examples."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(n) % 3 == 0
    stream = torch.randn(n, max(2, d // 2), generator=generator)
    acts = stream @ torch.randn(max(2, d // 2), d, generator=generator)
    acts += torch.randn(n, d, generator=generator)
    acts += shift * label[:, None] * torch.randn(d, generator=generator)
    return torch.nn.functional.gelu(acts), label


def scaled(acts: Tensor) -> np.ndarray:
    """Neurons divided by ten times their spread, as the paper does: not centred."""
    X = acts.double().numpy()
    return X / (10 * np.maximum(X.std(0), 1e-3))


def reference_cost(
    acts: Tensor, label: Tensor, support: tuple[int, ...], gamma: float, loss: LossName
) -> float:
    """The least objective of one support, by scikit-learn."""
    X, y = scaled(acts)[:, list(support)], np.where(label.numpy(), 1.0, -1.0)
    w = np.where(y > 0, len(y) / (2 * (y > 0).sum()), len(y) / (2 * (y < 0).sum()))
    if loss == "logistic":
        model = LogisticRegression(C=gamma, solver="newton-cholesky", tol=1e-10, max_iter=500)
        margin = y * model.fit(X, y, sample_weight=w).decision_function(X)
        data = w @ np.logaddexp(0, -margin)
    else:
        model = SVC(kernel="linear", C=gamma, tol=1e-9).fit(X, y, sample_weight=w)
        odds = X @ model.coef_[0]
        # libsvm's intercept is one of several where no vector is free: take the best.
        data = min(w @ np.maximum(0, 1 - y * (odds + b)) for b in y - odds)
    return float(data + np.square(model.coef_).sum() / (2 * gamma))


def enumerated(
    acts: Tensor, label: Tensor, k: int, gamma: float, loss: LossName
) -> dict[tuple[int, ...], float]:
    """The least objective of every support of `k` neurons."""
    objective = Objective.of(acts, label, gamma=gamma, loss=loss, balanced=True)
    supports = list(itertools.combinations(range(acts.shape[1]), k))
    costs = fit_supports(objective, np.array(supports)).objective
    return dict(zip(supports, costs.tolist(), strict=True))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("gamma", [0.02, 1.0, 30.0])
def test_the_optimum_is_that_of_scikit_learn_over_all_supports(
    loss: LossName, gamma: float
) -> None:
    acts, label = correlated(30, 6)
    costs = {
        support: reference_cost(acts, label, support, gamma, loss)
        for support in itertools.combinations(range(6), 3)
    }
    found = optimal_probe(acts, label, k=3, gamma=gamma, loss=loss)
    assert found.objective == pytest.approx(min(costs.values()), rel=1e-6)
    assert tuple(found.probe.support.tolist()) == min(costs, key=costs.__getitem__)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    n=st.integers(12, 40),
    d=st.integers(4, 9),
    k=st.integers(1, 4),
    log_gamma=st.floats(-3, 3),
    loss=st.sampled_from(LOSSES),
    shift=st.sampled_from([0.0, 1.0, 20.0]),
    seed=st.integers(0, 10**6),
)
def test_bound_optimum_and_incumbent_never_change_places(
    n: int, d: int, k: int, log_gamma: float, loss: LossName, shift: float, seed: int
) -> None:
    acts, label = correlated(n, d, shift=shift, seed=seed)
    gamma = 10.0**log_gamma
    optimum = min(enumerated(acts, label, k, gamma, loss).values())
    found = optimal_probe(acts, label, k=k, gamma=gamma, loss=loss)
    assert found.status == "exact"
    assert found.objective == pytest.approx(optimum, rel=2e-6)
    slack = 1e-6 * optimum if loss == "hinge" else 1e-9 * optimum
    for _, objective, bound in found.trace:
        assert bound <= optimum + slack
        assert objective >= optimum - slack
    assert found.trace[-1][1:] == (found.objective, found.bound)
    assert found.n_screened + found.n_candidates == found.n_neurons == d


def test_the_trace_improves_and_nothing_else() -> None:
    acts, label = correlated(80, 60)
    found = optimal_probe(acts, label, k=4, gamma=3.0)
    seconds, objective, bound = np.array(found.trace).T
    assert len(found.trace) > 2
    assert (np.diff(seconds) >= 0).all()
    assert (np.diff(objective) <= 0).all()
    assert (np.diff(bound) >= 0).all()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("gamma", [0.05, 3.0])
def test_screening_keeps_every_optimal_support(loss: LossName, gamma: float) -> None:
    from needlepoint.probing.optimal.screening import screen
    from needlepoint.probing.optimal.search import Search
    from needlepoint.probing.optimal.solve import _branch

    for seed in range(2):
        acts, label = correlated(40, 9, seed=seed)
        objective = Objective.of(acts, label, gamma=gamma, loss=loss, balanced=True)
        costs = enumerated(acts, label, 3, gamma, loss)
        search = Search(objective, 3, time_limit=60.0, tolerance=1e-6)
        search.offer(np.array([[0, 1, 2]]))
        _branch(search)
        settled = screen(search.cuts, 3, search.value, 9)
        best = min(costs, key=costs.__getitem__)
        assert not settled.outside[list(best)].any()
        assert set(np.flatnonzero(settled.inside)) <= set(best)


def test_many_neurons_are_screened_under_a_heavy_ridge_and_few_under_a_light_one() -> None:
    acts, label = correlated(100, 60)
    heavy = optimal_probe(acts, label, k=3, gamma=0.01)
    light = optimal_probe(acts, label, k=3, gamma=100.0, time_limit=1.0)
    assert heavy.n_screened > 50
    assert light.n_screened < heavy.n_screened


def test_a_heavy_ridge_leaves_the_largest_mean_differences() -> None:
    acts, label = correlated(90, 20)
    gamma, n, X = 1e-4, len(label), scaled(acts)
    difference = X[label.numpy()].mean(0) - X[~label.numpy()].mean(0)
    leading = np.argsort(-np.abs(difference))[:4]
    hinge = optimal_probe(acts, label, k=4, gamma=gamma, loss="hinge")
    logistic = optimal_probe(acts, label, k=4, gamma=gamma)
    assert hinge.probe.support.tolist() == logistic.probe.support.tolist() == sorted(leading)
    expected = n - gamma * n**2 / 8 * np.square(difference[leading]).sum()
    assert hinge.objective == pytest.approx(expected, rel=1e-9)
    weight = (
        gamma
        * n
        / 2
        * difference[sorted(leading)]
        / (10 * acts.double().numpy().std(0))[sorted(leading)]
    )
    np.testing.assert_allclose(hinge.probe.weight.numpy(), weight, rtol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_probe_in_units_of_the_activations_has_the_objective(loss: LossName) -> None:
    acts, label = correlated(60, 12)
    acts = acts * torch.logspace(-2, 2, 12) + 50.0
    found = optimal_probe(acts.double(), label, k=3, gamma=0.7, loss=loss)
    margin = np.where(label, 1.0, -1.0) * found.probe(acts.double()).numpy()
    w = np.where(label, 60 / (2 * 20), 60 / (2 * 40))
    losses = np.logaddexp(0, -margin) if loss == "logistic" else np.maximum(0, 1 - margin)
    scale = 10 * acts.double().numpy().std(0)[found.probe.support]
    ridge = np.square(found.probe.weight.numpy() * scale).sum() / (2 * 0.7)
    assert w @ losses + ridge == pytest.approx(found.objective, rel=1e-8)


def test_unbalanced_weights_are_one() -> None:
    acts, label = correlated(60, 8)
    found = optimal_probe(acts, label, k=8, gamma=1.0, balanced=False)
    margin = np.where(label, 1.0, -1.0) * found.probe(acts.double()).numpy()
    scale = 10 * acts.double().numpy().std(0)
    ridge = np.square(found.probe.weight.numpy() * scale).sum() / 2
    assert np.logaddexp(0, -margin).sum() + ridge == pytest.approx(found.objective, rel=1e-8)
    assert found.status == "exact"


def test_duplicated_and_constant_neurons_and_separable_classes() -> None:
    acts, label = correlated(60, 6, shift=30.0)
    doubled = torch.cat([acts, acts, torch.full((60, 2), 3.0)], dim=1)
    for loss in LOSSES:
        found = optimal_probe(doubled, label, k=3, gamma=1.0, loss=loss, time_limit=20.0)
        optimum = min(enumerated(doubled, label, 3, 1.0, loss).values())
        assert found.status == "exact"
        assert found.objective == pytest.approx(optimum, rel=1e-4)
        assert torch.isfinite(found.probe.weight).all()


def test_a_constant_layer_reads_nothing() -> None:
    label = torch.arange(12) % 2 == 0
    found = optimal_probe(torch.ones(12, 5), label, k=3)
    assert found.status == "exact"
    assert found.objective == pytest.approx(12 * np.log(2), rel=1e-9)
    assert (found.probe.weight == 0).all()


def test_the_path_agrees_with_single_runs_and_falls_along_k() -> None:
    acts, label = correlated(80, 30)
    path = optimal_path(acts, label, ks=range(1, 6))
    assert [found.k for found in path] == [1, 2, 3, 4, 5]
    objectives = [found.objective for found in path]
    assert objectives == sorted(objectives, reverse=True)
    for found in path:
        alone = optimal_probe(acts, label, k=found.k)
        assert found.objective == pytest.approx(alone.objective, rel=1e-6)
        assert found.gamma == pytest.approx(1 / np.sqrt(80))


def test_a_warm_start_never_worsens() -> None:
    acts, label = correlated(120, 80, seed=3)
    first = optimal_probe(acts, label, k=5, gamma=30.0, time_limit=0.6)
    again = optimal_probe(acts, label, k=5, gamma=30.0, time_limit=0.05, warm=first)
    assert again.objective <= first.objective * (1 + 1e-12)
    for k in (3, 7):
        other = optimal_probe(acts, label, k=k, gamma=30.0, time_limit=0.05, warm=first)
        assert other.probe.support.shape == (k,)


def test_time_runs_out_with_an_honest_gap() -> None:
    acts, label = correlated(200, 300, seed=1)
    begin = time.perf_counter()
    found = optimal_probe(acts, label, k=6, gamma=1000.0, time_limit=0.5)
    assert time.perf_counter() - begin < 5.0
    assert found.status == "time limit"
    assert found.verdict.startswith("gap ")
    assert found.gap == (found.objective - found.bound) / found.objective > 1e-4
    assert 0 < found.bound < found.objective


def test_one_and_two_neurons_are_exact_whatever_the_ridge_and_the_time() -> None:
    acts, label = correlated(60, 40)
    for loss, gamma, k in itertools.product(LOSSES, (0.05, 100.0), (1, 2)):
        found = optimal_probe(acts, label, k=k, gamma=gamma, loss=loss, time_limit=1e-9)
        assert found.status == "exact"
        optimum = min(enumerated(acts, label, k, gamma, loss).values())
        assert found.objective == pytest.approx(optimum, rel=2e-6)
    pair = optimal_path(acts, label, ks=(1, 2), gamma=100.0, time_limit=1e-9)[1]
    assert pair.status == "exact"


def test_guards() -> None:
    acts, label = correlated(30, 5)
    with pytest.raises(DataError, match="choose k between 1 and 5"):
        optimal_probe(acts, label, k=6)
    with pytest.raises(DataError, match="choose k between 1 and 5"):
        optimal_probe(acts, label, k=0)
    with pytest.raises(DataError, match="gamma must be positive"):
        optimal_probe(acts, label, k=1, gamma=0.0)
    with pytest.raises(DataError, match="time_limit must be positive"):
        optimal_probe(acts, label, k=1, time_limit=0.0)
    with pytest.raises(DataError, match="tolerance must be"):
        optimal_probe(acts, label, k=1, tolerance=0.0)
    with pytest.raises(OneClassError, match="no negative"):
        optimal_probe(acts, label | True, k=1)
    with pytest.raises(DataError, match="NaN"):
        optimal_probe(acts / 0, label, k=1)
    with pytest.raises(DataError, match="ks is empty"):
        optimal_path(acts, label, ks=())
    other: OptimalProbe = optimal_probe(acts[:, :3], label, k=1)
    with pytest.raises(DataError, match="give a result on the same layer"):
        optimal_probe(acts, label, k=1, warm=other)
