"""Counts are those of a loop over rows, however the rows were cut, ordered and merged."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from needlepoint._core.errors import DataError
from needlepoint.activations import class_histograms, count_loops
from needlepoint.activations.bins import Bins
from needlepoint.activations.class_histograms import ClassHistograms

GROUPS = (0, 1, 0)


def made(seed, rows=60, shares=(0.5, 0.1, 0.9)):
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.normal(size=(rows, 5)).astype(np.float32))
    labels = torch.from_numpy(rng.random((rows, 3)) < shares)
    asked = torch.from_numpy(rng.random((rows, 2)) < 0.7)
    return x, labels, asked[:, list(GROUPS)]


def by_hand(bins, x, labels, members, feature, label):
    """Rows of one class of a feature in each bin, row by row."""
    counts = torch.zeros(bins.n_bins, x.shape[1], dtype=torch.int64)
    for row, codes in enumerate(bins.of_values(x).tolist()):
        if members[row, feature] and bool(labels[row, feature]) is label:
            for unit, code in enumerate(codes):
                counts[code, unit] += 1
    return counts


def assert_by_hand(histograms, x, labels, members):
    for feature in range(3):
        for label in (True, False):
            found = histograms.positive[feature] if label else histograms.negative(feature)
            wanted = by_hand(histograms.bins, x, labels, members, feature, label)
            assert torch.equal(found.long(), wanted)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_cut_order_and_merging_counts_every_row_once(data):
    x, labels, members = made(data.draw(st.integers(0, 2**32 - 1)))
    bins = Bins.of(x[:20], 8)
    cuts = sorted(data.draw(st.lists(st.integers(0, 60), max_size=4)))
    parts = []
    for start, stop in itertools.pairwise([0, *cuts, 60]):
        part = ClassHistograms(bins, GROUPS)
        part.update(x[start:stop], labels[start:stop], members[start:stop])
        parts.append(part)
    total = ClassHistograms(bins, GROUPS)
    for index in data.draw(st.permutations(range(len(parts)))):
        total.merge(parts[index])
    assert total.rows == 60
    assert_by_hand(total, x, labels, members)
    order = torch.from_numpy(np.random.default_rng(0).permutation(60))
    shuffled = ClassHistograms(bins, GROUPS)
    for rows in order.split(17):
        shuffled.update(x[rows], labels[rows], members[rows])
    assert torch.equal(shuffled.positive, total.positive)
    assert torch.equal(shuffled.asked, total.asked)


def test_without_members_every_row_is_asked():
    x, labels, _ = made(1)
    histograms = ClassHistograms(Bins.of(x, 8), (0, 0, 0))
    histograms.update(x, labels)
    assert_by_hand(histograms, x, labels, torch.ones_like(labels))


@pytest.mark.parametrize("n_bins", [3, 64, 256])
def test_counts_of_many_rows_and_units_are_those_of_a_histogram_of_each(n_bins):
    """More rows than are held and than are counted together, more units than are."""
    rows, units = class_histograms.HELD_ROWS + 700, class_histograms._UNITS + 6
    generator = torch.Generator().manual_seed(n_bins)
    x = torch.randn(rows, units, generator=generator)
    labels = torch.rand(rows, 2, generator=generator) < torch.tensor([0.02, 0.7])
    histograms = ClassHistograms(Bins.of(x[:300], n_bins), [0, 0])
    for part in torch.randperm(rows, generator=generator).split(601):
        histograms.update(x[part], labels[part])
    codes = histograms.bins.of_values(x).long()
    for feature in range(2):
        for unit in (0, class_histograms._UNITS - 1, class_histograms._UNITS, units - 1):
            of_unit = codes[labels[:, feature], unit]
            wanted = torch.bincount(of_unit, minlength=n_bins)
            assert torch.equal(histograms.positive[feature, :, unit].long(), wanted)
    assert torch.equal(histograms.asked.sum(1), torch.full((1, units), rows))


def test_counts_beyond_sixteen_bits_are_kept():
    """One unit that is the same on all rows: all of them fall into one bin."""
    x, labels = torch.zeros(20_000, 1), torch.ones(20_000, 1, dtype=torch.bool)
    histograms = ClassHistograms(Bins.of(x[:10], 4), [0])
    for _ in range(3):
        histograms.update(x, labels)
    assert histograms.positive.sum() == histograms.asked.sum() == 60_000
    twice = ClassHistograms(histograms.bins, [0])
    twice.merge(histograms)
    twice.merge(histograms)
    assert twice.positive.max() == 120_000
    few = ClassHistograms(histograms.bins, [0])
    few.update(x, labels)
    assert few.positive.dtype == torch.int16
    few.merge(histograms)
    assert few.positive.max() == 80_000
    assert class_histograms._MOST == 2**15 - 1


def test_a_refused_update_takes_nothing_in():
    x, labels, members = made(2)
    histograms = ClassHistograms(Bins.of(x, 8), GROUPS)
    histograms.update(x, labels, members)
    before = histograms.positive.clone()
    bad = x.clone()
    bad[3, 4] = torch.inf
    with pytest.raises(DataError, match="column 4 holds inf at row 63"):
        histograms.update(bad, labels, members)
    with pytest.raises(DataError, match="features of one group are asked on different rows"):
        histograms.update(x, labels, labels)
    with pytest.raises(DataError, match=r"labels of 2 features .* histograms of 3"):
        histograms.update(x, labels[:, :2])
    with pytest.raises(DataError, match="rows of 4 units"):
        histograms.update(x[:, :4], labels, members)
    assert histograms.rows == 60
    assert torch.equal(histograms.positive, before)


def test_other_bins_or_groups_are_not_merged():
    x, labels, members = made(3)
    histograms = ClassHistograms(Bins.of(x, 8), GROUPS)
    for bins, groups in ((Bins.of(x + 1, 8), GROUPS), (histograms.bins, (0, 1, 1))):
        with pytest.raises(DataError, match="histograms of other bins or features"):
            histograms.merge(ClassHistograms(bins, groups))
    same = ClassHistograms(Bins.of(x, 8), GROUPS)
    same.update(x, labels, members)
    histograms.merge(same)
    assert torch.equal(histograms.positive, same.positive)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("n_features", [1, 63, 130])
def test_compiled_counts_are_those_of_sorting(n_features: int, threads: int) -> None:
    rng = np.random.default_rng(n_features)
    units, n_bins, rows = 2 * count_loops.UNITS + 9, 16, 200
    codes = torch.from_numpy(rng.integers(0, n_bins, (rows, units), dtype=np.uint8))
    columns = torch.from_numpy(rng.random((rows, n_features)) < 0.3)
    histograms = ClassHistograms(
        Bins.of(torch.rand(40, units), n_bins), [0] * (n_features - 1) or [0]
    )
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        histograms._counts = torch.ones(units * n_bins, n_features, dtype=torch.int16)
        histograms._count(codes, columns)
    finally:
        torch.set_num_threads(before)
    wanted = class_histograms._by_bin(codes.T.contiguous(), columns.half(), n_bins)
    assert torch.equal(histograms._counts, 1 + wanted.short())
