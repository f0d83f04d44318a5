"""Faithfulness, completeness and minimality as a circuit grows along a ranking, against random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint.evaluation.circuits.added_blocks import AddedBlocks, MinimalityCurve
from needlepoint.evaluation.circuits.against_random import RandomCircuits, check_random
from needlepoint.evaluation.circuits.curves import (
    MIB_SHARES,
    CompletenessCurve,
    Curve,
    chosen_sizes,
    curve_of,
)
from needlepoint.evaluation.circuits.draws import layer_matched, size_matched
from needlepoint.evaluation.circuits.runs import RunOnce
from needlepoint.evaluation.circuits.units import first_units
from needlepoint.evaluation.intervals import Interval

MEASURES = ("faithfulness", "completeness")
_ENDS = ("low", "high")


@dataclass(frozen=True)
class CurvesJudged:
    """What the circuits of one ranking do alone, and the model without them, against chance."""

    faithful: Curve
    complete: CompletenessCurve
    by_size: tuple[RandomCircuits, ...]
    """At each size, random circuits of as many units."""
    by_layer: tuple[RandomCircuits | None, ...]
    """At each size where they were asked for, random circuits of as many units in each layer."""
    minimal: MinimalityCurve | None
    """Missing where it was not asked for."""

    def frame(self) -> pd.DataFrame:
        """One row for each size.

        Returns:
            `share, size`; each measure with `_low` and `_high` over pairs; of the random circuits,
            after `size_` and `layer_`, each measure's `_low, _median, _high` over circuits and its
            `_p`; and the columns of minimality, if it was measured.
        """
        curves = {"faithfulness": self.faithful.faithfulness}
        curves |= {"completeness": self.complete.completeness}
        columns: dict[str, Sequence[float | None]] = {
            "share": self.faithful.shares,
            "size": self.faithful.sizes,
        }
        for name, points in curves.items():
            columns[name] = [one.estimate for one in points]
            columns |= {f"{name}_{end}": [getattr(one, end) for one in points] for end in _ENDS}
        for match, nulls in (("size", self.by_size), ("layer", self.by_layer)):
            for name in MEASURES:
                columns |= _null_columns(f"{match}_{name}", nulls, name)
        frame = pd.DataFrame(columns)
        return frame if self.minimal is None else frame.join(self.minimal.frame())


def judge_curves(
    run: RunOnce,
    strength: Float[Tensor, " unit"],
    layer_of: Int[Tensor, " unit"],
    *,
    generator: torch.Generator,
    shares: Sequence[float] = MIB_SHARES,
    layered: Sequence[float] | None = None,
    n_random: int = 100,
    n_blocks: int = 0,
    n_subsets: int = 0,
) -> CurvesJudged:
    """Faithfulness, completeness and minimality of the circuits of the strongest units.

    Every circuit, every random one and what each of them leaves of the model are run together, no
    circuit twice: up to `2 * (1 + 2 * n_random)` forward passes for each pair and size, and for
    minimality `(1 + n_subsets) * (2 + n_blocks)` more. Two rankings that are judged with the same
    `run`, and with generators in the same state, are held against the same random circuits of each
    size, which are then run for the first of them only.

    Args:
        run: Runs circuits on pairs that took no part in finding them.
        strength: By which the units are ranked, the largest first.
        layer_of: Layer of each unit.
        generator: Source of the draws and of the bootstrap over pairs.
        shares: Of all units, increasing.
        layered: Those of the shares at which random circuits are also matched layer by layer, all
            unless given: these are another set for each ranking.
        n_random: Random circuits of each of the two kinds at each size.
        n_blocks: Random blocks of units from outside, that the units added last are held against;
            0 leaves minimality out.
        n_subsets: Parts of the circuit that are taken out besides none; see `MinimalityCurve`.

    Raises:
        DataError: If full and empty are not told apart by these pairs; if shares do not increase,
            or there are fewer than 20 random circuits or blocks.

    Source:
        Wang et al., "Interpretability in the Wild", 2022, section 4; the sizes of Mueller et al.,
        "MIB", 2025 (arXiv 2504.13151). The bands of random circuits are our own.
    """
    check_random(n_random)
    if n_blocks:
        check_random(n_blocks, "blocks", "n_blocks")
    sizes = chosen_sizes(shares, len(strength))
    nested = first_units(strength, sizes)
    by_layer = [layered is None or share in layered for share in shares]
    drawn = [size_matched(kept, n_random, generator) for kept in nested]
    alike = [layer_matched(kept, layer_of, n_random, generator) for kept in nested]
    drawn += [one for one, asked in zip(alike, by_layer, strict=True) if asked]
    circuits = torch.cat([nested, *drawn])
    added = AddedBlocks.drawn(nested, n_blocks, n_subsets, generator) if n_blocks else None
    runs = run(torch.cat([circuits, ~circuits, *([added.rows] if added else [])]))
    draws = runs.draws(generator)
    alone, without, blocks = draws.tensor_split((len(circuits), 2 * len(circuits)), dim=1)
    measured = torch.stack([alone, 1 - without])
    own, nulls = measured[:, :, : len(sizes)], measured[:, 0, len(sizes) :]
    faithful, complete = (curve_of(one, shares, sizes) for one in own)
    return CurvesJudged(
        replace(faithful, n_edges=runs.n_edges[: len(sizes)]),
        CompletenessCurve.of(complete),
        *_nulls(nulls.reshape(2, -1, n_random), own[:, 0], by_layer),
        added.curve(blocks, shares, sizes) if added else None,
    )


def _nulls(
    drawn: Float[Tensor, "value row resample"],
    own: Float[Tensor, "value unit"],
    by_layer: list[bool],
) -> tuple[tuple[RandomCircuits, ...], tuple[RandomCircuits | None, ...]]:
    """At each size, faithfulness and completeness of random circuits beside the ones judged."""
    sizes = [*range(len(by_layer)), *(at for at, asked in enumerate(by_layer) if asked)]
    found = [
        RandomCircuits.of(*null, own=(float(own[0, at]), float(own[1, at])))
        for null, at in zip(drawn.unbind(1), sizes, strict=True)
    ]
    rest = iter(found[len(by_layer) :])
    layered = tuple(next(rest) if asked else None for asked in by_layer)
    return tuple(found[: len(by_layer)]), layered


def _null_columns(
    prefix: str, nulls: Sequence[RandomCircuits | None], name: str
) -> dict[str, Sequence[float | None]]:
    missing = Interval(*[float("nan")] * 3)
    points = [missing if one is None else getattr(one, name) for one in nulls]
    return {
        f"{prefix}_low": [one.low for one in points],
        f"{prefix}_median": [one.estimate for one in points],
        f"{prefix}_high": [one.high for one in points],
        f"{prefix}_p": [None if one is None else getattr(one, f"p_{name}") for one in nulls],
    }
