"""What head scores are made from: reduced head activations of clean and corrupt pairs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.calibrated.changes import HeadChanges

ENSEMBLE = Autoencoder(n_seeds=3)
"""The paper's settings, as an ensemble of three."""


@dataclass(frozen=True, eq=False)
class HeadData:
    """Activations of every head on clean prompts and on their corrupt counterparts.

    Activations are kept as `z`, the input of the output projection, reduced over positions
    (which positions, the first token included or not, is the caller's choice). What a head
    writes is `z @ W_O[head]`, without bias; since the mean over positions and the projection
    can be exchanged, nothing is lost and `d_model / d_head` of the memory is saved.

    Raises:
        DataError: If shapes do not agree, there are fewer than two pairs, or a value is not
            finite; the message names the first such pair and head.
    """

    clean_z: Float[Tensor, "pair head d_head"]
    corrupt_z: Float[Tensor, "pair head d_head"]
    W_O: Float[Tensor, "head d_head d_model"]
    """Output projection of each head, so that `z @ W_O[head]` is what it writes."""
    layer_of: Int[Tensor, " head"]
    """Layer of each head; heads are in layer-major order over the whole model."""
    group_of: Int[Tensor, " pair"] | None = None
    """Pairs that are alike, of one template for instance, and must not be split between the
    training and the test half of a cross-validation. Each pair is its own group if not given."""
    autoencoder: Autoencoder = ENSEMBLE
    """How the scores that need one train their discrete autoencoder."""
    changes: HeadChanges | None = None
    """What heads change from clean to corrupt at each position, where that has been read. Of all
    pairs together: it is left behind when pairs are taken or labels exchanged."""
    memo: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)
    """Results that several scores share, such as a trained dictionary."""

    def __post_init__(self) -> None:
        _check_shapes(self)
        for name, z in (("clean", self.clean_z), ("corrupt", self.corrupt_z)):
            bad = (~torch.isfinite(z)).any(-1).nonzero()
            if len(bad):
                pair, head = bad[0].tolist()
                raise DataError(
                    f"{name}_z of pair {pair}, head {head} is not finite: look for an overflow "
                    "in the model's precision, or load the model in float32."
                )

    @property
    def n_heads(self) -> int:
        """Number of heads."""
        return self.clean_z.shape[1]

    @property
    def n_pairs(self) -> int:
        """Number of pairs, half the number of examples."""
        return len(self.clean_z)

    @cached_property
    def z(self) -> Float[Tensor, "example head d_head"]:
        """All examples, the clean ones first."""
        return torch.cat([self.clean_z, self.corrupt_z])

    @cached_property
    def is_clean(self) -> Bool[Tensor, " example"]:
        """Which rows of `z` are clean."""
        return torch.arange(2 * self.n_pairs, device=self.z.device) < self.n_pairs

    @property
    def outputs(self) -> Float[Tensor, "example head d_model"]:
        """What each head writes on each example, in the order of `z`. Large: made when asked."""
        return torch.einsum("ehd,hdm->ehm", self.z, self.W_O)

    @cached_property
    def coordinates(self) -> Float[Tensor, "example head width"]:
        """`outputs` in an orthonormal basis of what each head can write: `d_head` numbers.

        Norms, distances, angles and singular values of one head's outputs are the same here,
        and so is any ridge fit on them, for a fraction of the width. The bases of two heads
        have nothing to do with one another. In float64.
        """
        upper = torch.linalg.qr(self.W_O.double().mT, mode="r").R
        return torch.einsum("ehd,hwd->ehw", self.z.double(), upper)

    @property
    def clean(self) -> Float[Tensor, "pair head width"]:
        """`coordinates` of the clean examples."""
        return self.coordinates[: self.n_pairs]

    @property
    def corrupt(self) -> Float[Tensor, "pair head width"]:
        """`coordinates` of the corrupt examples."""
        return self.coordinates[self.n_pairs :]

    def swapped(self) -> HeadData:
        """The same data with clean called corrupt and corrupt called clean."""
        return replace(self, clean_z=self.corrupt_z, corrupt_z=self.clean_z, changes=None)

    def take_pairs(self, pairs: Int[Tensor, " pair"]) -> HeadData:
        """The same heads on some of the pairs, or on all of them in another order."""
        groups = None if self.group_of is None else self.group_of[pairs]
        return replace(
            self,
            clean_z=self.clean_z[pairs],
            corrupt_z=self.corrupt_z[pairs],
            group_of=groups,
            changes=None,
        )

    def take_heads(self, heads: Int[Tensor, " head"]) -> HeadData:
        """The same pairs for some of the heads, or for all of them in another order."""
        return replace(
            self,
            clean_z=self.clean_z[:, heads],
            corrupt_z=self.corrupt_z[:, heads],
            W_O=self.W_O[heads],
            layer_of=self.layer_of[heads],
            changes=None if self.changes is None else self.changes.take_heads(heads),
        )


def _check_shapes(data: HeadData) -> None:
    n_pairs, n_heads, d_head = data.clean_z.shape
    if data.corrupt_z.shape != data.clean_z.shape:
        raise DataError(
            f"clean_z has shape {tuple(data.clean_z.shape)} and corrupt_z "
            f"{tuple(data.corrupt_z.shape)}: give one corrupt example for each clean one."
        )
    if data.W_O.shape[:2] != (n_heads, d_head) or data.layer_of.shape != (n_heads,):
        raise DataError(
            f"activations are of {n_heads} heads of width {d_head}, W_O of "
            f"{tuple(data.W_O.shape[:2])} and layer_of of {len(data.layer_of)}: they must agree."
        )
    if data.group_of is not None and data.group_of.shape != (n_pairs,):
        raise DataError(f"group_of has {len(data.group_of)} entries for {n_pairs} pairs.")
    if n_pairs < 2:
        raise DataError(f"there is only {n_pairs} pair: give at least 2.")
