"""Faithfulness as a circuit grows along a ranking, and the two areas that MIB reads off it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.methods import Found, Question
from needlepoint.evaluation.circuits.runs import CircuitRuns, run_units
from needlepoint.evaluation.circuits.units import Units, first_units
from needlepoint.evaluation.intervals import Interval, percentile_interval

MIB_SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Shares of the edges, or of the nodes, at which MIB runs a circuit."""


@dataclass(frozen=True)
class Curve:
    """Faithfulness of the circuits of the first units of one ranking."""

    shares: tuple[float, ...]
    sizes: tuple[int, ...]
    """Units taken: the share of all of them, rounded down."""
    n_edges: tuple[int, ...]
    """Edges left after pruning, the shared key or value inputs counted once; of circuits of heads,
    which are run whole, empty."""
    faithfulness: tuple[Interval, ...]
    area: Interval
    """Under faithfulness, over the shares from first to last."""
    distance: Interval
    """Between faithfulness and 1; 0 is best."""

    def frame(self) -> pd.DataFrame:
        """One row for each size."""
        return pd.DataFrame(
            {
                "share": self.shares,
                "size": self.sizes,
                "n_edges": self.n_edges or [None] * len(self.sizes),
                "faithfulness": [one.estimate for one in self.faithfulness],
                "low": [one.low for one in self.faithfulness],
                "high": [one.high for one in self.faithfulness],
            }
        )


@dataclass(frozen=True)
class CompletenessCurve:
    """1 - f(M without C) of the circuits C of the first units of one ranking."""

    shares: tuple[float, ...]
    sizes: tuple[int, ...]
    completeness: tuple[Interval, ...]
    """0 with nothing ablated, 1 if nothing is left of the behaviour once the circuit is gone."""
    area: Interval
    """Under completeness, over the shares from first to last."""
    distance: Interval
    """Between completeness and 1; 0 is best."""

    @classmethod
    def of(cls, curve: Curve) -> CompletenessCurve:
        """The same values, which a curve calls faithfulness whatever they are of."""
        return cls(curve.shares, curve.sizes, curve.faithfulness, curve.area, curve.distance)

    def frame(self) -> pd.DataFrame:
        """One row for each size."""
        return pd.DataFrame(
            {
                "share": self.shares,
                "size": self.sizes,
                "completeness": [one.estimate for one in self.completeness],
                "low": [one.low for one in self.completeness],
                "high": [one.high for one in self.completeness],
            }
        )


@dataclass(frozen=True)
class AreasJudged:
    """MIB's two numbers for a method on one task, each with the curve it was read from."""

    cpr: Interval
    """Circuit performance ratio: units that help most first. More is better; it can exceed 1."""
    cmd: Interval
    """Circuit-model distance: largest effects first, whatever their sign. 0 is best."""
    helpful_first: Curve
    largest_first: Curve
    complete: CompletenessCurve | None = None
    """Of the same circuits as `largest_first`; missing where it was not asked for."""


def judge_areas(
    question: Question,
    found: Found,
    units: Units,
    *,
    generator: torch.Generator,
    shares: Sequence[float] = MIB_SHARES,
    completeness: bool = False,
) -> AreasJudged:
    """CPR and CMD of what a method found.

    The shares between 0 and the first one are left out, as in the published code, so that an
    ideal circuit has a CPR of .999. For a method whose scores have no sign both curves are one.
    Unlike there, a key or value input that several heads share is one unit, not one for each.

    Args:
        question: The model, and pairs that took no part in finding the circuit.
        found: What the method says.
        units: Nodes or edges.
        generator: Source of the bootstrap over pairs.
        shares: Increasing.
        completeness: Whether the model is also run without each circuit of the largest.

    Raises:
        DataError: If full and empty are not told apart by these pairs; if shares do not increase.

    References:
        Mueller et al., "MIB: A Mechanistic Interpretability Benchmark", 2025 (arXiv 2504.13151).
    """
    strength = units.strength(found)
    sizes = chosen_sizes(shares, units.n)
    kept = first_units(strength, sizes)
    largest = run_units(question, units, torch.cat([kept, ~kept]) if completeness else kept)
    draws = largest.draws(generator)
    by_size = curve_of(draws[:, : len(sizes)], shares, sizes)
    by_size = replace(by_size, n_edges=largest.n_edges[: len(sizes)])
    complete = None
    if completeness:
        complete = CompletenessCurve.of(curve_of(1 - draws[:, len(sizes) :], shares, sizes))
    if not found.signed:
        return AreasJudged(by_size.area, by_size.distance, by_size, by_size, complete)
    helpful = largest.helps * units.scores(found)
    by_help = _curve(
        run_units(question, units, first_units(helpful, sizes)), shares, sizes, generator
    )
    return AreasJudged(by_help.area, by_size.distance, by_help, by_size, complete)


def chosen_sizes(shares: Sequence[float], n: int) -> list[int]:
    """How many of `n` units each share is, rounded down.

    Raises:
        DataError: If shares do not increase from 0 to 1 at most.
    """
    inside = all(0 <= share <= 1 for share in shares)
    steps = zip(shares[1:], shares[:-1], strict=True)
    if len(shares) < 2 or not inside or not all(after > before for after, before in steps):
        raise DataError("give at least two shares between 0 and 1, in increasing order.")
    return [int(share * n) for share in shares]


def curve_of(
    draws: Float[Tensor, "resample unit"], shares: Sequence[float], sizes: Sequence[int]
) -> Curve:
    """The curve of values of circuits on resamples of the pairs, the first row on all of them.

    The edges that the circuits keep are not known here.
    """
    points = [percentile_interval(one[1:], float(one[0])) for one in draws.unbind(1)]
    grid = torch.tensor(list(shares), dtype=torch.float64)
    areas = [torch.trapezoid(values, grid) for values in (draws, (1 - draws).abs())]
    area, distance = (percentile_interval(one[1:], float(one[0])) for one in areas)
    return Curve(tuple(shares), tuple(sizes), (), tuple(points), area, distance)


def _curve(
    runs: CircuitRuns, shares: Sequence[float], sizes: Sequence[int], generator: torch.Generator
) -> Curve:
    return replace(curve_of(runs.draws(generator), shares, sizes), n_edges=runs.n_edges)
