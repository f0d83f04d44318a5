"""The exact AUC, best F1 and best MCC of the same rows lie within the bounds, always."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, matthews_corrcoef, mutual_info_score, roc_auc_score

from needlepoint._core.errors import OneClassError
from needlepoint.activations.bins import Bins
from needlepoint.activations.class_histograms import ClassHistograms
from needlepoint.probing import histogram_scores as histogram_scores_module
from needlepoint.probing.histogram_scores import histogram_scores

ROUNDING = 1e-6


def scored(x, labels, n_bins=64, pilot=None, members=None):
    x = torch.as_tensor(x)
    bins = Bins.of(x if pilot is None else torch.as_tensor(pilot), n_bins)
    groups = [0] * labels.shape[1] if members is None else list(range(labels.shape[1]))
    histograms = ClassHistograms(bins, groups)
    histograms.update(
        x, torch.as_tensor(labels), None if members is None else torch.as_tensor(members)
    )
    return histogram_scores(histograms)


def best_cuts(values, labels):
    """Highest F1 and absolute MCC of any cut in either direction, by trying all of them."""
    above = values[:, None] > np.append(-np.inf, np.unique(values))
    called = np.concatenate([above, ~above], axis=1)[:, :, None]
    y = labels[:, None, None]
    tp, fp, fn, tn = ((called == c) & (y == t) for c, t in ((1, 1), (1, 0), (0, 1), (0, 0)))
    tp, fp, fn, tn = (count.sum((0, 2)).astype(float) for count in (tp, fp, fn, tn))
    f1 = 2 * tp / (2 * tp + fp + fn)
    spread = (tp + fp) * (fn + tn) * (tp + fn) * (fp + tn)
    mcc = (tp * tn - fp * fn) / np.sqrt(np.maximum(spread, 1))
    return f1.max(), np.abs(mcc).max()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_exact_values_lie_within_the_bounds(data):
    """Any number of bins, ties, outliers, rare features, and a pilot unlike the rest."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    rows = data.draw(st.integers(10, 120))
    labels = rng.random((rows, 2)) < [0.5, data.draw(st.sampled_from([0.05, 0.3, 0.95]))]
    labels[:2] = [[True, True], [False, False]]
    x = rng.standard_t(2, size=(rows, 3)) + labels[:, :1] * [0.0, 1.0, -2.0]
    x[:, 2] = np.round(x[:, 2])
    x = x.astype(np.float32)
    pilot = x[: data.draw(st.integers(1, rows))] + data.draw(st.sampled_from([0.0, 3.0]))
    members = rng.random((rows, 2)) < 0.8
    members[:2] = True
    found = scored(x, labels, data.draw(st.sampled_from([2, 8, 64, 256])), pilot, members)
    for feature in range(2):
        own, y = members[:, feature], labels[members[:, feature], feature]
        for unit in range(3):
            at, values = (feature, unit), x[own, unit]
            error = abs(float(found.auc[at]) - roc_auc_score(y, values))
            assert error <= float(found.auc_error[at]) + ROUNDING
            for bounded, exact in zip((found.f1, found.mcc), best_cuts(values, y), strict=True):
                assert float(bounded.low[at]) <= float(exact) + ROUNDING
                assert float(bounded.high[at]) >= float(exact) - ROUNDING
                assert float(bounded.high[at]) <= 1 + ROUNDING


def test_brute_force_agrees_with_scikit_learn():
    rng = np.random.default_rng(5)
    values, labels = rng.normal(size=40), rng.random(40) < 0.3
    cuts = [values > cut for cut in np.append(-np.inf, np.unique(values))]
    cuts += [~cut for cut in cuts]
    f1, mcc = best_cuts(values, labels)
    assert f1 == pytest.approx(max(f1_score(labels, cut, zero_division=0) for cut in cuts))
    assert mcc == pytest.approx(max(abs(matthews_corrcoef(labels, cut)) for cut in cuts))


def test_with_a_bin_for_each_value_the_lower_bounds_are_the_exact_values():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, (300, 4)).astype(np.float32) * 2
    labels = (rng.random((300, 3)) < 0.3) | (x[:, :3] > 6)
    found = scored(x, labels, 256)
    for feature in range(3):
        for unit in range(4):
            for bounded, exact in zip(
                (found.f1, found.mcc), best_cuts(x[:, unit], labels[:, feature]), strict=True
            ):
                assert bounded.low[feature, unit].item() == pytest.approx(exact, abs=ROUNDING)


@pytest.mark.parametrize("n_bins", [5, 8, 20, 64])
def test_mutual_information_is_that_of_the_label_and_eight_merged_bins(n_bins):
    rng = np.random.default_rng(6)
    x = rng.normal(size=(400, 3)).astype(np.float32)
    labels = (rng.random((400, 2)) < 0.2) | (x[:, :1] > 1)
    found = scored(x, labels, n_bins)
    codes = Bins.of(torch.from_numpy(x), n_bins).of_values(torch.from_numpy(x)).long()
    codes = codes * 8 // n_bins if n_bins > 8 else codes
    for feature in range(2):
        for unit in range(3):
            wanted = mutual_info_score(labels[:, feature], codes[:, unit])
            assert found.mutual_information[feature, unit].item() == pytest.approx(wanted)


