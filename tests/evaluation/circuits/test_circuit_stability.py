"""Stability: exact effects of a planted circuit stay, noise does not, ties do not look stable."""

from __future__ import annotations

import itertools

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.circuits.ablation import head_effects
from needlepoint.circuits.methods import CircuitMethod, Found, Question
from needlepoint.evaluation.circuits.stability import Stability, chance_jaccard, stability
from needlepoint.evaluation.circuits.units import Units
from needlepoint.evaluation.intervals import Interval


def _method(compute) -> CircuitMethod:
    parts = {"level": "nodes", "gradients": False, "control": False, "exact": False}
    parts |= {"most_pairs": 0, "on_request": False, "draws": False}
    return CircuitMethod("m", "m", "m", "m", **parts, compute=compute)


def _exact(question: Question) -> Found:
    scores = torch.zeros(question.graph.n_writers)
    scores[question.graph.is_head] = head_effects(question.model, question.pairs).mean(0)
    return Found(scores)


def _constant(question: Question) -> Found:
    return Found(torch.ones(question.graph.n_writers))


def _noise(question: Question) -> Found:
    """Depends on which pairs there are, and on nothing else."""
    seed = int(question.pairs.clean.ids.sum() + 31 * question.pairs.clean.ids[:, -1].sum())
    return Found(
        torch.rand(question.graph.n_writers, generator=torch.Generator().manual_seed(seed))
    )


@pytest.mark.parametrize("how", ["bootstrap", "halves"])
def test_exact_effects_are_stable(question: Question, nodes: Units, generator, how) -> None:
    found = stability(
        _method(_exact), question, nodes, k=2, generator=generator, n_resamples=3, how=how
    )
    assert found.jaccard == (1, 1, 1)
    assert found.verdict == "stable"
    assert found.how == how


@pytest.mark.parametrize("compute", [_constant, _noise])
def test_noise_and_ties_are_as_stable_as_chance(
    question: Question, nodes: Units, generator, compute
) -> None:
    found = stability(_method(compute), question, nodes, k=8, generator=generator, n_resamples=60)
    assert found.jaccard.estimate == pytest.approx(found.chance, abs=0.1)
    assert found.verdict == "unstable"


def test_the_chance_level_is_the_mean_over_all_choices() -> None:
    sets = [set(some) for some in itertools.combinations(range(6), 3)]
    brute = [len(a & b) / len(a | b) for a in sets for b in sets]
    assert chance_jaccard(6, 3) == pytest.approx(sum(brute) / len(brute))


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [((0.5, 0.7, 0.9), "stable"), ((0.49, 0.6, 0.9), "fair"), ((0.1, 0.49, 0.9), "unstable")],
)
def test_the_verdict_follows_its_rule(ends, verdict) -> None:
    assert Stability(Interval(*ends), 0.1, 5, 50, 40, "bootstrap").verdict == verdict


def test_what_cannot_vary_is_refused(question: Question, nodes: Units, generator) -> None:
    for k in (0, nodes.n):
        with pytest.raises(DataError, match=f"k is {k}"):
            stability(_method(_constant), question, nodes, k=k, generator=generator)
    with pytest.raises(DataError, match="1 resamples of 6 pairs"):
        stability(_method(_constant), question, nodes, k=2, generator=generator, n_resamples=1)
