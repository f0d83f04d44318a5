"""Class sums agree with numpy, and with scikit-learn's F, for all features at once."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_selection import f_classif

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.activations.class_sums import ClassSums


def sums_of(x, labels, members=None, cuts=(), order=None):
    pieces = []
    bounds = [0, *sorted(cuts), len(x)]
    for start, stop in itertools.pairwise(bounds):
        piece = ClassSums()
        part = None if members is None else torch.from_numpy(members[start:stop])
        piece.update(torch.from_numpy(x[start:stop]), torch.from_numpy(labels[start:stop]), part)
        pieces.append(piece)
    total = ClassSums()
    for index in order or range(len(pieces)):
        total.merge(pieces[index])
    return total


def by_hand(x, labels, members):
    """Mean difference, pooled standard deviation and F, one feature at a time, in numpy."""
    differences, spreads, fs = [], [], []
    for feature in range(labels.shape[1]):
        rows = members[:, feature]
        with_it, without = x[rows & labels[:, feature]], x[rows & ~labels[:, feature]]
        squares = len(with_it) * with_it.var(0) + len(without) * without.var(0)
        differences.append(with_it.mean(0) - without.mean(0))
        spreads.append(np.sqrt(squares / (rows.sum() - 2)))
        fs.append(f_classif(x[rows], labels[rows, feature])[0])
    return np.array(differences), np.array(spreads), np.array(fs)


def assert_equal_by_hand(sums, x, labels, members):
    difference, spread, f = by_hand(x.astype(np.float64), labels, members)
    np.testing.assert_allclose(sums.mean_difference().numpy(), difference, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(sums.pooled_std().numpy(), spread, rtol=1e-8)
    standardized = difference / spread
    np.testing.assert_allclose(
        sums.standardized_mean_difference().numpy(), standardized, rtol=1e-7, atol=1e-9
    )
    # scikit-learn's F takes squares without centring, so it is the less exact of the two
    np.testing.assert_allclose(sums.f_statistic().numpy(), f, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(sums.n_positive.numpy(), (labels & members).sum(0))
    np.testing.assert_array_equal(sums.n_negative.numpy(), (~labels & members).sum(0))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_cut_order_and_membership_equals_numpy_and_scikit_learn(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    rows = data.draw(st.integers(12, 60))
    offset = data.draw(st.sampled_from([0.0, 5.0, -1e3]))
    cuts = data.draw(st.lists(st.integers(0, rows), max_size=5))
    order = data.draw(st.permutations(range(len(cuts) + 1)))
    x = offset + rng.normal(size=(rows, 4))
    labels, members = rng.random((rows, 3)) < 0.5, rng.random((rows, 3)) < 0.8
    labels[:4], members[:4] = [[True] * 3, [False] * 3] * 2, True
    assert_equal_by_hand(sums_of(x, labels, members, cuts, order), x, labels, members)


def test_without_members_every_row_counts():
    rng = np.random.default_rng(1)
    x, labels = rng.normal(size=(50, 4)), rng.random((50, 2)) < 0.3
    assert_equal_by_hand(sums_of(x, labels, cuts=[7, 8]), x, labels, np.ones_like(labels))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_float32_rows_cost_two_millionths_of_the_spread(data):
    """Heavy tails, a large mean, rare classes, any cuts: the promise of the docstring."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    rows = data.draw(st.integers(200, 1500))
    offset = data.draw(st.sampled_from([0.0, 3.0, -300.0]))
    x = (offset + rng.standard_t(3, size=(rows, 4))).astype(np.float32)
    labels, members = rng.random((rows, 3)) < [0.5, 0.02, 0.97], rng.random((rows, 3)) < 0.7
    labels[:4], members[:4] = [[True] * 3, [False] * 3] * 2, True
    cuts = data.draw(st.lists(st.integers(0, rows), max_size=5))
    order = data.draw(st.permutations(range(len(cuts) + 1)))
    sums = sums_of(x, labels, members, cuts, order)
    difference, spread, _ = by_hand(x.astype(np.float64), labels, members)
    std = x.astype(np.float64).std(0)
    rarest = np.minimum((labels & members).sum(0), (~labels & members).sum(0))[:, None]
    error = np.abs(sums.mean_difference().numpy() - difference)
    assert (error <= 4e-6 * std * np.sqrt(rows / rarest)).all()
    assert (
        np.abs(sums.pooled_std().numpy() ** 2 - spread**2)
        <= 2e-6 * std**2 * rows / members.sum(0)[:, None]
    ).all()
    assert (np.abs(sums.moments.mean.numpy() - x.mean(0, np.float64)) <= 2e-6 * std).all()
    assert (np.abs(sums.moments.variance.numpy() - std**2) <= 2e-6 * std**2).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_rows_are_summed_in_float32(dtype):
    """Squares of 60000 do not fit float16, and a thousand of them do not add up in it."""
    rng = np.random.default_rng(3)
    x = torch.from_numpy(40000 + 20000 * rng.random((1000, 2))).to(dtype)
    labels = torch.from_numpy(rng.random((1000, 1)) < 0.5)
    half, full = ClassSums(), ClassSums()
    half.update(x, labels)
    full.update(x.double(), labels)
    np.testing.assert_allclose(
        half.standardized_mean_difference(), full.standardized_mean_difference(), atol=2e-6
    )


def test_squares_beyond_float32_are_summed_in_float64():
    x = torch.tensor([[1e25], [3e25], [-1e25], [1e25]])
    sums = ClassSums()
    sums.update(x, torch.tensor([[True], [True], [False], [False]]))
    assert sums.standardized_mean_difference().item() == pytest.approx(2 / 2**0.5)


