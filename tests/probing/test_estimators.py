"""`SparseProbe` beside scikit-learn's own checks, its logistic regression, and bad input."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.probing.estimators import SparseProbe
from needlepoint.probing.estimators.sparse_probe import THRESHOLDS
from needlepoint.probing.selectors import SELECTORS
from needlepoint.probing.sweep import adaptive_thresholding

ESTIMATORS = [
    SparseProbe(),
    SparseProbe(method="forward", k=2, balanced=False, threshold="f1"),
    SparseProbe(method="top_k", k=3, ranking="best_f1"),
    SparseProbe(method="swap", k=2, deletion="wald", threshold="prevalence"),
    SparseProbe(method="paper", k=2),
]


def test_every_method_meets_scikit_learns_checks() -> None:
    assert {estimator.method for estimator in ESTIMATORS} == set(SELECTORS)


@parametrize_with_checks(ESTIMATORS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learns_own_checks(estimator, check) -> None:
    check(estimator)


def planted(
    n: int = 400, d: int = 40, *, share: float = 0.3, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Neurons 3 and 11 carry the feature, the latter by falling silent; the rest is noise."""
    rng = np.random.default_rng(seed)
    y = rng.random(n) < share
    X = rng.normal(size=(n, d)) * np.linspace(0.5, 4.0, d)
    X[:, 3] += 2.0 * X[:, 3].std() * y
    X[:, 11] -= 2.0 * X[:, 11].std() * y
    return X, y


def test_the_planted_neurons_and_their_signs_are_named() -> None:
    X, y = planted()
    probe = SparseProbe(k=2).fit(X, y)
    assert probe.support_.tolist() == [3, 11]
    assert probe.sign_.tolist() == [1, -1]
    assert probe.get_support(indices=True).tolist() == [3, 11]
    assert np.flatnonzero(probe.coef_[0]).tolist() == [3, 11]
    assert probe.score(*planted(seed=1)) > 0.9


def test_it_is_the_probe_of_the_sweep_and_on_its_support_scikit_learns_optimum() -> None:
    X, y = planted()
    probe = SparseProbe(k=4, l2=0.05).fit(X, y)
    path = adaptive_thresholding(torch.from_numpy(X), torch.from_numpy(y)[:, None], l2=0.05)
    assert probe.support_.tolist() == path.probe(0, 4).support.tolist()
    assert probe.path_.ks == path.ks
    spread = X.std(0)[probe.support_]
    own = LogisticRegression(C=1 / (400 * 0.05), class_weight="balanced", tol=1e-8, max_iter=1000)
    own.fit(X[:, probe.support_] / spread, y)
    np.testing.assert_allclose(probe.coef_[0, probe.support_], own.coef_[0] / spread, rtol=1e-4)
    np.testing.assert_allclose(probe.intercept_, own.intercept_, atol=1e-4)
    np.testing.assert_allclose(
        probe.predict_proba(X), own.predict_proba(X[:, probe.support_] / spread), atol=1e-4
    )


def test_arrays_frames_and_tensors_give_the_same() -> None:
    X, y = planted()
    one = SparseProbe(k=3).fit(X, y)
    frame = pd.DataFrame(X, columns=[f"L3.N{neuron}" for neuron in range(X.shape[1])])
    other = SparseProbe(k=3).fit(frame, pd.Series(y))
    third = SparseProbe(k=3).fit(torch.from_numpy(X).requires_grad_(), torch.from_numpy(y))
    for probe, data in ((other, frame), (third, torch.from_numpy(X))):
        np.testing.assert_array_equal(probe.coef_, one.coef_)
        np.testing.assert_array_equal(probe.decision_function(data), one.decision_function(X))
    assert other.get_feature_names_out().tolist() == [f"L3.N{at}" for at in one.support_]
    kept = third.transform(torch.from_numpy(X))
    assert isinstance(kept, torch.Tensor)
    np.testing.assert_array_equal(kept.numpy(), one.transform(X))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.int64])
def test_tensors_of_any_precision(dtype: torch.dtype) -> None:
    X, y = planted()
    X = torch.from_numpy(10 * X).to(dtype)
    probe = SparseProbe(k=2).fit(X, y)
    assert probe.support_.tolist() == [3, 11]
    assert probe.decision_function(X).dtype == np.float64


def test_the_ranking_and_the_rule_are_those_named() -> None:
    X, y = planted()
    X[:, 20] *= 50
    X[:, 20] += 20 * y
    for ranking, expected in (
        ("auc", [3, 11]),
        ("mean_difference", [11, 20]),
        ("mean_difference_std", [3, 11]),
    ):
        probe = SparseProbe(method="top_k", k=2, ranking=ranking).fit(X, y)
        assert probe.support_.tolist() == expected, ranking
    assert SparseProbe(k=2, deletion="wald").fit(X, y).support_.tolist() == [3, 11]
    for settings, words in (
        ({"ranking": "acu"}, "unknown ranking 'acu': did you mean 'auc'"),
        ({"deletion": "weigth"}, "unknown deletion rule 'weigth': did you mean 'weight'"),
        ({"method": "forward", "ranking": "auc"}, "forward starts from no ranking; use it with"),
        ({"method": "top_k", "deletion": "wald"}, "top_k deletes by no rule; use it with"),
    ):
        with pytest.raises(ValueError, match=words):
            SparseProbe(**settings).fit(X, y)


