"""The edges that each method puts first, and what cutting them really does."""

from __future__ import annotations

import pandas as pd
import torch
from jaxtyping import Bool
from torch import Tensor

from needlepoint.circuits.registered import Question
from needlepoint.circuits.search.edge_patching import edge_effects
from needlepoint.evaluation.circuits.method_runs import MethodRun
from needlepoint.evaluation.intervals import bootstrap_means

PREFERRED = ("eap_ig_inputs", "eap_ig_activations", "eap_gim", "eap")
"""Whose edges are patched: the first of these that ran, or the first method for edges."""
PATCH_PAIRS = 24
COLUMNS = (
    "method",
    "rank",
    "writer",
    "reader",
    "score",
    "effect",
    "effect_low",
    "effect_high",
    "confirmed",
)


def leading_edges(
    question: Question,
    runs: dict[str, MethodRun],
    n: int,
    *,
    generator: torch.Generator,
) -> pd.DataFrame:
    """The first edges of every method for edges, with exact effects of those of one of them.

    An edge is confirmed if the interval of its exact effect, over pairs, leaves out 0. Effects of
    the other methods' edges are missing where nobody patched them.

    Returns:
        One row for each method and edge, best first; see the design notes for the columns.
    """
    methods = [run for run in runs.values() if run.level == "edges" and not run.control]
    if not methods:
        return pd.DataFrame(columns=list(COLUMNS))
    names = [run.name for run in methods]
    patched = next((name for name in PREFERRED if name in names), names[0])
    effects = _patched(question, _first(question, runs[patched], n), generator)
    rows = []
    for run in methods:
        assert run.found is not None
        assert run.found.edges is not None
        for rank, (writer, reader) in enumerate(_first(question, run, n), 1):
            nothing: tuple[float | bool | None, ...] = (None, None, None, None)
            effect = effects.get((writer, reader), nothing)
            named = question.graph.writers[writer].name, question.graph.readers[reader].name
            score = float(run.found.edges[writer, reader])
            rows.append((run.name, rank, *named, score, *effect))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _first(question: Question, run: MethodRun, n: int) -> list[tuple[int, int]]:
    """Places of a method's strongest edges; none that it gives no strength, or would cut."""
    assert run.found is not None
    strength = run.found.edge_strength.masked_fill(~question.graph.edges, -torch.inf)
    values, order = strength.flatten().sort(descending=True, stable=True)
    width = question.graph.n_readers
    return [
        divmod(place, width)
        for place, value in zip(order[:n].tolist(), values[:n].tolist(), strict=True)
        if value > 0
    ]


def _patched(
    question: Question, places: list[tuple[int, int]], generator: torch.Generator
) -> dict[tuple[int, int], tuple[float | bool | None, ...]]:
    pairs = question.pairs.spread(PATCH_PAIRS)
    asked = Question(question.model, pairs, question.replaced, question.seed)
    mask: Bool[Tensor, "writer reader"] = torch.zeros_like(question.graph.edges)
    for place in places:
        mask[place] = True
    if not places:
        return {}
    found = bootstrap_means(edge_effects(asked, mask).T, generator=generator)
    ordered = [(writer, reader) for writer, reader in mask.nonzero().tolist()]
    effects: dict[tuple[int, int], tuple[float | bool | None, ...]] = {}
    for number, place in enumerate(ordered):
        one = found.of(number)
        confirmed = one.low > 0 or one.high < 0
        effects[place] = (one.estimate, one.low, one.high, confirmed)
    return effects
