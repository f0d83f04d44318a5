"""The exact effect of every node: run again with the node replaced, and measure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint._core.progress import Bar
from needlepoint.circuits.graph.graph import Graph, Kind, Node
from needlepoint.circuits.pair_batch import CHUNK, PairBatch
from needlepoint.circuits.patching.kept_run import KeptRun
from needlepoint.circuits.patching.means import Means
from needlepoint.circuits.patching.replacement import AblationKind, Replacement, replacements
from needlepoint.models.back_off import BackOff
from needlepoint.models.model import Model

RUN_TOKENS = 1024
"""Tokens that are run at once: more of them leave the processor's cache and gain nothing."""
DEVICE_TOKENS = 16384
"""The same on a device that is idle with fewer."""
LEAST_PIECE = 4


@dataclass(frozen=True, eq=False)
class Effects:
    """Change of the metric on each pair when one node is replaced, for each node."""

    values: Float[Tensor, "pair writer"]
    """Metric with the node replaced less `base`; exactly 0 where its replacement is equal to it."""
    base: Float[Tensor, " pair"]
    """The metric of the run in which nodes are replaced."""
    nodes: tuple[Node, ...]
    """The embedding, heads and MLPs that the columns are of."""
    kind: AblationKind
    metric: str
    unit: str
    position: str
    """Name of the position that nodes are replaced at; empty for all positions."""
    denoised: bool
    """Whether the run was on the corrupt prompt and the node was put back from the clean one."""

    @property
    def heads(self) -> Float[Tensor, "pair head"]:
        """The columns of heads alone, in layer-major order."""
        return self.values[:, torch.tensor([node.kind is Kind.HEAD for node in self.nodes])]

    @property
    def mean(self) -> Float[Tensor, " writer"]:
        """Mean over pairs."""
        return self.values.double().mean(0)

    def column(self, name: str) -> Float[Tensor, " pair"]:
        """The effects of one node.

        Raises:
            DataError: If none of that name was replaced.
        """
        names = [node.name for node in self.nodes]
        if name not in names:
            raise DataError(f"{name!r} is not among the {len(names)} nodes that were replaced.")
        return self.values[:, names.index(name)]


def node_effects(
    model: Model,
    pairs: PairBatch,
    *,
    kind: AblationKind = "resample",
    data: Means | None = None,
    position: str = "",
    denoise: bool = False,
    nodes: Sequence[Node] | None = None,
) -> Effects:
    """Change of the metric when one node is replaced, for every node: exact, no approximation.

    A node is a head (its z), an MLP (what its down projection writes) or the embedding. It is
    replaced at every position, or at one, and everything above is computed again by the model.
    With `resample`, replacing the embedding everywhere is running the corrupt prompt.

    A node that is needed shows when it is replaced in a run on the clean prompt; a node that is
    enough shows when it is put back in a run on the corrupt prompt (`denoise`). The two differ
    where nodes stand in for one another or act together only.

    Nothing below the node is computed again, nor any position before the first that changes; nodes
    run side by side in batches of `RUN_TOKENS`. Memory does not grow with the number of pairs.

    Args:
        model: Any model.
        pairs: Clean and corrupt prompts, and what is measured.
        kind: Where replacements come from.
        data: Means for `mean`, of `means_over`.
        position: Replace nodes at this named position of each pair alone.
        denoise: Replace in the run on the corrupt prompt, by values of the clean run.
        nodes: Nodes to replace, in this order; all nodes of the model if not given.

    Raises:
        DataError: If `mean` comes without means, the position has no such name, or `denoise` is
            asked with anything but `resample`.
        MemoryFullError: If one pair alone does not fit into memory.

    Source:
        Activation patching; the two directions are set apart in Heimersheim & Nanda, "How to Use
        and Interpret Activation Patching", 2024 (arXiv 2404.15255).
    """
    if denoise and kind != "resample":
        raise DataError(f"denoising puts clean values back: it goes with 'resample', not {kind!r}.")
    wanted = tuple(Graph.of(model.shape).writers if nodes is None else nodes)
    run_on = pairs.swapped() if denoise else pairs
    values, base = torch.zeros(len(pairs), len(wanted)), torch.empty(len(pairs))
    label = "ablating heads" if all(node.kind is Kind.HEAD for node in wanted) else "patching nodes"

    def run(some: Sequence[int]) -> None:
        index = torch.tensor(some)
        piece = run_on.rows(index.to(model.device)).trimmed()
        found = _Piece.of(model, piece, kind, data, position)
        base[index] = found.base.cpu()
        for layer, columns in _by_layer(wanted):
            chosen = [wanted[column] for column in columns]
            values[index[:, None], columns] = found.effects(layer, chosen).cpu()
            bar.advance(len(columns) * len(index))

    in_parts = BackOff("pairs")
    with Bar(label, total=len(pairs) * len(wanted)) as bar, torch.no_grad():
        for piece in _pieces(model, run_on, position, kind):
            deque(in_parts(piece.tolist(), run), maxlen=0)
    measured = pairs.answers
    return Effects(values, base, wanted, kind, measured.name, measured.unit, position, denoise)


