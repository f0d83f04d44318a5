"""What each part of a plain transformer can write, whatever its input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.errors import ModelError
from needlepoint.circuits.known.spaces import Written, joined, reads, rows_reading, span
from needlepoint.models.model import Model
from needlepoint.models.plain import PlainBlock, PlainTransformer


@dataclass(frozen=True)
class HeadWeights:
    """One head of a plain transformer in float64, with what reaches it."""

    q: Float[Tensor, "d_head d_model"]
    k: Float[Tensor, "d_head d_model"]
    v: Float[Tensor, "d_head d_model"]
    o: Float[Tensor, "d_model d_head"]
    inputs: Written
    """Sum over all writers before it."""
    causal: bool

    @cached_property
    def copies(self) -> Float[Tensor, "d_model d_model"]:
        """What it writes of what it reads where it attends."""
        return self.o @ self.v

    @cached_property
    def query_map(self) -> Float[Tensor, "row d_model"]:
        """What of the stream its queries hear, as far as keys differ between positions."""
        return span(self.k @ self.inputs.moves).T @ self.q

    def key_map(self, asking: Sequence[Tensor]) -> Float[Tensor, "row d_model"]:
        """What of the stream its keys hear, as far as queries made of some spaces ask for it."""
        return span(self.q @ joined([self.o[:, :0], *asking])).T @ self.k

    @property
    def written(self) -> Written:
        """Averages of copies over positions; alike at all if it attends from all alike."""
        first, later, moves = self.inputs.first, self.inputs.later, self.inputs.moves
        seen = first if self.causal else joined([first, later])
        moving = self.causal or reads(self.query_map, moves)
        return Written(
            first=span(self.copies @ (seen if first.shape[1] else first)),
            later=span(self.copies @ joined([first, later])),
            moves=span(self.copies @ moves if moving else self.o[:, :0]),
        )


@dataclass(frozen=True)
class MLPWeights:
    """The MLP of one layer in float64, with what reaches it."""

    up: Float[Tensor, "neuron d_model"]
    up_bias: Float[Tensor, " neuron"]
    down: Float[Tensor, "d_model neuron"]
    down_bias: Float[Tensor, " d_model"]
    inputs: Written

    def alive(self, values: Float[Tensor, "d_model value"]) -> Bool[Tensor, " neuron"]:
        """Neurons that can be above 0 where the stream lies in a space."""
        return rows_reading(self.up, values) | (self.up_bias > 0)

    @property
    def written(self) -> Written:
        """Multiples of what the neurons write, and the bias."""
        first, later = self.alive(self.inputs.first), self.alive(self.inputs.later)
        bias = self.down_bias[:, None]
        there = self.inputs.first.shape[1] > 0
        moving = (first | later) & rows_reading(self.up, self.inputs.moves)
        return Written(
            first=span(joined([self.down[:, first], bias])) if there else self.inputs.first,
            later=span(joined([self.down[:, later], bias])),
            moves=span(self.down[:, moving]),
        )


@dataclass(frozen=True)
class LayerWeights:
    """The parts of one layer."""

    heads: tuple[HeadWeights, ...]
    mlp: MLPWeights


@dataclass(frozen=True)
class Unfolded:
    """A plain transformer with what each of its writers can write, in the order of the graph."""

    layers: tuple[LayerWeights, ...]
    writers: tuple[Written, ...]
    unembed: Float[Tensor, "vocab d_model"]


def unfold(model: Model, tokens: Sequence[int] | None = None) -> Unfolded:
    """What each writer of a plain transformer can write, from the first to the last.

    Spaces are linear and take the parts to be independent, so they may be larger than what
    really occurs, never smaller.

    Args:
        model: A plain transformer: without norms, every part is linear but for softmax and ReLU.
        tokens: Tokens that may occur in a prompt, without the first one; all others unless given.

    Raises:
        ModelError: If the model is of another kind.
    """
    module = model.module
    if not isinstance(module, PlainTransformer):
        raise ModelError(
            f"{model.name} is no PlainTransformer: which edges its weights have room for can only "
            "be told of models without norms."
        )
    writers = [_embedding(model, module, tokens)]
    constants: list[Tensor] = []
    layers = []
    for block in module.decoder.blocks:
        assert isinstance(block, PlainBlock)
        heads = _heads(block, _sum(writers, constants), model)
        writers += [head.written for head in heads]
        constants.append(_double(block.attention.o.bias)[:, None])
        mlp = MLPWeights(
            up=_double(block.mlp.up.weight),
            up_bias=_double(block.mlp.up.bias),
            down=_double(block.mlp.down.weight),
            down_bias=_double(block.mlp.down.bias),
            inputs=_sum(writers, constants),
        )
        writers.append(mlp.written)
        layers.append(LayerWeights(heads, mlp))
    return Unfolded(tuple(layers), tuple(writers), _double(module.unembed.weight))


def _embedding(model: Model, module: PlainTransformer, tokens: Sequence[int] | None) -> Written:
    words = _double(module.decoder.tokens.weight)
    places = _double(module.decoder.positions.weight)
    n_first = len(model.prefix)
    chosen = range(len(words)) if tokens is None else tokens
    others = words[[token for token in chosen if token not in model.prefix]]
    later = places[n_first:]
    anchor = (others[0] + later[0])[:, None]
    varied = joined([(others - others[0]).T, (later - later[0]).T])
    if model.first_token is None:
        return Written(varied[:, :0], span(joined([anchor, varied])), span(varied))
    first = (words[model.first_token] + places[0])[:, None]
    moves = joined([varied, first - anchor])
    return Written(span(first), span(joined([anchor, varied])), span(moves))


def _heads(block: PlainBlock, inputs: Written, model: Model) -> tuple[HeadWeights, ...]:
    shape, attention = model.shape, block.attention
    q, k, v = (
        _double(part.weight).reshape(-1, shape.d_head, shape.d_model)
        for part in (attention.q, attention.k, attention.v)
    )
    o = _double(attention.o.weight).reshape(shape.d_model, -1, shape.d_head)
    group = shape.n_heads // shape.n_kv_heads
    return tuple(
        HeadWeights(q[i], k[i // group], v[i // group], o[:, i], inputs, model.causal)
        for i in range(shape.n_heads)
    )


def _sum(writers: Sequence[Written], constants: Sequence[Tensor]) -> Written:
    first = joined([writer.first for writer in writers])
    return Written(
        first=span(joined([first, *constants])) if first.shape[1] else first,
        later=span(joined([*(writer.later for writer in writers), *constants])),
        moves=span(joined([writer.moves for writer in writers])),
    )


def _double(weight: Tensor) -> Tensor:
    return weight.detach().cpu().double()
