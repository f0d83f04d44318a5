"""Gradient interaction modifications: a backward pass that is not fooled by self-repair.

Where several parts together make something, each one's gradient alone says little: a norm divides
less when a part is taken away, and attention that loses one place puts its weight on another with
the same content. Three changes of the backward pass, none of the forward pass: divisions of norms
are held fixed; the softmax of attention is differentiated at twice its temperature; gradients are
divided by 4 at queries and keys and by 2 at values, as a product's are shared by its factors.

Source:
    Edin et al. 2025 (arXiv 2505.17630); the numbers are those of the authors' package
    `gim-explain` 0.1.4. Held fixed here is every norm of the model, in whatever class it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from needlepoint.circuits.attribution.linear_norm import linear_norm, norms_of
from needlepoint.models.attention import SOFTMAX, attention_scores
from needlepoint.models.folded import Norm
from needlepoint.models.model import Model
from needlepoint.models.reads import AttentionInput, projection

TEMPERATURE = 2.0
SHARES: dict[AttentionInput, float] = {"q": 0.25, "k": 0.25, "v": 0.5}

Modified = Callable[[], AbstractContextManager[None]]
"""Opens a block in which the model runs so that its backward pass will be another."""


def interaction_modifications(model: Model) -> Modified:
    """The three changes, for forward passes of a model whose gradients are asked for later.

    Hooks that are set before the block see the gradients as changed.
    """
    norms = norms_of(norm_modules(model))

    @contextmanager
    def modified() -> Iterator[None]:
        with ExitStack() as stack:
            for module, norm in norms.items():
                hold = partial(_hold, norm)
                stack.callback(module.register_forward_hook(hold, prepend=True).remove)
            for layer in range(model.shape.n_layers):
                for module, shares in _shares(model, layer).items():
                    stack.callback(module.register_forward_hook(partial(_share, shares)).remove)
            stack.enter_context(_SofterAttention())
            yield

    return modified


def norm_modules(model: Model) -> list[nn.Module]:
    """Every LayerNorm and RMSNorm of a model, those of queries and keys included."""
    return [module for module in model.module.modules() if type(module).__name__.endswith("Norm")]


def _applied(function: type[torch.autograd.Function], *args: Any) -> Tensor:
    apply: Any = function.apply
    applied: Tensor = apply(*args)
    return applied


class _Held(torch.autograd.Function):
    """A norm's output, with the gradient of a fixed division."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, made: Tensor, norm: Norm) -> Tensor:
        rows = given.detach().flatten(0, -2)
        ctx.held = linear_norm(norm, rows, made.detach().flatten(0, -2), frozen=True)
        return made.detach().clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        pulled = ctx.held.pulled(gradient.flatten(0, -2)[None])
        return pulled.reshape(gradient.shape), None, None


def _hold(norm: Norm, _: nn.Module, args: tuple[Tensor, ...], made: Tensor) -> Tensor:
    return _applied(_Held, args[0], made.detach(), norm)


class _Shared(torch.autograd.Function):
    """The same numbers, with gradients scaled column by column."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, shares: Tensor) -> Tensor:
        ctx.shares = shares
        return given.view_as(given)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * ctx.shares, None


def _share(shares: Tensor, _: nn.Module, __: tuple[Tensor, ...], made: Tensor) -> Tensor:
    return _applied(_Shared, made, shares)


def _shares(model: Model, layer: int) -> dict[nn.Module, Float[Tensor, " unit"]]:
    """Factors of the gradients at the outputs of a layer's projections."""
    found: dict[nn.Module, Tensor] = {}
    for kind, share in SHARES.items():
        made = projection(model, layer, kind)
        weight = made.module.weight
        assert isinstance(weight, Tensor)
        width = max(int(made.columns.max()) + 1, len(found.get(made.module, ())))
        shares = weight.new_ones(width)
        shares[: len(found.get(made.module, ()))] = found.get(made.module, weight.new_ones(0))
        shares[made.columns] = share
        found[made.module] = shares
    return found


class _Softer(torch.autograd.Function):
    """A softmax over the last axis, with the gradient of one at a higher temperature."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, made: Tensor) -> Tensor:
        ctx.save_for_backward(scores)
        return made.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (scores,) = ctx.saved_tensors
        gradient = gradients[0]
        softer = torch.softmax(scores.to(gradient.dtype) / TEMPERATURE, dim=-1)
        inner = torch.linalg.vecdot(gradient, softer)[..., None]
        return (softer * (gradient - inner)).to(scores.dtype), None


class _SofterAttention(TorchFunctionMode):
    """Inside the block, every softmax and every fused attention has the softer gradient."""

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in SOFTMAX:
            return _applied(_Softer, args[0], func(*args, **kwargs).detach())
        if func is functional.scaled_dot_product_attention:
            return _attention(*args, **kwargs)
        return func(*args, **kwargs)


def _attention(query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """What `scaled_dot_product_attention` gives, step by step."""
    scores = attention_scores(query, key, value, *args, **kwargs)
    pattern = _applied(_Softer, scores, scores.detach().softmax(-1))
    return pattern @ value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
