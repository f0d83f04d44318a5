"""From activations to codes that may be tested: scaled, silence told apart, cross-fitted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.baselines import STILL
from needlepoint.circuits.head_data import HeadData

SILENT = 0
"""The code of a vector that activates nothing; code `j` of the dictionary is `j + 1` here."""


@dataclass(frozen=True)
class Coding:
    """How activations become codes. The defaults keep test examples out of the dictionary.

    Unlike the paper's codes, heads are scaled to one size, so that the dictionary is not spent on
    heads of large norm; a vector that activates nothing has a code of its own; and the dictionary
    that names an example has never seen it, nor any example of its group.
    """

    standardise: bool = True
    """Take each head's mean off and divide by its root mean square distance from it, both from the
    training fold. One number for each head: directions within a head keep their proportions."""
    n_folds: int = 2
    """Folds of the cross-fit; 1 trains and reads on the same examples, as the paper does."""

    def __post_init__(self) -> None:
        if self.n_folds < 1:
            raise DataError(f"n_folds is {self.n_folds}: it must be at least 1.")


@dataclass(frozen=True, eq=False)
class Scale:
    """Where each head's z lies, and how far its outputs spread, on the examples fitted on."""

    mean: Float[Tensor, "head d_head"]
    spread: Float[Tensor, " head"]

    @classmethod
    def of(
        cls, z: Float[Tensor, "example head d_head"], W_O: Float[Tensor, "head d_head d_model"]
    ) -> Scale:
        """Mean z, and root mean square distance of the outputs from their mean.

        A head that never varies, but for rounding, gets the spread 1.
        """
        mean = z.mean(0)
        gram = torch.einsum("hdm,hem->hde", W_O, W_O)
        spread, size = (
            torch.einsum("phd,hde,phe->ph", x, gram, x).clamp(min=0).mean(0).sqrt()
            for x in (z - mean, z)
        )
        return cls(mean, torch.where(spread > STILL * size, spread, torch.ones_like(spread)))

    def __call__(self, z: Float[Tensor, "example head d_head"]) -> Tensor:
        """The activations, centred and divided by the spread."""
        return (z - self.mean) / self.spread[:, None]


@dataclass(frozen=True, eq=False)
class Coded:
    """Codes of some examples under dictionaries that were trained on others."""

    codes: Int[Tensor, "seed example head"]
    """From 0, which is `SILENT`."""
    rows: Int[np.ndarray, " example"]
    """Which examples these are."""

    @property
    def silent_share(self) -> Float[Tensor, " head"]:
        """Share of vectors of each head that activate nothing: near 1, the codes are of no use."""
        return (self.codes == SILENT).double().mean((0, 1))


def read_codes(
    autoencoder: Any,
    z: Float[Tensor, "example head d_head"],
    W_O: Float[Tensor, "head d_head d_model"],
    train: Int[np.ndarray, "_"],
    test: Int[np.ndarray, "_"],
    generator: torch.Generator,
    *,
    standardise: bool = True,
) -> Coded:
    """Codes of the test examples under an ensemble trained on a few of the training examples.

    Args:
        autoencoder: Settings of the discrete autoencoder (`HeadData.autoencoder`); if it trains on
            more examples than there are, it trains on all.
        z: Activations of all examples.
        W_O: Output projection of each head.
        train: Rows that the dictionary, and the scaling, may see.
        test: Rows to code.
        generator: Source of the initial weights and of the training examples.
        standardise: Whether to bring heads to one size first.
    """
    known, asked = z[torch.from_numpy(train)], z[torch.from_numpy(test)]
    if standardise:
        scale = Scale.of(known, W_O)
        known, asked = scale(known), scale(asked)
    settings = replace(autoencoder, n_train_examples=min(autoencoder.n_train_examples, len(known)))
    reading = settings.fit_z(known, W_O, generator).read_z(asked, W_O)
    return Coded((reading.codes + 1).masked_fill(reading.silent, SILENT).cpu(), test)


def cross_fit(
    data: HeadData,
    fold_of: Int[np.ndarray, " example"],
    coding: Coding,
    generator: torch.Generator,
) -> list[Coded]:
    """Codes of every example, each fold's under a dictionary trained on the other folds.

    Codes of two folds have nothing to do with one another: take a statistic of each fold, then
    the mean. One fold means no cross-fit: everything is trained on and read.
    """
    every = np.arange(len(fold_of))
    found = []
    for fold in np.unique(fold_of):
        test = every[fold_of == fold]
        train: NDArray[np.int64] = every[fold_of != fold] if coding.n_folds > 1 else test
        found.append(
            read_codes(
                data.autoencoder,
                data.z,
                data.W_O,
                train,
                test,
                generator,
                standardise=coding.standardise,
            )
        )
    return found
