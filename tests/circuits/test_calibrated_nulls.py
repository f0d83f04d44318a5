"""Statistics of codes against their nulls: the worked example exactly, and fair p-values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, chi2_contingency, kstest
from sklearn.metrics import mutual_info_score, roc_auc_score

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.circuits.calibrated.design import Design
from needlepoint.circuits.calibrated.nulls import HeadTest, Part, calibrate
from needlepoint.circuits.calibrated.shuffles import n_splits, shuffles
from needlepoint.circuits.calibrated.statistics import (
    STATISTICS,
    log_loss_gain,
    mean_shift,
    mutual_information,
)
from needlepoint.circuits.calibrated.tables import CodeTables

CODES = torch.tensor(
    [
        [3, 4, 2, 4, 4, 1],
        [2, 2, 2, 4, 3, 2],
        [4, 1, 3, 1, 3, 4],
        [0, 3, 1, 4, 3, 0],
        [0, 2, 2, 1, 3, 3],
        [2, 3, 3, 0, 2, 4],
    ]
)
LABELS = torch.tensor([1, 1, 1, 0, 0, 0])
PAIRS = torch.tensor([0, 1, 2, 0, 1, 2])


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def against_null(codes, design, statistic="mutual_information", n_draws=1000, seed=0, **kwargs):
    tables = CodeTables.of(codes[None], n_labels=design.n_labels)
    part = Part(tables, np.arange(len(codes)), STATISTICS[statistic])
    return calibrate([part], design, shuffles(design, n_draws, rng(seed)), **kwargs)


def test_worked_example_over_all_balanced_splits():
    found = against_null(CODES, Design(LABELS), "unique_codes")
    assert (found.exact, found.n_draws) == (True, 20)
    assert found.observed.tolist() == [2, 2, 0, 0, 1, 2]
    assert (found.null_mean * 20).round(decimals=9).tolist() == [28, 28, 15, 15, 20, 44]
    assert found.p.tolist() == [0.4, 0.4, 1, 1, 0.8, 1]


def test_worked_example_of_information():
    found = against_null(CODES, Design(LABELS))
    observed = [0.4621, 0.4621, 0.1438, 0.1438, 0.2310, 0.4621]
    null = [0.4159, 0.4159, 0.2681, 0.2681, 0.2659, 0.5545]
    assert found.observed.tolist() == pytest.approx(observed, abs=5e-5)
    assert found.null_mean.tolist() == pytest.approx(null, abs=5e-5)
    assert found.observed[5] == found.observed.max()
    assert found.excess[5] < 0


def test_worked_example_over_swaps_within_pairs():
    found = against_null(CODES, Design(LABELS, pair_of=PAIRS), "unique_codes")
    assert (found.exact, found.n_draws) == (True, 8)
    assert (found.p * 8).tolist() == [4, 2, 8, 8, 6, 8]


def test_shuffles_keep_the_labels_of_each_stratum():
    design = Design(
        torch.tensor([0, 1, 2, 0, 1, 1, 0]), group_of=torch.tensor([0, 0, 0, 0, 1, 1, 1])
    )
    assert n_splits(design) == 12 * 3
    for found in (shuffles(design, 1, rng()), shuffles(design, 50, rng(), max_splits=0)):
        for column in found.labels.T:
            assert sorted(column[:4]) == [0, 0, 1, 2]
            assert sorted(column[4:]) == [0, 1, 1]
    every = shuffles(design, 1, rng())
    assert every.exact
    assert len({tuple(column) for column in every.labels.T}) == 36


def test_random_shuffles_take_every_way_alike():
    design = Design(LABELS)
    drawn = shuffles(design, 4000, rng(), max_splits=0).labels.T
    counts = np.unique(drawn, axis=0, return_counts=True)[1]
    assert len(counts) == 20
    assert ((counts - 200) ** 2 / 200).sum() < 43.8  # 0.999 quantile of chi-squared, 19 degrees


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_statistics_agree_with_others(seed):
    g = rng(seed)
    codes = torch.randint(-3, 4, (2, 30, 3), generator=g)
    labels = torch.cat([torch.arange(3), torch.randint(0, 3, (27,), generator=g)])
    tables = CodeTables.of(codes, n_labels=3)
    columns = labels.numpy()[:, None]
    mi = mutual_information(tables, columns)[:, 0]
    g_stat = STATISTICS["g_statistic"](tables, columns)[:, 0]
    for unit in range(6):
        own = codes[unit // 3, :, unit % 3].numpy()
        assert mi[unit] == pytest.approx(mutual_info_score(own, labels.numpy()), abs=1e-9)
        table = np.stack([np.bincount(own[labels == one] + 3, minlength=7) for one in range(3)])
        table = table[:, table.sum(0) > 0]
        if table.shape[1] > 1:
            wanted = chi2_contingency(table, correction=False, lambda_="log-likelihood").statistic
            assert g_stat[unit] == pytest.approx(wanted, abs=1e-8)


def test_total_variation_of_unequal_classes_by_hand():
    tables = CodeTables.of(torch.tensor([[[0], [0], [1], [1], [1]]]), n_labels=2)
    labels = np.array([[1], [0], [0], [0], [0]])
    assert STATISTICS["total_variation"](tables, labels)[0, 0] == pytest.approx(0.75)


def test_mean_shift_is_half_the_distance_of_the_class_means_where_codes_tell_all():
    g = rng(1)
    vectors = torch.randn(8, 2, 3, generator=g, dtype=torch.float64).numpy()
    codes = torch.arange(8)[None, :, None].expand(1, 8, 2)
    labels = np.array([1, 1, 1, 1, 0, 0, 0, 0])
    tables = CodeTables.of(codes, n_labels=2)
    found = mean_shift(vectors)(tables, labels[:, None])[:, 0]
    apart = np.linalg.norm(vectors[:4].mean(0) - vectors[4:].mean(0), axis=-1)
    np.testing.assert_allclose(found, apart / 2)


def test_mean_shift_does_not_see_codes_for_the_same_vector():
    codes = torch.tensor([[[0], [0], [1], [1]]])
    tables = CodeTables.of(codes, n_labels=2)
    labels = np.array([[1], [1], [0], [0]])
    assert mutual_information(tables, labels)[0, 0] == pytest.approx(np.log(2))
    assert mean_shift(np.ones((4, 1, 2)))(tables, labels)[0, 0] == pytest.approx(0)


def test_log_loss_gain_is_positive_only_with_signal():
    g = rng(2)
    labels = torch.arange(200) % 2
    codes = torch.stack([labels * 3, torch.randint(0, 60, (200,), generator=g)], 1)
    tables = CodeTables.of(codes[None], n_labels=2)
    gain = log_loss_gain(np.arange(200) // 2 % 5)(tables, labels.numpy()[:, None])[:, 0]
    assert gain[0] == pytest.approx(np.log(2), abs=0.02)
    assert gain[1] < 0  # mutual information of the same codes is large
    assert mutual_information(tables, labels.numpy()[:, None])[1, 0] > 0.1


def test_weights_count_as_repeats():
    weights = torch.tensor([2.0, 1, 1, 3, 1, 1])
    rows = torch.repeat_interleave(torch.arange(6), weights.long())
    one = CodeTables.of(CODES[None], n_labels=2, weights=weights.double().numpy())
    two = CodeTables.of(CODES[rows][None], n_labels=2)
    labels = LABELS.numpy()
    for name in ("mutual_information", "g_statistic", "total_variation"):
        found = STATISTICS[name](one, labels[:, None])
        np.testing.assert_allclose(found, STATISTICS[name](two, labels[rows][:, None]))


def no_signal(seed: int, n_pairs: int = 40, n_heads: int = 60) -> torch.Tensor:
    """Codes that know nothing of the label, of 2 to 60 kinds from the first head to the last."""
    kinds = torch.linspace(2, 60, n_heads)
    return (torch.rand(2 * n_pairs, n_heads, generator=rng(seed)) * kinds).long()


@pytest.mark.parametrize("paired", [True, False])
def test_p_is_uniform_without_signal_however_many_codes(paired):
    labels = torch.arange(80) % 2
    design = Design(labels, pair_of=torch.arange(80) // 2 if paired else None)
    p, counts = [], []
    for seed in range(6):
        found = against_null(no_signal(seed), design, n_draws=199, seed=seed)
        p.append(found.p)
        counts.append(against_null(no_signal(seed), design, "unique_codes", n_draws=1).observed)
        assert not found.found().any()
    many = torch.stack(p)[:, 20:]  # few codes, few values of p
    assert kstest(many.flatten().numpy(), "uniform").pvalue > 0.001
    assert (
        torch.corrcoef(torch.stack([torch.stack(p).mean(0), torch.linspace(0, 1, 60)]))[0, 1].abs()
        < 0.4
    )
    rising = torch.corrcoef(torch.stack([torch.stack(counts).mean(0), torch.linspace(0, 1, 60)]))
    assert rising[0, 1] > 0.9  # the raw count does grow with the number of codes


def test_planted_heads_are_found_among_heads_that_babble():
    codes, planted = no_signal(9), torch.arange(60) % 6 == 0
    labels = torch.arange(80) % 2
    told = (torch.rand(80, 60, generator=rng(3)) < 0.8) & planted
    codes = torch.where(told, labels[:, None], codes)
    design = Design(labels, pair_of=torch.arange(80) // 2)
    found = against_null(codes, design)
    assert roc_auc_score(planted, found.z) > 0.95
    assert (found.q[planted] < 0.05).all()
    assert (found.p_family[planted] < 0.05).all()
    assert (found.q[~planted] < 0.05).float().mean() < 0.1
    assert (against_null(codes, design, adjust="by").q >= found.q).all()
    assert (found.p_family >= found.p - 0.02).all()


def false_shares(seed: int, n_planted: int) -> list[float]:
    """Share of false findings among 20 heads, 0 if none is found: by q, and by p as it is."""
    codes, labels, n_heads = no_signal(seed, n_heads=20), torch.arange(80) % 2, 20
    planted = torch.arange(n_heads) >= n_heads - n_planted
    told = (torch.rand(80, n_heads, generator=rng(1000 + seed)) < 0.8) & planted
    codes = torch.where(told, labels[:, None], codes)
    design = Design(labels, pair_of=torch.arange(80) // 2)
    test = against_null(codes, design, n_draws=999, seed=seed)
    assert test.found()[planted].all()
    shares = []
    for found in (test.found(), test.p <= 0.05):
        shares.append(float((found & ~planted).sum() / found.sum().clamp(min=1)))
    return shares


@pytest.mark.parametrize("n_planted", [0, 4])
def test_the_share_of_false_findings_is_at_its_level_over_many_draws(n_planted):
    """Benjamini-Hochberg: 5 % of the share of heads without signal, on average.

    The sum of shares between 0 and 1 spreads no more than that of zeros and ones of the same mean.
    """
    n_draws, level = 150, 0.05 * (20 - n_planted) / 20
    by_q, by_p = np.sum([false_shares(seed, n_planted) for seed in range(n_draws)], axis=0)
    low, high = binom.ppf([0.001, 0.999], n_draws, level)
    assert max(low, 1) <= by_q <= high
    assert by_p > high


def test_a_head_that_says_one_thing_has_no_z_and_p_1():
    found = against_null(torch.zeros(6, 2, dtype=torch.long), Design(LABELS))
    assert torch.isnan(found.z).all()
    assert found.p.tolist() == [1, 1]
    assert found.p_family.tolist() == [1, 1]


def test_parts_of_a_cross_fit_share_no_codes():
    """The statistic is the mean of the parts; codes of one never meet the other's."""
    codes = torch.cat([CODES, CODES + 100])
    design = Design(LABELS.repeat(2), pair_of=torch.cat([PAIRS, PAIRS + 3]))
    parts = [
        Part(CodeTables.of(CODES[None], n_labels=2), rows, mutual_information)
        for rows in (np.arange(6), np.arange(6, 12))
    ]
    found = calibrate(parts, design, shuffles(design, 5, rng()))
    whole = against_null(codes, design).observed
    alone = against_null(CODES, Design(LABELS)).observed
    torch.testing.assert_close(found.observed, alone)
    torch.testing.assert_close(whole, alone)


