"""Published circuits as masks over a model's graph, for the model they were published of alone."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.graph.graph import Graph, Kind
from needlepoint.models.model import Model
from needlepoint.tasks.known_circuits import known_circuits
from needlepoint.tasks.task import KnownCircuit

_KINDS = {"q": Kind.Q, "k": Kind.K, "v": Kind.V}


def published_circuits(task: str, model: Model, variant: str = "") -> tuple[KnownCircuit, ...]:
    """What was published of a task's circuit in this model; empty where nothing was.

    The model is told by its name; its layers and heads must be as many as the published model's.
    That its weights are the published ones is not checked.

    Raises:
        UnknownNameError: If there are lists, and none of that variant.
        DataError: If the model has the name but not the layers and heads of the published one.
    """
    found = known_circuits(task, model.name, variant)
    shape = (model.shape.n_layers, model.shape.n_heads)
    for circuit in found:
        if circuit.shape is not None and circuit.shape != shape:
            raise DataError(
                f"the circuit of {task} was published for {circuit.model}, which has "
                f"{circuit.shape[0]} layers of {circuit.shape[1]} heads; a model of {shape[0]} "
                f"layers of {shape[1]} heads is not it, so give it another name than {model.name}."
            )
    return found


def circuit_heads(circuit: KnownCircuit, graph: Graph) -> Bool[Tensor, " head"]:
    """Which heads of a graph belong to a circuit, in layer-major order."""
    return circuit_nodes(circuit, graph)[graph.is_head]


def circuit_nodes(circuit: KnownCircuit, graph: Graph) -> Bool[Tensor, " writer"]:
    """Which heads and MLPs of a graph belong to a circuit; the embedding always does.

    Raises:
        UnknownSiteError: If the graph has no such head or layer.
    """
    names = ["embed", *(f"L{layer}.H{head}" for layer, head in circuit.heads)]
    names += [f"L{layer}.mlp" for layer in circuit.mlps]
    nodes = torch.zeros(graph.n_writers, dtype=torch.bool)
    nodes[[graph.writer(name) for name in names]] = True
    return nodes


def circuit_edges(circuit: KnownCircuit, graph: Graph) -> Bool[Tensor, "writer reader"]:
    """Which edges of a graph belong to a circuit, by each input that was published.

    Raises:
        DataError: If no edges of it were published.
        UnknownSiteError: If the graph has no such node.
    """
    if not circuit.edges:
        raise DataError(
            f"no edges were published of the {circuit.variant!r} list of {circuit.model}, only its "
            "nodes; judge nodes by it, or take another list."
        )
    edges = torch.zeros(graph.n_writers, graph.n_readers, dtype=torch.bool)
    for edge in circuit.edges:
        for reader in _inputs(graph, edge.target, edge.inputs):
            edges[graph.writer(edge.source), reader] = True
    return edges & graph.edges


def _inputs(graph: Graph, target: str, inputs: str) -> list[int]:
    if ".H" not in target:
        return [graph.reader(target)]
    head = graph.writers[graph.writer(target)]
    group = graph.n_heads // graph.n_kv_heads
    return [
        graph.inputs(head.layer, _KINDS[kind]).start
        + (head.index if kind == "q" else head.index // group)
        for kind in inputs
    ]


def head_pairs(graph: Graph) -> Bool[Tensor, "head head"]:
    """Which ordered pairs of heads are of an earlier and a later layer: all that can be edges.

    Example:
        >>> int(head_pairs(Graph(n_layers=12, n_heads=12, n_kv_heads=12)).sum())
        9504
    """
    layer = graph.layer_of[graph.is_head]
    return layer[:, None] < layer[None, :]


def head_pair_edges(circuit: KnownCircuit, graph: Graph) -> Bool[Tensor, "head head"]:
    """Which pairs of heads are edges of a circuit, whichever input the second reads by.

    Raises:
        DataError: If no edges of it were published.
    """
    labels = torch.zeros(graph.n_writers, graph.n_writers, dtype=torch.bool)
    circuit_edges(circuit, graph)
    for source, target in circuit.head_edges:
        labels[graph.writer(source), graph.writer(target)] = True
    return labels[graph.is_head][:, graph.is_head]


def head_pair_scores(
    graph: Graph, scores: Float[Tensor, "writer reader"]
) -> Float[Tensor, "head head"]:
    """Scores of edges collapsed to pairs of heads: the largest size over the second one's inputs.

    Published edges do not always say by which input one head reads another; in this form every
    edge method can be held against them. An input that several heads share counts for each.

    Args:
        graph: The graph whose order the scores have.
        scores: A score of each edge; its sign is left out.
    """
    between = torch.zeros(graph.n_writers, graph.n_writers, dtype=scores.dtype)
    for place, fed in enumerate(graph.feeds):
        size = (scores[:, place].abs() * graph.edges[:, place])[:, None]
        between = torch.maximum(between, torch.where(fed[None, :], size, 0.0))
    return between[graph.is_head][:, graph.is_head]
