"""A circuit held against random ones of its size, and of its size in every layer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.methods import Question
from needlepoint.evaluation.circuits.draws import layer_matched, size_matched
from needlepoint.evaluation.circuits.runs import run_units
from needlepoint.evaluation.circuits.units import Units
from needlepoint.evaluation.configs import MIN_RANDOM
from needlepoint.evaluation.intervals import Interval, percentile_interval

Match = Literal["size", "layer"]


@dataclass(frozen=True)
class RandomCircuits:
    """What random circuits reach, and how often as much as the circuit in question."""

    n: int
    faithfulness: Interval
    """2.5 %, 50 % and 97.5 % points over the random circuits."""
    completeness: Interval
    p_faithfulness: float
    """Share of them as near to a faithfulness of 1 or nearer, the circuit itself counted in."""
    p_completeness: float
    """Share of them as near to a completeness of 1 or nearer, the circuit itself counted in."""

    @classmethod
    def of(
        cls,
        faithful: Float[Tensor, " resample"],
        complete: Float[Tensor, " resample"],
        *,
        own: tuple[float, float],
    ) -> RandomCircuits:
        """From both measures of each random circuit, and the two of the circuit in question."""
        return cls(
            len(faithful),
            spread(faithful),
            spread(complete),
            _p_value(faithful, own[0]),
            _p_value(complete, own[1]),
        )


@dataclass(frozen=True)
class CircuitJudged:
    """What one circuit does without the rest, and the rest without it."""

    size: int
    n_edges: int
    """After pruning."""
    faithfulness: Interval
    """f(C) of the circuit, all else ablated; 1 is the aim."""
    completeness: Interval
    """1 - f(M without C): 1 if nothing is left of the behaviour once the circuit is ablated.
    Where two parts stand in for one another, a circuit with one of them only falls short here."""
    by_size: RandomCircuits
    by_layer: RandomCircuits

    def summary(self) -> dict[str, Any]:
        """The same as plain values."""
        found = asdict(self)
        for part in (found, found["by_size"], found["by_layer"]):
            for name in ("faithfulness", "completeness"):
                part[name] = part[name]._asdict()
        return found


def judge_circuit(
    question: Question,
    units: Units,
    kept: Bool[Tensor, " unit"],
    *,
    generator: torch.Generator,
    n_random: int = 100,
) -> CircuitJudged:
    """Faithfulness and completeness of a circuit, with intervals, against random circuits.

    It takes `2 + 4 * n_random` forward passes for each pair. Random circuits are treated like the
    circuit: pruned, run, and run without.

    Args:
        question: The model, and pairs that took no part in finding the circuit.
        units: Nodes or edges.
        kept: Which of them are the circuit.
        generator: Source of the draws and of the bootstrap over pairs.
        n_random: Random circuits of each of the two kinds.

    Raises:
        DataError: If the circuit is empty or everything, or `n_random` is too small; if the whole
            model and the empty circuit are not told apart by these pairs.
    """
    _check(kept, n_random)
    drawn = [
        size_matched(kept, n_random, generator),
        layer_matched(kept, units.layer_of, n_random, generator),
    ]
    circuits = torch.cat([kept[None], *drawn])
    runs = run_units(question, units, torch.cat([circuits, ~circuits]))
    draws = runs.draws(generator)
    own, rest = draws[:, 0], 1 - draws[:, len(circuits)]
    found = torch.split(draws[0], [1, n_random, n_random] * 2)
    values = (float(own[0]), float(rest[0]))
    nulls = [RandomCircuits.of(found[i], 1 - found[i + 3], own=values) for i in (1, 2)]
    return CircuitJudged(
        int(kept.sum()),
        runs.n_edges[0],
        percentile_interval(own[1:], float(own[0])),
        percentile_interval(rest[1:], float(rest[0])),
        *nulls,
    )


def _p_value(drawn: Float[Tensor, " resample"], own: float) -> float:
    as_near = ((1 - drawn).abs() <= abs(1 - own) + 1e-9).sum()
    return (1 + int(as_near)) / (1 + len(drawn))


def spread(drawn: Float[Tensor, " resample"]) -> Interval:
    """The 2.5 %, 50 % and 97.5 % points over random circuits."""
    points = torch.tensor([0.025, 0.5, 0.975], dtype=drawn.dtype)
    return Interval(*torch.quantile(drawn, points).tolist())


def _check(kept: Bool[Tensor, " unit"], n_random: int) -> None:
    if not 0 < int(kept.sum()) < len(kept):
        raise DataError(
            f"the circuit has {int(kept.sum())} of {len(kept)} units: only one that has some and "
            "not all can be held against random ones."
        )
    check_random(n_random)


def check_random(n: int, of: str = "circuits", option: str = "n_random") -> None:
    """Refuse fewer random circuits than a band can be made of."""
    if n < MIN_RANDOM:
        raise DataError(f"{option} is {n}: give at least {MIN_RANDOM} random {of}, better 100.")
