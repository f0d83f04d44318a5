"""One backward pass from the metric, with what the model is given at each writer changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint.circuits.ablation import PairBatch
from needlepoint.circuits.attribution.gim import Modified
from needlepoint.models.model import Batch, Model


@contextmanager
def frozen_weights(model: Model) -> Iterator[None]:
    """Compute gradients of activations inside the block, and of no weight."""
    asked = [weight for weight in model.module.parameters() if weight.requires_grad]
    for weight in asked:
        weight.requires_grad_(False)
    try:
        with torch.enable_grad():
            yield
    finally:
        for weight in asked:
            weight.requires_grad_(True)


def on_gradient(activation: Tensor, told: Callable[[Tensor], None]) -> None:
    """Call a function with the gradient of an activation, if gradients are followed down to it."""
    listened: Any = activation
    if activation.requires_grad:
        listened.register_hook(told)


def repeated(batch: Batch, copies: int) -> Batch:
    """All examples, again and again."""
    return Batch(batch.ids.repeat(copies, 1), batch.lengths.repeat(copies))


def run_backward(
    model: Model,
    pairs: PairBatch,
    leaf: Float[Tensor, "batch pos d_model"],
    weights: Float[Tensor, " k"],
    modified: Modified | None = None,
) -> Float[Tensor, "batch pos d_model"]:
    """Run copies of the clean prompts, and the gradient of the weighted sum of their metrics.

    Call it within `frozen_weights` and with hooks set that listen to gradients and put `leaf` into
    the forward pass.

    Args:
        model: The model.
        pairs: Whose clean prompts to run.
        leaf: What gradients are followed down to.
        weights: One for each copy of the pairs.
        modified: Changes of the backward pass, for as long as the model runs.

    Returns:
        The gradient of `leaf`.
    """
    copies = len(weights)
    with modified() if modified else nullcontext():
        logits = model.last_logits(repeated(pairs.clean, copies))
    metric = pairs.answers.repeat(copies)(logits).reshape(copies, -1)
    (gradient,) = torch.autograd.grad(weights.to(metric) @ metric.sum(1), leaf)
    return gradient
