"""Run a model with edges cut: each reader sees every writer as it is, or as it is replaced.

A cut edge gives its reader, instead of what the writer adds to the residual stream in this run,
what the writer adds elsewhere: in the run on the corrupt prompt for instance. All other readers of
that writer see it as it is. Everything else is computed by the model itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from needlepoint._core.progress import Bar
from needlepoint.circuits.ablation import PairBatch
from needlepoint.circuits.graph.changes import Changes
from needlepoint.circuits.graph.graph import ATTENTION_INPUTS, Graph, Kind
from needlepoint.circuits.graph.terms import graph_of, heard, term_bytes, terms
from needlepoint.models.hooks import hook
from needlepoint.models.model import Batch, Model
from needlepoint.models.reads import AttentionInput, Projection, projection, reading_norm
from needlepoint.models.sites import Part, Site

EDGE_BYTES = 256 * 2**20
"""Memory that the terms of one forward pass may take; reading them takes a few times that."""

_INPUTS: dict[Kind, AttentionInput] = {Kind.Q: "q", Kind.K: "k", Kind.V: "v"}

Replaced = Callable[[PairBatch], Float[Tensor, "pair pos writer d_model"]]
"""Gives the terms that cut edges carry, for some of the pairs."""


def run_edges(
    model: Model,
    pairs: PairBatch,
    keep: Bool[Tensor, "resample writer reader"],
    replaced: Replaced | None = None,
) -> Float[Tensor, "resample pair"]:
    """Metric of each pair under each circuit of edges, all other edges cut.

    Keeping all edges is the model on the clean prompt; keeping none is, with the default
    replacement, the model on the corrupt one, both to rounding. Memory does not grow with the
    number of pairs or circuits.

    Args:
        model: Any model whose parts add to a residual stream.
        pairs: Clean and corrupt prompts.
        keep: Which edges each circuit keeps, in the order of the model's graph.
        replaced: What cut edges carry; the writer's term on the paired corrupt prompt unless given.

    Raises:
        ModelError: If edges are not defined for the model.
    """
    replaced = replaced or (lambda piece: terms(model, piece.corrupt))
    graph = graph_of(model)
    cut = (graph.edges & ~keep.cpu()).to(model.device, model.dtype)
    out = torch.empty(len(keep), len(pairs))
    size, copies = _sizes(model, pairs, len(keep))
    total = len(keep) * len(pairs)
    with Bar("running circuits of edges", total=total) as bar, torch.no_grad():
        for index, piece in pairs.parts(size):
            instead = replaced(piece)
            for start in range(0, len(keep), copies):
                some = slice(start, start + copies)
                out[some, index] = run_cut(model, piece, cut[some], instead).cpu()
                bar.advance(len(cut[some]) * len(piece))
    return out


def run_cut(
    model: Model,
    piece: PairBatch,
    cut: Float[Tensor, "resample writer reader"],
    replaced: Float[Tensor, "pair pos writer d_model"],
) -> Float[Tensor, "resample pair"]:
    """The metric under some cuts in one forward pass, differentiable in `cut`.

    A cut between 0 and 1 mixes the writer's own term with its replacement.
    """
    n = len(cut)
    batch = Batch(piece.clean.ids.repeat(n, 1), piece.clean.lengths.repeat(n))
    with edges_cut(model, cut, replaced):
        logits = model.last_logits(batch)
    return piece.answers.repeat(n)(logits).reshape(n, len(piece))


@contextmanager
def edges_cut(
    model: Model,
    cut: Float[Tensor, "resample writer reader"],
    replaced: Float[Tensor, "pair pos writer d_model"],
    *,
    below: Float[Tensor, "unit pair pos d_model"] | None = None,
    below_sum: Float[Tensor, "pair pos d_model"] | None = None,
) -> Iterator[None]:
    """Cut edges in the forward passes inside the block.

    Run the model on the pairs repeated once for each circuit, the circuits one after another. Edges
    that do not exist must not be cut.

    Args:
        model: The model that is run inside the block.
        cut: How far each edge is cut, from 0 to 1.
        replaced: What each writer is replaced by.
        below: Replacement less term of the first writers, where the run resumes above them.
        below_sum: Their sum, where it is known.
    """
    reader = _Reader(model, cut, Changes(replaced, len(cut), below, below_sum))
    with ExitStack() as stack:
        stack.enter_context(
            heard(
                model,
                embedding=reader.written,
                heads=reader.written,
                mlp=reader.written,
                attention=reader.attended,
            )
        )
        streams = [
            (Site.of(layer, Part.RESID_IN), lambda x: reader.arrived(x))
            for layer in range(model.shape.n_layers)
        ]
        stack.enter_context(hook(model, streams))
        for layer in range(model.shape.n_layers):
            _attach(stack, model, layer, reader)
        if reader.any_cut(reader.graph.inputs(0, Kind.LOGITS)):
            last = Site.of(model.shape.n_layers - 1, Part.RESID)
            stack.enter_context(hook(model, [(last, reader.logits)]))
        stack.callback(reader.finish)
        yield


class _Reader:
    """Keeps the residual stream and the changes written so far, and makes what each reader sees."""

    def __init__(self, model: Model, cut: Tensor, changes: Changes) -> None:
        self.graph: Graph = graph_of(model)
        self.cut, self._changes = cut, changes
        self._cut_somewhere = (cut.detach() != 0).any(0).any(0).tolist()
        self._stream: Tensor | None = None
        self._middle: Tensor | None = None
        self._seen: tuple[int, dict[Kind, Tensor]] | None = None

    def finish(self) -> None:
        """Let go of what only this forward pass needs."""
        self._stream = self._middle = self._seen = None
        self._changes.finish()

    def any_cut(self, readers: slice) -> bool:
        return any(self._cut_somewhere[readers])

    def written(self, layer: int, term: Tensor) -> None:
        """Note by how much the replacement of some writers differs from what they wrote."""
        if layer < 0:
            self._changes.start()
            if self._changes.resumes:
                return
        self._changes.add(term)

    def arrived(self, stream: Tensor) -> None:
        self._stream = self._middle = stream
        self._seen = None

    def attended(self, _: int, out: Tensor) -> None:
        if not self.graph.parallel:
            assert self._stream is not None
            self._middle = self._stream + out

    def by_attention(self, layer: int, kind: Kind) -> Float[Tensor, "reader example pos d_model"]:
        """What the inputs of one kind of a layer's attention see; made once for all three."""
        if self._seen is None or self._seen[0] != layer:
            assert self._stream is not None
            inputs = [self.graph.inputs(layer, each) for each in ATTENTION_INPUTS]
            seen = self._stream + self._changed(slice(inputs[0].start, inputs[-1].stop))
            parts = seen.split_with_sizes([each.stop - each.start for each in inputs])
            self._seen = layer, dict(zip(ATTENTION_INPUTS, parts, strict=True))
        return self._seen[1][kind]

    def by_mlp(self, layer: int) -> Tensor:
        """What the MLP of a layer sees, `[copy x pair, pos, d_model]`."""
        assert self._middle is not None
        return self._middle + self._changed(self.graph.inputs(layer, Kind.MLP))[0]

    def logits(self, stream: Tensor) -> Tensor:
        return stream + self._changed(self.graph.inputs(0, Kind.LOGITS))[0]

    def _changed(self, readers: slice) -> Float[Tensor, "reader example pos d_model"]:
        n = self.graph.n_before(self.graph.readers[readers.start])
        mixed = self._changes.mixed(self.cut[:, :n, readers])
        return mixed.movedim(1, 0).flatten(1, 2)


