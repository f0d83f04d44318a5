"""Counting codes and pairs of codes: the paper's worked example, and the dense definition."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.circuits import code_pairs, paper_scores
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
    pairs = code_pairs.pairs_unique_to_clean(CODES, IS_CLEAN, n_codes=5)
    assert pairs.unique.tolist() == UNIQUE_PAIRS
    normalised = pairs.normalised
    assert normalised[0, 1:].tolist() == pytest.approx([0.5, 0.5, 0.5, 0.6, 0.5])
    assert normalised[1, 2:].tolist() == pytest.approx([1 / 3, 0.5, 1 / 3, 0.5])
    assert normalised[2, 3:].tolist() == pytest.approx([0.4, 1 / 3, 1 / 3])
    assert normalised[3, 4:].tolist() == pytest.approx([1 / 6, 0.5])
    assert normalised[4, 5].item() == pytest.approx(0.5)


def test_golden_edge_counts_and_softmax():
    counts = code_pairs.edge_counts(torch.tensor(UNIQUE_PAIRS), k=36)
    assert counts.tolist() == [10, 6, 2, 6, 4, 8]
    shares = [round(share, 4) for share in fast.softmax_over_heads(counts).tolist()]
    assert shares == [0.8512, 0.0156, 0.0003, 0.0156, 0.0021, 0.1152]


def test_golden_scores_through_the_options_of_the_paper():
    raw = {"softmax": None, "n_codes": 5}
    nodes = paper_scores.node_scores(CODES, IS_CLEAN, **raw)
    assert nodes.tolist() == [2, 2, 0, 0, 1, 2]
    shares = paper_scores.node_scores(CODES, IS_CLEAN, normalised=True, **raw)
    assert shares.tolist() == pytest.approx([0.5, 0.5, 0, 0, 1 / 3, 0.4])
    edges = paper_scores.edge_scores(CODES, IS_CLEAN, n_codes=5, k=36)
    rounded = [round(share, 4) for share in edges.tolist()]
    assert rounded == [0.8512, 0.0156, 0.0003, 0.0156, 0.0021, 0.1152]
    assert paper_scores.edge_scores(CODES, IS_CLEAN, k=36, **raw).tolist() == [10, 6, 2, 6, 4, 8]
    # The largest share is of heads 0 and 4, in both orders; k counts entries.
    leading = paper_scores.edge_scores(CODES, IS_CLEAN, k=4, normalised=True, **raw)
    assert leading.tolist() == [2, 0, 0, 0, 2, 0]


def test_softmax_over_all_heads_keeps_their_order_and_across_layers_does_not():
    layer_of = torch.tensor([0, 0, 0, 1, 1, 1])
    raw = paper_scores.node_scores(CODES, IS_CLEAN, n_codes=5, softmax=None)
    over = paper_scores.node_scores(CODES, IS_CLEAN, n_codes=5)
    assert over.sum().item() == pytest.approx(1)
    assert torch.equal(over.argsort(stable=True), raw.argsort(stable=True))
    across = paper_scores.node_scores(
        CODES, IS_CLEAN, n_codes=5, softmax="across layers", layer_of=layer_of
    )
    expected = torch.softmax(torch.tensor([[2.0, 2, 0], [0, 1, 2]]).double(), 0).flatten()
    torch.testing.assert_close(across, expected)
    assert across[0] > across[1] + 0.1  # though both have two unique codes
    with pytest.raises(DataError, match="needs layer_of"):
        paper_scores.node_scores(CODES, IS_CLEAN, n_codes=5, softmax="across layers")


@pytest.mark.parametrize("layers", [[0, 0, 0, 0, 1, 1], [0, 1, 0, 1, 0, 1]])
def test_softmax_across_unlike_or_mixed_layers_is_refused(layers):
    with pytest.raises(DataError, match="layers of equally many heads, in order"):
        fast.softmax_across_layers(torch.arange(6), torch.tensor(layers))


def test_only_ties_that_the_cut_divides_change_the_edge_counts():
    pairs = torch.tensor(UNIQUE_PAIRS)
    rng = torch.Generator().manual_seed(0)
    draws = [torch.rand(6, generator=rng) for _ in range(20)]
    at_a_step = {tuple(code_pairs.edge_counts(pairs, k=36, favour=d).tolist()) for d in draws}
    assert at_a_step == {(10, 6, 2, 6, 4, 8)}
    within_ties = {tuple(code_pairs.edge_counts(pairs, k=10, favour=d).tolist()) for d in draws}
    assert len(within_ties) > 5
    assert {sum(counts) for counts in within_ties} == {10}


def test_favouring_heads_puts_their_pairs_first_among_ties_only():
    pairs = torch.tensor([[0, 1, 1, 1], [1, 0, 1, 2], [1, 1, 0, 1], [1, 2, 1, 0]])
    favour = torch.tensor([5.0, 0.0, 4.0, 0.0])
    assert code_pairs.edge_counts(pairs, k=4, favour=favour).tolist() == [0, 2, 0, 2]
    assert code_pairs.edge_counts(pairs, k=8, favour=favour).tolist() == [2, 2, 2, 2]
    assert code_pairs.edge_counts(pairs, k=8).tolist() == [2, 3, 1, 2]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_favouring_nothing_is_the_stable_order(seed, n_heads):
    rng = torch.Generator().manual_seed(seed)
    pairs = torch.randint(3, (n_heads, n_heads), generator=rng)
    k = int(torch.randint(1, 2 * n_heads**2 + 1, (), generator=rng))
    even = code_pairs.edge_counts(pairs, k=k, favour=torch.ones(n_heads))
    assert torch.equal(even, code_pairs.edge_counts(pairs, k=k))


def test_default_k_is_half_the_number_of_ordered_pairs():
    pairs = torch.tensor(UNIQUE_PAIRS)
    assert code_pairs.edge_counts(pairs).sum() == 18
    assert torch.equal(code_pairs.edge_counts(pairs), code_pairs.edge_counts(pairs, k=18))


def test_softmax_of_huge_counts_does_not_overflow():
    assert fast.softmax_over_heads(torch.tensor([5000, 5000, 0])).tolist() == [0.5, 0.5, 0.0]


@st.composite
def labelled_codes(draw):
    n_examples = draw(st.integers(2, 25))
    n_heads, n_codes = draw(st.integers(1, 6)), draw(st.sampled_from([1, 2, 5, 9, 11, 12]))
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
    before, code_pairs.PAIR_BLOCK = code_pairs.PAIR_BLOCK, block
    try:
        found = code_pairs.pairs_unique_to_clean(codes, is_clean, n_codes=n_codes)
    finally:
        code_pairs.PAIR_BLOCK = before
    expected = reference.dense_pair_counts(codes, is_clean, n_codes=n_codes)
    for one, two in zip(found, expected, strict=True):
        assert torch.equal(one, two)
    nodes = fast.codes_unique_to_clean(codes, is_clean, n_codes=n_codes)
    assert nodes.tolist() == reference.codes_unique_to_clean(codes, is_clean)
    k = max(1, len(found.unique) ** 2 // 2)
    counts = code_pairs.edge_counts(found.unique, k=k)
    assert counts.tolist() == reference.edge_counts(found.unique, k)


@pytest.mark.parametrize("n_codes", [11, 12, 181, 182, 46340, 46342, 10**6])
def test_pairs_of_the_largest_codes_fit_their_keys(n_codes):
    """Keys are kept in the narrowest integers; these are the sizes at which they widen."""
    last = n_codes - 1
    codes = torch.tensor([[last, last], [0, last], [last, last], [last, last - 1]])
    is_clean = torch.tensor([True, True, False, False])
    found = code_pairs.pairs_unique_to_clean(codes, is_clean, n_codes=n_codes)
    assert [int(part[0, 1]) for part in found] == [1, 2, 2]


@settings(deadline=None, max_examples=30)
@given(labelled_codes())
def test_order_of_examples_plays_no_part(case):
    codes, is_clean, n_codes = case
    order = torch.randperm(len(codes), generator=torch.Generator().manual_seed(1))
    one = code_pairs.pairs_unique_to_clean(codes, is_clean, n_codes=n_codes)
    two = code_pairs.pairs_unique_to_clean(codes[order], is_clean[order], n_codes=n_codes)
    assert torch.equal(one.unique, two.unique)
    distinct = fast.distinct_codes(codes, n_codes=n_codes)
    assert torch.equal(distinct, fast.distinct_codes(codes[order], n_codes=n_codes))


@pytest.mark.parametrize("count", [fast.codes_unique_to_clean, code_pairs.pairs_unique_to_clean])
def test_one_class_and_foreign_codes_are_refused(count):
    with pytest.raises(OneClassError, match="all 6 examples are clean"):
        count(CODES, torch.ones(6, dtype=torch.bool), n_codes=5)
    with pytest.raises(OneClassError, match="all 6 examples are corrupt"):
        count(CODES, torch.zeros(6, dtype=torch.bool), n_codes=5)
    with pytest.raises(DataError, match=r"codes run from 0 to 4, outside \[0, 4\)"):
        count(CODES, IS_CLEAN, n_codes=4)


def test_distinct_codes_refuse_codes_of_another_dictionary():
    with pytest.raises(DataError, match=r"codes run from 0 to 4, outside \[0, 4\)"):
        fast.distinct_codes(CODES, n_codes=4)


@pytest.mark.parametrize("k", [0, 73])
def test_k_out_of_range_is_refused(k):
    with pytest.raises(DataError, match=f"k is {k}: it must be between 1 and 72"):
        code_pairs.edge_counts(torch.tensor(UNIQUE_PAIRS), k=k)
