"""Head outputs as the source code of the discrete autoencoder reads them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from needlepoint.models.families import find
from needlepoint.models.model import Model


def centred_head_weights(model: Model) -> Float[Tensor, "head d_head d_model"]:
    """`W_O` of every head of the model, centred over the residual stream under LayerNorm.

    A model with LayerNorm ignores the mean of what is written to its residual stream, and the
    source centres the weights that write there. Under RMSNorm the mean counts, and nothing is
    changed.

    Source:
        O'Neill & Bui 2024 (arXiv 2405.12522), whose code reads heads through TransformerLens.
    """
    weights = torch.cat([model.head_weights(layer) for layer in range(model.shape.n_layers)])
    if _layer_norm(model, 0) is None:
        return weights
    return weights - weights.mean(-1, keepdim=True)


def value_offsets(model: Model) -> Float[Tensor, "layer head d_head"]:
    """The part of each head's z that does not depend on the text: the value bias, norm included.

    Attention weights sum to one, so a bias of the values passes through unchanged. The source
    folds it away; subtract it from z to read what the source reads. Zero where there is no bias.
    """
    shape = model.shape
    offsets = torch.zeros(shape.n_layers, shape.n_heads, shape.d_head)
    with torch.no_grad():
        for layer in range(shape.n_layers):
            offsets[layer] = _offset(model, layer)
    return offsets


def _offset(model: Model, layer: int) -> Tensor:
    shape = model.shape
    project = find(model.blocks[layer], model.family.values)
    before = getattr(model.module.config, "do_layer_norm_before", True)  # OPT 350m: after it
    norm = _layer_norm(model, layer) if before else None
    shift: Tensor | None = None if norm is None else norm.bias
    if shift is None and getattr(project, "bias", None) is None:
        return torch.zeros(shape.n_heads, shape.d_head)
    if shift is None:
        shift = torch.zeros(model.shape.d_model, device=model.device, dtype=model.dtype)
    values = split_values(model, project(shift))
    return values.repeat_interleave(shape.n_heads // shape.n_kv_heads, 0).float().cpu()


def split_values(model: Model, projected: Float[Tensor, "... width"]) -> Tensor:
    """The values, `[... kv_head d_head]`, out of what the projection that makes them returns."""
    shape = model.shape
    size = shape.n_kv_heads * shape.d_head
    if model.family.interleaved:
        per_head = projected.reshape(*projected.shape[:-1], shape.n_heads, 3 * shape.d_head)
        return per_head[..., 2 * shape.d_head :]
    return projected[..., -size:].reshape(*projected.shape[:-1], shape.n_kv_heads, shape.d_head)


def _layer_norm(model: Model, layer: int) -> nn.LayerNorm | None:
    path = model.family.attention_norm
    norm = find(model.blocks[layer], path) if path else None
    return norm if isinstance(norm, nn.LayerNorm) else None
