"""Products of matrices by whichever of torch's two libraries is quicker on this processor.

torch on x86 multiplies float32 matrices by MKL, which on AMD's processors with AVX-512 uses half
the width of their registers. oneDNN, which torch carries too, uses all of it: about twice as quick
from a few dozen rows on (`benchmarks/product_speed.py`). Both sum in float32, in another order:
results agree to rounding.

`torch.backends.mkldnn.set_flags(False)` leaves everything to torch.

For each shape oneDNN makes code, a megabyte or two. It would keep that of a thousand shapes, and
torch as many beside it: memory would grow with every new length of prompts. So both are told to
keep few, unless the variables of `CAPACITIES` are set already.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from os import environ
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from needlepoint.models.families import is_input_major

LEAST_WORK = 2**21
"""Multiplications from which oneDNN's preparations pay."""

SHAPES_KEPT = 64
"""Shapes whose code is kept: a pass has about ten, a backward pass as many again."""
CAPACITIES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
"""Read by oneDNN and by torch before their first product."""
for _capacity in CAPACITIES:
    environ.setdefault(_capacity, str(SHAPES_KEPT))

_Product = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def product(
    left: Float[Tensor, "*row width"], right: Float[Tensor, "width column"]
) -> Float[Tensor, "*row column"]:
    """`left @ right`, differentiable.

    Example:
        >>> product(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0], [4.0]]))
        tensor([[11.]])
    """
    quick = _quick_for(left, right, left.numel() * right.shape[-1])
    if quick is None:
        return left @ right
    return _through(quick, left, right.mT, None)


def batched_product(
    left: Float[Tensor, "unit row width"], right: Float[Tensor, "unit width column"]
) -> Float[Tensor, "unit row column"]:
    """`torch.bmm(left, right)`, one after another where that is quicker.

    Example:
        >>> batched_product(torch.ones(2, 1, 3), torch.ones(2, 3, 1)).flatten()
        tensor([3., 3.])
    """
    if _quick_for(left, right[0].mT, left[0].numel() * right.shape[-1]) is None:
        return torch.bmm(left, right)
    found = [product(one, other) for one, other in zip(left, right, strict=True)]
    return found[0][None] if len(found) == 1 else torch.stack(found)


def quicken(module: nn.Module) -> nn.Module:
    """Let the linear maps of a model multiply by the quicker library, in place.

    Weights, names and hooks stay as they are; where there is nothing to gain, all does.

    Example:
        >>> model = quicken(nn.Sequential(nn.Linear(2, 3)))
        >>> isinstance(model[0], nn.Linear), model(torch.ones(1, 2)).shape
        (True, torch.Size([1, 3]))
    """
    if quick_product() is not None:
        for part in module.modules():
            kind: Any = type(part)
            if kind is nn.Linear:
                part.__class__ = _QuickLinear
            elif is_input_major(part) and not isinstance(part, _Quick):
                part.__class__ = _quick_conv1d(kind)
    return module


@cache
def quick_product() -> _Product | None:
    """`x @ w.T + b` by oneDNN where it beats MKL, else None.

    torch keeps this product for its own compiler: where it is gone, or gives another result than
    it should, nothing is lost but time.
    """
    if not _is_wide_amd():
        return None
    try:
        multiply: Any = torch.ops.mkldnn._linear_pointwise
        x, w, b = torch.eye(3)[:2], torch.arange(12.0).reshape(4, 3), torch.ones(4)
        fits = torch.equal(multiply(x, w, b, "none", [], ""), x @ w.T + b)
    except (AttributeError, RuntimeError, TypeError):
        return None
    return _by_onednn if fits else None


def _by_onednn(x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
    made: Tensor = torch.ops.mkldnn._linear_pointwise(x, w, b, "none", [], "")
    return made


def _is_wide_amd() -> bool:
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    info = Path("/proc/cpuinfo")
    maker = info.read_text(errors="replace") if info.exists() else ""
    return "AuthenticAMD" in maker and torch.backends.cpu.get_cpu_capability() == "AVX512"


def _quick_for(x: Tensor, w: Tensor, work: int) -> _Product | None:
    """The quicker library's product, if it takes these matrices and they are worth it."""
    if work < LEAST_WORK or w.ndim != 2 or x.ndim < 2:
        return None
    if any(part.dtype != torch.float32 or part.device.type != "cpu" for part in (x, w)):
        return None
    if not torch.backends.mkldnn.enabled or torch.is_autocast_enabled("cpu"):
        return None
    return quick_product()


def _through(quick: _Product, x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
    learns = any(part is not None and part.requires_grad for part in (x, w, b))
    if not (learns and torch.is_grad_enabled()):
        return quick(x.detach(), w.detach(), None if b is None else b.detach())
    made: Tensor = _Linear.apply(x, w, b, quick)  # type: ignore[no-untyped-call]
    return made


class _Linear(torch.autograd.Function):
    """`x @ w.T + b`; gradients are products of the same kind, and differentiable themselves."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor | None, quick: _Product) -> Tensor:
        ctx.save_for_backward(x, w)
        return quick(x, w, b)

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, Tensor | None, Any, None]:
        x, w = ctx.saved_tensors
        rows = given.flatten(0, -2)
        return (
            product(given, w) if ctx.needs_input_grad[0] else None,
            product(rows.mT, x.flatten(0, -2)) if ctx.needs_input_grad[1] else None,
            rows.sum(0) if ctx.needs_input_grad[2] else None,
            None,
        )


class _Quick(nn.Module):
    """A linear map whose products go to the quicker library."""

    def forward(self, x: Tensor) -> Tensor:
        weight: Any = self.weight
        bias: Any = self.bias
        w = weight.mT if is_input_major(self) else weight
        quick = _quick_for(x, w, x.numel() * len(w))
        if quick is None:
            made: Tensor = super().forward(x)
            return made
        return _through(quick, x, w, bias)


class _QuickLinear(_Quick, nn.Linear):
    """One of torch's."""


@cache
def _quick_conv1d(kind: type[nn.Module]) -> type[nn.Module]:
    """One of GPT-2's, which has its weight the other way round."""
    return type(kind.__name__, (_Quick, kind), {})