def test_guards_say_what_to_do():
    with pytest.raises(OneClassError, match="all 2 examples have one label"):
        Design(torch.tensor([1, 1]))
    with pytest.raises(DataError, match="no two examples of one stratum differ"):
        Design(torch.tensor([1, 1, 0, 0]), pair_of=torch.tensor([0, 0, 1, 1]))
    with pytest.raises(DataError, match="pair_of has 1 entries for 2 labels"):
        Design(torch.tensor([1, 0]), pair_of=torch.tensor([0]))
    with pytest.raises(DataError, match="whole numbers from 0"):
        Design(torch.tensor([-1, 0]))
    with pytest.raises(DataError, match="not positive and finite"):
        Design(torch.tensor([1, 0]), weights=torch.tensor([1.0, 0.0]))
    with pytest.raises(DataError, match="n_draws is 0"):
        shuffles(Design(LABELS), 0, rng())
    with pytest.raises(DataError, match="no codes to test"):
        calibrate([], Design(LABELS), shuffles(Design(LABELS), 1, rng()))
    with pytest.raises(DataError, match="cannot be dealt to 9 folds"):
        Design(LABELS).folds(9, rng())
    with pytest.raises(DataError, match="all examples are in one fold"):
        log_loss_gain(np.zeros(4, dtype=np.int64))
    with pytest.raises(DataError, match="there are no examples"):
        CodeTables.of(torch.zeros(1, 0, 2, dtype=torch.long), n_labels=2)


def test_folds_keep_groups_whole():
    design = Design(LABELS, pair_of=PAIRS, group_of=torch.tensor([0, 1, 2, 0, 1, 2]))
    folds = design.folds(3, rng())
    assert (folds[:3] == folds[3:]).all()
    assert len(set(folds)) == 3


def test_the_result_is_frozen():
    found: HeadTest = against_null(CODES, Design(LABELS))
    with pytest.raises(AttributeError):
        found.n_draws = 3
