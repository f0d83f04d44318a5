"""Scores of a probe agree with scikit-learn; what has no value is missing, not 0."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from needlepoint._core.errors import DataError
from needlepoint.evaluation import tested
from needlepoint.evaluation.clustered import Resamples
from needlepoint.evaluation.tested import INTERVALS, score_intervals, scores_of


def test_scores_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(80) < 0.3
    scores = rng.normal(truth, 1)
    found = scores_of(*map(torch.from_numpy, (scores > 0.5, truth, scores)))
    assert found.f1 == pytest.approx(metrics.f1_score(truth, scores > 0.5))
    assert found.precision == pytest.approx(metrics.precision_score(truth, scores > 0.5))
    assert found.mcc == pytest.approx(metrics.matthews_corrcoef(truth, scores > 0.5))
    assert found.auc == pytest.approx(metrics.roc_auc_score(truth, scores))
    wanted = metrics.average_precision_score(truth, scores)
    assert found.average_precision == pytest.approx(wanted)


@given(share=st.floats(0.05, 0.95), seed=st.integers(0, 50))
def test_restated_f1_is_that_of_rows_weighted_to_the_prevalence(share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.arange(60) % 4 == 0
    called = truth ^ (rng.random(60) < 0.3)
    weights = np.where(truth, share / truth.mean(), (1 - share) / (1 - truth.mean()))
    found = scores_of(*map(torch.from_numpy, (called, truth)), prevalence=share)
    wanted = metrics.f1_score(truth, called, sample_weight=weights, zero_division=0)
    assert found.f1_at_prevalence == pytest.approx(wanted)


def test_what_has_no_value_is_missing(generator) -> None:
    truth = torch.arange(12) % 2 == 0
    never = scores_of(torch.zeros(12, dtype=torch.bool), truth)
    assert (never.precision, never.mcc, never.auc, never.f1) == (None, None, None, 0)
    always = torch.ones(12, dtype=torch.bool)
    resamples = Resamples.draw(torch.arange(12), truth, generator)
    found = score_intervals(scores_of(always, truth), resamples, always, None)
    assert set(found) == {"f1", "balanced_accuracy"}, "the correlation with a constant is not 0"
    assert score_intervals(scores_of(always, truth), None, always, None) == {}


def test_a_score_undefined_on_some_resample_has_no_interval(generator) -> None:
    """One call among many documents: half the resamples call nothing."""
    truth = torch.arange(12) % 2 == 0
    called = torch.arange(12) == 0
    resamples = Resamples.draw(torch.arange(12), truth, generator)
    plain = scores_of(called, truth, called.double())
    found = score_intervals(plain, resamples, called, called.double())
    assert set(found) == set(INTERVALS) - {"mcc"}


def test_a_prevalence_out_of_range_is_refused() -> None:
    truth = torch.tensor([True, False])
    with pytest.raises(DataError, match="prevalence is 1"):
        scores_of(truth, truth, prevalence=1.0)


def test_the_table_spells_out_the_paper_cut_only_where_there_is_one() -> None:
    truth = torch.tensor([True, False, True])
    scores = scores_of(truth, truth)
    plain = tested.Tested("majority", None, (), scores, {}, None)
    cut = tested.Tested("sparse", 3, (1, 5), scores, {}, 0.9, at_zero=scores)
    frame = tested.tests_frame([("a", plain), ("a", cut)])
    assert frame["sites"].tolist() == ["", "L3.N1 L3.N5"]
    assert frame["f1_zero"].isna().tolist() == [True, False]
    assert frame["k"].isna().tolist() == [True, False]
    assert frame["f1_low"].isna().all()
