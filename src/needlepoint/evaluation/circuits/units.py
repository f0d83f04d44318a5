"""What a circuit is made of: nodes or edges that can be in or out, and what is always in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.graph.graph import Graph
from needlepoint.circuits.graph.pruning import prune
from needlepoint.circuits.methods import Found, Level


class Pruned(NamedTuple):
    """What is left of some circuits."""

    edges: Bool[Tensor, "resample writer reader"]
    nodes: Bool[Tensor, "resample writer"]


@dataclass(frozen=True, eq=False)
class Units:
    """The nodes, or the edges, of which a circuit has some; in the order of the graph.

    Use `node_units` or `edge_units`. A circuit of nodes keeps every edge from a node inside to an
    input of a node inside. That is the same as replacing the output of every node outside: what
    such a node reads does not matter when nothing that it writes is seen.
    """

    graph: Graph
    level: Level
    which: Bool[Tensor, "..."]
    """Over writers, or over writers and readers: where a unit is."""

    @property
    def n(self) -> int:
        """Number of units."""
        return int(self.which.sum())

    @cached_property
    def names(self) -> tuple[str, ...]:
        """`L3.H5` of nodes, `L0.H1->L3.H5.q` of edges."""
        if self.level == "nodes":
            return tuple(self.graph.writers[i].name for i in self.which.nonzero()[:, 0].tolist())
        return tuple(f"{writer}->{reader}" for writer, reader in self.graph.named(self.which))

    @cached_property
    def layer_of(self) -> Int[Tensor, " unit"]:
        """Layer of each node; of an edge, the layer of what reads."""
        if self.level == "nodes":
            return self.graph.layer_of[self.which]
        readers = torch.tensor([node.layer for node in self.graph.readers])
        return readers[self.which.nonzero()[:, 1]]

    def strength(self, found: Found) -> Float[Tensor, " unit"]:
        """By which a method ranks the units, the best first from the largest down."""
        return (found.node_strength if self.level == "nodes" else found.edge_strength)[self.which]

    def scores(self, found: Found) -> Float[Tensor, " unit"]:
        """What a method says of the units, with its sign.

        Raises:
            DataError: If units are edges and the method scores nodes only.
        """
        if self.level == "nodes":
            return found.nodes[self.which]
        if found.edges is None:
            raise DataError("this method scores nodes, not edges; judge it at the level of nodes.")
        return found.edges[self.which]

    def mask(self, names: Sequence[str]) -> Bool[Tensor, " unit"]:
        """The circuit of the units with these names.

        Raises:
            DataError: If a name is none of a unit.
        """
        places = {name: place for place, name in enumerate(self.names)}
        unknown = [name for name in names if name not in places]
        if unknown:
            raise DataError(f"{unknown[0]!r} is no unit here; they are like {self.names[0]}.")
        mask = torch.zeros(self.n, dtype=torch.bool)
        mask[[places[name] for name in names]] = True
        return mask

    def pruned(self, kept: Bool[Tensor, "resample unit"]) -> Pruned:
        """The nodes and edges of each circuit, those that lie on no way through it taken away."""
        found = [prune(self.graph, self._whole(row)) for row in kept]
        edges, nodes = (torch.stack(part) for part in zip(*found, strict=True))
        return Pruned(edges, nodes)

    def _whole(self, kept: Bool[Tensor, " unit"]) -> Bool[Tensor, "writer reader"]:
        mask = ~self.which
        mask[self.which] = kept
        return self.graph.between(mask) if self.level == "nodes" else mask & self.graph.edges


def node_units(graph: Graph, *, among: Bool[Tensor, " writer"] | None = None) -> Units:
    """Nodes as units: heads and MLPs. The embedding is in every circuit and is not counted.

    Args:
        graph: The graph of the model.
        among: Writers that can be in or out; those left out are in every circuit. With
            `graph.is_head`, circuits are of heads, and every MLP computes on what it is given.

    Example:
        >>> units = node_units(Graph(n_layers=1, n_heads=2, n_kv_heads=2))
        >>> units.names, units.layer_of.tolist()
        (('L0.H0', 'L0.H1', 'L0.mlp'), [0, 0, 0])
    """
    if among is None:
        among = torch.ones(graph.n_writers, dtype=torch.bool)
        among[0] = False
    return Units(graph, "nodes", among)


def edge_units(graph: Graph) -> Units:
    """Edges as units: all that exist, a shared key or value counted once.

    Example:
        >>> edge_units(Graph(n_layers=1, n_heads=1, n_kv_heads=1)).names[:2]
        ('embed->L0.H0.q', 'embed->L0.K0')
    """
    return Units(graph, "edges", graph.edges)


def first_units(
    strength: Float[Tensor, " unit"], sizes: Sequence[int]
) -> Bool[Tensor, "resample unit"]:
    """The circuits of the strongest units, one for each size; ties by the order of the graph.

    Example:
        >>> first_units(torch.tensor([1.0, 3.0, 2.0]), [0, 2]).int().tolist()
        [[0, 0, 0], [0, 1, 1]]
    """
    place = torch.empty(len(strength), dtype=torch.long)
    place[strength.argsort(descending=True, stable=True).cpu()] = torch.arange(len(strength))
    return place[None, :] < torch.tensor(list(sizes))[:, None]