def _by_layer(nodes: Sequence[Node]) -> Iterator[tuple[int, Int[Tensor, " writer"]]]:
    """Columns of the nodes of each layer; the embedding is a layer of its own."""
    layers = torch.tensor([node.layer for node in nodes], dtype=torch.long)
    for layer in sorted(set(layers.tolist())):
        yield layer, (layers == layer).nonzero().flatten()


def _pieces(
    model: Model, pairs: PairBatch, position: str, kind: AblationKind
) -> Iterator[Int[Tensor, " pair"]]:
    """Pairs that change from about the same position on and are about equally long, together."""
    starts = first_changes(model, pairs, kind, position)
    longest = int(pairs.clean.lengths.max()) + 1
    order = (starts * longest + pairs.clean.lengths).argsort(stable=True)
    width = float((pairs.clean.lengths - starts).float().mean())
    size = int(_tokens_at_once(model) / (width * model.shape.n_heads))
    size = min(max(size, LEAST_PIECE), CHUNK)
    yield from torch.split(order.cpu(), size)


def first_changes(
    model: Model, pairs: PairBatch, kind: AblationKind, position: str = ""
) -> Int[Tensor, " pair"]:
    """First position that replacing nodes can change, for each pair."""
    starts = torch.zeros_like(pairs.clean.lengths)
    if not model.causal:
        return starts
    if kind == "resample":
        starts = pairs.first_difference
    if position:
        starts = torch.maximum(starts, pairs.position(position).to(starts.device))
    return torch.minimum(starts, pairs.clean.last)


def _tokens_at_once(model: Model) -> int:
    return RUN_TOKENS if model.device.type == "cpu" else DEVICE_TOKENS


@dataclass(frozen=True, eq=False)
class _Piece:
    """Some pairs, the run in which nodes are replaced, and what they are replaced by."""

    model: Model
    pairs: PairBatch
    run: KeptRun
    values: Replacement
    base: Float[Tensor, " pair"]
    where: Bool[Tensor, "pair pos"]
    """Positions from the start of the run on at which nodes are replaced."""

    @classmethod
    def of(
        cls,
        model: Model,
        pairs: PairBatch,
        kind: AblationKind,
        data: Means | None,
        position: str,
    ) -> _Piece:
        start = int(first_changes(model, pairs, kind, position).min())
        run = KeptRun.of(model, pairs.clean, start)
        where = pairs.clean.mask
        if position:
            places = torch.arange(where.shape[1], device=where.device)
            where = where & (places == pairs.position(position).to(where.device)[:, None])
        values = replacements(model, pairs, kind, data)
        base = pairs.answers(run.logits)
        return cls(model, pairs, run, values, base, where[:, run.start :])

    def effects(self, layer: int, nodes: Sequence[Node]) -> Float[Tensor, "pair writer"]:
        """Effects of nodes of one layer, those of one sort side by side."""
        found = torch.zeros(len(self.pairs), len(nodes), device=self.base.device)
        for kind in {node.kind for node in nodes}:
            columns = [place for place, node in enumerate(nodes) if node.kind is kind]
            heads = torch.tensor([nodes[column].index for column in columns])
            own = self._changed(kind, layer, heads.to(self.base.device))
            found[:, columns] = own
        return found

    def _changed(
        self, kind: Kind, layer: int, heads: Int[Tensor, " writer"]
    ) -> Float[Tensor, "pair writer"]:
        old, new = self._values(kind, layer, heads)
        differs = (old != new).any(-1) & self.where[:, :, None]
        rows, columns = differs.any(1).nonzero(as_tuple=True)
        effects = torch.zeros(len(self.pairs), len(heads), device=self.base.device)
        if len(rows) == 0:
            return effects
        step = max(1, _tokens_at_once(self.model) // self.where.shape[1])
        for row, column in zip(torch.split(rows, step), torch.split(columns, step), strict=True):
            here = self.where[row][..., None]
            value = torch.where(here, new[row, :, column], old[row, :, column])
            logits = self._resumed(kind, layer, row, heads[column], value)
            metric = self.pairs.answers.rows(row)(logits)
            effects[row, column] = (metric - self.base[row]).to(effects)
        return effects

    def _values(self, kind: Kind, layer: int, heads: Tensor) -> tuple[Tensor, Tensor]:
        """What nodes of one layer and sort are, and what replaces them: `[pair pos node width]`."""
        run, start = self.run, self.run.start
        if kind is Kind.HEAD:
            new = self.values.heads(layer)[:, start:, heads]
            return run.z[layer][:, start:, heads], new
        if kind is Kind.EMBED:
            return run.stream[0][:, start:, None], self.values.embedding()[:, start:, None]
        return run.written[layer][:, start:, None], self.values.mlp(layer)[:, start:, None]

    def _resumed(
        self, kind: Kind, layer: int, rows: Tensor, heads: Tensor, value: Tensor
    ) -> Float[Tensor, "batch vocab"]:
        run = self.run
        if kind is Kind.EMBED:
            return run.resume(rows, 0, stream=value)
        if kind is Kind.MLP:
            return run.resume(rows, layer, mlp=value)
        z = run.z[layer][rows, run.start :]
        z[torch.arange(len(rows), device=z.device), :, heads] = value
        return run.resume(rows, layer, heads=z)
