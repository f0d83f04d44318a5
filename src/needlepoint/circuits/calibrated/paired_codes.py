"""Codes of paired differences: what a head changes from clean to corrupt, and how consistently.

The unit is the difference d of a pair, clean minus corrupt, and its mirror -d. A dictionary is
trained on both, so that it cannot know the sign. Under the null the sign of each difference is a
coin toss: exchanging clean and corrupt within a pair flips it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from needlepoint.circuits.calibrated.coding import SILENT
from needlepoint.circuits.calibrated.design import Design
from needlepoint.circuits.calibrated.nulls import Adjust, HeadTest, Part, calibrate
from needlepoint.circuits.calibrated.rounding import settled
from needlepoint.circuits.calibrated.shuffles import shuffles
from needlepoint.circuits.calibrated.tables import CodeTables
from needlepoint.circuits.head_data import HeadData

N_DRAWS = 1000


@dataclass(frozen=True, eq=False)
class PairedCodes:
    """Codes of differences and of their mirrors, with the energy that each code explains."""

    codes: Int[Tensor, "seed example head"]
    """Differences first, then their mirrors; 0 where nothing is active."""
    energy: Float[Tensor, "seed example head"]
    """Squared length of the difference along the direction of its code, in the units of the
    residual stream; 0 where nothing is active."""
    share: Float[Tensor, "seed head"]
    """Energy explained as a share of the energy there is."""
    pairs: Int[np.ndarray, " pair"]
    """Which pairs these are."""


def paired_codes(
    data: HeadData,
    train: Int[np.ndarray, " row"],
    test: Int[np.ndarray, " pair"],
    generator: torch.Generator,
    *,
    standardise: bool = True,
) -> PairedCodes:
    """Codes of the differences of some pairs, under dictionaries trained on those of others.

    A difference that is rounding alone is none (`settled`), and silent.

    Args:
        data: Activations; `data.autoencoder` says how dictionaries are trained.
        train: Pairs that the dictionary, and the scaling, may see.
        test: Pairs to code.
        generator: Source of the initial weights and of the training examples.
        standardise: Whether each head's differences are divided by their root mean square length
            over the training pairs before they are coded. Energies are of the differences as
            they are, either way.
    """
    data = settled(data)
    difference = data.clean_z - data.corrupt_z
    known, asked = difference[torch.from_numpy(train)], difference[torch.from_numpy(test)]
    size = _power(known, data.W_O).mean(0).sqrt()
    size = torch.where((size > 0) & torch.tensor(standardise), size, torch.ones_like(size))
    settings = replace(
        data.autoencoder,
        n_train_examples=min(data.autoencoder.n_train_examples, 2 * len(train)),
    )
    known = known / size[:, None]
    dictionary = settings.fit_z(torch.cat([known, -known]), data.W_O, generator)
    both = torch.cat([asked, -asked])
    reading = dictionary.read_z(both / size[:, None], data.W_O)
    codes = (reading.codes + 1).masked_fill(reading.silent, SILENT)
    energy = _explained(both, data.W_O, reading.codes, dictionary.decoder)
    energy = energy.masked_fill(reading.silent, 0)
    total = _power(both, data.W_O).sum(0).clamp(min=torch.finfo(both.dtype).tiny)
    return PairedCodes(codes, energy, energy.sum(1) / total, test)


def paired_test(
    data: HeadData,
    generator: torch.Generator,
    *,
    standardise: bool = True,
    n_draws: int = N_DRAWS,
    adjust: Adjust = "bh",
) -> HeadTest:
    """Test whether a head changes in the same direction from clean to corrupt, pair after pair.

    The statistic is energy: for each code, what it explains of the differences less what it
    explains of their mirrors, taken without sign, summed over codes, per pair. Cross-fitted in
    two folds.
    A head that moves one way in one half of the pairs and the other way in the other half is not
    found, however far it moves.

    Args:
        data: Activations of the pairs.
        generator: Source of the folds, dictionaries and signs.
        standardise: As in `paired_codes`.
        n_draws: Signs to draw, where there are too many to go through.
        adjust: How p-values are adjusted for the number of heads.
    """
    design = Design.of_pairs(data)
    folds = design.folds(2, generator)[: data.n_pairs]
    parts = []
    for fold in range(2):
        train, test = (np.flatnonzero(x) for x in (folds != fold, folds == fold))
        coded = paired_codes(data, train, test, generator, standardise=standardise)
        weights = coded.energy.double().cpu().numpy()
        tables = CodeTables.of(coded.codes, n_labels=2, weights=weights)
        rows = np.concatenate([test, test + data.n_pairs])
        parts.append(Part(tables, rows, consistent_energy))
    return calibrate(parts, design, shuffles(design, n_draws, generator), adjust=adjust)


def consistent_energy(
    tables: CodeTables, labels: Int[np.ndarray, "example resample"]
) -> Float[np.ndarray, "unit resample"]:
    """Energy that codes explain under label 1 less under label 0, sign aside, per pair."""
    cells = tables.counts(labels)
    found: NDArray[np.float64] = tables.sum_codes(np.abs(cells[1] - cells[0]))
    return found / len(labels)


def _power(
    z: Float[Tensor, "pair head d_head"], W_O: Float[Tensor, "head d_head d_model"]
) -> Float[Tensor, "pair head"]:
    """Squared length of what heads write for some z."""
    gram = torch.einsum("hdm,hem->hde", W_O, W_O)
    return torch.einsum("phd,hde,phe->ph", z, gram, z).clamp(min=0)


def _explained(
    z: Float[Tensor, "example head d_head"],
    W_O: Float[Tensor, "head d_head d_model"],
    codes: Int[Tensor, "seed example head"],
    decoder: Float[Tensor, "seed d_model code"],
) -> Float[Tensor, "seed example head"]:
    """Squared length of each output along the direction that its code stands for."""
    atoms = decoder / decoder.norm(dim=1, keepdim=True).clamp(min=torch.finfo(decoder.dtype).tiny)
    found = torch.empty(codes.shape, dtype=z.dtype, device=z.device)
    for head, (vectors, projection) in enumerate(zip(z.unbind(1), W_O, strict=True)):
        along = torch.einsum("ed,sdc->sec", vectors, projection @ atoms)
        found[:, :, head] = along.gather(2, codes[:, :, head, None])[..., 0]
    return found.clamp(min=0).square()
