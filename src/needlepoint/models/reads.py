"""How the parts of a block read the residual stream: norms, projections, and whose columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from needlepoint._core.errors import ModelError
from needlepoint.models.families import find, input_major_weight
from needlepoint.models.folded import norm_of
from needlepoint.models.model import Model

AttentionInput = Literal["q", "k", "v"]


@dataclass(frozen=True)
class Projection:
    """The map by which the queries, keys or values of a layer are made of the normed stream."""

    module: nn.Module
    """May make others too, where a family fuses them."""
    columns: Int[Tensor, "reader d_head"]
    """Its outputs that belong to each reader: query heads, or key/value heads."""

    @cached_property
    def weight(self) -> Float[Tensor, "reader d_model d_head"]:
        """The map of each reader."""
        weight = input_major_weight(self.module).detach()
        return weight[:, self.columns].movedim(1, 0)

    @cached_property
    def bias(self) -> Float[Tensor, "reader d_head"] | None:
        """What is added for each reader, if anything."""
        bias = self.module.bias
        return bias.detach()[self.columns] if isinstance(bias, Tensor) else None

    def __call__(
        self, normed: Float[Tensor, "reader example pos d_model"]
    ) -> Float[Tensor, "example pos reader d_head"]:
        """What each reader makes of an input of its own."""
        made = torch.einsum("rbpm,rmh->bprh", normed, self.weight)
        return made if self.bias is None else made + self.bias


def projection(model: Model, layer: int, kind: AttentionInput) -> Projection:
    """Where the queries (`q`), keys (`k`) or values (`v`) of a layer are made."""
    family, shape = model.family, model.shape
    own = {"q": family.queries, "k": family.keys, "v": family.values}[kind]
    module: nn.Module = find(model.blocks[layer], own or family.values)
    heads = shape.n_heads if kind == "q" else shape.n_kv_heads
    each = torch.arange(shape.d_head, device=model.device)
    first = torch.arange(heads, device=model.device)[:, None] * shape.d_head
    if (own and own != family.values) or (kind == "v" and family.queries):
        return Projection(module, first + each)
    if family.interleaved:
        return Projection(module, 3 * first + each + "qkv".index(kind) * shape.d_head)
    before = {"q": 0, "k": shape.n_heads, "v": shape.n_heads + shape.n_kv_heads}[kind]
    return Projection(module, first + each + before * shape.d_head)


def reading_norm(model: Model, layer: int, part: Literal["attention", "mlp"]) -> nn.Module:
    """The norm through which a layer's attention or MLP reads; the identity where there is none.

    Raises:
        ModelError: If the model has its norms after what they would come before.
    """
    if getattr(model.module.config, "do_layer_norm_before", True) is False:
        raise ModelError(
            f"{model.name} puts its norms after attention and MLP, so that what they write does "
            "not add up in the residual stream: edges are not defined for it."
        )
    family = model.family
    paths = (family.attention_norm,) if part == "attention" else family.mlp_norm
    found = (_found(model.blocks[layer], path) for path in paths)
    return next((norm for norm in found if norm is not None), None) or nn.Identity()


def writing_norm(model: Model, layer: int, part: Literal["attention", "mlp"]) -> nn.Module | None:
    """The norm between a layer's attention or MLP and the residual stream, or None."""
    family, block = model.family, model.blocks[layer]
    if part == "mlp":
        return _found(block, family.mlp_norm_after)
    norm = _found(block, family.attention_norm_after)
    return None if norm is reading_norm(model, layer, "mlp") else norm


def is_parallel(model: Model) -> bool:
    """Whether the MLP of a layer reads the same residual stream as its attention."""
    rule = model.family.parallel
    return bool(getattr(model.module.config, rule)) if isinstance(rule, str) else rule


def division(
    norm: nn.Module, written: Float[Tensor, "example pos d_model"]
) -> Callable[[Tensor], Tensor]:
    """What a norm does to one part of what it reads, if its division is as for the whole.

    An RMSNorm is linear once the number that it divides by is held at what it is for the whole
    input: the parts of the input then add up to its output.

    Args:
        norm: The norm.
        written: Its whole input, which sets the division.

    Raises:
        ModelError: If the norm takes off a mean or adds a shift: those have no share in the parts.
    """
    found = norm_of(norm, written.shape[-1])
    if found.centres or bool(found.shift.abs().max() > 0):
        raise ModelError("a norm that centres or shifts cannot be shared out among what it reads.")
    gain = found.gain.to(written)
    scaled, whole = gain * written, norm(written)
    size = torch.linalg.vector_norm(scaled, dim=-1, keepdim=True)
    kept = torch.linalg.vector_norm(whole, dim=-1, keepdim=True)
    factor = torch.where(size > 0, kept / size.clamp(min=torch.finfo(size.dtype).tiny), 0.0)

    def share(part: Tensor) -> Tensor:
        extra = part.ndim - written.ndim
        around = factor.reshape(*factor.shape[:2], *[1] * extra, 1)
        shared: Tensor = part * gain * around
        return shared

    return share


def _found(root: nn.Module, path: str) -> nn.Module | None:
    module: Any = root
    for name in path.split(".") if path else []:
        module = getattr(module, name, None)
    return module if path else None
