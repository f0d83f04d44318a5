"""Whether each method of a study would put the same heads and edges first with another seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint._core.progress import Bar
from needlepoint._core.seeds import seed_for
from needlepoint.circuits.registered import CIRCUIT_METHODS
from needlepoint.circuits.scores import HEAD_SCORES
from needlepoint.evaluation.circuits.drawn_anew import DrawnAnew
from needlepoint.evaluation.circuits.method_runs import MethodRun, Ran
from needlepoint.evaluation.circuits.stability import stability_over_seeds

OTHERS = 2
"""Other seeds with which slow scores and methods are run again, so that there are three."""
NO_SEED = "nothing in it is drawn at random"
ONE_SEED = "one dictionary was trained: --sae-seeds 3 trains three side by side"
NOT_RUN = f"it takes as long as the method: --stability 10 runs it with {OTHERS} other seeds"
ONE_DRAW = (
    "its dictionaries share folds, exchanges or training vectors, which other seeds draw anew: "
    f"--stability 10 runs it with {OTHERS} other seeds"
)
COLUMNS = ("n_seeds", "seed_jaccard", "seed_low", "seed_high", "seed_verdict", "seed_reason")

Scores = Sequence[Tensor] | str
"""By each seed, or why there is nothing to compare."""


def over_seeds(ran: Ran, drawn: DrawnAnew) -> dict[tuple[str, str], dict[str, Any]]:
    """How far seeds agree on what comes first, of the heads and of the edges of each method.

    Dictionaries of an ensemble that were trained apart from one another are compared one by one:
    the score is their mean, and steadier. All else is run with `OTHERS` other seeds, on the same
    pairs, if slow methods are to be run again at all.

    Args:
        ran: The methods, as they ran.
        drawn: What they ran on.

    Returns:
        Values of `COLUMNS` and what `chance` has in common, by name of the method and `heads` or
        `edges`; where nothing is known they are missing and `seed_reason` says why.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    with Bar("comparing seeds", total=len(ran.runs)) as bar:
        for name, run in ran.runs.items():
            sizes = {"heads": drawn.heads, "edges": drawn.edges}
            for units, scores in _scores(run, drawn).items():
                found[name, units] = _columns(scores, sizes[units], drawn, name)
            bar.advance()
    return found


def _scores(run: MethodRun, drawn: DrawnAnew) -> dict[str, Scores]:
    if run.found is None:
        return {"heads": _of_activations(run, drawn)}
    return _of_method(run, drawn)


def _of_activations(run: MethodRun, drawn: DrawnAnew) -> Scores:
    part = HEAD_SCORES[run.name]
    if not part.draws:
        return NO_SEED
    own = part.generator(drawn.seed, task=drawn.task)
    each = part.by_seed(drawn.data, own)
    if each is not None and len(each) > 1:
        return list(each)
    if not drawn.repeats:
        return ONE_SEED if part.ensemble else NOT_RUN if part.test is None else ONE_DRAW
    try:
        again = [
            part.score(drawn.data, part.generator(seed, task=drawn.task)) for seed in _others(drawn)
        ]
    except DataError as error:
        return str(error)
    return [run.strength, *again]


def _of_method(run: MethodRun, drawn: DrawnAnew) -> dict[str, Scores]:
    circuits = drawn.circuits(run)
    method = CIRCUIT_METHODS[run.name]
    if not method.draws or not drawn.repeats or run.found is None:
        return dict.fromkeys(circuits, NOT_RUN if method.draws else NO_SEED)
    try:
        again = [method.find(replace(drawn.question, seed=seed)) for seed in _others(drawn)]
    except DataError as error:
        return dict.fromkeys(circuits, str(error))
    return {
        name: [units.strength(found) for found in (run.found, *again)]
        for name, (units, _) in circuits.items()
    }


def _others(drawn: DrawnAnew) -> list[int]:
    return [
        seed_for(drawn.seed, task=drawn.task, use="other seeds", part=part)
        for part in range(OTHERS)
    ]


def _columns(scores: Scores, k: int, drawn: DrawnAnew, name: str) -> dict[str, Any]:
    if isinstance(scores, str):
        return {"seed_reason": scores}
    try:
        found = stability_over_seeds(scores, k=k, generator=drawn.draws(f"seeds of {name}"))
    except DataError as error:
        return {"seed_reason": str(error)}
    low, estimate, high = found.jaccard
    return {
        "chance": found.chance,
        "n_seeds": len(scores),
        "seed_jaccard": estimate,
        "seed_low": low,
        "seed_high": high,
        "seed_verdict": found.verdict,
        "seed_reason": "",
    }
