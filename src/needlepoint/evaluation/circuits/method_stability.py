"""Whether each method of a study would put the same heads and edges first on other prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
import torch

from needlepoint._core.errors import DataError
from needlepoint._core.progress import Bar
from needlepoint.circuits.calibrated.stability import N_RESAMPLES, drawn_counts
from needlepoint.circuits.head_data import HeadData
from needlepoint.circuits.registered import CIRCUIT_METHODS
from needlepoint.circuits.resampled import RESAMPLED, n_drawn_from
from needlepoint.circuits.scores import HEAD_SCORES
from needlepoint.evaluation.circuits.drawn_anew import DrawnAnew, Told
from needlepoint.evaluation.circuits.method_runs import MethodRun, Ran
from needlepoint.evaluation.circuits.over_seeds import COLUMNS as OF_SEEDS
from needlepoint.evaluation.circuits.over_seeds import over_seeds
from needlepoint.evaluation.circuits.stability import (
    Stability,
    halves,
    ranking_overlap,
    ranking_stability,
    stabilities,
)
from needlepoint.evaluation.circuits.units import Units

FIXED = ("layer_index", "random", "random_edges")
"""Methods that ask nothing of the prompts."""
NOT_OF_PROMPTS = "it does not depend on the prompts"
NOT_RUN = "it takes as long as the method: --stability 10 runs it on halves of the pairs, 10 times"
COLUMNS = (
    "method",
    "units",
    "k",
    "how",
    "n_pairs",
    "n_resamples",
    "jaccard",
    "low",
    "high",
    "chance",
    "verdict",
    "reason",
    *OF_SEEDS,
)


def stability_frame(ran: Ran, drawn: DrawnAnew) -> pd.DataFrame:
    """The table of stabilities: a row for the heads of each method, and one for its edges.

    Scores of activations are made again on resamples of the pairs where that is quick, with what
    was trained left as it is. All else is run again on halves of the pairs, if that is asked for.
    How far seeds agree is told beside it, from ensembles that were trained anyway or, if that is
    asked for, from two more runs.

    Args:
        ran: The methods, as they ran on all pairs.
        drawn: What they ran on.

    Returns:
        Columns as `COLUMNS`; where nothing is known figures are missing and `reason` says why.
    """
    scores = {name: run for name, run in ran.runs.items() if run.found is None}
    slow = [name for name, run in scores.items() if name not in FIXED and not _quick(name, run)]
    told = {(name, "heads"): NOT_OF_PROMPTS for name in scores if name in FIXED}
    found: dict[tuple[str, str], Told] = {**told, **_slow_scores(slow, drawn)}
    found |= {
        (name, "heads"): _resampled(name, run, drawn)
        for name, run in scores.items()
        if _quick(name, run)
    }
    found |= _methods(ran, drawn)
    seeds = over_seeds(ran, drawn)
    rows = [
        _row(name, units, one, drawn) | seeds[name, units]
        for method in ran.runs
        for (name, units), one in found.items()
        if name == method
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _quick(name: str, run: MethodRun) -> bool:
    return name in RESAMPLED or (run.test is not None and run.test.again is not None)


def _resampled(name: str, run: MethodRun, drawn: DrawnAnew) -> Told:
    """A score on resamples, against the same on all the pairs that these are drawn from."""
    if run.test is not None and run.test.again is not None:
        whole, again = run.test.observed.clamp(min=0), run.test.again.clamp(min=0)
    else:
        n_pairs = n_drawn_from(name, drawn.data)
        counts = drawn_counts(n_pairs, N_RESAMPLES, drawn.draws("pairs"), drawn.data.group_of)
        counts = torch.cat([torch.ones_like(counts[:1]), counts])
        rng = HEAD_SCORES[name].generator(drawn.seed, task=drawn.task)
        scores = RESAMPLED[name](drawn.data, counts, rng)
        whole, again = scores[0], scores[1:]
    try:
        return ranking_stability(whole, again, k=drawn.heads, generator=drawn.draws(name))
    except DataError as error:
        return str(error)


def _slow_scores(names: Sequence[str], drawn: DrawnAnew) -> dict[tuple[str, str], Told]:
    """Scores that take as long as they took: on halves of the pairs, and trained on each."""
    if not drawn.repeats:
        return {(name, "heads"): NOT_RUN for name in names}
    overlaps: dict[str, list[float]] = {name: [] for name in names}
    failed: dict[str, str] = {}
    for parts in _halved(drawn) if names else ():
        for name in names:
            try:
                overlaps[name].append(_overlap(name, parts, drawn))
            except DataError as error:
                failed[name] = str(error)
    n_heads = drawn.data.n_heads
    return {
        (name, "heads"): failed.get(name)
        or Stability.of(shares, k=drawn.heads, n_units=n_heads, how="halves")
        for name, shares in overlaps.items()
    }


def _halved(drawn: DrawnAnew) -> Iterator[list[HeadData]]:
    """Two halves of the data for each repeat; scores of one half share what they train."""
    draws = drawn.draws("halves")
    with Bar("scoring heads on halves", total=drawn.repeats) as bar:
        for _ in range(drawn.repeats):
            yield [drawn.data.take_pairs(half) for half in halves(drawn.data.n_pairs, draws)]
            bar.advance()


def _overlap(name: str, parts: Sequence[HeadData], drawn: DrawnAnew) -> float:
    part = HEAD_SCORES[name]
    one, other = (part.score(data, part.generator(drawn.seed, task=drawn.task)) for data in parts)
    return ranking_overlap(one, other, k=drawn.heads, generator=drawn.draws(name))


def _methods(ran: Ran, drawn: DrawnAnew) -> dict[tuple[str, str], Told]:
    """Methods that run the model: on halves of the pairs, if that is asked for."""
    found: dict[tuple[str, str], Told] = {}
    runs = {name: run for name, run in ran.runs.items() if run.found is not None}
    with Bar("running methods on halves", total=len(runs)) as bar:
        for name, run in runs.items():
            circuits = drawn.circuits(run)
            told: Sequence[Told] = [NOT_OF_PROMPTS if name in FIXED else NOT_RUN] * len(circuits)
            if drawn.repeats and name not in FIXED:
                told = _again(name, list(circuits.values()), drawn)
            found |= {(name, units): one for units, one in zip(circuits, told, strict=True)}
            bar.advance()
    return found


def _again(name: str, circuits: list[tuple[Units, int]], drawn: DrawnAnew) -> Sequence[Told]:
    try:
        return stabilities(
            CIRCUIT_METHODS[name],
            drawn.question,
            circuits,
            generator=drawn.draws(name),
            n_resamples=drawn.repeats,
            how="halves",
        )
    except DataError as error:
        return [str(error)] * len(circuits)


def _row(name: str, units: str, told: Told, drawn: DrawnAnew) -> dict[str, Any]:
    row = {"method": name, "units": units, "k": getattr(drawn, units)}
    if isinstance(told, str):
        return {**row, "reason": told}
    of_activations = name in HEAD_SCORES
    return {
        **row,
        "how": told.how,
        "n_pairs": n_drawn_from(name, drawn.data) if of_activations else len(drawn.question.pairs),
        "n_resamples": told.n_resamples,
        "jaccard": told.jaccard.estimate,
        "low": told.jaccard.low,
        "high": told.jaccard.high,
        "chance": told.chance,
        "verdict": told.verdict,
        "reason": "",
    }
