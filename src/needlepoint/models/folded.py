"""Weights around the neurons with the norm beside them folded in: what each reads and writes.

A norm divides by a number of its own at each position, then scales each coordinate by a gain and
may add a shift. Gain and shift are constants and can be moved into the map that follows:
`W' = diag(gain) W`, `b' = b + shift @ W`; what remains is the division (and, for LayerNorm, taking
off the mean). Gains are measured by running the norm, so that a family which keeps `gain - 1` in
its weights needs no rule of its own.

References:
    Gurnee et al. 2023 (arXiv 2305.01610), section on weights; Elhage et al., "A Mathematical
    Framework for Transformer Circuits", 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from needlepoint._core.errors import ModelError
from needlepoint.models.families import find, input_major_weight
from needlepoint.models.model import Model
from needlepoint.models.sites import Part, Site

Fold = Literal["folded", "centred", "raw"]
_LARGE = 2.0**12
"""Size of the vectors a norm is tried on: beside it the epsilon under its root is nothing."""


@dataclass(frozen=True)
class Norm:
    """What a norm does after its division: `gain * x + shift`."""

    gain: Float[Tensor, " d_model"]
    shift: Float[Tensor, " d_model"]
    centres: bool
    """Whether it takes the mean over coordinates off first: LayerNorm does, RMSNorm does not."""


@dataclass(frozen=True)
class MLPReads:
    """The maps that the neurons of one layer read through."""

    weights: tuple[Float[Tensor, "d_model neuron"], ...]
    """One map; or gate and up of a gated MLP, whose neurons are their product."""
    bias: Float[Tensor, " neuron"] | None
    """Bias of the first map, folded; None where neither it nor the norm has one."""
    centres: bool
    """Whether what is read has mean 0 over its coordinates."""

    @property
    def gated(self) -> bool:
        """Whether a neuron is the product of two maps."""
        return len(self.weights) == 2


def norm_of(module: nn.Module, width: int) -> Norm:
    """Gain and shift of a LayerNorm or RMSNorm, measured in float32 on vectors of known size.

    Example:
        >>> norm = norm_of(nn.LayerNorm(4), 4)
        >>> norm.gain.tolist(), norm.shift.tolist(), norm.centres
        ([1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0], True)
    """
    weight = next(module.parameters())
    signs = torch.ones(width, dtype=weight.dtype, device=weight.device)
    signs[1::2] = -1
    signs = signs - signs.mean()
    signs = signs / signs.square().mean().sqrt()
    flat = torch.full_like(signs, _LARGE)
    with torch.no_grad():
        up, down, same = (
            module(x[None])[0].float() for x in (_LARGE * signs, -_LARGE * signs, flat)
        )
    shift = (up + down) / 2
    gain = (up - down) / (2 * signs.float())
    return Norm(gain, shift, bool((same - shift).abs().max() < 1e-3 * gain.abs().max()))


def mlp_reads(model: Model, layer: int, fold: Fold = "folded") -> MLPReads:
    """What the neurons of a layer read, in float32.

    Args:
        model: Any model whose family says where these maps are.
        layer: The layer.
        fold: `folded` moves gain and shift of the norm before the MLP into the map; `centred`
            also takes each column's mean off, as TransformerLens does, which changes nothing that
            a LayerNorm lets through; `raw` leaves the weights as they are.

    Raises:
        ModelError: If the family's rule does not say, or cannot say for this configuration.
        UnknownSiteError: If the model has no MLPs.
    """
    block = model.blocks[layer]
    maps = [find(block, path) for path in _rule(model).mlp_reads]
    weights = [input_major_weight(one).detach().float() for one in maps]
    bias = None if maps[0].bias is None else maps[0].bias.detach().float()
    if len(weights) == 1 and weights[0].shape[1] == 2 * model.shape.d_mlp:
        weights = list(weights[0].chunk(2, dim=1))
        bias = None if bias is None else bias.chunk(2)[0]
    norm = None if fold == "raw" else _norm_before(model, block)
    if norm is None:
        return MLPReads(tuple(weights), bias, centres=False)
    if bool(norm.shift.abs().max() > 0):
        moved = norm.shift @ weights[0]
        bias = moved if bias is None else bias + moved
    weights = [norm.gain[:, None] * one for one in weights]
    if fold == "centred" and norm.centres:
        weights = [one - one.mean(0) for one in weights]
    return MLPReads(tuple(weights), bias, norm.centres)


def mlp_writes(model: Model, layer: int) -> Float[Tensor, "neuron d_model"]:
    """What each neuron of a layer adds to the residual stream when it is 1, in float32.

    The gain of a norm between MLP and stream (Gemma 2 and 3) is folded in, its division is not.
    """
    found = input_major_weight(model.mlp_output(layer)).detach().float()
    after = _found(model.blocks[layer], model.family.mlp_norm_after)
    return found if after is None else found * norm_of(after, found.shape[1]).gain


def unembedding(model: Model) -> Float[Tensor, "d_model vocab"]:
    """What each token's logit reads from the last residual stream, in float32.

    The final norm's gain is folded in, and the mean over coordinates that a LayerNorm takes off;
    its division by a number of each position, its shift and any cap on logits are left out. The
    mean over the vocabulary is taken off, since adding one number to all logits changes nothing.

    Raises:
        ModelError: If the family's rule does not say where the map is, or the stream is projected
            to another width before it.
    """
    rule = model.family
    module = (
        find(model.module, rule.unembed) if rule.unembed else model.module.get_output_embeddings()
    )
    weight = input_major_weight(module).detach().float()
    if weight.shape[0] != model.shape.d_model:
        raise ModelError(
            f"{model.name} maps its residual stream of {model.shape.d_model} numbers to "
            f"{weight.shape[0]} before the logits, which is not covered: direct effects on logits "
            "cannot be read off its weights."
        )
    norm = _found(model.module, rule.final_norm)
    if norm is not None:
        folded = norm_of(norm, weight.shape[0])
        weight = folded.gain[:, None] * weight
        weight = weight - weight.mean(0) if folded.centres else weight
    return weight - weight.mean(1, keepdim=True)


def _rule(model: Model) -> Any:
    rule = model.family
    model.site(Site.of(0, Part.NEURONS))
    if not rule.mlp_reads:
        raise ModelError(
            f"the rule of family {rule.name!r} does not say where its neurons read; give it "
            "mlp_reads and mlp_norm in needlepoint/models/families.py."
        )
    return rule


def _norm_before(model: Model, block: nn.Module) -> Norm | None:
    if getattr(model.module.config, "do_layer_norm_before", True) is False:
        raise ModelError(
            f"{model.name} has its norms after the MLP, where they cannot be folded into what "
            "neurons read; ask for raw weights."
        )
    there = (_found(block, path) for path in model.family.mlp_norm)
    norm = next((one for one in there if one is not None), None)
    return None if norm is None else norm_of(norm, model.shape.d_model)


def _found(root: nn.Module, path: str) -> nn.Module | None:
    """The module at a path, or None if there is none, as some configurations leave it out."""
    module: Any = root
    for name in path.split(".") if path else []:
        module = getattr(module, name, None)
    return module if path else None
