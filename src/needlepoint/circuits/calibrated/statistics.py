"""How much the codes of a head tell of the label: six ways to put it in one number.

Each takes tables of codes and any number of labelings, and returns one number for each head of
each seed and each labeling, larger where codes tell more. All are biased upwards: a head with many
codes seems to tell more even where there is nothing to be told. Hold them against their null.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.special import xlogy

from needlepoint._core.errors import DataError
from needlepoint._core.registry import Registry
from needlepoint.circuits.calibrated.tables import CodeTables

Statistic = Callable[[CodeTables, NDArray[np.int64]], NDArray[np.float64]]
StatisticName = Literal["mutual_information", "g_statistic", "total_variation", "unique_codes"]

STATISTICS: Registry[Statistic] = Registry("code statistic")
"""The statistics of codes and labels alone, by name."""


@STATISTICS.add("mutual_information")
def mutual_information(
    tables: CodeTables, labels: Int[np.ndarray, "example resample"]
) -> Float[np.ndarray, "unit resample"]:
    """Plug-in mutual information of code and label, in nats.

    Example:
        >>> import torch
        >>> tables = CodeTables.of(torch.tensor([[[4], [4], [2], [2]]]), n_labels=2)
        >>> labels = np.array([[1, 1], [1, 0], [0, 1], [0, 0]])
        >>> mutual_information(tables, labels).round(4).tolist()
        [[0.6931, 0.0]]
    """
    cells = tables.counts(labels)
    units = tables.sum_codes(cells)
    joint = tables.sum_codes(xlogy(cells, cells).sum(0))
    code = tables.sum_codes(xlogy(cells.sum(0), cells.sum(0)))
    label = xlogy(units, units).sum(0)
    total = units.sum(0)
    found: NDArray[np.float64] = (joint - code - label) / total + np.log(total)
    return np.maximum(found, 0.0)


@STATISTICS.add("g_statistic")
def g_statistic(
    tables: CodeTables, labels: Int[np.ndarray, "example resample"]
) -> Float[np.ndarray, "unit resample"]:
    """The G of the likelihood-ratio test of independence: twice the information of all examples."""
    total = tables.sum_codes(tables.counts(labels)).sum(0)
    found: NDArray[np.float64] = 2 * total * mutual_information(tables, labels)
    return found


@STATISTICS.add("total_variation")
def total_variation(
    tables: CodeTables, labels: Int[np.ndarray, "example resample"]
) -> Float[np.ndarray, "unit resample"]:
    """Share of the codes that would have to change to make a class like the rest, from 0 to 1.

    For two classes the total variation distance of their codes; for more, the mean over classes,
    by size, of the distance to all others together.
    """
    cells = tables.counts(labels)
    units = tables.sum_codes(cells)
    rest, total = cells.sum(0) - cells, units.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        own = cells / tables.spread(units)
        other = rest / tables.spread(total - units)
    distance = tables.sum_codes(np.abs(own - other)) / 2
    found: NDArray[np.float64] = np.nansum(distance * units, axis=0) / total
    return found


@STATISTICS.add("unique_codes")
def unique_codes(
    tables: CodeTables, labels: Int[np.ndarray, "example resample"]
) -> Float[np.ndarray, "unit resample"]:
    """Number of codes seen under label 1 and under no other: the node score of the paper."""
    cells = tables.counts(labels)
    only = (cells[1] > 0) & (cells.sum(0) == cells[1])
    found: NDArray[np.float64] = tables.sum_codes(only.astype(float))
    return found


def mean_shift(vectors: Float[np.ndarray, "example head width"]) -> Statistic:
    """How far labels shift the mean output, as codes tell it: weighs codes by what they stand for.

    Each code of a head stands for the mean of the vectors that the head says it for, whatever their
    label. The statistic is the root of the variance between the label means of these, so for two
    equal classes half the distance of the class means. Two codes for nearly the same vector count
    as nearly the same, which no other statistic here sees.

    Args:
        vectors: The vectors that were coded, in a basis of each head's own, in units that may be
            compared between heads.
    """
    known: dict[int, NDArray[np.float64]] = {}

    def statistic(
        tables: CodeTables, labels: Int[np.ndarray, "example resample"]
    ) -> Float[np.ndarray, "unit resample"]:
        if id(tables) not in known:
            known[id(tables)] = _centroids(tables, vectors)
        means, cells = known[id(tables)], tables.counts(labels)
        units = tables.sum_codes(cells)
        share = units / units.sum(0)
        with np.errstate(invalid="ignore", divide="ignore"):
            apart = cells / tables.spread(units) - tables.spread(1 / units.sum(0)) * cells.sum(0)
        ends = [*tables.starts[1:], tables.n_cells]
        found = np.empty(units.shape[1:])
        for unit, (start, end) in enumerate(zip(tables.starts, ends, strict=True)):
            moved = means[start:end].T @ np.nan_to_num(apart[:, start:end])
            found[unit] = np.sqrt((np.square(moved).sum(1) * share[:, unit]).sum(0))
        return found

    return statistic


def log_loss_gain(fold_of: Int[np.ndarray, " example"], *, prior: float = 0.5) -> Statistic:
    """Nats per example by which codes improve a held-out guess of the label; can be negative.

    In each fold labels are predicted from the other folds' table, with `prior` counts added to each
    label in each cell, shared out as the labels are; a code not seen there predicts the share of
    the labels. No upward bias, but the least power of the statistics here.

    Args:
        fold_of: Fold of each example; examples that are alike in one fold (`Design.folds`).
        prior: Pseudo-examples per code.

    Raises:
        DataError: If there are fewer than two folds.
    """
    folds = np.unique(fold_of)
    if len(folds) < 2:
        raise DataError("all examples are in one fold: give two folds or more.")

    def statistic(
        tables: CodeTables, labels: Int[np.ndarray, "example resample"]
    ) -> Float[np.ndarray, "unit resample"]:
        cells = tables.counts(labels)
        gain: Any = 0.0
        for fold in folds:
            rows = np.flatnonzero(fold_of == fold)
            held = tables.take(rows).counts(labels[rows])
            train = cells - held
            share = _share(tables.sum_codes(train))
            base = tables.spread(share)
            guess = (train + prior * base) / (train.sum(0) + prior)
            gain = gain + tables.sum_codes((held * (np.log(guess) - np.log(base))).sum(0))
        total = tables.sum_codes(cells).sum(0)
        found: NDArray[np.float64] = gain / total
        return found

    return statistic


def _share(units: Any) -> Any:
    """Share of each label, with half a count added to each so that none is impossible."""
    units = units + 0.5
    return units / units.sum(0)


def _centroids(
    tables: CodeTables, vectors: Float[np.ndarray, "example head width"]
) -> Float[np.ndarray, "cell width"]:
    """Mean vector of each cell."""
    means = np.empty((tables.n_cells, vectors.shape[2]))
    ends = [*tables.starts[1:], tables.n_cells]
    for unit, (start, end) in enumerate(zip(tables.starts, ends, strict=True)):
        member = tables.member[start:end]
        total = member.sum(1)[:, None]
        means[start:end] = (member @ vectors[:, unit % vectors.shape[1]]) / total
    return means
