"""Gradients of the metric at every reader's own input, handed on layer by layer and dropped.

A reader of a layer reads the residual stream through a norm and, if it is of the attention, a
projection. The gradient at the projection's output, cut into readers, is taken back through both
by hand: the gradient of the whole stream would have those of all readers summed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from needlepoint.circuits.attribution.backward import on_gradient
from needlepoint.circuits.attribution.linear_norm import (
    LinearNorm,
    identity,
    linear_norm,
    norms_of,
)
from needlepoint.circuits.graph.graph import Graph, Kind
from needlepoint.circuits.graph.terms import graph_of
from needlepoint.models.folded import Norm
from needlepoint.models.hooks import hook
from needlepoint.models.model import Model
from needlepoint.models.reads import AttentionInput, Projection, projection, reading_norm
from needlepoint.models.sites import Part, Site

Sink = Callable[[slice, Float[Tensor, "reader row d_model"]], None]
"""Is told the gradients of some readers, that stand side by side in the graph."""


class ReaderGradients:
    """Listens to gradients at the readers of a model, from some layer up.

    Args:
        model: Any model whose parts add to a residual stream.
        frozen: Hold the divisions of the norms through which readers read.

    Raises:
        ModelError: If the model has its norms after what they would come before.
    """

    def __init__(self, model: Model, *, frozen: bool = False) -> None:
        self.model = model
        self.graph: Graph = graph_of(model)
        self.frozen = frozen
        found = [
            reading_norm(model, layer, part)
            for layer in range(model.shape.n_layers)
            for part in _PARTS
        ]
        self.norms: dict[nn.Module, Norm] = norms_of(
            [norm for norm in dict.fromkeys(found) if not isinstance(norm, nn.Identity)]
        )

    @contextmanager
    def heard(
        self,
        sink: Sink,
        rows: Int[Tensor, " row"],
        *,
        copies: int = 1,
        attention_from: int = 0,
        mlp_from: int = 0,
    ) -> Iterator[None]:
        """Call a function with the gradients of each layer's readers in the backward passes inside.

        Args:
            sink: Called with the readers of a layer, and their gradients summed over copies.
            rows: Positions that count, among all positions of all pairs.
            copies: How often the pairs are run at once, all of the first copy first.
            attention_from: First layer whose attention is listened to.
            mlp_from: First layer whose MLP is listened to.
        """
        with ExitStack() as stack:
            for layer in range(min(attention_from, mlp_from), self.model.shape.n_layers):
                heard = _Layer(self, layer, sink, rows, copies, attends=layer >= attention_from)
                stack.enter_context(heard.listening(reads=layer >= mlp_from))
            last = Site.of(self.model.shape.n_layers - 1, Part.RESID)
            where = self.graph.inputs(0, Kind.LOGITS)

            def logits(stream: Tensor) -> None:
                on_gradient(stream, lambda g: sink(where, _taken(g, rows, copies).sum(0)[None]))

            stack.enter_context(hook(self.model, [(last, logits)]))
            yield


_Reading = Literal["attention", "mlp"]
_INPUTS: tuple[AttentionInput, ...] = ("q", "k", "v")
_PARTS: tuple[_Reading, ...] = ("attention", "mlp")


@dataclass
class _Through:
    """The norm that a part of a layer reads through, and what it was given and made."""

    norm: nn.Module
    given: Tensor | None = None
    made: Tensor | None = None

    def note(self, _: nn.Module, args: tuple[Tensor, ...], made: Tensor) -> None:
        self.given, self.made = args[0].detach(), made.detach()


class _Layer:
    """Gathers the gradients of the readers of one layer; once all are there they are handed on."""

    def __init__(
        self,
        owner: ReaderGradients,
        layer: int,
        sink: Sink,
        rows: Tensor,
        copies: int,
        *,
        attends: bool,
    ) -> None:
        self.owner, self.layer, self.sink = owner, layer, sink
        self.rows, self.copies, self.attends = rows, copies, attends
        model, graph = owner.model, owner.graph
        self.through = {part: _Through(reading_norm(model, layer, part)) for part in _PARTS}
        first = Kind.Q if attends else Kind.MLP
        self.readers = slice(graph.inputs(layer, first).start, graph.inputs(layer, Kind.MLP).stop)
        self.gradients: Tensor | None = None
        self.missing = 0

    @contextmanager
    def listening(self, *, reads: bool) -> Iterator[None]:
        """Set the hooks of this layer."""
        with ExitStack() as stack:
            for through in self.through.values():
                if through.norm in self.owner.norms:
                    stack.callback(through.norm.register_forward_hook(through.note).remove)
            if self.attends:
                for module, kinds in self._projections().items():
                    handle = module.register_forward_hook(partial(self._project, kinds))
                    stack.callback(handle.remove)
            if reads:
                alias = self._alias()
                for path in self.owner.model.family.mlp_reads:
                    target = self.owner.model.blocks[self.layer].get_submodule(path)
                    stack.callback(target.register_forward_pre_hook(alias).remove)
            yield

    def _projections(self) -> dict[nn.Module, dict[Kind, Projection]]:
        found: dict[nn.Module, dict[Kind, Projection]] = {}
        for kind in _INPUTS:
            made = projection(self.owner.model, self.layer, kind)
            found.setdefault(made.module, {})[Kind(kind)] = made
        return found

    def _project(
        self, kinds: dict[Kind, Projection], _: nn.Module, __: tuple[Tensor, ...], made: Tensor
    ) -> None:
        on_gradient(made, lambda gradient: self._attention(kinds, gradient))

    def _alias(self) -> Callable[..., tuple[Tensor]]:
        """Give all maps of the MLP one tensor of their own, as others may read the norm's too."""
        kept: list[tuple[Tensor, Tensor]] = []

        def pre_hook(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor]:
            given = args[0]
            if not kept or kept[0][0] is not given:
                own = given.view_as(given)
                on_gradient(own, self._mlp)
                kept[:] = [(given, own)]
            return (kept[0][1],)

        return pre_hook

    def _attention(self, kinds: dict[Kind, Projection], gradient: Tensor) -> None:
        taken = _taken(gradient, self.rows, self.copies).flatten(0, 1)
        at = self._linear("attention", taken)
        for kind, made in kinds.items():
            each = taken[:, made.columns].movedim(1, 0) * at.inverse[:, None]
            pulled = torch.bmm(each, at.folded(made.weight).mT)
            self._gather(kind, at.blind_(pulled))

    def _mlp(self, gradient: Tensor) -> None:
        taken = _taken(gradient, self.rows, self.copies).flatten(0, 1)
        self._gather(Kind.MLP, self._linear("mlp", taken).pulled(taken[None]))

    def _linear(self, part: _Reading, like: Float[Tensor, "row width"]) -> LinearNorm:
        through = self.through[part]
        if through.given is None or through.made is None:
            return identity(like)
        given, made = (
            _taken(x, self.rows, self.copies).flatten(0, 1) for x in (through.given, through.made)
        )
        return linear_norm(self.owner.norms[through.norm], given, made, frozen=self.owner.frozen)

    def _gather(self, kind: Kind, pulled: Float[Tensor, "reader row d_model"]) -> None:
        """Add up the copies, and hand the layer on when its last gradients have come."""
        place = self.owner.graph.inputs(self.layer, kind)
        some = slice(place.start - self.readers.start, place.stop - self.readers.start)
        if self.gradients is None:
            self.missing = self.readers.stop - self.readers.start
            self.gradients = pulled.new_empty(self.missing, len(self.rows), pulled.shape[-1])
        summed = pulled.reshape(len(pulled), self.copies, len(self.rows), -1)
        torch.sum(summed, 1, out=self.gradients[some])
        self.missing -= some.stop - some.start
        if self.missing == 0:
            whole, self.gradients = self.gradients, None
            self.sink(self.readers, whole)


def _taken(x: Tensor, rows: Tensor, copies: int) -> Float[Tensor, "resample row width"]:
    """Rows that count of `[copy x pair, pos, width]`, however the first axes are merged."""
    merged: Any = x.reshape(copies, -1, x.shape[-1])
    taken: Tensor = merged[:, rows]
    return taken
