"""Counting codes and pairs of codes: the paper's worked example, and the dense definition."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.circuits import codes as fast
from needlepoint.testing import reference

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
IS_CLEAN = torch.tensor([True, True, True, False, False, False])
UNIQUE_PAIRS = [
    [0, 3, 3, 3, 3, 3],
    [3, 0, 2, 3, 2, 3],
    [3, 2, 0, 2, 2, 2],
    [3, 3, 2, 0, 1, 3],
    [3, 2, 2, 1, 0, 3],
    [3, 3, 2, 3, 3, 0],
]


def test_golden_node_counts():
    counts = fast.codes_unique_to_clean(CODES, IS_CLEAN, n_codes=5)
    assert counts.tolist() == [2, 2, 0, 0, 1, 2]
    reverse = fast.codes_unique_to_clean(CODES, ~IS_CLEAN, n_codes=5)
    assert reverse.tolist() == [1, 1, 1, 1, 1, 2]


def test_golden_union_and_normalised_counts():
    assert fast.distinct_codes(CODES, n_codes=5).tolist() == [4, 4, 3, 3, 3, 5]
    share = fast.share_unique_to_clean(CODES, IS_CLEAN, n_codes=5)
    assert share.tolist() == pytest.approx([0.5, 0.5, 0, 0, 1 / 3, 0.4])


def test_golden_pair_counts():
    pairs = fast.pairs_unique_to_clean(CODES, IS_CLEAN, n_codes=5)
    assert pairs.unique.tolist() == UNIQUE_PAIRS
    normalised = pairs.normalised
    assert normalised[0, 1:].tolist() == pytest.approx([0.5, 0.5, 0.5, 0.6, 0.5])
    assert normalised[1, 2:].tolist() == pytest.approx([1 / 3, 0.5, 1 / 3, 0.5])
    assert normalised[2, 3:].tolist() == pytest.approx([0.4, 1 / 3, 1 / 3])
    assert normalised[3, 4:].tolist() == pytest.approx([1 / 6, 0.5])
    assert normalised[4, 5].item() == pytest.approx(0.5)


def test_golden_edge_counts_and_softmax():
    counts = fast.edge_counts(torch.tensor(UNIQUE_PAIRS), k=36)
    assert counts.tolist() == [10, 6, 2, 6, 4, 8]
    shares = [round(share, 4) for share in fast.softmax_over_heads(counts).tolist()]
    assert shares == [0.8512, 0.0156, 0.0003, 0.0156, 0.0021, 0.1152]


def test_default_k_is_half_the_number_of_ordered_pairs():
    pairs = torch.tensor(UNIQUE_PAIRS)
    assert fast.edge_counts(pairs).sum() == 18
    assert torch.equal(fast.edge_counts(pairs), fast.edge_counts(pairs, k=18))


def test_softmax_of_huge_counts_does_not_overflow():
    assert fast.softmax_over_heads(torch.tensor([5000, 5000, 0])).tolist() == [0.5, 0.5, 0.0]


@st.composite
def labelled_codes(draw):
    n_examples = draw(st.integers(2, 25))
    n_heads, n_codes = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    seed = draw(st.integers(0, 2**32))
    rng = torch.Generator().manual_seed(seed)
    codes = torch.randint(n_codes, (n_examples, n_heads), generator=rng)
    is_clean = torch.rand(n_examples, generator=rng) < 0.5
    is_clean[0], is_clean[1] = True, False
    return codes, is_clean, n_codes


@settings(deadline=None, max_examples=60)
@given(labelled_codes(), st.integers(1, 8))
def test_counts_equal_the_dense_definition_whatever_the_block(case, block):
    codes, is_clean, n_codes = case
    before, fast.PAIR_BLOCK = fast.PAIR_BLOCK, block
    try:
        found = fast.pairs_unique_to_clean(codes, is_clean, n_codes=n_codes)
    finally:
        fast.PAIR_BLOCK = before
    expected = reference.dense_pair_counts(codes, is_clean, n_codes=n_codes)
    for one, two in zip(found, expected, strict=True):
        assert torch.equal(one, two)
    nodes = fast.codes_unique_to_clean(codes, is_clean, n_codes=n_codes)
    assert nodes.tolist() == reference.codes_unique_to_clean(codes, is_clean)
    k = max(1, len(found.unique) ** 2 // 2)
    counts = fast.edge_counts(found.unique, k=k)
    assert counts.tolist() == reference.edge_counts(found.unique, k)


@settings(deadline=None, max_examples=30)
@given(labelled_codes())
def test_order_of_examples_plays_no_part(case):
    codes, is_clean, n_codes = case
    order = torch.randperm(len(codes), generator=torch.Generator().manual_seed(1))
    one = fast.pairs_unique_to_clean(codes, is_clean, n_codes=n_codes)
    two = fast.pairs_unique_to_clean(codes[order], is_clean[order], n_codes=n_codes)
    assert torch.equal(one.unique, two.unique)
    distinct = fast.distinct_codes(codes, n_codes=n_codes)
    assert torch.equal(distinct, fast.distinct_codes(codes[order], n_codes=n_codes))


@pytest.mark.parametrize("count", [fast.codes_unique_to_clean, fast.pairs_unique_to_clean])
def test_one_class_and_foreign_codes_are_refused(count):
    with pytest.raises(OneClassError, match="all 6 examples are clean"):
        count(CODES, torch.ones(6, dtype=torch.bool), n_codes=5)
    with pytest.raises(OneClassError, match="all 6 examples are corrupt"):
        count(CODES, torch.zeros(6, dtype=torch.bool), n_codes=5)
    with pytest.raises(DataError, match=r"codes run from 0 to 4, outside \[0, 4\)"):
        count(CODES, IS_CLEAN, n_codes=4)


@pytest.mark.parametrize("k", [0, 73])
def test_k_out_of_range_is_refused(k):
    with pytest.raises(DataError, match=f"k is {k}: it must be between 1 and 72"):
        fast.edge_counts(torch.tensor(UNIQUE_PAIRS), k=k)
