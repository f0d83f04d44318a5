"""Intervals of many means at once when rows of one document belong together."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int

N_RESAMPLES = 1000
_Z = 1.959963984540054


def mean_intervals(
    values: Float[np.ndarray, " row"],
    groups: Int[np.ndarray, " row"],
    documents: Int[np.ndarray, " row"],
    n_groups: int,
    generator: np.random.Generator,
) -> tuple[Float[np.ndarray, " group"], Float[np.ndarray, " group"]]:
    """Ends of the 95 % interval of each group's mean, documents resampled whole.

    NaN for a group that is in fewer than two documents: its spread between documents is not
    known. Resamples without a row of a group are left out for it.

    Args:
        values: One number for each row.
        groups: Group of each row; -1 for none.
        documents: Document of each row.
        n_groups: Number of groups.
        generator: Source of the resamples.
    """
    here = groups >= 0
    names, member = np.unique(documents[here], return_inverse=True)
    shape = (len(names), n_groups)
    cells = member.reshape(-1) * n_groups + groups[here]
    counts = np.bincount(cells, minlength=math.prod(shape)).reshape(shape).astype(np.float64)
    sums = np.bincount(cells, values[here].astype(np.float64), math.prod(shape)).reshape(shape)
    share = np.full(len(names), 1 / max(len(names), 1))
    drawn = generator.multinomial(len(names), share, size=N_RESAMPLES).astype(np.float64)
    below = drawn @ counts
    found = np.divide(drawn @ sums, below, out=np.full_like(below, np.nan), where=below > 0)
    few = (counts > 0).sum(0) < 2
    found[:, few] = 0.0
    low, high = np.nanpercentile(found, [2.5, 97.5], axis=0) if n_groups else np.empty((2, 0))
    low[few] = high[few] = np.nan
    return low, high


def share_intervals(
    hits: Float[np.ndarray, " row"],
    groups: Int[np.ndarray, " row"],
    documents: Int[np.ndarray, " row"],
    n_groups: int,
    generator: np.random.Generator,
) -> tuple[Float[np.ndarray, " group"], Float[np.ndarray, " group"]]:
    """The same for shares of rows, with Wilson's interval where every row is alike.

    Resampling rows that are all hits, or all misses, never gives anything else. Wilson's interval
    is then taken for as many trials as there are documents, not rows.
    """
    low, high = mean_intervals(hits, groups, documents, n_groups, generator)
    for group in range(n_groups):
        here = groups == group
        n = len(np.unique(documents[here]))
        if n and (hits[here] == hits[here][0]).all():
            low[group], high[group] = wilson(float(hits[here][0]), n)
    return low, high


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of n independent trials.

    Example:
        >>> [round(end, 3) for end in wilson(0.5, 10)]
        [0.237, 0.763]
        >>> [round(end, 3) for end in wilson(1.0, 10)]
        [0.722, 1.0]
    """
    middle = share + _Z**2 / (2 * n)
    reach = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    whole = 1 + _Z**2 / n
    return max((middle - reach) / whole, 0.0), min((middle + reach) / whole, 1.0)
