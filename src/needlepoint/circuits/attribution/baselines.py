"""Scores that ask for no metric: how large what a node writes is, and chance."""

from __future__ import annotations

import torch
from torch import Tensor

from needlepoint._core.seeds import seed_for
from needlepoint.circuits.attribution.differences import each_term, trimmed
from needlepoint.circuits.attribution.memory import piece_size
from needlepoint.circuits.methods import Found, Question, circuit_method


@circuit_method(
    "Activation magnitude",
    "mean norm of what the node adds to the residual stream on clean prompts",
    source="a baseline",
    level="edges",
    control=True,
)
def activation_magnitude(question: Question) -> Found:
    """Mean norm of each node's term over the positions of the clean prompts; no metric is used.

    Each pair counts alike, whatever its length. Edges have the score of their writer.
    """
    graph, model = question.graph, question.model
    total = torch.zeros(graph.n_writers, dtype=torch.float64)
    for _, piece in question.pairs.parts(piece_size(model, question.pairs)):
        some = trimmed(piece)
        mask = some.clean.mask
        weight = (mask / some.clean.lengths[:, None]).flatten()
        rows = mask.flatten().nonzero()[:, 0]

        def add(writers: slice, term: Tensor, weight: Tensor = weight[rows]) -> None:
            norms = torch.linalg.vector_norm(term, dim=-1)
            total[writers] += (norms.double() @ weight.double()).cpu()

        each_term(model, some.clean, rows, add)
    nodes = (total / len(question.pairs)).float()
    return Found(nodes, nodes[:, None] * graph.edges, signed=False)


@circuit_method(
    "Random edges",
    "a random number for each node and edge",
    source="a control",
    level="edges",
    control=True,
    draws=True,
)
def random_edges(question: Question) -> Found:
    """Independent uniform numbers, from the question's seed: what a method has to beat."""
    graph = question.graph
    rng = torch.Generator().manual_seed(seed_for(question.seed, use="random circuit"))
    nodes = torch.rand(graph.n_writers, generator=rng)
    edges = torch.rand(graph.n_writers, graph.n_readers, generator=rng)
    return Found(nodes, edges * graph.edges, signed=False)
