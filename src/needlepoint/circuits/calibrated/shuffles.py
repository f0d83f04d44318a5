"""Labels exchanged within strata: all the ways where they are few, random ones otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import factorial, inf, log, prod

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray

from needlepoint._core.errors import DataError
from needlepoint.circuits.calibrated.design import Design

MAX_SPLITS = 10_000
"""Up to this many ways, all are gone through and p-values are exact."""


@dataclass(frozen=True, eq=False)
class Shuffles:
    """Labels as they might have been if nothing depended on them, one column for each way."""

    labels: Int[np.ndarray, "example resample"]
    exact: bool
    """Whether these are all the ways there are, the observed one among them."""

    def __len__(self) -> int:
        return int(self.labels.shape[1])


def n_splits(design: Design) -> float:
    """In how many ways the labels can be exchanged within strata; infinite beyond float64.

    Example:
        >>> n_splits(Design(torch.tensor([1, 1, 1, 0, 0, 0])))
        20.0
    """
    labels, strata = design.labels.cpu().numpy(), design.stratum_of
    ways = [_ways(labels[strata == one]) for one in range(int(strata.max()) + 1)]
    return inf if sum(map(log, ways)) > 600 else float(prod(ways))


def shuffles(
    design: Design, n_draws: int, generator: torch.Generator, *, max_splits: int = MAX_SPLITS
) -> Shuffles:
    """All exchanges of labels within strata, or `n_draws` random ones if there are too many.

    Within-pair swaps where the design has pairs, permutations within groups where it has groups.
    The numbers of each label in each stratum never change.

    Raises:
        DataError: If `n_draws` is less than 1.
    """
    if n_draws < 1:
        raise DataError(f"n_draws is {n_draws}: draw at least 1 permutation, better 1000.")
    if n_splits(design) <= max_splits:
        return Shuffles(np.stack(list(_all(design)), axis=1), exact=True)
    return Shuffles(_random(design, n_draws, generator), exact=False)


def _ways(labels: NDArray[np.int64]) -> int:
    counts = Counter(labels.tolist()).values()
    return factorial(len(labels)) // prod(map(factorial, counts))


def _random(design: Design, n_draws: int, generator: torch.Generator) -> NDArray[np.int64]:
    """Order each stratum by random keys, and hand out its labels in that order."""
    labels, strata = design.labels.cpu().numpy(), design.stratum_of
    keys = torch.rand(n_draws, len(labels), generator=generator, dtype=torch.float64).numpy()
    order = np.argsort(strata + keys, axis=1)
    found = np.empty((n_draws, len(labels)), dtype=np.int64)
    np.put_along_axis(found, order, labels[np.argsort(strata, kind="stable")][None], axis=1)
    return found.T


def _all(design: Design) -> Iterator[NDArray[np.int64]]:
    labels, strata = design.labels.cpu().numpy(), design.stratum_of
    members = [np.flatnonzero(strata == one) for one in range(int(strata.max()) + 1)]
    choices = [list(_arrangements(sorted(labels[rows].tolist()))) for rows in members]
    for chosen in product(*choices):
        found = np.empty(len(labels), dtype=np.int64)
        for rows, part in zip(members, chosen, strict=True):
            found[rows] = part
        yield found


def _arrangements(labels: list[int]) -> Iterator[list[int]]:
    """The different orders of a sorted list."""
    if not labels:
        yield []
    for place, label in enumerate(labels):
        if place == 0 or label != labels[place - 1]:
            for rest in _arrangements(labels[:place] + labels[place + 1 :]):
                yield [label, *rest]