@pytest.mark.parametrize("method", list(SELECTORS))
def test_every_selector_finds_the_planted_neurons(method: str) -> None:
    X, y = planted(d=20)
    probe = SparseProbe(method=method, k=2).fit(X, y)
    assert probe.support_.tolist() == [3, 11]
    assert probe.sign_.tolist() == [1, -1]
    assert probe.path_.probe(0, 2).support.tolist() == [3, 11]
    with pytest.raises(DataError, match="leave balanced=True"):
        SparseProbe(method="paper", k=2, balanced=False).fit(X, y)


def test_more_than_two_classes_are_each_held_against_the_rest() -> None:
    rng = np.random.default_rng(0)
    y = np.array(["a", "b", "c"])[rng.integers(0, 3, size=300)]
    X = rng.normal(size=(300, 20))
    for at, name in enumerate("abc"):
        X[:, 4 + at] += 3 * (y == name)
    probe = SparseProbe(k=1).fit(X, y)
    assert probe.support_.tolist() == [[4], [5], [6]]
    assert probe.sign_.tolist() == [[1], [1], [1]]
    assert probe.get_support(indices=True).tolist() == [4, 5, 6]
    one = SparseProbe(k=1).fit(X, y == "b")
    np.testing.assert_allclose(probe.decision_function(X)[:, 1], one.decision_function(X))
    np.testing.assert_allclose(probe.predict_proba(X).sum(1), 1)
    assert probe.score(X, y) > 0.85


def test_thresholds_stand_for_prevalences() -> None:
    X, y = planted(n=1500, share=0.1)
    probes = {
        (balanced, threshold): SparseProbe(k=2, balanced=balanced, threshold=threshold).fit(X, y)
        for balanced in (True, False)
        for threshold in THRESHOLDS
    }
    prior = np.log(y.mean() / (1 - y.mean()))
    for balanced in (True, False):
        even, common = (probes[balanced, name] for name in ("balanced", "prevalence"))
        difference = common.decision_function(X) - even.decision_function(X)
        np.testing.assert_allclose(difference, prior)
        assert even.predict(X).sum() > common.predict(X).sum()
    calibrated = probes[False, "prevalence"].predict_proba(X)[:, 1]
    assert calibrated.mean() == pytest.approx(y.mean(), rel=1e-3)
    scores = {key: f1_score(y, probe.predict(X)) for key, probe in probes.items()}
    assert scores[True, "f1"] == max(
        f1_score(y, probes[True, "f1"].decision_function(X) > cut) for cut in np.linspace(-3, 3, 61)
    )
    assert scores[True, "f1"] > scores[True, "balanced"]


def test_all_positive_is_a_finite_threshold() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(50, 3)), np.arange(50) > 4
    y[np.argsort(X[:, 0])[[0, 9, 20, 33, 49]]] = False
    probe = SparseProbe(k=1, threshold="f1", l2=1e6).fit(X, y)
    assert np.isfinite(probe.intercept_).all()
    assert np.isfinite(probe.decision_function(X)).all()


def test_in_a_grid_search_over_k_with_documents_kept_whole() -> None:
    X, y = planted(seed=3)
    documents = np.arange(400) // 4
    chain = make_pipeline(StandardScaler(), SparseProbe())
    search = GridSearchCV(
        chain,
        {"sparseprobe__k": [1, 2, 8], "sparseprobe__method": ["top_k", "forward"]},
        cv=GroupKFold(4),
        scoring="roc_auc",
    ).fit(X, y, groups=documents)
    assert search.best_estimator_[-1].support_[:2].tolist()
    means = dict(
        zip(
            map(str, search.cv_results_["params"]),
            search.cv_results_["mean_test_score"],
            strict=True,
        )
    )
    assert (
        means["{'sparseprobe__k': 2, 'sparseprobe__method': 'forward'}"]
        > means["{'sparseprobe__k': 1, 'sparseprobe__method': 'forward'}"]
    )
    tensor = cross_val_score(SparseProbe(k=2), torch.from_numpy(X), y, cv=4)
    np.testing.assert_array_equal(tensor, cross_val_score(SparseProbe(k=2), X, y, cv=4))


def test_as_a_step_that_selects() -> None:
    X, y = planted()
    chain = make_pipeline(SparseProbe(k=2), LogisticRegression()).fit(X, y)
    assert chain[-1].coef_.shape == (1, 2)


def test_clones_and_pickles() -> None:
    X, y = planted()
    probe = SparseProbe(k=3, threshold="f1").fit(X, y)
    again = pickle.loads(pickle.dumps(probe))
    np.testing.assert_array_equal(again.predict(X), probe.predict(X))
    assert again.path_.ks == probe.path_.ks
    with pytest.raises(NotFittedError):
        clone(probe).predict(X)
    with pytest.raises(NotFittedError):
        SparseProbe().transform(torch.zeros(2, 2))


