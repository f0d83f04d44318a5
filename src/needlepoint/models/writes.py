"""What heads add to the residual stream, and how large it is to what reads the stream next.

In Gemma 2 and 3 a norm stands between attention and stream. With its division held at what it is
for the layer, what a head adds is `z @ (gain * W_O[head])`, divided as the layer is divided. What
comes next reads the stream through a norm with gains of its own, which may make little of
coordinates that are large.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from needlepoint._core.errors import ModelError
from needlepoint.models.families import find
from needlepoint.models.folded import Norm, norm_of
from needlepoint.models.model import Model
from needlepoint.models.published import centred_head_weights
from needlepoint.models.reads import reading_norm, writing_norm


def writing_weights(model: Model) -> Float[Tensor, "head d_head d_model"]:
    """`W_O` of every head with the gain of a norm after attention folded in, in float32.

    As `centred_head_weights` where there is no such norm. The norm's division is left out.
    """
    weights = centred_head_weights(model).float()
    layers = weights.reshape(model.shape.n_layers, model.shape.n_heads, *weights.shape[1:])
    gains = [_gain(writing_norm(model, at, "attention"), model) for at in range(len(layers))]
    return (layers * torch.stack(gains).to(weights.device)[:, None, None]).flatten(0, 1)


def writing_division(
    norm: nn.Module, written: Float[Tensor, "example pos d_model"]
) -> Float[Tensor, "example pos"]:
    """By what a norm multiplies at each position before its gain: 1 over the size it divides by.

    Example:
        >>> norm = nn.RMSNorm(2, eps=0.0)
        >>> writing_division(norm, torch.tensor([[[3.0, 3.0]]]))
        tensor([[0.3333]])
    """
    with torch.no_grad():
        whole = norm(written).float()
    scaled = norm_of(norm, written.shape[-1]).gain * written.float()
    size = torch.linalg.vector_norm(scaled, dim=-1)
    tiny = torch.finfo(size.dtype).tiny
    factor: Tensor = torch.linalg.vector_norm(whole, dim=-1) / size.clamp(min=tiny)
    return factor


def next_norms(model: Model) -> list[Norm | None]:
    """The norm that the stream after each layer is read through next; None where there is none.

    It is that before the next layer's attention, and after the last layer that before the logits.
    """
    last = model.family.final_norm
    final = find(model.module, last) if last else None
    modules = [_before(model, layer) for layer in range(1, model.shape.n_layers)] + [final]
    return [_measured(module, model.shape.d_model) for module in modules]


def read_size(norm: Norm | None, stream: Float[Tensor, "*row d_model"]) -> Float[Tensor, "*row"]:
    """Norm of the residual stream with the gains through which it is read, before any division.

    Example:
        >>> stream = torch.tensor([3.0, 5.0])
        >>> read_size(None, stream), read_size(norm_of(nn.LayerNorm(2), 2), stream)
        (tensor(5.8310), tensor(1.4142))
    """
    stream = stream.float()
    if norm is not None:
        stream = stream - stream.mean(-1, keepdim=True) if norm.centres else stream
        stream = norm.gain.to(stream) * stream
    size: Tensor = torch.linalg.vector_norm(stream, dim=-1)
    return size


def _before(model: Model, layer: int) -> nn.Module | None:
    try:
        return reading_norm(model, layer, "attention")
    except ModelError:
        return None


def _measured(module: nn.Module | None, width: int) -> Norm | None:
    if module is None or next(module.parameters(), None) is None:
        return None
    return norm_of(module, width)


def _gain(norm: nn.Module | None, model: Model) -> Float[Tensor, " d_model"]:
    width = model.shape.d_model
    return torch.ones(width) if norm is None else norm_of(norm, width).gain.cpu()
