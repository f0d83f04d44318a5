"""Metrics: the worked cases, agreement with scikit-learn and scipy, and refusals."""

from __future__ import annotations

import math

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn_metrics

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.evaluation import metrics

TRUTH = torch.tensor([1, 0, 1, 0, 0, 1, 0, 0], dtype=torch.bool)
SCORES = torch.tensor([5.0, 4, 4, 3, 2, 2, 1, 0])
RANKING = [
    metrics.roc_auc,
    metrics.pessimistic_auc,
    metrics.average_precision,
    metrics.repo_f1,
    lambda scores, truth: metrics.precision_at_k(scores, truth, k=1),
    lambda scores, truth: metrics.f1_at_size(scores, truth, size=1),
]


@pytest.fixture
def as_without_shape_checks():
    """Let wrong shapes through to the guards, as they get where shapes are not checked."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


def test_golden_case():
    assert metrics.roc_auc(SCORES, TRUTH) == pytest.approx(0.8)
    assert metrics.pessimistic_auc(SCORES, TRUTH) == pytest.approx(0.7333, abs=5e-5)
    assert 1 - metrics.pessimistic_auc(-SCORES, TRUTH) == pytest.approx(0.8667, abs=5e-5)
    assert metrics.average_precision(SCORES, TRUTH) == pytest.approx(0.7222, abs=5e-5)
    assert metrics.repo_f1(SCORES, TRUTH) == pytest.approx(0.7273, abs=5e-5)
    assert metrics.precision_at_k(SCORES, TRUTH, k=3) == pytest.approx(2 / 3)
    f1 = [metrics.f1_at_size(SCORES, TRUTH, size=size) for size in (1, 3, 4, 6, 7, 8)]
    assert max(f1) == pytest.approx(2 / 3)
    assert f1[1] == f1[3] == max(f1)


def test_golden_areas_on_the_published_grid():
    shares = torch.tensor([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1])
    values = torch.tensor([0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.1, 1.05, 1])
    area, distance = metrics.faithfulness_areas(shares, values)
    assert area == pytest.approx(0.99875, abs=1e-6)
    assert distance == pytest.approx(0.08025, abs=1e-6)


def test_golden_overlaps():
    one = metrics.overlap_p_value(n_units=144, n_true=26, n_chosen=40, n_hits=19)
    two = metrics.overlap_p_value(n_units=144, n_true=9, n_chosen=29, n_hits=7)
    assert one == pytest.approx(1.0e-7, rel=0.05)
    assert two == pytest.approx(1.9e-4, rel=0.05)


@st.composite
def rankings(draw):
    """Few distinct scores, so that ties are common."""
    n = draw(st.integers(2, 30))
    scores = draw(st.lists(st.integers(-3, 3), min_size=n, max_size=n))
    truth = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    assume(any(truth) and not all(truth))
    return torch.tensor(scores, dtype=torch.float64), torch.tensor(truth)


@settings(deadline=None)
@given(rankings())
def test_areas_agree_with_scikit_learn(case):
    scores, truth = case
    expected = sklearn_metrics.roc_auc_score(truth, scores)
    assert metrics.roc_auc(scores, truth) == pytest.approx(expected)
    precision = sklearn_metrics.average_precision_score(truth, scores)
    assert metrics.average_precision(scores, truth) == pytest.approx(precision)


@settings(deadline=None)
@given(rankings())
def test_pessimistic_area_is_acdcs_sum_and_never_above_the_area(case):
    scores, truth = case
    false, true, _ = sklearn_metrics.roc_curve(truth, scores, drop_intermediate=False)
    expected = ((1 - false[1:]) * np.diff(true)).sum()
    found = metrics.pessimistic_auc(scores, truth)
    assert found == pytest.approx(expected)
    optimistic = 1 - metrics.pessimistic_auc(-scores, truth)
    assert metrics.roc_auc(scores, truth) == pytest.approx((found + optimistic) / 2)


@settings(deadline=None)
@given(rankings())
def test_repo_f1_is_the_best_over_the_curve(case):
    scores, truth = case
    false, true, _ = sklearn_metrics.roc_curve(truth, scores, drop_intermediate=False)
    curve = zip(true, false, true + 1 - false, strict=True)
    expected = max(2 * t * (1 - f) / b if b else 0 for t, f, b in curve)
    assert metrics.repo_f1(scores, truth) == pytest.approx(expected)


@settings(deadline=None, max_examples=30)
@given(rankings(), st.data())
def test_precision_at_k_is_the_mean_over_ways_to_break_ties(case, data):
    scores, truth = case
    k = data.draw(st.integers(1, len(scores)))
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(300):
        order = np.lexsort((rng.random(len(scores)), -scores.numpy()))
        drawn.append(truth.numpy()[order[:k]].mean())
    assert metrics.precision_at_k(scores, truth, k=k) == pytest.approx(np.mean(drawn), abs=0.15)


@settings(deadline=None)
@given(rankings(), st.data())
def test_f1_agrees_with_scikit_learn_where_no_tie_is_cut(case, data):
    scores, truth = case
    chosen = scores >= data.draw(st.sampled_from(sorted(set(scores.tolist()))))
    expected = sklearn_metrics.f1_score(truth, chosen)
    found = metrics.f1_at_size(scores, truth, size=int(chosen.sum()))
    assert found == pytest.approx(expected)


@settings(deadline=None)
@given(rankings(), st.integers(0, 2**31))
def test_spearman_agrees_with_scipy(case, seed):
    first, _ = case
    second = torch.randint(5, first.shape, generator=torch.Generator().manual_seed(seed)).double()
    assume(len(first.unique()) > 1 and len(second.unique()) > 1)
    expected = stats.spearmanr(first, second).statistic
    assert metrics.spearman(first, second) == pytest.approx(expected)


@pytest.mark.parametrize("metric", RANKING)
def test_one_class_and_nan_are_refused(metric):
    with pytest.raises(OneClassError, match="all 8 units are true"):
        metric(SCORES, torch.ones(8, dtype=torch.bool))
    with pytest.raises(OneClassError, match="all 8 units are false"):
        metric(SCORES, torch.zeros(8, dtype=torch.bool))
    broken = SCORES.clone()
    broken[3] = float("nan")
    with pytest.raises(DataError, match="unit 3 is NaN"):
        metric(broken, TRUTH)


@pytest.mark.usefixtures("as_without_shape_checks")
def test_unequal_lengths_are_refused():
    with pytest.raises(DataError, match="7 scores and 8 truths"):
        metrics.roc_auc(SCORES[:7], TRUTH)


@pytest.mark.parametrize("k", [0, 9])
def test_sizes_out_of_range_are_refused(k):
    with pytest.raises(DataError, match="between 1 and 8"):
        metrics.precision_at_k(SCORES, TRUTH, k=k)
    with pytest.raises(DataError, match="between 1 and 8"):
        metrics.f1_at_size(SCORES, TRUTH, size=k)


def test_hanley_mcneil_equals_its_formula_and_published_widths():
    auc, n_true, n_false = 0.8, 9, 135
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    squared = auc * (1 - auc) + 8 * (q1 - auc**2) + 134 * (q2 - auc**2)
    reach = 1.959964 * math.sqrt(squared / (9 * 135))
    low, estimate, high = metrics.hanley_mcneil_interval(auc, n_true=n_true, n_false=n_false)
    assert (low, estimate, high) == pytest.approx((auc - reach, auc, auc + reach), abs=1e-6)
    ioi = metrics.hanley_mcneil_interval(0.868, n_true=26, n_false=118)
    assert (ioi.high - ioi.low) / 2 == pytest.approx(0.09, abs=0.01)


def test_hanley_mcneil_stays_inside_and_narrows_with_more_units():
    few = metrics.hanley_mcneil_interval(0.95, n_true=4, n_false=10)
    assert few.high == 1.0
    many = metrics.hanley_mcneil_interval(0.95, n_true=400, n_false=1000)
    assert many.high - many.low < few.high - few.low


def test_hanley_mcneil_refuses_what_is_out_of_range():
    with pytest.raises(DataError, match=r"auc is 1\.2"):
        metrics.hanley_mcneil_interval(1.2, n_true=4, n_false=10)
    with pytest.raises(OneClassError, match="0 true and 10 false"):
        metrics.hanley_mcneil_interval(0.5, n_true=0, n_false=10)
    with pytest.raises(DataError, match="level is 95"):
        metrics.hanley_mcneil_interval(0.5, n_true=4, n_false=10, level=95.0)


def test_a_score_without_ranking_has_no_rank_correlation():
    with pytest.raises(DataError, match="the second score is the same for every unit"):
        metrics.spearman(SCORES, torch.ones(8))


def test_faithfulness_is_neither_clipped_nor_made_up():
    assert metrics.faithfulness(6.0, m_empty=1.0, m_full=5.0) == 1.25
    assert metrics.faithfulness(0.0, m_empty=1.0, m_full=5.0) == -0.25
    assert metrics.faithfulness(0.0, m_empty=2.0, m_full=-2.0) == 0.5
    with pytest.raises(DataError, match=r"the metric is 2\.0 with the whole model and with every"):
        metrics.faithfulness(1.0, m_empty=2.0, m_full=2.0)


def test_areas_need_increasing_shares():
    with pytest.raises(DataError, match="increasing"):
        metrics.faithfulness_areas(torch.tensor([0.5, 0.5]), torch.tensor([0.0, 1.0]))
