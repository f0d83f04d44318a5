"""Directed pairs of heads whose codes go together, more under one label than another; as edges.

An edge here is a candidate: codes of two heads also go together because both read the same token.
Whether the later head uses what the earlier one writes is for path patching to say.

References:
    McGill 1954, "Multivariate information transmission", for interaction information.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy.stats import false_discovery_control
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.calibrated.bins import pool_codes
from needlepoint.circuits.calibrated.design import Design
from needlepoint.circuits.calibrated.pair_information import JointCodes
from needlepoint.circuits.calibrated.shuffles import shuffles

N_DRAWS = 200
STILL = 1e-9
"""Nats below which two values are the same."""


@dataclass(frozen=True, eq=False)
class EdgeTest:
    """A statistic of each directed pair of heads against its null; NaN where there is no edge."""

    observed: Float[Tensor, "head head"]
    """Row: the earlier head; column: the later one. In nats."""
    z: Float[Tensor, "head head"]
    """In standard deviations of the null; NaN too where no draw changes the statistic."""
    p: Float[Tensor, "head head"]
    q: Float[Tensor, "head head"]
    """`p` adjusted for all pairs that were tested (Benjamini-Hochberg)."""


@dataclass(frozen=True, eq=False)
class CodeEdges:
    """Directed pairs of heads, earlier layer to later, scored by what their codes share."""

    coupling: EdgeTest
    """Information between the two codes within classes, I(c1; c2 | y). Null: codes of the later
    head exchanged within each class. Upper tail."""
    interaction: EdgeTest
    """How much the label changes it, I(c1; c2 | y) - I(c1; c2): above its null, together the two
    heads tell more of the label than apart; below, they tell the same. Null: labels exchanged
    within strata, for both heads alike. Two-sided."""
    difference: EdgeTest
    """Coupling under label 1 less that under label 0. The same null. Two-sided."""
    heads: Int[Tensor, " head"]
    """Which heads of the model these are, in order."""
    layer_of: Int[Tensor, " head"]
    status: Literal["candidate"] = "candidate"
    """Always a candidate: no effect has been measured."""

    @property
    def allowed(self) -> Bool[Tensor, "head head"]:
        """Where there can be an edge: the row's layer comes before the column's."""
        return self.layer_of[:, None] < self.layer_of[None, :]

    def ranked(self, by: Literal["coupling", "interaction", "difference"]) -> list[tuple[int, int]]:
        """Pairs of heads of the model, numbered as there, from the largest z down; NaN left out."""
        z = getattr(self, by).z
        rows, columns = (~torch.isnan(z)).nonzero(as_tuple=True)
        order = z[rows, columns].argsort(descending=True, stable=True)
        pairs = torch.stack([self.heads[rows[order]], self.heads[columns[order]]], 1)
        return [(int(one), int(two)) for one, two in pairs.tolist()]


def code_edges(
    codes: Int[Tensor, "example head"],
    design: Design,
    layer_of: Int[Tensor, " head"],
    generator: torch.Generator,
    *,
    heads: Int[Tensor, "_"] | None = None,
    n_bins: int = 8,
    n_draws: int = N_DRAWS,
) -> CodeEdges:
    """Score every pair of an earlier and a later head by the codes that they say together.

    Counts of pairs are matrix products in blocks of heads; memory is bounded by one block against
    all heads, whatever the number of examples or draws, and draws are never kept.

    It does not find edges, and may order some. On SmolLM2 naming the indirect object (100 pairs,
    35,235 pairs of heads), 15,166 pairs are coupled at q of 5 % and none differs by label, and of
    the ten pairs that each statistic puts furthest from its null, path patching confirms none. Of
    the 62 pairs among the twelve heads that matter most it confirms 21; these the size of z of the
    interaction tells from the others with an AUC of 0.79, the coupling with 0.45, the difference
    with 0.56, and a control that knows no codes, the product of both heads' changes, with 0.67
    (`benchmarks/code_edges.py`).

    Args:
        codes: Codes of one seed, of examples that one dictionary has coded.
        design: Labels 0 and 1, with the pairs or groups within which they can be exchanged.
        layer_of: Layer of each head of the model.
        generator: Source of the exchanges.
        heads: Heads to pair, for instance those that pass `HeadTest.found`; all by default.
        n_bins: Codes of each head are pooled to this many bins.
        n_draws: Exchanges for each null.

    Raises:
        DataError: If no head of those asked for lies in a layer before another's, there are more
            than two labels, or a class has a single example.
    """
    heads = torch.arange(codes.shape[1]) if heads is None else heads
    layers = layer_of[heads]
    allowed = (layers[:, None] < layers[None, :]).numpy()
    labels = design.labels.cpu().numpy().astype(np.int64)
    if not allowed.any():
        raise DataError("all heads asked for are in one layer: name heads of two layers or more.")
    if design.n_labels != 2 or min(np.bincount(labels)) < 2:
        raise DataError("edges need labels 0 and 1, with two examples of each or more.")
    joint = JointCodes(pool_codes(codes[:, heads].cpu(), n_bins), layers)
    keys = torch.rand(n_draws, len(labels), generator=generator, dtype=torch.float64).numpy()
    labelings = shuffles(design, n_draws, generator, max_splits=0).labels.T

    def moved(draw: int) -> NDArray[np.float64]:
        return _expected(joint.within(labels, _within_class(labels, keys[draw])), labels)[None]

    def relabelled(draw: int) -> NDArray[np.float64]:
        return _label_statistics(joint, labelings[draw])

    now = _expected(joint.within(labels), labels)[None]
    coupling = _tested(now, moved, n_draws, allowed)
    told = _tested(_label_statistics(joint, labels), relabelled, n_draws, allowed)
    return CodeEdges(
        coupling.test(0, two_sided=False),
        told.test(0, two_sided=True),
        told.test(1, two_sided=True),
        heads,
        layers,
    )


@dataclass(frozen=True, eq=False)
class _Tested:
    """Statistics of all pairs, with running sums over the draws of their null."""

    observed: NDArray[np.float64]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    above: NDArray[np.float64]
    """`(1 + #) / (n + 1)` of draws at or above the observed value."""
    below: NDArray[np.float64]
    allowed: NDArray[np.bool_]

    def test(self, which: int, *, two_sided: bool) -> EdgeTest:
        """One of the statistics as it is reported."""
        p = self.above[which]
        if two_sided:
            p = np.minimum(1, 2 * np.minimum(p, self.below[which]))
        q = np.full_like(p, np.nan)
        q[self.allowed] = false_discovery_control(p[self.allowed])
        sd = self.sd[which]
        z = (self.observed[which] - self.mean[which]) / np.where(sd > STILL, sd, np.nan)
        parts = (self.observed[which], z, p, q)
        return EdgeTest(*(torch.from_numpy(np.where(self.allowed, x, np.nan)) for x in parts))


def _expected(within: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean over the labels, by how frequent they are: I(c1; c2 | y)."""
    share = np.bincount(labels) / len(labels)
    found: NDArray[np.float64] = np.tensordot(share, within, axes=1)
    return found


