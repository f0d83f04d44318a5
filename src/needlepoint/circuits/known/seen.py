"""Which edges an ablation can see on some prompts, one at a time and without approximation."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.ablation import PairBatch, corrupt_metric
from needlepoint.circuits.graph.run import Replaced, run_edges
from needlepoint.circuits.graph.terms import graph_of
from needlepoint.models.model import Model

SHARE = 1e-3
"""A change of the metric counts from this share of the largest clean-minus-corrupt difference."""


def edge_changes(
    model: Model,
    pairs: PairBatch,
    among: Bool[Tensor, "writer reader"],
    replaced: Replaced | None = None,
) -> Float[Tensor, "writer reader"]:
    """Largest change of the metric over the pairs when one edge is cut, and 0 for edges not asked.

    Args:
        model: Any model that edges are defined for.
        pairs: Clean and corrupt prompts.
        among: The edges to cut, one at a time: a forward pass each.
        replaced: What a cut edge carries; the writer's term on the corrupt prompt unless given.
    """
    graph = graph_of(model)
    places = (among & graph.edges).nonzero()
    keep = graph.edges.repeat(len(places) + 1, 1, 1)
    keep[torch.arange(len(places)), places[:, 0], places[:, 1]] = False
    metric = run_edges(model, pairs, keep, replaced)
    changes = torch.zeros(among.shape)
    changes[places[:, 0], places[:, 1]] = (metric[:-1] - metric[-1]).abs().amax(1)
    return changes


def seen_edges(
    model: Model,
    pairs: PairBatch,
    among: Bool[Tensor, "writer reader"],
    replaced: Replaced | None = None,
) -> Bool[Tensor, "writer reader"]:
    """The edges that change the metric of some pair when cut alone.

    Of the edges that a circuit needs, those that carry the same on the clean and the corrupt
    prompt (positions, lengths) are not among them under resampling, nor are those for which
    another edge stands in. A method that resamples from these prompts can be asked to find these
    edges; the others it cannot see.

    Args:
        model: Any model that edges are defined for.
        pairs: Clean and corrupt prompts.
        among: The edges to try; those that are wired, where that is known.
        replaced: What a cut edge carries; the writer's term on the corrupt prompt unless given.

    Raises:
        DataError: If the metric is the same on all clean and corrupt prompts.
    """
    graph = graph_of(model)
    clean = run_edges(model, pairs, graph.edges[None])[0]
    scale = (clean - corrupt_metric(model, pairs)).abs().max()
    if not scale > 0:
        raise DataError(
            "the metric is the same on every clean prompt and its corrupt counterpart, so that no "
            "edge can be seen; give prompts with different answers."
        )
    return edge_changes(model, pairs, among, replaced) > SHARE * scale