def test_few_rows_do_not_make_every_neuron_informative():
    """With a bin for each row the mutual information is the entropy of the label."""
    rng = np.random.default_rng(7)
    labels = np.arange(60)[:, None] % 2 == 0
    null = scored(rng.normal(size=(60, 500)), labels).mutual_information
    assert 0.5 < null.mean().item() / (7 / (2 * 60)) < 1.5
    assert null.max() < 0.35 < np.log(2)


def test_sixty_four_bins_know_the_auc_to_a_hundredth():
    """Classes alike are the hardest: the bound is half the chance to meet in one bin."""
    rng = np.random.default_rng(1)
    labels = rng.random((4000, 1)) < 0.3
    found = scored(rng.normal(size=(4000, 30)), labels)
    assert found.auc_error.max() < 0.011
    assert (found.auc - 0.5).abs().max() < 0.05


def test_a_planted_neuron_leads_and_shuffled_labels_leave_none():
    rng = np.random.default_rng(2)
    labels = rng.random((2000, 1)) < 0.2
    x = rng.normal(size=(2000, 200))
    x[:, 7] -= 2.5 * labels[:, 0]
    found, null = scored(x, labels), scored(x, rng.permutation(labels))
    for table in (found.f1.low, found.mcc.low, found.mutual_information, -found.auc):
        assert table.argmax() == 7
    for bounded in (found.f1, found.mcc):
        assert bounded.sign[0, 7] == -1
    assert found.mcc.low[0, 7] > 0.6 > 0.2 > null.mcc.high.max()
    assert found.mutual_information[0, 7] > 0.2 > 0.04 > null.mutual_information.max()


def test_swapping_the_classes_turns_the_scores_round():
    rng = np.random.default_rng(3)
    labels, x = rng.random((500, 2)) < 0.4, rng.normal(size=(500, 6))
    found, turned = scored(x, labels), scored(x, ~labels)
    torch.testing.assert_close(found.auc, 1 - turned.auc)
    torch.testing.assert_close(found.mcc.low, turned.mcc.low, atol=ROUNDING, rtol=0)
    torch.testing.assert_close(found.mcc.high, turned.mcc.high, atol=ROUNDING, rtol=0)
    assert torch.equal(found.mcc.sign, -turned.mcc.sign)
    torch.testing.assert_close(found.mutual_information, turned.mutual_information)


def test_a_constant_neuron_tells_nothing():
    labels = np.arange(40)[:, None] % 4 == 0
    found = scored(np.full((40, 1), 3.0), labels)
    assert found.auc.item() == 0.5
    assert found.f1.low.item() == pytest.approx(2 * 0.25 / 1.25)
    assert found.mcc.low.item() == 0
    assert found.mutual_information.item() == pytest.approx(0, abs=1e-12)


def test_one_class_names_the_feature():
    labels = np.array([[True, False], [False, False], [True, False]])
    with pytest.raises(OneClassError, match="feature 1 has 0 rows with it and 3 without"):
        scored(np.eye(3), labels)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("n_bins", [2, 7, 64])
def test_compiled_scores_are_those_of_whole_arrays(n_bins: int, threads: int) -> None:
    """On other devices torch works on one feature after another; both say the same."""
    draws = torch.Generator().manual_seed(n_bins)
    x = torch.randn(700, 37, generator=draws)
    shares = torch.tensor([0.5, 0.02, 0.98, 0.2, 0.5])
    labels = torch.rand(700, 5, generator=draws) < shares
    labels[:, 4] = x[:, 3] > 0.3
    members = torch.ones_like(labels)
    members[:, 2:4] = torch.rand(700, 1, generator=draws) < 0.6
    histograms = ClassHistograms(Bins.of(x[:100], n_bins), groups=[0, 0, 1, 1, 0])
    histograms.update(x, labels, members)
    logs = histogram_scores_module._log_table(histograms)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = histogram_scores_module._compiled_scores(histograms, logs)
    finally:
        torch.set_num_threads(before)
    wanted = histogram_scores_module._scores_by_feature(histograms, logs)
    for name in ("auc", "auc_error", "mutual_information"):
        torch.testing.assert_close(getattr(found, name), getattr(wanted, name), rtol=0, atol=1e-9)
    for name in ("f1", "mcc"):
        one, other = getattr(found, name), getattr(wanted, name)
        torch.testing.assert_close(one.low, other.low, rtol=0, atol=1e-6)
        torch.testing.assert_close(one.high, other.high, rtol=0, atol=1e-6)
        assert (one.sign == other.sign).double().mean() > 0.99  # sides as good as each other


def test_scores_do_not_depend_on_how_wide_counts_are() -> None:
    x = torch.randn(300, 4, generator=torch.Generator().manual_seed(1))
    histograms = ClassHistograms(Bins.of(x, 16), groups=[0])
    histograms.update(x, x[:, :1] > 0)
    narrow = histogram_scores(histograms)
    histograms._counts = histograms._counts.int()
    wide = histogram_scores(histograms)
    assert torch.equal(narrow.auc, wide.auc)
    assert torch.equal(narrow.mcc.high, wide.mcc.high)