def _label_statistics(joint: JointCodes, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Interaction information and difference of the couplings."""
    within = joint.within(labels)
    return np.stack([_expected(within, labels) - joint.overall, within[1] - within[0]])


def _within_class(labels: NDArray[np.int64], keys: NDArray[np.float64]) -> NDArray[np.int64]:
    """A random order of the examples that leaves each in its class."""
    order = np.empty(len(labels), dtype=np.int64)
    order[np.argsort(labels, kind="stable")] = np.argsort(labels + keys)
    return order


def _tested(
    observed: NDArray[np.float64],
    draw: Callable[[int], NDArray[np.float64]],
    n_draws: int,
    allowed: NDArray[np.bool_],
) -> _Tested:
    """Running moments and exceedances over draws, of deviations from the observed values."""
    total, square = np.zeros_like(observed), np.zeros_like(observed)
    above, below = np.ones_like(observed), np.ones_like(observed)
    for place in range(n_draws):
        apart = draw(place) - observed
        total += apart
        square += apart**2
        above += apart >= -STILL
        below += apart <= STILL
    mean = total / n_draws
    sd = np.sqrt(np.maximum(square / n_draws - mean**2, 0))
    reach = n_draws + 1
    return _Tested(observed, observed + mean, sd, above / reach, below / reach, allowed)