def _attach(stack: ExitStack, model: Model, layer: int, reader: _Reader) -> None:
    """Give the readers of one layer what they are to see, where an edge to them is cut."""
    norm = reading_norm(model, layer, "attention")
    for kind in ATTENTION_INPUTS:
        readers = reader.graph.inputs(layer, kind)
        if reader.any_cut(readers):
            made = projection(model, layer, _INPUTS[kind])
            own = _own_inputs(made, norm, partial(reader.by_attention, layer, kind))
            stack.callback(made.module.register_forward_hook(own).remove)
    readers = reader.graph.inputs(layer, Kind.MLP)
    if reader.any_cut(readers):
        norm = reading_norm(model, layer, "mlp")
        whole = _whole_input(norm, partial(reader.by_mlp, layer))
        for path in model.family.mlp_reads:
            module: nn.Module = model.blocks[layer].get_submodule(path)
            stack.callback(module.register_forward_pre_hook(whole).remove)


def _own_inputs(
    made: Projection, norm: nn.Module, seen: Callable[[], Tensor]
) -> Callable[..., Tensor]:
    """Make each reader's queries, keys or values of what that reader sees."""

    def forward_hook(_: nn.Module, __: tuple[Any, ...], output: Tensor) -> Tensor:
        changed = output.clone()
        changed[..., made.columns] = made(norm(seen())).to(output)
        return changed

    return forward_hook


def _whole_input(norm: nn.Module, seen: Callable[[], Tensor]) -> Callable[..., tuple[Tensor]]:
    """Give the maps of an MLP what it sees, worked out once for all of them."""
    kept: list[tuple[Tensor, Tensor]] = []

    def pre_hook(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor]:
        given = args[0]
        if not kept or kept[0][0] is not given:
            kept[:] = [(given, norm(seen()).to(given).reshape(given.shape))]
        return (kept[0][1],)

    return pre_hook


def _sizes(model: Model, pairs: PairBatch, n: int) -> tuple[int, int]:
    """Pairs and circuits that go through the model at a time."""
    width = pairs.clean.ids.shape[1]
    fit = max(1, EDGE_BYTES // max(1, term_bytes(model, width)))
    size = min(len(pairs), fit, 16)
    return size, max(1, min(n, fit // size))
