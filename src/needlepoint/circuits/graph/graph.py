"""The nodes and edges of a transformer: what writes to the residual stream, and what reads it.

A writer adds to the stream: the embedding, a head, an MLP. A reader takes the sum of all writers
before it: the query input of a head, the key or the value input of a key/value head, an MLP, or
the logits. An edge is a writer together with a reader after it. Where query heads share keys and
values, the shared input is one reader: it is never counted once for each query head.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import torch
from jaxtyping import Bool, Int

from needlepoint._core.errors import UnknownSiteError
from needlepoint.models.families import Shape


class Kind(StrEnum):
    """What a node is."""

    EMBED = "embed"
    HEAD = "head"
    MLP = "mlp"
    Q = "q"
    K = "k"
    V = "v"
    LOGITS = "logits"


ATTENTION_INPUTS = (Kind.Q, Kind.K, Kind.V)
"""What each head reads, in the order of the readers of a layer."""


@dataclass(frozen=True)
class Node:
    """One writer or one reader."""

    kind: Kind
    layer: int
    """The embedding has layer -1, the logits the number of layers."""
    index: int = 0
    """The query head; the key/value head of a reader of kind `k` or `v`."""

    @property
    def name(self) -> str:
        """`embed`, `L3.H5`, `L3.mlp`; `L3.H5.q`, `L3.K1`, `L3.V1`, `L3.mlp`, `logits` reading."""
        if self.kind in (Kind.EMBED, Kind.LOGITS):
            return self.kind.value
        if self.kind is Kind.MLP:
            return f"L{self.layer}.mlp"
        if self.kind is Kind.HEAD:
            return f"L{self.layer}.H{self.index}"
        if self.kind is Kind.Q:
            return f"L{self.layer}.H{self.index}.q"
        return f"L{self.layer}.{self.kind.value.upper()}{self.index}"

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Graph:
    """All writers and readers of a model of some sizes, in the order in which they are computed.

    It holds no weights and no scores: those are arrays over `[writer]`, over `[reader]` or over
    `[writer reader]` in the order given here.

    Example:
        >>> graph = Graph(n_layers=2, n_heads=4, n_kv_heads=2)
        >>> [node.name for node in graph.writers[:6]]
        ['embed', 'L0.H0', 'L0.H1', 'L0.H2', 'L0.H3', 'L0.mlp']
        >>> [node.name for node in graph.readers[:9]]
        ['L0.H0.q', 'L0.H1.q', 'L0.H2.q', 'L0.H3.q', 'L0.K0', 'L0.K1', 'L0.V0', 'L0.V1', 'L0.mlp']
        >>> graph.n_edges
        82
    """

    n_layers: int
    n_heads: int
    n_kv_heads: int
    parallel: bool = False
    """The MLP of a layer reads what its attention reads, and so not what its heads write."""
    coupled: bool = False
    """A norm stands between attention and stream, whose division the heads of a layer share: what
    one of them writes changes the terms of the others (Gemma 2 and 3)."""
    has_mlps: bool = True
    """False for a model of attention alone, whose only nodes are the embedding and heads."""

    @classmethod
    def of(cls, shape: Shape, *, parallel: bool = False, coupled: bool = False) -> Graph:
        """The graph of a model of this shape."""
        sizes = shape.n_layers, shape.n_heads, shape.n_kv_heads
        return cls(*sizes, parallel, coupled, shape.has_mlps)

    @cached_property
    def writers(self) -> tuple[Node, ...]:
        """The embedding, then layer by layer the heads and the MLP."""
        found = [Node(Kind.EMBED, -1)]
        for layer in range(self.n_layers):
            found += [Node(Kind.HEAD, layer, head) for head in range(self.n_heads)]
            found += [Node(Kind.MLP, layer)] * self.has_mlps
        return tuple(found)

    @cached_property
    def readers(self) -> tuple[Node, ...]:
        """Layer by layer the inputs of queries, keys, values and the MLP; then the logits."""
        found: list[Node] = []
        for layer in range(self.n_layers):
            for kind in ATTENTION_INPUTS:
                found += [Node(kind, layer, head) for head in range(self._count(kind))]
            found += [Node(Kind.MLP, layer)] * self.has_mlps
        return (*found, Node(Kind.LOGITS, self.n_layers))

    @property
    def n_writers(self) -> int:
        """Number of writers."""
        return 1 + self.n_layers * self._written

    @property
    def n_readers(self) -> int:
        """Number of readers."""
        return self.n_layers * self._read + 1

    @property
    def n_edges(self) -> int:
        """Number of edges."""
        return int(self.edges.sum())

    @cached_property
    def edges(self) -> Bool[torch.Tensor, "writer reader"]:
        """Which writers each reader can read from."""
        allowed = torch.zeros(self.n_writers, self.n_readers, dtype=torch.bool)
        for place, reader in enumerate(self.readers):
            allowed[: self.n_before(reader), place] = True
        return allowed

    @cached_property
    def feeds(self) -> Bool[torch.Tensor, "reader writer"]:
        """Which writers each reader is an input of: a shared key feeds every head of its group."""
        feeds = torch.zeros(self.n_readers, self.n_writers, dtype=torch.bool)
        group = self.n_heads // self.n_kv_heads
        for place, reader in enumerate(self.readers):
            if reader.kind is Kind.MLP:
                feeds[place, self.mlp(reader.layer)] = True
            elif reader.kind is Kind.Q:
                feeds[place, self.heads(reader.layer)][reader.index] = True
            elif reader.kind in (Kind.K, Kind.V):
                first = self.heads(reader.layer).start + reader.index * group
                feeds[place, first : first + group] = True
        return feeds

    @cached_property
    def moves(self) -> Bool[torch.Tensor, "reader writer"]:
        """Whose terms change with what a reader reads: of all heads of a layer if coupled."""
        if not self.coupled:
            return self.feeds
        moves = self.feeds.clone()
        for place, reader in enumerate(self.readers):
            if reader.kind in ATTENTION_INPUTS:
                moves[place, self.heads(reader.layer)] = True
        return moves

    @cached_property
    def is_head(self) -> Bool[torch.Tensor, " writer"]:
        """Which writers are heads: taken in order they are the heads in layer-major order."""
        return torch.tensor([writer.kind is Kind.HEAD for writer in self.writers])

    @cached_property
    def layer_of(self) -> Int[torch.Tensor, " writer"]:
        """Layer of each writer, -1 for the embedding."""
        return torch.tensor([writer.layer for writer in self.writers])

    def heads(self, layer: int) -> slice:
        """Where the heads of a layer stand among the writers."""
        start = 1 + layer * self._written
        return slice(start, start + self.n_heads)

    def mlp(self, layer: int) -> int:
        """Where the MLP of a layer stands among the writers.

        Raises:
            UnknownSiteError: If the model has no MLPs.
        """
        if not self.has_mlps:
            raise UnknownSiteError("a model of attention alone has no MLPs: ask for its heads.")
        return (layer + 1) * self._written

    def inputs(self, layer: int, kind: Kind) -> slice:
        """Where the readers of one kind of a layer stand; nowhere if it is an MLP that is not."""
        if kind is Kind.LOGITS:
            return slice(self.n_readers - 1, self.n_readers)
        start = layer * self._read
        for earlier in (*ATTENTION_INPUTS, Kind.MLP):
            if earlier is kind:
                return slice(start, start + self._count(kind))
            start += self._count(earlier)
        raise UnknownSiteError(f"a node of kind {kind!r} reads nothing; ask for q, k, v or mlp.")

    def n_before(self, reader: Node) -> int:
        """Number of writers that a reader can read from: the first so many."""
        if reader.kind is Kind.LOGITS:
            return self.n_writers
        below = 1 + reader.layer * self._written
        sees_heads = reader.kind is Kind.MLP and not self.parallel
        return below + self.n_heads if sees_heads else below

    def writer(self, name: str) -> int:
        """Place of a writer by its name.

        Raises:
            UnknownSiteError: If there is no such writer; the message gives the forms.
        """
        return _place(self._writer_places, name, "writer")

    def reader(self, name: str) -> int:
        """Place of a reader by its name.

        Raises:
            UnknownSiteError: If there is no such reader; the message gives the forms.
        """
        return _place(self._reader_places, name, "reader")

    def named(self, edges: Bool[torch.Tensor, "writer reader"]) -> Iterator[tuple[str, str]]:
        """Names of the writer and the reader of each edge of a mask."""
        for writer, reader in edges.nonzero().tolist():
            yield self.writers[writer].name, self.readers[reader].name

    def between(self, nodes: Bool[torch.Tensor, " writer"]) -> Bool[torch.Tensor, "writer reader"]:
        """The edges of a circuit of nodes: from a node inside to an input of a node inside.

        The logits are read by every circuit. A key or value input that several heads share is an
        input of the circuit as soon as one of them is inside.
        """
        fed = (self.feeds & nodes).any(1)
        fed[-1] = True
        return self.edges & nodes[:, None] & fed

    @property
    def _written(self) -> int:
        """Writers of one layer."""
        return self.n_heads + self._count(Kind.MLP)

    @property
    def _read(self) -> int:
        """Readers of one layer."""
        return self.n_heads + 2 * self.n_kv_heads + self._count(Kind.MLP)

    @cached_property
    def _writer_places(self) -> dict[str, int]:
        return {node.name: place for place, node in enumerate(self.writers)}

    @cached_property
    def _reader_places(self) -> dict[str, int]:
        return {node.name: place for place, node in enumerate(self.readers)}

    def _count(self, kind: Kind) -> int:
        if kind is Kind.MLP:
            return int(self.has_mlps)
        return self.n_heads if kind is Kind.Q else self.n_kv_heads


def _place(places: dict[str, int], name: str, kind: str) -> int:
    if name not in places:
        forms = "embed, L3.H5, L3.mlp" if kind == "writer" else "L3.H5.q, L3.K1, L3.V1, logits"
        raise UnknownSiteError(f"{name!r} is no {kind} of this graph; write one like {forms}.")
    return places[name]
