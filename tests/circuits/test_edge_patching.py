"""Path patching along single edges: against runs of the whole model, and on the planted circuit."""

from __future__ import annotations

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.circuits.graph.run import run_edges
from needlepoint.circuits.methods import CIRCUIT_METHODS, Question
from needlepoint.circuits.search import edge_patching
from needlepoint.circuits.search.edge_patching import edge_effects
from needlepoint.testing.pairs import random_pairs
from needlepoint.testing.tiny import tiny_model


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma3", "phi", "opt"])
def test_resuming_above_the_clean_run_changes_nothing(family: str) -> None:
    model = tiny_model(family)
    rng = torch.Generator().manual_seed(3)
    question = Question(model, random_pairs(model, n=3))
    exists = question.graph.edges
    chosen = exists & (torch.rand(exists.shape, generator=rng) < 24 / exists.sum())
    chosen[-1, -1] = True
    found = edge_effects(question, chosen)
    keep = exists.repeat(len(found), 1, 1)
    for copy, (writer, reader) in enumerate(chosen.nonzero().tolist()):
        keep[copy, writer, reader] = False
    whole = run_edges(model, question.pairs, torch.cat([exists[None], keep]))
    assert found.abs().max() > 1e-3
    torch.testing.assert_close(found, whole[1:] - whole[0], atol=2e-5, rtol=1e-3)


def test_only_the_planted_edges_have_an_effect(
    planted_question: Question, planted_edges: set[tuple[str, str]]
) -> None:
    found = CIRCUIT_METHODS["path_patching"].find(planted_question)
    assert found.edges is not None
    assert set(planted_question.graph.named(found.edges < -1)) == planted_edges
    assert found.edges[found.edges >= -1].abs().max() < 1e-3


def test_too_many_edges_are_refused(
    planted_question: Question, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_patching, "MAX_EDGES", 10)
    with pytest.raises(DataError, match="too many to cut one by one"):
        CIRCUIT_METHODS["path_patching"].find(planted_question)
