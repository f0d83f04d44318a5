"""One layer ready to be fitted: its moments, and standardised rows of the neurons asked for.

Fits read neurons as rows, `[neuron, example]`: a neuron is then contiguous, a support is a choice
of whole rows, and no more of the layer is copied than is read.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.models.products import product
from needlepoint.probing.columns import compute_dtype
from needlepoint.probing.rankings import pooled_units
from needlepoint.probing.side_by_side import side_by_side
from needlepoint.probing.weights import contrast

CHUNK = 5 * 2**16
"""Activations worked on at once on a CPU: a chunk and its scratch stay in the caches."""
CHUNK_CUDA = 2**25
TURNED = 64
"""Examples of some neurons that are turned into rows at once on a CPU."""
SAMPLE = 64
"""Examples whose mean is taken off before squares are summed, for want of the mean itself."""
FAR = 1.0
"""Most that the square of the mean may be, in variances, once that is taken off."""
LONGEST = 512
"""Examples summed before the sum is carried on in float64."""


@dataclass(frozen=True)
class Layer:
    """Activations with the mean and spread of each neuron, and how far apart its classes lie.

    Example:
        >>> acts = torch.tensor([[0.0, 7.0], [2.0, 7.0], [0.0, 7.0], [2.0, 7.0]])
        >>> Layer.of(acts, acts[:, :1] > 0).rows(torch.tensor([1, 0])).tolist()
        [[0.0, 0.0, 0.0, 0.0], [-1.0, 1.0, -1.0, 1.0]]
    """

    acts: Float[Tensor, "example neuron"]
    mean: Float[Tensor, " neuron"]
    """In the precision of the fits: that of the activations, but at least float32."""
    sd: Float[Tensor, " neuron"]
    """Standard deviation over the examples; 1 for a constant neuron."""
    difference_std: Float[Tensor, "feature neuron"]
    """As `rankings.mean_difference_std`, summed in the precision of the fits."""

    @classmethod
    def of(
        cls, acts: Float[Tensor, "example neuron"], labels: Bool[Tensor, "example feature"]
    ) -> Layer:
        """Moments of activations and labels already checked, from one pass over them, seldom two.

        Raises:
            DataError: If there are fewer than three examples.
        """
        n = len(acts)
        if n < 3:
            raise DataError(f"a spread within two classes needs three examples or more, not {n}.")
        dtype = compute_dtype(acts)
        ones = torch.ones(1, n, dtype=dtype, device=acts.device)
        rows = torch.cat([ones, contrast(labels).to(dtype)])
        shift = acts[:: max(1, n // SAMPLE)].to(dtype).mean(0)
        sums, squares = _shifted_sums(acts, rows, shift)
        if bool((sums[0].square() > FAR * (n * squares - sums[0].square())).any()):
            # The sample misled: the spread would drown in the distance from the mean.
            shift = (shift + sums[0] / n).to(dtype)
            sums, squares = _shifted_sums(acts, rows, shift)
        rest = sums[0] / n
        mean, sd = (shift + rest).to(dtype), (squares / n - rest.square()).clamp(min=0.0).sqrt()
        mean, sd = _set_constants(acts, mean, sd.to(dtype))
        share = labels.to(torch.float64).mean(0)[:, None]
        return cls(acts, mean, sd, pooled_units(sums[1:] / sd, share, n))

    def rows(
        self, neurons: Int[Tensor, " row"], out: Float[Tensor, "row example"] | None = None
    ) -> Float[Tensor, "row example"]:
        """Standardised neurons, one to a row, in `out` if given; a constant neuron is 0."""
        found = self.mean.new_empty(len(neurons), len(self.acts)) if out is None else out
        mean, sd = self.mean[neurons], self.sd[neurons]
        n = max(1, CHUNK_CUDA // len(neurons)) if self.acts.is_cuda else TURNED
        parts = list(zip(torch.split(self.acts, n), torch.split(found, n, dim=1), strict=True))
        inference = torch.is_inference_mode_enabled()

        @torch.inference_mode(inference)  # of each thread by itself
        def fill(chosen: Tensor) -> None:
            for some, into in (parts[at] for at in chosen.tolist()):
                # What is chosen is still in the caches where it is standardised and turned.
                acts = some.index_select(1, neurons).to(mean.dtype)
                into.copy_(acts.sub_(mean).div_(sd).T)

        side_by_side(fill, len(parts), self.acts.device)
        return found

    def all_rows(
        self, out: Float[Tensor, "neuron example"] | None = None
    ) -> Float[Tensor, "neuron example"]:
        """Every neuron, standardised, in `out` if given: one block of the size of the layer."""
        if out is None:
            out = self.mean.new_empty(self.acts.shape[1], len(self.acts))
        for into, columns in zip(
            torch.split(out, 64), torch.split(self.acts, 64, dim=1), strict=True
        ):
            # A copy of the columns first: passes over a slice of a wide matrix miss the caches.
            into.copy_(columns.contiguous().T)
        return out.sub_(self.mean[:, None]).div_(self.sd[:, None])


def _chunks(acts: Tensor) -> list[tuple[int, int]]:
    """The first example of each chunk, and the one after its last."""
    size = CHUNK_CUDA // acts.shape[1] if acts.is_cuda else min(CHUNK // acts.shape[1], LONGEST)
    size = max(1, size)
    return [(start, min(start + size, len(acts))) for start in range(0, len(acts), size)]


def _shifted_sums(acts: Tensor, rows: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """`rows @ (acts - shift)` and the sums of `(acts - shift) ** 2`, chunks added in float64."""
    total = torch.zeros(len(rows), acts.shape[1], dtype=torch.float64, device=acts.device)
    squares = torch.zeros_like(total[0])
    for start, stop in _chunks(acts):
        shifted = acts[start:stop].to(rows.dtype) - shift
        total += product(rows[:, start:stop], shifted)
        squares += torch.mv(shifted.square_().T, rows[0, start:stop])
    return total, squares


def _set_constants(acts: Tensor, mean: Tensor, sd: Tensor) -> tuple[Tensor, Tensor]:
    """The moments, with the spread of a constant neuron set to 1 and its mean to its value."""
    # Only a spread of the size of rounding errors calls for a closer look.
    for column in (sd <= 1e-5 * acts[0].abs()).nonzero().flatten().tolist():
        if bool((acts[:, column] == acts[0, column]).all()):
            mean[column], sd[column] = acts[0, column].to(mean.dtype), 1.0
    return mean, sd