def test_float32_rows_without_spread_within_classes_are_told_apart_for_sure():
    labels = np.arange(300)[:, None] % 3 == 0
    x = np.hstack([np.where(labels, 0.1, 3.7), np.full((300, 1), 0.1)]).astype(np.float32)
    d = sums_of(x, labels, cuts=[40, 111]).standardized_mean_difference()[0]
    assert d[0] == -torch.inf
    assert d[1].isnan()


def test_merging_leaves_the_other_as_it_was():
    labels = np.array([[True], [False], [True]])
    first, second = sums_of(np.eye(3), labels), sums_of(2 * np.eye(3), labels)
    total = ClassSums()
    for part in (first, second, first):
        total.merge(part)
    assert torch.equal(first.mean_difference(), sums_of(np.eye(3), labels).mean_difference())
    assert torch.equal(second.mean_difference(), 2 * first.mean_difference())


def test_a_large_mean_costs_no_digits():
    rng = np.random.default_rng(2)
    labels = rng.random((3000, 1)) < 0.5
    x = 1e6 + rng.normal(size=(3000, 2)) + 0.5 * labels
    sums = sums_of(x, labels, cuts=range(50, 3000, 50))
    difference, spread, _ = by_hand(x, labels, np.ones_like(labels))
    np.testing.assert_allclose(sums.mean_difference().numpy(), difference, atol=1e-8)
    np.testing.assert_allclose(sums.pooled_std().numpy(), spread, rtol=1e-9)


def test_a_first_batch_far_from_the_rest_costs_no_digits():
    rng = np.random.default_rng(3)
    x, labels = rng.normal(size=(400, 1)), rng.random((400, 1)) < 0.5
    x[:40] += 1e8
    labels[:40] = False
    sums = sums_of(x, labels, cuts=[40, 100])
    np.testing.assert_allclose(
        sums.class_means()[0].numpy(), x[labels[:, 0]].mean(0)[None], rtol=1e-12
    )


def test_planted_difference_is_found_and_shuffled_labels_show_none():
    rng = np.random.default_rng(4)
    x, labels = rng.normal(size=(2000, 200)), rng.random((2000, 1)) < 0.5
    x[:, 7] += 2.0 * labels[:, 0]
    found = sums_of(x, labels).standardized_mean_difference()[0].abs()
    assert found.argmax() == 7
    assert found[7] == pytest.approx(2.0, abs=0.2)
    null = sums_of(x, rng.permutation(labels)).standardized_mean_difference()[0].abs()
    assert null.max() < 0.3


def test_perfect_separation_is_infinite_with_its_sign_and_a_constant_unit_is_missing():
    labels = np.arange(30)[:, None] % 3 == 0
    rng = np.random.default_rng(5)
    signal = np.where(labels, 0.1, 3.7)
    x = np.hstack([signal, -signal, np.full((30, 1), 0.1), rng.normal(size=(30, 1))])
    sums = sums_of(x, labels, cuts=[4, 11])
    d = sums.standardized_mean_difference()[0]
    assert d[0] == -torch.inf
    assert d[1] == torch.inf
    assert d[2].isnan()
    assert d[3].isfinite()
    f = sums.f_statistic()[0]
    assert f[0] == torch.inf
    assert f[2].isnan()
    assert (sums.pooled_std()[0, :3] == 0).all()


def test_a_unit_that_is_constant_on_the_members_only_is_missing():
    x = np.vstack([np.full((6, 1), 0.3), np.random.default_rng(0).normal(size=(20, 1))])
    labels, members = np.arange(26)[:, None] % 2 == 0, np.arange(26)[:, None] < 6
    assert sums_of(x, labels, members).standardized_mean_difference().isnan().all()


def test_one_class_names_the_feature():
    labels = np.array([[True, False], [False, False], [True, False]])
    sums = sums_of(np.eye(3), labels)
    with pytest.raises(OneClassError, match="feature 1 has 0 rows with it and 3 without"):
        sums.mean_difference()


def test_members_can_leave_a_feature_with_one_class():
    labels = np.array([[True], [False], [True]])
    members = np.array([[True], [False], [True]])
    with pytest.raises(OneClassError, match="feature 0 has 2 rows with it and 0 without"):
        sums_of(np.eye(3), labels, members).mean_difference()


def test_two_rows_have_no_spread_within_classes():
    sums = sums_of(np.eye(2), np.array([[True], [False]]))
    assert sums.mean_difference().tolist() == [[1.0, -1.0]]
    with pytest.raises(DataError, match="feature 0 has 2 rows"):
        sums.pooled_std()


def test_no_rows_is_an_error():
    with pytest.raises(DataError, match="no rows were seen"):
        ClassSums().mean_difference()


def test_a_value_that_is_not_finite_names_its_column_and_takes_nothing_in():
    sums = sums_of(np.eye(3), np.array([[True], [False], [True]]))
    before = sums.mean_difference()
    x = torch.zeros(2, 3)
    x[1, 2] = torch.nan
    with pytest.raises(DataError, match="column 2 holds nan"):
        sums.update(x, torch.tensor([[True], [False]]))
    assert torch.equal(sums.mean_difference(), before)


def test_other_numbers_of_features_or_units_are_refused():
    sums = sums_of(np.eye(3), np.array([[True], [False], [True]]))
    with pytest.raises(DataError, match="labels of 2 features cannot be joined to those of 1"):
        sums.update(torch.zeros(1, 3), torch.tensor([[True, False]]))
    with pytest.raises(DataError, match="rows of 4 units cannot be joined to rows of 3"):
        sums.update(torch.zeros(1, 4), torch.tensor([[True]]))
