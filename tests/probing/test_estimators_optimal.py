"""`OptimalSparseProbe`: scikit-learn's own checks, the optimum, its certificate, and bad input."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import needlepoint.probing
from needlepoint._core.errors import DataError, OneClassError
from needlepoint.probing import OptimalSparseProbe, SparseProbe
from needlepoint.probing.optimal.solve import optimal_probe


@parametrize_with_checks([OptimalSparseProbe(), OptimalSparseProbe(k=2, loss="hinge")])
def test_scikit_learns_own_checks_of_the_optimal_probe(estimator, check) -> None:
    check(estimator)


def planted(n: int = 120, d: int = 30, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Neurons 3 and 11 carry the feature, the latter by falling silent; the rest is noise."""
    rng = np.random.default_rng(seed)
    y = rng.random(n) < 0.3
    X = rng.normal(size=(n, d)) * np.linspace(0.5, 4.0, d)
    X[:, 3] += 2.0 * X[:, 3].std() * y
    X[:, 11] -= 2.0 * X[:, 11].std() * y
    return X, y


@pytest.mark.parametrize("loss", ["logistic", "hinge"])
def test_it_is_the_optimal_probe_with_its_certificate(loss: str) -> None:
    X, y = planted()
    probe = OptimalSparseProbe(k=2, loss=loss).fit(X, y)
    found = optimal_probe(torch.from_numpy(X), torch.from_numpy(y), k=2, loss=loss)
    assert probe.support_.tolist() == found.probe.support.tolist() == [3, 11]
    assert probe.sign_.tolist() == [1, -1]
    assert probe.certificate_.objective == pytest.approx(found.objective)
    assert probe.certificate_.status == "exact"
    assert probe.certificate_.gamma == pytest.approx(1 / np.sqrt(120))
    scores = found.probe(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(probe.decision_function(X), scores)


def test_arrays_and_tensors_give_the_same() -> None:
    X, y = planted()
    one = OptimalSparseProbe(k=2).fit(X, y)
    other = OptimalSparseProbe(k=2).fit(torch.from_numpy(X), torch.from_numpy(y))
    np.testing.assert_allclose(one.coef_, other.coef_)
    half = OptimalSparseProbe(k=2).fit(torch.from_numpy(X).bfloat16(), y)
    assert half.support_.tolist() == [3, 11]


def test_no_worse_on_its_objective_than_any_heuristic_support() -> None:
    X, y = planted(seed=4)
    best = OptimalSparseProbe(k=3).fit(X, y).certificate_
    data, label = torch.from_numpy(X), torch.from_numpy(y)
    for k in range(1, 4):
        support = SparseProbe(k=k).fit(X, y).support_
        only = OptimalSparseProbe(k=k).fit(X[:, support], y).certificate_
        assert best.objective <= only.objective + 1e-9
    assert best.bound <= best.objective
    assert best.objective == pytest.approx(optimal_probe(data, label, k=3).objective)


def test_in_a_grid_search_and_a_pipeline() -> None:
    X, y = planted()
    search = GridSearchCV(
        make_pipeline(StandardScaler(), OptimalSparseProbe(time_limit=5.0)),
        {"optimalsparseprobe__k": [1, 2]},
        cv=GroupKFold(3),
        scoring="roc_auc",
    ).fit(X, y, groups=np.arange(120) // 4)
    assert search.best_params_ == {"optimalsparseprobe__k": 2}
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(again.predict(X), search.predict(X))


def test_out_of_time_leaves_a_gap_and_says_so() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 40)), rng.random(300) < 0.5
    probe = OptimalSparseProbe(k=5, gamma=100.0, time_limit=0.05).fit(X, y)
    assert probe.certificate_.status == "time limit"
    assert probe.certificate_.gap > 1e-4
    assert np.isfinite(probe.decision_function(X)).all()


def test_degenerate_columns_and_more_neurons_than_there_are() -> None:
    X, y = planted(d=12)
    X[:, 5], X[:, 0] = 7.0, X[:, 3]
    probe = OptimalSparseProbe(k=12).fit(X, y)
    assert probe.k_ == 12
    assert probe.coef_[0, 5] == pytest.approx(0, abs=1e-9)
    assert OptimalSparseProbe(k=50).fit(X, y).k_ == 12
    constant = OptimalSparseProbe(k=1).fit(np.ones((40, 3)), np.arange(40) < 9)
    assert (constant.coef_ == 0).all()


def test_what_cannot_be_used() -> None:
    X, y = planted()
    bad = X.copy()
    bad[0, 0] = np.nan
    for data in (bad, torch.from_numpy(bad)):
        with pytest.raises(ValueError, match="NaN"):
            OptimalSparseProbe().fit(data, y)
    with pytest.raises(OneClassError, match="all 120 examples are of one class"):
        OptimalSparseProbe().fit(X, np.zeros(120))
    with pytest.raises(ValueError, match="Only binary classification is supported"):
        OptimalSparseProbe().fit(X, np.arange(120) % 3)
    for setting, message in (
        ({"k": 0}, "give a whole number of neurons"),
        ({"loss": "squared"}, "use 'logistic' or 'hinge'"),
        ({"gamma": -1.0}, "gamma"),
        ({"time_limit": 0.0}, "time_limit must be positive"),
    ):
        with pytest.raises(DataError, match=message):
            OptimalSparseProbe(**setting).fit(X, y)


def test_names_are_loaded_when_asked_for() -> None:
    assert set(dir(needlepoint.probing)) == {"OptimalSparseProbe", "SparseProbe"}
    with pytest.raises(AttributeError, match="no attribute 'Probe'"):
        _ = needlepoint.probing.Probe
