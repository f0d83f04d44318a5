"""Whether a circuit lacks anything: it and the model must do alike when both lose the same."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.methods import Question
from needlepoint.evaluation.circuits.draws import random_subsets
from needlepoint.evaluation.circuits.runs import CircuitRuns, run_units
from needlepoint.evaluation.circuits.units import Units
from needlepoint.evaluation.intervals import Interval, percentile_interval


@dataclass(frozen=True)
class Incompleteness:
    """|f(C without K) - f(M without K)| over parts K of a circuit C; 0 is a complete circuit.

    In shares of the way from the empty circuit to the whole model, so that tasks compare.
    """

    n_subsets: int
    mean: Interval
    """Over the parts K, the empty one among them, with an interval over pairs."""
    largest: float
    """Of the parts that were tried; not corrected for having been searched for."""
    largest_subset: tuple[str, ...]
    """The part K with the largest difference: with it gone, the model still does something that
    the circuit cannot, or the other way round."""


def incompleteness(
    question: Question,
    units: Units,
    kept: Bool[Tensor, " unit"],
    *,
    generator: torch.Generator,
    n_subsets: int = 50,
    greedy_steps: int = 0,
    greedy_tries: int = 5,
) -> Incompleteness:
    """Ablate random parts of a circuit, in the circuit and in the whole model alike.

    `1 - f(M without C)` of `judge_circuit` is the cheap form, with one part: all of it. The parts
    here are of all sizes. A greedy search can follow, which adds to K whichever of a few units
    raises the difference most: random parts seldom find what makes a circuit fail. It takes
    `2 * (n_subsets + 1 + greedy_steps * greedy_tries)` forward passes for each pair.

    Args:
        question: The model, and pairs that took no part in finding the circuit.
        units: Nodes or edges.
        kept: Which of them are the circuit.
        generator: Source of the parts and of the bootstrap over pairs.
        n_subsets: Random parts.
        greedy_steps: Units that the greedy search adds, 0 for none. Its differences count for
            `largest` alone, not for the mean.
        greedy_tries: Units that each step chooses from, drawn anew.

    Raises:
        DataError: If the circuit is empty, or there is no part to try; if the whole model and the
            empty circuit are not told apart by these pairs.

    Source:
        Wang et al., "Interpretability in the Wild", 2022, section 4.
    """
    if n_subsets < 1:
        raise DataError(f"n_subsets is {n_subsets}: give at least 1 random part, better 50.")
    parts = random_subsets(kept, n_subsets, generator)
    parts = torch.cat([torch.zeros_like(parts[:1]), parts])
    draws = _differences(_run(question, units, kept, parts), generator)
    mean = draws.mean(1)
    found = dict(zip(map(_key, parts), draws[0].tolist(), strict=True))
    if greedy_steps:
        found |= _greedy(question, units, kept, greedy_steps, greedy_tries, generator)
    largest = max(found, key=lambda key: found[key])
    return Incompleteness(
        n_subsets,
        percentile_interval(mean[1:], float(mean[0])),
        found[largest],
        tuple(units.names[place] for place in largest),
    )


def _run(
    question: Question, units: Units, kept: Bool[Tensor, " unit"], parts: Bool[Tensor, "row unit"]
) -> CircuitRuns:
    return run_units(question, units, torch.cat([kept & ~parts, ~parts]))


def _differences(runs: CircuitRuns, generator: torch.Generator) -> Float[Tensor, "resample row"]:
    draws = runs.draws(generator)
    inside, whole = draws.chunk(2, dim=1)
    return (inside - whole).abs()


def _key(part: Bool[Tensor, " unit"]) -> tuple[int, ...]:
    return tuple(part.nonzero()[:, 0].tolist())


def _greedy(
    question: Question,
    units: Units,
    kept: Bool[Tensor, " unit"],
    steps: int,
    tries: int,
    generator: torch.Generator,
) -> dict[tuple[int, ...], float]:
    """Differences of a part that grows by the unit, of a few, that makes the largest one."""
    part = torch.zeros_like(kept)
    found: dict[tuple[int, ...], float] = {}
    for _ in range(min(steps, int(kept.sum()))):
        left = (kept & ~part).nonzero()[:, 0]
        tried = left[torch.randperm(len(left), generator=generator)[:tries]]
        parts = part.repeat(len(tried), 1)
        parts[torch.arange(len(tried)), tried] = True
        differences = _differences(_run(question, units, kept, parts), generator)[0]
        found |= dict(zip(map(_key, parts), differences.tolist(), strict=True))
        part = parts[int(differences.argmax())]
    return found
