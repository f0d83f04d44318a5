"""Rankings against known circuits: the worked cases of the reference, edges as edges, refusals."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from needlepoint._core.errors import DataError, UnknownSiteError
from needlepoint.circuits.graph.graph import Graph
from needlepoint.evaluation.circuits.ranking import (
    head_pairs,
    judge_edges,
    judge_head_pairs,
    judge_ranking,
    named_truth,
)

TRUTH = torch.tensor([1, 0, 1, 0, 0, 1, 0, 0], dtype=torch.bool)
SCORES = torch.tensor([5.0, 4, 4, 3, 2, 2, 1, 0])


def _cut(n_units: int, n_true: int, n_hits: int, n_chosen: int):
    """A ranking whose first units hold so many true ones."""
    truth = torch.zeros(n_units, dtype=torch.bool)
    truth[:n_hits] = True
    truth[n_chosen : n_chosen + n_true - n_hits] = True
    return -torch.arange(n_units).float(), truth


def test_the_golden_case_of_the_reference_exactly() -> None:
    found = judge_ranking(SCORES, TRUTH)
    assert found.auc.estimate == pytest.approx(0.8, abs=5e-5)
    assert found.auc_pessimistic == pytest.approx(0.7333, abs=5e-5)
    assert found.auc_optimistic == pytest.approx(0.8667, abs=5e-5)
    assert found.average_precision == pytest.approx(0.7222, abs=5e-5)
    assert found.oracle_f1 == pytest.approx(0.6667, abs=5e-5)
    assert found.repo_f1 == pytest.approx(0.7273, abs=5e-5)
    assert found.precision_at_k == pytest.approx(0.6667, abs=5e-5)
    assert found.f1 == found.precision_at_k, "at the size of the truth they are one number"
    assert found.chance_precision == 3 / 8
    assert (found.size, found.n_true, found.n_units, found.reason) == (3, 3, 8, "")


@pytest.mark.parametrize(
    ("counts", "expected"), [((144, 26, 19, 40), 1.0e-7), ((144, 9, 7, 29), 1.9e-4)]
)
def test_the_golden_overlaps(counts: tuple[int, int, int, int], expected: float) -> None:
    strength, truth = _cut(*counts)
    found = judge_ranking(strength, truth, size=counts[3])
    assert found.hits == counts[2]
    assert found.overlap_p == pytest.approx(expected, rel=0.05)


def test_precision_recall_and_f1_of_the_published_40_heads() -> None:
    strength, truth = _cut(144, 26, 19, 40)
    found = judge_ranking(strength, truth, size=40)
    assert found.precision_at_k == pytest.approx(0.475)
    assert found.f1 == pytest.approx(0.576, abs=5e-4)


def test_a_cut_through_ties_counts_the_fewest_hits_it_can_have() -> None:
    truth = torch.tensor([0, 0, 1, 1]).bool()
    found = judge_ranking(torch.zeros(4), truth, size=3)
    assert found.hits == 1
    assert found.precision_at_k == pytest.approx(0.5)
    assert found.overlap_p == pytest.approx(1.0)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6))
def test_random_scores_are_worth_nothing_and_bounds_hold(seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    strength = torch.randint(4, (30,), generator=rng).float()
    truth = torch.arange(30) < 7
    found = judge_ranking(strength, truth)
    assert found.auc_pessimistic <= found.auc.estimate <= found.auc_optimistic
    middle = (found.auc_pessimistic + found.auc_optimistic) / 2
    assert found.auc.estimate == pytest.approx(middle)
    assert found.f1 <= 1
    assert 0 <= found.overlap_p <= 1
    assert judge_ranking(truth.float(), truth).auc.estimate == 1


@pytest.mark.parametrize(("value", "words"), [(True, "every unit is"), (False, "no unit is")])
def test_one_class_gives_no_value_and_says_why(value: bool, words: str) -> None:
    found = judge_ranking(SCORES, torch.full((8,), value))
    assert found.auc is None
    assert found.average_precision is None
    assert found.overlap_p is None
    assert words in found.reason
    assert found.summary()["auc"] is None


def test_the_summary_is_of_plain_values() -> None:
    found = judge_ranking(SCORES, TRUTH).summary()
    assert set(found["auc"]) == {"low", "estimate", "high"}
    assert found["hits"] == 2


def test_a_score_that_is_missing_and_a_size_out_of_range_are_refused() -> None:
    with pytest.raises(DataError, match="unit 1 is NaN"):
        judge_ranking(torch.tensor([1.0, float("nan"), 0.0]), torch.tensor([1, 0, 0]).bool())
    with pytest.raises(DataError, match="size is 9: it must be between 1 and 8"):
        judge_ranking(SCORES, TRUTH, size=9)


GRAPH = Graph(n_layers=3, n_heads=4, n_kv_heads=2)


def test_edges_are_judged_over_those_that_exist() -> None:
    truth = named_truth(GRAPH, [("L0.H1", "L1.K0"), ("embed", "L0.H0.q")])
    rng = torch.Generator().manual_seed(0)
    strength = torch.rand(GRAPH.n_writers, GRAPH.n_readers, generator=rng)
    found = judge_edges(strength, truth, GRAPH)
    assert found.n_units == GRAPH.n_edges
    assert found.n_true == 2
    # What stands where no edge is must not matter.
    again = judge_edges(torch.where(GRAPH.edges, strength, 99.0), truth, GRAPH)
    assert again == found
    naive = judge_ranking((strength * GRAPH.edges).flatten(), truth.flatten())
    assert naive.auc.estimate > found.auc.estimate, "the null: absent edges flatter a method"


def test_edges_that_do_not_exist_are_no_truth() -> None:
    truth = torch.zeros_like(GRAPH.edges)
    truth[GRAPH.writer("L2.H0"), GRAPH.reader("L1.K0")] = True
    with pytest.raises(DataError, match=r"L2\.H0 -> L1\.K0 is in the truth and is no edge"):
        judge_edges(torch.zeros(GRAPH.edges.shape), truth, GRAPH)
    with pytest.raises(DataError, match=r"L1\.K0 comes before L2\.H0"):
        named_truth(GRAPH, [("L2.H0", "L1.K0")])
    with pytest.raises(UnknownSiteError, match="no writer"):
        named_truth(GRAPH, [("L9.H0", "logits")])


def test_head_pairs_are_those_of_earlier_and_later_layers() -> None:
    pairs = head_pairs(GRAPH.edges.double(), GRAPH, -1.0) > 0
    layers = torch.arange(12) // 4
    assert torch.equal(pairs, layers[:, None] < layers[None, :])
    gpt2 = Graph(n_layers=12, n_heads=12, n_kv_heads=12)
    n_pairs = int((head_pairs(gpt2.edges.double(), gpt2, 0.0) > 0).sum())
    assert n_pairs == 9504, "as the reference counts them"


def test_a_shared_key_is_a_pair_with_each_head_of_its_group() -> None:
    truth = named_truth(GRAPH, [("L0.H1", "L1.K0")])
    found = judge_head_pairs(truth.float(), truth, GRAPH)
    assert found.n_true == 2
    assert found.auc.estimate == 1
