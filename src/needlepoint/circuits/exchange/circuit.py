"""A circuit that was found: which nodes and edges it has, of which model, and how it was found."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.errors import DataError, NeedlepointError
from needlepoint.circuits.graph.graph import Graph
from needlepoint.circuits.graph.pruning import prune
from needlepoint.circuits.methods import Found, Level
from needlepoint.models.model import Model


@dataclass(frozen=True)
class Origin:
    """Where a circuit comes from, in words; empty where it is not known."""

    model: str = ""
    method: str = ""
    task: str = ""
    ablation: str = ""
    """What ablated parts are replaced by, for instance `resample`."""
    metric: str = ""


@dataclass(frozen=True, eq=False)
class Circuit:
    """Some nodes and edges of a model's graph, with what a method said of all of them.

    Two circuits are equal if all of their parts are, scores included.

    Raises:
        DataError: If a mask or scores do not fit the graph, an edge does not exist or is kept
            without its writer, or a score of something that exists is not finite.
    """

    graph: Graph
    d_model: int
    """Width of the residual stream: with the graph, what tells models of other sizes apart."""
    level: Level
    """Whether nodes were chosen, and edges follow from them, or edges."""
    nodes: Bool[Tensor, " writer"]
    edges: Bool[Tensor, "writer reader"]
    node_scores: Float[Tensor, " writer"] | None = None
    edge_scores: Float[Tensor, "writer reader"] | None = None
    """0 where there is no edge."""
    signed: bool = True
    """Whether scores are effects of ablating, so that negative ones help."""
    origin: Origin = Origin()

    def __post_init__(self) -> None:
        n_writers, n_readers = self.graph.n_writers, self.graph.n_readers
        shapes = {
            "nodes": (n_writers,),
            "node_scores": (n_writers,),
            "edges": (n_writers, n_readers),
            "edge_scores": (n_writers, n_readers),
        }
        for name, shape in shapes.items():
            _check(name, getattr(self, name), shape)
        for name, stray in (
            ("is no edge of the graph", self.edges & ~self.graph.edges),
            ("is kept without its writer", self.edges & ~self.nodes[:, None]),
        ):
            if bool(stray.any()):
                writer, reader = next(iter(self.graph.named(stray)))
                raise DataError(f"{writer} -> {reader} {name}: leave it out of the circuit.")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Circuit):
            return NotImplemented
        return all(_same(getattr(self, one.name), getattr(other, one.name)) for one in fields(self))

    @property
    def n_edges(self) -> int:
        """Number of edges that are kept."""
        return int(self.edges.sum())

    @property
    def node_names(self) -> tuple[str, ...]:
        """Names of the nodes that are kept, in the order of the graph."""
        return tuple(self.graph.writers[i].name for i in self.nodes.nonzero()[:, 0].tolist())

    def named(self, **origin: str) -> Circuit:
        """The same with more said of where it comes from."""
        return replace(self, origin=replace(self.origin, **origin))

    def require(self, graph: Graph, d_model: int) -> Circuit:
        """The same circuit, if it is of a model of this graph.

        Raises:
            DataError: If it is not; the message says what differs.
        """
        for name in ("n_layers", "n_heads", "n_kv_heads", "parallel", "coupled", "has_mlps"):
            own, asked = getattr(self.graph, name), getattr(graph, name)
            if own != asked:
                raise DataError(
                    f"the circuit is of a model with {name} = {own} and this one has {asked}: "
                    "open it with the model that it was found in."
                )
        if self.d_model != d_model:
            raise DataError(
                f"the circuit is of a model with d_model = {self.d_model} and this one has "
                f"{d_model}: open it with the model that it was found in."
            )
        return self


def top_circuit(
    model: Model, graph: Graph, found: Found, size: int, *, level: Level = "edges", **origin: str
) -> Circuit:
    """The circuit of the strongest nodes or edges of what a method found, pruned.

    The embedding belongs to every circuit of nodes and is not counted. Pruning takes away what
    lies on no way from embedding to logits, so that fewer may be left than asked for.

    Args:
        model: The model, for its name and width.
        graph: Its graph.
        found: What a method says.
        size: Nodes, or edges.
        level: What is chosen.
        **origin: More of where it comes from: `method`, `task`, `ablation`, `metric`.

    Raises:
        DataError: If there are not that many, the method does not score edges, or says nothing of
            some.
    """
    named = Origin(model=model.name, **origin)
    return strongest_circuit(graph, model.shape.d_model, found, size, level=level, origin=named)


def strongest_circuit(
    graph: Graph, d_model: int, found: Found, size: int, *, level: Level, origin: Origin
) -> Circuit:
    """The same as `top_circuit` where the model is not at hand, only its graph and width."""
    strength = found.edge_strength[graph.edges] if level == "edges" else found.node_strength[1:]
    if bool(torch.isneginf(strength).any()):
        raise DataError(
            f"{origin.method or 'this method'} says nothing of some of the {level}, so that it "
            "makes no circuit from the embedding to the logits: take one that does, such as eap."
        )
    if not 0 <= size <= len(strength):
        raise DataError(f"size is {size}: the model has {len(strength)} {level}.")
    kept = torch.zeros(len(strength), dtype=torch.bool)
    kept[strength.argsort(descending=True, stable=True)[:size].cpu()] = True
    if level == "edges":
        chosen = torch.zeros_like(graph.edges)
        chosen[graph.edges] = kept
    else:
        chosen = graph.between(torch.cat([torch.ones(1, dtype=torch.bool), kept]))
    edges, nodes = prune(graph, chosen)
    return Circuit(
        graph,
        d_model,
        level,
        nodes,
        edges,
        _complete(found.nodes),
        None if found.edges is None else found.edges.float().cpu() * graph.edges,
        found.signed,
        origin,
    )


def place_of(graph: Graph, name: str, *, writer: bool = True) -> int:
    """Number of a writer, or of a reader, by its name.

    Raises:
        DataError: If the graph has none of that name.
    """
    try:
        return graph.writer(name) if writer else graph.reader(name)
    except NeedlepointError as error:
        raise DataError(f"the circuit does not fit the graph that it names: {error}") from error


def _complete(scores: Tensor) -> Tensor | None:
    """Scores of all nodes; none if the method says nothing of some, such as the embedding."""
    return scores.float().cpu() if bool(scores.isfinite().all()) else None


def _check(name: str, values: Tensor | None, shape: tuple[int, ...]) -> None:
    if values is None:
        return
    if tuple(values.shape) != shape:
        raise DataError(
            f"{name} has shape {tuple(values.shape)} and the graph asks for {shape}: the two must "
            "be of one model."
        )
    if values.is_floating_point() and not bool(torch.isfinite(values).all()):
        raise DataError(f"{name} has a value that is not finite: leave the scores out or mend it.")


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    return bool(one == other) if not isinstance(one, Tensor) else False