def test_more_neurons_asked_for_than_there_are_reads_all() -> None:
    X, y = planted(d=12)
    probe = SparseProbe(k=500).fit(X, y)
    assert probe.k_ == 12
    assert probe.support_.tolist() == list(range(12))


def test_constant_and_doubled_columns() -> None:
    X, y = planted()
    X[:, 5], X[:, 20] = 7.0, X[:, 3]
    probe = SparseProbe(k=1).fit(X, y)
    assert probe.support_.tolist() in ([3], [11])
    every = SparseProbe(k=40).fit(X, y)
    assert every.coef_[0, 5] == 0
    assert every.sign_[5] == 0
    assert every.coef_[0, 3] == pytest.approx(every.coef_[0, 20], rel=1e-3)
    constant = SparseProbe(k=2).fit(np.ones((40, 3)), np.arange(40) < 9)
    assert (constant.coef_ == 0).all()
    assert constant.decision_function(np.ones((1, 3))) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("as_given", [np.asarray, torch.from_numpy])
def test_values_that_are_not_numbers(as_given) -> None:
    X, y = planted(n=60)
    for value, name in ((np.nan, "NaN"), (np.inf, "inf")):
        bad = X.copy()
        bad[7, 2] = value
        with pytest.raises(ValueError, match=name):
            SparseProbe(k=2).fit(as_given(bad), y)
        probe = SparseProbe(k=2).fit(X, y)
        with pytest.raises(ValueError, match=name):
            probe.predict(as_given(bad))


def test_half_precision_that_has_overflowed_is_refused_and_the_largest_is_not() -> None:
    X, y = planted(n=60)
    with np.errstate(over="ignore"):
        wild, high = (X * 1e5).astype(np.float16), (X * 3e3).astype(np.float16)
    for part in (wild, torch.from_numpy(wild)):
        with pytest.raises(ValueError, match="infinity"):
            SparseProbe(k=2).fit(part, y)
    one = SparseProbe(k=2).fit(high, y)
    assert np.isfinite(one.decision_function(high)).all()
    assert one.support_.tolist() == SparseProbe(k=2).fit(high.astype(float), y).support_.tolist()


def test_labels_that_cannot_be_used() -> None:
    X, y = planted(n=60)
    for data in (X, torch.from_numpy(X)):
        with pytest.raises(OneClassError, match="all 60 examples are of one class, True"):
            SparseProbe().fit(data, np.ones(60, dtype=bool))
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            SparseProbe().fit(data, y[:-1])
        with pytest.raises(ValueError, match="Unknown label type: continuous"):
            SparseProbe().fit(data, np.linspace(0, 1, 60))
        with pytest.raises(ValueError, match="requires y to be passed"):
            SparseProbe().fit(data, None)


def test_settings_that_cannot_be_used() -> None:
    X, y = planted(n=60)
    for k in (0, -1, 2.5, True, "2"):
        with pytest.raises(DataError, match="give a whole number of neurons"):
            SparseProbe(k=k).fit(X, y)
    with pytest.raises(DataError, match="l2 must be positive"):
        SparseProbe(l2=0.0).fit(X, y)
    with pytest.raises(DataError, match="unknown threshold 'F1'"):
        SparseProbe(threshold="F1").fit(X, y)
    with pytest.raises(DataError, match="unknown method 'lasso'"):
        SparseProbe(method="lasso").fit(X, y)


def test_tensors_of_the_wrong_shape() -> None:
    X, y = planted(n=60)
    data = torch.from_numpy(X)
    with pytest.raises(DataError, match="matrix"):
        SparseProbe().fit(data[0], y)
    with pytest.raises(DataError, match="2 examples; a spread within two classes needs 3"):
        SparseProbe().fit(data[:2], y[:2])
    probe = SparseProbe(k=2).fit(data, y)
    with pytest.raises(ValueError, match="39 features"):
        probe.predict(data[:, 1:])


def test_fewer_positives_than_folds() -> None:
    """Every fold of training still has positives; a fold of test without any has no AUC."""
    X, _ = planted(n=60)
    y = np.isin(np.arange(60), [4, 30, 50])
    X[y, 3] += 40
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search = GridSearchCV(SparseProbe(), {"k": [1, 2]}, cv=5, scoring="roc_auc").fit(X, y)
    said = " ".join(str(one.message) for one in caught)
    assert "fewer than n_splits" in said or "less than n_splits" in said
    assert np.isnan(search.cv_results_["mean_test_score"]).all()
    ungrouped = GridSearchCV(SparseProbe(), {"k": [1, 2]}, cv=3, scoring="roc_auc").fit(X, y)
    assert ungrouped.best_score_ == 1.0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        one = np.arange(60) == 4
        with pytest.raises(ValueError, match="of one class, False"):
            GridSearchCV(SparseProbe(), {"k": [1]}, cv=GroupKFold(6), error_score="raise").fit(
                X, one, groups=np.arange(60) // 10
            )
