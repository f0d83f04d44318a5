"""Where each head looks: attention patterns, read as the model computes them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from needlepoint._core.errors import ModelError
from needlepoint.models.families import find
from needlepoint.models.model import Batch, Model

SOFTMAX = (functional.softmax, torch.softmax, Tensor.softmax)
"""What attention that is not fused is computed by."""


def attention_patterns(
    model: Model, batch: Batch, layers: Collection[int]
) -> dict[int, Float[Tensor, "example head pos pos"]]:
    """How each head of some layers spreads its attention, row by row: the query, then its keys.

    Each row sums to 1. Nothing is computed a second time but what a fused attention does not hand
    out; the model runs with whatever implementation of attention it has. Rows and columns of
    padding are there too, and mean nothing.

    Args:
        model: The model to run, one pass.
        batch: Prompts.
        layers: Which layers to read.

    Raises:
        ModelError: If the attention of a layer is neither a softmax nor the fused attention of
            torch, so that there is nothing to read.

    Example:
        >>> from needlepoint.models.micro import micro_model
        >>> model = micro_model()
        >>> found = attention_patterns(model, model.batch([[1, 2, 3]]), [0])
        >>> found[0].shape, found[0].sum(-1).unique().tolist()
        (torch.Size([1, 2, 3, 3]), [1.0])
    """
    watch = _Watch(model.shape.n_heads)
    with torch.no_grad(), ExitStack() as stack:
        for layer in sorted(set(layers)):
            attention = find(model.blocks[layer], model.family.attention)
            stack.enter_context(_entered(watch, attention, layer))
        stack.enter_context(watch)
        model.hidden(batch)
    for layer in layers:
        if layer not in watch.found:
            raise ModelError(
                f"the attention of layer {layer} of {model.name} cannot be read: it is computed "
                "neither by a softmax nor by torch's fused attention."
            )
    return watch.found


@contextmanager
def _entered(watch: _Watch, module: nn.Module, layer: int) -> Iterator[None]:
    """Tell the watch when the attention of a layer begins and ends."""

    def begin(*_: Any) -> None:
        watch.layer = layer

    def end(*_: Any) -> None:
        watch.layer = None

    handles = [module.register_forward_pre_hook(begin), module.register_forward_hook(end)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Watch(TorchFunctionMode):
    """Keeps the pattern of the attention that is running; changes nothing."""

    def __init__(self, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.layer: int | None = None
        self.found: dict[int, Tensor] = {}

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        made = func(*args, **kwargs)
        if self.layer is None:
            return made
        if func is functional.scaled_dot_product_attention:
            scores = attention_scores(*args, **kwargs).detach()
            self.found[self.layer] = scores.float().softmax(-1)
        elif func in SOFTMAX and made.ndim == 4 and made.shape[1] == self.n_heads:
            self.found[self.layer] = made.detach().float()
        return made


def attention_scores(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """The scores of which `scaled_dot_product_attention`, asked the same, takes the softmax."""
    key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3) if enable_gqa else key
    scores = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones_like(scores[0, 0], dtype=torch.bool).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        return scores.masked_fill(~attn_mask, float("-inf"))
    return scores if attn_mask is None else scores + attn_mask
