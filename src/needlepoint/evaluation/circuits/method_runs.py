"""What each method says of every head, and what it cost to say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint._core.progress import Bar
from needlepoint.circuits.calibrated.nulls import HeadTest
from needlepoint.circuits.cost import Cost, measured
from needlepoint.circuits.head_data import HeadData
from needlepoint.circuits.registered import CIRCUIT_METHODS, CircuitMethod, Found, Question
from needlepoint.circuits.scores import HEAD_SCORES
from needlepoint.models.model import Model


@dataclass(frozen=True, eq=False)
class MethodRun:
    """One method, run."""

    name: str
    label: str
    description: str
    level: Literal["heads", "nodes", "edges"]
    control: bool
    uses_labels: bool
    """Whether it knows which prompts are clean, or what the right answer is."""
    strength: Float[Tensor, " head"]
    """By which heads are ranked, larger for better candidates."""
    cost: Cost
    """Of a score of activations with the passes that read them, but not their time."""
    found: Found | None = None
    """What it says of all nodes and edges, if it does."""
    test: HeadTest | None = None
    """Which heads score more than chance would have it, if it says so."""


@dataclass(frozen=True)
class Ran:
    """Methods that ran, by name, and why others did not."""

    runs: dict[str, MethodRun]
    skipped: dict[str, str]

    def merged(self, other: Ran) -> Ran:
        """Those of both."""
        return Ran(self.runs | other.runs, self.skipped | other.skipped)


def run_scores(model: Model, data: HeadData, names: Sequence[str], *, seed: int, task: str) -> Ran:
    """Score every head from activations that have been read.

    Raises:
        UnknownNameError: If a name is not registered; the message lists those that are.
    """
    parts = [HEAD_SCORES[name] for name in names]
    runs: dict[str, MethodRun] = {}
    with Bar("scoring heads", total=len(parts)) as bar:
        for part in parts:
            with measured(model) as meter:
                scores, test = part.score_and_test(data, part.generator(seed, task=task))
            cost = replace(meter.cost, forward_passes=2.0 * data.n_pairs)
            runs[part.name] = MethodRun(
                part.name,
                part.label,
                part.description,
                "heads",
                part.control,
                part.uses_labels,
                scores,
                cost,
                test=test,
            )
            bar.advance()
    return Ran(runs, {})


def run_methods(
    question: Question,
    names: Sequence[str],
    *,
    instead: Mapping[str, CircuitMethod] | None = None,
) -> Ran:
    """Run every method named on one question, some of them `instead` of what is registered.

    A method that cannot be run on this model is left out with its reason; that is no error, as the
    others can still be compared.

    Raises:
        UnknownNameError: If a name is not registered; the message lists those that are.
    """
    runs: dict[str, MethodRun] = {}
    skipped: dict[str, str] = {}
    for name in names:
        part = (instead or {}).get(name) or CIRCUIT_METHODS[name]
        try:
            with measured(question.model) as meter:
                found = part.find(question)
        except DataError as error:
            skipped[name] = str(error)
            continue
        runs[name] = MethodRun(
            part.name,
            part.label,
            part.description,
            part.level,
            part.control,
            not part.control,
            found.node_strength[question.graph.is_head].double(),
            meter.cost,
            found,
        )
    return Ran(runs, skipped)
