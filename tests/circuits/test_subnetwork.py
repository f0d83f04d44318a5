"""Learned masks: the planted nodes and edges come out on top, and weights stay as they are."""

from __future__ import annotations

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.circuits.methods import Question
from needlepoint.circuits.search.hard_concrete import logit_of, probability_of_any, sample
from needlepoint.circuits.search.subnetwork import Learning, probe_edges, probe_nodes
from needlepoint.models.planted import PlantedModel

SHORT = Learning(steps=60)


def test_the_planted_heads_are_all_that_is_kept(
    planted: PlantedModel, planted_question: Question
) -> None:
    found = probe_nodes(planted_question, SHORT)
    graph = planted_question.graph
    kept = {graph.writers[place].name for place in (found.nodes > 0).nonzero()[:, 0].tolist()}
    assert kept == {"embed"} | {f"L{head.layer}.H{head.index}" for head in planted.heads}


def test_the_planted_edges_are_all_that_is_kept(
    planted_question: Question, planted_edges: set[tuple[str, str]]
) -> None:
    found = probe_edges(planted_question, SHORT)
    assert found.edges is not None
    assert set(planted_question.graph.named(found.edges > 0)) == planted_edges


def test_the_same_seed_gives_the_same_masks_and_weights_are_untouched(
    planted_question: Question,
) -> None:
    weights = [one.detach().clone() for one in planted_question.model.module.parameters()]
    short = Learning(steps=3)
    first, second = (probe_nodes(planted_question, short) for _ in range(2))
    assert torch.equal(first.nodes, second.nodes)
    for before, now in zip(weights, planted_question.model.module.parameters(), strict=True):
        assert torch.equal(before, now)
        assert now.requires_grad
        assert now.grad is None


def test_masks_are_0_and_1_as_often_as_their_logit_says() -> None:
    rng = torch.Generator().manual_seed(0)
    logits = torch.full((20000,), 0.7)
    drawn = sample(logits, rng)
    share = (drawn > 0).double().mean()
    assert float(share) == pytest.approx(float(probability_of_any(logits[:1])), abs=0.02)
    assert bool((drawn == 0).any())
    assert bool((drawn == 1).any())
    assert float(probability_of_any(torch.tensor(logit_of(0.3)))) == pytest.approx(0.3, abs=1e-6)


def test_settings_must_be_positive() -> None:
    with pytest.raises(DataError, match="steps is 0"):
        Learning(steps=0)
