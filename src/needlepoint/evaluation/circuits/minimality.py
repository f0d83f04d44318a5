"""Whether a circuit has anything too much: each unit must matter to some part of the circuit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.methods import Question
from needlepoint.evaluation.circuits.draws import random_subsets
from needlepoint.evaluation.circuits.runs import CircuitRuns, run_units
from needlepoint.evaluation.circuits.units import Units


@dataclass(frozen=True, eq=False)
class Minimality:
    """The largest change that each unit of a circuit makes, and units that are not in it."""

    changes: pd.DataFrame
    """One row for each unit that was tried, largest change first: `unit`, `change` in shares of
    the way from the empty circuit to the whole model, `p` against the outside units, `minimal`,
    `helps` (whether the circuit is more faithful with the unit, where it changes most)."""
    outside: tuple[float, ...]
    """The same for random units outside, added to the circuit: what a unit that is not needed
    makes."""
    threshold: float
    """The 95 % point of `outside`: a unit that stays below has not been shown to be needed."""
    n_subsets: int
    n_untried: int
    """Units of the circuit that were left out because there are more than `at_most`."""

    @property
    def share_minimal(self) -> float:
        """Share of the tried units whose change is above the threshold."""
        return float(self.changes["minimal"].mean())


def minimality(
    question: Question,
    units: Units,
    kept: Bool[Tensor, " unit"],
    *,
    generator: torch.Generator,
    n_subsets: int = 5,
    n_outside: int = 20,
    at_most: int = 100,
) -> Minimality:
    """Take each unit out of a circuit, with random other units gone or not, and see what changes.

    The change of a unit v is the largest `|f(C without K and v) - f(C without K)|` over the parts
    K that were tried, the empty one among them: a unit that only matters when its stand-in is gone
    counts. The same is done with random units outside, from the layers of the circuit's units,
    which are put into the circuit first. It takes about
    `(n_subsets + 1) * (units tried + n_outside + 1)` forward passes for each pair.

    Args:
        question: The model, and pairs that took no part in finding the circuit.
        units: Nodes or edges.
        kept: Which of them are the circuit.
        generator: Source of the parts and of the units outside.
        n_subsets: Random parts K besides the empty one.
        n_outside: Random units outside; all if there are fewer.
        at_most: Units of the circuit to try, drawn at random if there are more.

    Raises:
        DataError: If the circuit is empty or everything; if the whole model and the empty circuit
            are not told apart by these pairs.

    Source:
        Wang et al., "Interpretability in the Wild", 2022, section 4; the comparison with units
        outside is our own.
    """
    return minimal_units(
        partial(run_units, question, units),
        kept,
        units.names,
        units.layer_of,
        generator=generator,
        n_subsets=n_subsets,
        n_outside=n_outside,
        at_most=at_most,
    )


def minimal_units(
    run: Callable[[Bool[Tensor, "resample unit"]], CircuitRuns],
    kept: Bool[Tensor, " unit"],
    names: Sequence[str],
    layer_of: Int[Tensor, " unit"],
    *,
    generator: torch.Generator,
    n_subsets: int = 5,
    n_outside: int = 20,
    at_most: int = 100,
) -> Minimality:
    """The same as `minimality`, of whatever `run` runs circuits of, such as heads alone.

    Args:
        run: Runs circuits on pairs that took no part in finding them.
        kept: Which units are the circuit.
        names: Of all units.
        layer_of: Layer of each unit.
        generator: Source of the parts and of the units outside.
        n_subsets: Random parts K besides the empty one.
        n_outside: Random units outside; all if there are fewer.
        at_most: Units of the circuit to try, drawn at random if there are more.

    Raises:
        DataError: As in `minimality`.
    """
    inside, outside = _drawn(layer_of, kept, at_most, n_outside, generator)
    parts = torch.zeros(1, len(kept), dtype=torch.bool)
    if n_subsets:
        parts = torch.cat([parts, random_subsets(kept, n_subsets, generator)])
    found = _changes(run, kept, parts, torch.cat([inside, outside]), generator)
    changes, null = found[: len(inside)].abs(), found[len(inside) :].abs()
    threshold = float(torch.quantile(null, 0.95))
    p = ((null[None] >= changes[:, None]).sum(1) + 1) / (len(null) + 1)
    frame = pd.DataFrame(
        {
            "unit": [names[place] for place in inside.tolist()],
            "change": changes.tolist(),
            "p": p.tolist(),
            "minimal": (changes > threshold).tolist(),
            "helps": (found[: len(inside)] > 0).tolist(),
        }
    ).sort_values("change", ascending=False, ignore_index=True)
    untried = int(kept.sum()) - len(inside)
    return Minimality(frame, tuple(null.tolist()), threshold, n_subsets, untried)


def _drawn(
    layer_of: Int[Tensor, " unit"],
    kept: Bool[Tensor, " unit"],
    at_most: int,
    n: int,
    generator: torch.Generator,
) -> tuple[Int[Tensor, " row"], Int[Tensor, " value"]]:
    """Units of the circuit to try, and units outside from the same layers where there are any."""
    if not 0 < int(kept.sum()) < len(kept):
        raise DataError(
            f"the circuit has {int(kept.sum())} of {len(kept)} units: only one that has some and "
            "not all can be tried for what it could do without."
        )
    alike = ~kept & torch.isin(layer_of, torch.unique(layer_of[kept]))
    pools = (kept, alike if bool(alike.any()) else ~kept)
    chosen = []
    for pool, most in zip(pools, (at_most, n), strict=True):
        places = pool.nonzero()[:, 0]
        chosen.append(places[torch.randperm(len(places), generator=generator)[:most]])
    return chosen[0], chosen[1]


def _changes(
    run: Callable[[Bool[Tensor, "resample unit"]], CircuitRuns],
    kept: Bool[Tensor, " unit"],
    parts: Bool[Tensor, "row unit"],
    tried: Int[Tensor, " value"],
    generator: torch.Generator,
) -> Float[Tensor, " value"]:
    """Faithfulness with each unit less without it, at the part where that is farthest from 0."""
    bases = kept & ~parts
    flipped = bases.repeat(len(tried), 1, 1)
    flipped[torch.arange(len(tried)), :, tried] = True
    without = flipped.clone()
    without[torch.arange(len(tried)), :, tried] = False
    rows, which = torch.unique(
        torch.cat([flipped, without]).flatten(0, 1), dim=0, return_inverse=True
    )
    faithful = run(rows).draws(generator)[0]
    there, gone = faithful[which].reshape(2, len(tried), len(parts))
    change: Tensor = there - gone
    most = change.abs().argmax(1, keepdim=True)
    return change.gather(1, most)[:, 0]
