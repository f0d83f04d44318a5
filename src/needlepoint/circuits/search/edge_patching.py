"""The exact effect of each edge: path patching along one edge, everything above run again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint._core.progress import Bar
from needlepoint.circuits.graph.clean_run import CleanRun
from needlepoint.circuits.graph.run import EDGE_BYTES
from needlepoint.circuits.graph.terms import term_bytes
from needlepoint.circuits.methods import Found, Question, circuit_method

MAX_EDGES = 5000
"""Most edges that are patched one by one when all of a model are asked for."""
PIECE = 16


def edge_effects(
    question: Question, edges: Bool[Tensor, "writer reader"]
) -> Float[Tensor, "edge pair"]:
    """Change of the metric of each pair when one edge is cut, for each edge of a mask.

    The reader sees the replacement of that one writer and everything else as it is; all above it
    is computed anew. This is path patching along a single edge, which EAP estimates. Edges come in
    the order of `edges.nonzero()`. The cost is one run of the layers above for each edge.

    Source:
        Goldowsky-Dill et al., "Localizing Model Behavior with Path Patching", 2023; Wang et al.,
        "Interpretability in the Wild", 2022, section 3.
    """
    model, graph = question.model, question.graph
    places = [(u, v) for u, v in (edges & graph.edges).nonzero().tolist()]
    effects = torch.empty(len(places), len(question.pairs))
    order = sorted(range(len(places)), key=lambda i: places[i][1])
    pieces = list(question.pairs.parts(PIECE))
    with Bar("patching edges", total=len(pieces) * len(places)) as bar, torch.no_grad():
        for index, piece in pieces:
            run = CleanRun(model, piece, question.instead(piece))
            copies = max(1, EDGE_BYTES // max(1, term_bytes(model, piece.clean.ids.numel())))
            for some in _alike(order, places, run, copies):
                cut = torch.zeros(
                    len(some), *graph.edges.shape, device=model.device, dtype=model.dtype
                )
                for copy, place in enumerate(some):
                    cut[copy, *places[place]] = 1
                found = run.cut_metric(cut, start=run.start(places[some[0]][1]))
                effects[some, index] = (found - run.metric).cpu()
                bar.advance(len(some))
    return effects


def _alike(
    order: Sequence[int], places: Sequence[tuple[int, int]], run: CleanRun, copies: int
) -> list[list[int]]:
    """Edges whose runs start at the same layer, so many at a time."""
    groups: list[list[int]] = []
    for place in order:
        start = run.start(places[place][1])
        last = groups[-1] if groups else []
        if last and len(last) < copies and run.start(places[last[0]][1]) == start:
            last.append(place)
        else:
            groups.append([place])
    return groups


@circuit_method(
    "Path patching",
    "Cuts each edge in turn and runs everything above it again",
    source="Goldowsky-Dill et al. 2023; exact",
    level="edges",
    exact=True,
)
def path_patching(question: Question) -> Found:
    """The exact effect of every edge, and as node scores their sums over each writer's edges.

    Raises:
        DataError: If there are too many edges to cut one by one.
    """
    graph = question.graph
    if graph.n_edges > MAX_EDGES:
        raise DataError(
            f"{question.model.name} has {graph.n_edges} edges, too many to cut one by one (at "
            f"most {MAX_EDGES}): use eap_ig_inputs, and edge_effects on the best of its edges."
        )
    scores = torch.zeros(graph.edges.shape)
    scores[graph.edges] = edge_effects(question, graph.edges).mean(1)
    return Found(scores.sum(1), scores)
