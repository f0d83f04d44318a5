"""The planted circuit as a question, with its two heads as units."""

from __future__ import annotations

import pytest
import torch

from needlepoint.circuits.methods import Found, Question
from needlepoint.evaluation.circuits.units import Units, edge_units, node_units
from needlepoint.evaluation.read_heads import pair_batch
from needlepoint.models.planted import PlantedModel, planted_prompts


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def question(planted: PlantedModel) -> Question:
    prompts = planted_prompts(planted, n_pairs=6, half=6)
    return Question(planted.model, pair_batch(planted.model, prompts))


@pytest.fixture(scope="session")
def nodes(question: Question) -> Units:
    return node_units(question.graph)


@pytest.fixture(scope="session")
def edges(question: Question) -> Units:
    return edge_units(question.graph)


@pytest.fixture(scope="session")
def head_names(planted: PlantedModel) -> list[str]:
    """The planted heads: the previous-token head, then the induction head."""
    return [f"L{site.layer}.H{site.index}" for site in planted.heads]


@pytest.fixture(scope="session")
def edge_names(head_names: list[str]) -> list[str]:
    """The edges that carry the behaviour, by construction, when all others carry the corrupt."""
    before, induction = head_names
    index = int(before.split("H")[1])
    later = int(induction.split("H")[1])
    return [
        f"embed->L0.V{index}",
        f"embed->L1.V{later}",
        f"{before}->L1.K{later}",
        f"{induction}->logits",
    ]


@pytest.fixture(scope="session")
def planted_scores(question: Question, nodes: Units, edges: Units, head_names, edge_names) -> Found:
    """Effects as a perfect method would give them: negative for the circuit, noise elsewhere."""
    rng = torch.Generator().manual_seed(0)
    graph = question.graph
    scores = 0.01 * torch.randn(graph.n_writers, generator=rng)
    scores[1:] -= nodes.mask(head_names).float()
    of_edges = 0.01 * torch.randn(graph.edges.shape, generator=rng) * graph.edges
    of_edges[graph.edges] -= edges.mask(edge_names).float()
    return Found(scores, of_edges)
