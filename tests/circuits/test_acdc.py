"""ACDC: the planted edges and no others, and the published algorithm step by step."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import Bool
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.graph.run import run_edges
from needlepoint.circuits.methods import CIRCUIT_METHODS, Question
from needlepoint.circuits.pair_batch import from_clean
from needlepoint.circuits.search.acdc import prune_edges, thresholds
from needlepoint.testing.pairs import random_pairs
from needlepoint.testing.tiny import tiny_model


def _question(family: str = "llama", **config: int) -> Question:
    model = tiny_model(family, **config)
    return Question(model, random_pairs(model, width=5))


def _published(question: Question, threshold: float) -> Bool[Tensor, "writer reader"]:
    """Algorithm 1, each test a run of the whole model."""
    graph, pairs = question.graph, from_clean(question.model, question.pairs)

    def loss(keep: Tensor) -> float:
        return float(run_edges(question.model, pairs, keep[None]).double().mean())

    kept, now = graph.edges.clone(), 0.0
    for reader in reversed(range(graph.n_readers)):
        fed = graph.moves[reader]
        if reader < graph.n_readers - 1 and not kept[fed].any():
            kept[:, reader] = False
            continue
        for writer in reversed(range(graph.n_before(graph.readers[reader]))):
            without = kept.clone()
            without[writer, reader] = False
            then = loss(without)
            if then - now < threshold:
                kept, now = without, then
    return kept


@pytest.mark.parametrize("one_by_one", [False, True])
def test_the_planted_edges_and_no_others_are_kept(
    planted_question: Question, planted_edges: set[tuple[str, str]], one_by_one: bool
) -> None:
    found = prune_edges(planted_question, one_by_one=one_by_one)
    assert set(planted_question.graph.named(found.kept)) == planted_edges
    assert found.loss < 1e-3
    assert found.rises[found.kept].min() > 1


def test_edge_by_edge_it_is_the_published_algorithm() -> None:
    question = _question(num_hidden_layers=2)
    found = prune_edges(question, threshold=0.02, one_by_one=True)
    expected = _published(question, 0.02)
    assert 0 < expected.sum() < question.graph.edges.sum()
    assert torch.equal(found.kept, expected)


def test_the_loss_it_states_is_that_of_the_circuit_it_keeps() -> None:
    question = _question("gemma2")
    found = prune_edges(question, threshold=0.05)
    pairs = from_clean(question.model, question.pairs)
    loss = run_edges(question.model, pairs, found.kept[None]).double().mean()
    assert found.loss == pytest.approx(float(loss), rel=1e-3, abs=1e-5)


def test_groups_save_runs_where_the_circuit_is_small(planted_question: Question) -> None:
    grouped = prune_edges(planted_question)
    single = prune_edges(planted_question, one_by_one=True)
    assert grouped.n_tests < single.n_tests


def test_a_high_threshold_keeps_nothing_and_a_low_one_more() -> None:
    question = _question(num_hidden_layers=2)
    sizes = [int(prune_edges(question, threshold=t).kept.sum()) for t in (100.0, 0.1, 1e-4)]
    assert sizes[0] == 0
    assert sizes[1] < sizes[2]


def test_kept_edges_rank_above_all_others(
    planted_question: Question, planted_edges: set[tuple[str, str]]
) -> None:
    found = CIRCUIT_METHODS["acdc"].find(planted_question)
    graph = planted_question.graph
    strength = found.edge_strength.masked_fill(~graph.edges, -1.0)
    top = torch.zeros_like(graph.edges)
    top.view(-1)[strength.flatten().argsort(descending=True)[: len(planted_edges)]] = True
    assert set(graph.named(top)) == planted_edges


def test_a_threshold_that_is_not_positive_is_refused(planted_question: Question) -> None:
    with pytest.raises(DataError, match="must be above 0"):
        prune_edges(planted_question, threshold=0.0)


def test_thresholds_fall_evenly_in_the_logarithm() -> None:
    found = torch.tensor(list(thresholds(1e-2, 1.0, 3)))
    torch.testing.assert_close(found, torch.tensor([1.0, 0.1, 0.01]))
