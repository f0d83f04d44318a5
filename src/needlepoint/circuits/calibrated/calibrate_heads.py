"""The calibrated test of heads: cross-fitted codes, one statistic, its null; from activations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from needlepoint.circuits.calibrated.coding import Coded, Coding, cross_fit
from needlepoint.circuits.calibrated.design import Design
from needlepoint.circuits.calibrated.nulls import Adjust, HeadTest, Part, calibrate
from needlepoint.circuits.calibrated.rounding import settled
from needlepoint.circuits.calibrated.shuffles import shuffles
from needlepoint.circuits.calibrated.statistics import STATISTICS, log_loss_gain, mean_shift
from needlepoint.circuits.calibrated.tables import CodeTables
from needlepoint.circuits.head_data import HeadData

N_DRAWS = 1000
LOSS_FOLDS = 5
"""Folds in which the log-loss gain is held out, within each fold of the cross-fit; fewer where it
has fewer groups."""


def coded_heads(
    data: HeadData, design: Design, generator: torch.Generator, coding: Coding | None = None
) -> list[Coded]:
    """Cross-fitted codes of all rows of `data.z`, pairs and groups on one side of each split.

    Rows of a pair that differ by rounding alone are taken to be equal (`settled`).
    """
    coding = coding or Coding()
    one = np.zeros(len(design), dtype=np.int64)
    folds = one if coding.n_folds == 1 else design.folds(coding.n_folds, generator)
    return cross_fit(settled(data), folds, coding, generator)


def calibrate_heads(
    data: HeadData,
    generator: torch.Generator,
    *,
    statistic: str = "mutual_information",
    design: Design | None = None,
    coding: Coding | None = None,
    n_draws: int = N_DRAWS,
    adjust: Adjust = "bh",
) -> HeadTest:
    """Test whether the codes of each head depend on the label, in the calibrated mode.

    The dictionary is trained on one fold of the pairs and the statistic taken on the other, both
    ways; the null exchanges labels within pairs, the same way for all heads and seeds.

    Args:
        data: Activations; `data.autoencoder` says how dictionaries are trained.
        generator: Source of the folds, dictionaries and exchanges.
        statistic: A name in `STATISTICS`, `mean_shift`, or `log_loss_gain`.
        design: Labels, pairs and groups of the rows of `data.z`; clean against corrupt by default.
        coding: How activations become codes.
        n_draws: Exchanges to draw, where there are too many to go through.
        adjust: How p-values are adjusted for the number of heads.

    Raises:
        UnknownNameError: If there is no such statistic; the message lists those that there are.
        DataError: If there are fewer groups than folds.
        OneClassError: If the examples have one label.
    """
    design = design or Design.of_pairs(data)
    coded = coded_heads(data, design, generator, coding)
    return calibrate_codes(
        coded, design, generator, statistic=statistic, data=data, n_draws=n_draws, adjust=adjust
    )


def calibrate_codes(
    coded: Sequence[Coded],
    design: Design,
    generator: torch.Generator,
    *,
    statistic: str = "mutual_information",
    data: HeadData | None = None,
    n_draws: int = N_DRAWS,
    adjust: Adjust = "bh",
) -> HeadTest:
    """`calibrate_heads` on codes that are at hand already, from wherever they come.

    Args:
        coded: Codes of the examples, in one part or in the parts of a cross-fit.
        design: Labels, pairs and groups of all examples.
        generator: Source of the exchanges, and of the folds of the log-loss gain.
        statistic: A name in `STATISTICS`, `mean_shift`, or `log_loss_gain`.
        data: What was coded; only `mean_shift` needs it.
        n_draws: Exchanges to draw, where there are too many to go through.
        adjust: How p-values are adjusted for the number of heads.
    """
    weights = None if design.weights is None else design.weights.double().cpu().numpy()
    parts = []
    for one in coded:
        own = None if weights is None else weights[one.rows]
        tables = CodeTables.of(one.codes, n_labels=design.n_labels, weights=own)
        if statistic == "mean_shift" and data is not None:
            vectors = settled(data).coordinates.cpu().numpy()[one.rows]
            parts.append(Part(tables, one.rows, mean_shift(vectors)))
        elif statistic == "log_loss_gain":
            folds = _loss_folds(design.take(one.rows), generator)
            parts.append(Part(tables, one.rows, log_loss_gain(folds)))
        else:
            parts.append(Part(tables, one.rows, STATISTICS[statistic]))
    labelings = shuffles(design, n_draws, generator)
    return calibrate(parts, design, labelings, adjust=adjust)


def _loss_folds(design: Design, generator: torch.Generator) -> NDArray[np.int64]:
    n_groups = int(design.block_of.max()) + 1
    return design.folds(min(LOSS_FOLDS, n_groups), generator)
