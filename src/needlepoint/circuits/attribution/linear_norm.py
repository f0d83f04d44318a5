"""A norm as the linear map that it is for small changes of its input: gradients through it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from needlepoint.models.folded import Norm, norm_of


@dataclass(frozen=True, eq=False)
class LinearNorm:
    """What a LayerNorm or RMSNorm does to small changes at some rows of a residual stream.

    The norm is `gain * u / r + shift` with `u` its input, less its mean if it centres, and `r` the
    root of a mean square. A gradient `g` at its output is `P (gain * g) / r` at its input, with `P`
    taking off the mean if the norm centres, less its part along `u`, to which the division is
    blind. Held fixed, the division takes nothing off.
    """

    norm: Norm | None
    """None of the identity."""
    inverse: Float[Tensor, " row"]
    """One over what each row is divided by."""
    along: Float[Tensor, "row d_model"] | None
    """Direction to which the division is blind, `u / (r sqrt(d_model))`; None where it is held."""

    def folded(self, weight: Float[Tensor, "reader d_model d_head"]) -> Tensor:
        """A map that follows the norm, with gain and centring moved into it."""
        if self.norm is None:
            return weight
        weight = self.norm.gain.to(weight)[:, None] * weight
        return weight - weight.mean(-2, keepdim=True) if self.norm.centres else weight

    def pulled(
        self, gradient: Float[Tensor, "reader row d_model"]
    ) -> Float[Tensor, "reader row d_model"]:
        """The gradient at the input, from that at the output."""
        if self.norm is None:
            return gradient
        gradient = self.norm.gain.to(gradient) * gradient * self.inverse[:, None]
        if self.norm.centres:
            gradient = gradient - gradient.mean(-1, keepdim=True)
        return self.blind_(gradient)

    def blind_(
        self, gradient: Float[Tensor, "reader row d_model"]
    ) -> Float[Tensor, "reader row d_model"]:
        """Take off, in place, what the division does not let through."""
        if self.along is None:
            return gradient
        part = torch.linalg.vecdot(gradient, self.along)
        return gradient.addcmul_(part[..., None], self.along, value=-1)


def identity(rows: Float[Tensor, "row width"]) -> LinearNorm:
    """The map of a reader that reads so many rows of the stream as they are."""
    return LinearNorm(None, rows.new_ones(len(rows)), None)


def linear_norm(
    norm: Norm,
    given: Float[Tensor, "row d_model"],
    made: Float[Tensor, "row d_model"],
    *,
    frozen: bool = False,
) -> LinearNorm:
    """The map that a norm is at some rows, from its input and output there.

    Args:
        norm: Its gain and shift, as `norm_of` measures them.
        given: Its input.
        made: Its output, which tells what it divides by: no epsilon needs to be known.
        frozen: Hold the division fixed, so that gradients pass it as they pass a constant.

    Example:
        >>> module, rows = nn.LayerNorm(4), torch.tensor([[1.0, 2.0, 3.0, 6.0]])
        >>> at = linear_norm(norm_of(module, 4), rows, module(rows))
        >>> gradient = torch.tensor([[[1.0, 0.0, 0.0, 0.0]]])
        >>> again = rows.requires_grad_()
        >>> module(again)[0, 0].backward()
        >>> torch.allclose(at.pulled(gradient)[0], again.grad, atol=1e-6)
        True
    """
    centred = given - given.mean(-1, keepdim=True) if norm.centres else given
    scaled = norm.gain.to(given) * centred
    size = torch.linalg.vecdot(scaled, scaled)
    inverse = torch.linalg.vecdot(made - norm.shift.to(made), scaled)
    inverse = torch.where(size > 0, inverse / size.clamp(min=torch.finfo(size.dtype).tiny), 0.0)
    along = None if frozen else centred * (inverse / given.shape[-1] ** 0.5)[:, None]
    return LinearNorm(norm, inverse, along)


def norms_of(modules: list[nn.Module]) -> dict[nn.Module, Norm]:
    """Gain and shift of each of some norms; run it before any hook is set on them."""
    widths = {module: next(module.parameters()).shape[-1] for module in modules}
    return {module: norm_of(module, width) for module, width in widths.items()}
