"""A statistic of codes against what it would be if labels meant nothing: z, p, q of each head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy.stats import false_discovery_control
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.calibrated.design import Design
from needlepoint.circuits.calibrated.shuffles import Shuffles
from needlepoint.circuits.calibrated.statistics import Statistic
from needlepoint.circuits.calibrated.tables import CodeTables

Adjust = Literal["bh", "by"]
BLOCK = 64
"""Labelings counted at a time: bounds memory at labels x cells x BLOCK numbers."""
TIE = 1e-9
"""Two values of a statistic are tied if they differ by less than this share of the larger."""


class Part(NamedTuple):
    """Codes of some of the examples, which say the same thing by the same code among themselves."""

    tables: CodeTables
    rows: NDArray[np.int64]
    """Which examples of the design these are."""
    statistic: Statistic


@dataclass(frozen=True, eq=False)
class HeadTest:
    """One statistic of every head, and how far it is from what chance gives.

    The null says that labels are exchangeable within strata. It says nothing of whether the head
    takes part in the behaviour: what tells clean from corrupt may well be of no use to the model.
    """

    observed: Float[Tensor, " head"]
    """The statistic, mean over seeds and over the parts of a cross-fit."""
    null_mean: Float[Tensor, " head"]
    null_sd: Float[Tensor, " head"]
    p: Float[Tensor, " head"]
    """Share of labelings that reach the observed value: all of them if `exact`, otherwise
    `(1 + #) / (n_draws + 1)`, so never 0."""
    q: Float[Tensor, " head"]
    """`p` adjusted for the number of heads; q <= .05 keeps the share of false findings to 5 %."""
    p_family: Float[Tensor, " head"]
    """Chance that any head at all reaches this z (max-T): controls even one false finding."""
    n_draws: int
    exact: bool
    again: Float[Tensor, "resample head"] | None = None
    """The statistic on resamples of the pairs, the dictionaries as they are; None if not made."""

    @property
    def excess(self) -> Float[Tensor, " head"]:
        """The statistic less its mean under the null: what is left of it once chance is paid."""
        return self.observed - self.null_mean

    @property
    def z(self) -> Float[Tensor, " head"]:
        """`excess` in standard deviations of the null; NaN where no exchange changes the statistic.

        That is so of a head that says one code only, and of one whose codes tell pairs apart but
        never the members of a pair: there is nothing that could be tested, and `p` is 1.
        """
        missing = torch.full_like(self.excess, torch.nan)
        still = self.null_sd <= TIE * self.observed.abs()
        return torch.where(still, missing, self.excess / self.null_sd)

    def found(self, level: float = 0.05) -> Bool[Tensor, " head"]:
        """The heads with `q` at or below a level."""
        return self.q <= level


def calibrate(
    parts: Sequence[Part], design: Design, labelings: Shuffles, *, adjust: Adjust = "bh"
) -> HeadTest:
    """Test every head by the same exchanges of labels, counted for all heads at once.

    Args:
        parts: Codes with the statistic to take of them. One part, or those of a cross-fit: the
            statistic is their mean, weighted by numbers of examples.
        design: The labels as they are.
        labelings: From `shuffles` of the same design.
        adjust: `bh` holds for heads that are independent or positively dependent, `by` for any.

    Raises:
        DataError: If there is no part, or one that has lost a label.

    References:
        Westfall and Young 1993 (max-T); Benjamini and Hochberg 1995; Benjamini and Yekutieli 2001;
        Phipson and Smyth 2010 for `(1 + #) / (n + 1)`.
    """
    if not parts:
        raise DataError("there are no codes to test: give at least one part.")
    labels = design.labels.cpu().numpy().astype(np.int64)
    observed = _value(parts, labels[:, None])[:, 0]
    blocks = [labelings.labels[:, i : i + BLOCK] for i in range(0, len(labelings), BLOCK)]
    null = np.concatenate([_value(parts, block) for block in blocks], axis=1)
    return against_null(observed, null, exact=labelings.exact, adjust=adjust)


def against_null(
    observed: NDArray[np.float64], null: NDArray[np.float64], *, exact: bool, adjust: Adjust
) -> HeadTest:
    """The test of a statistic of each head against its values under exchanges of labels.

    Args:
        observed: The statistic, `[head]`.
        null: The same under each exchange, `[head, resample]`.
        exact: Whether these are all exchanges there are, the observed one among them.
        adjust: `bh` or `by`.
    """
    reached = null >= (observed - TIE * np.abs(observed))[:, None]
    more = 0 if exact else 1
    p = (reached.sum(1) + more) / (null.shape[1] + more)
    mean, sd = null.mean(1), null.std(1)
    return HeadTest(
        observed=torch.from_numpy(observed),
        null_mean=torch.from_numpy(mean),
        null_sd=torch.from_numpy(sd),
        p=torch.from_numpy(p),
        q=torch.from_numpy(adjusted(p, adjust)),
        p_family=torch.from_numpy(_family(observed, null, more)),
        n_draws=null.shape[1],
        exact=exact,
    )


def adjusted(p: NDArray[np.float64], how: Adjust) -> NDArray[np.float64]:
    """p-values adjusted to bound the share of false findings among those found.

    Example:
        >>> adjusted(np.array([0.01, 0.04]), "bh").tolist()
        [0.02, 0.04]
    """
    found: NDArray[np.float64] = false_discovery_control(p, method=how)
    return found


def _value(parts: Sequence[Part], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The statistic of each head, `[head, resample]`."""
    total = sum(len(part.rows) for part in parts)
    found = [
        part.tables.over_seeds(part.statistic(part.tables, labels[part.rows]))
        * (len(part.rows) / total)
        for part in parts
    ]
    value: NDArray[np.float64] = np.sum(found, axis=0)
    return value


def _family(
    observed: NDArray[np.float64], null: NDArray[np.float64], more: int
) -> NDArray[np.float64]:
    """Step-less max-T: how often the largest z of any head reaches the z of this one."""
    mean, sd = null.mean(1), null.std(1)
    still = sd <= TIE * np.abs(observed)
    unit = np.where(still, 1.0, sd)
    largest = np.where(still[:, None], -np.inf, (null - mean[:, None]) / unit[:, None]).max(0)
    z = np.where(still, -np.inf, (observed - mean) / unit)
    reached = largest[None, :] >= (z - TIE * np.abs(np.where(still, 0, z)))[:, None]
    found: NDArray[np.float64] = (reached.sum(1) + more) / (null.shape[1] + more)
    return found
