"""The rules that turn numbers into words, case by case."""

from __future__ import annotations

import pytest

from needlepoint.evaluation import tested as results
from needlepoint.evaluation.held_out import Judged
from needlepoint.evaluation.intervals import Interval
from needlepoint.evaluation.verdicts import verdict

TRIVIAL = 0.5


def scored(probe: str, f1: float, neurons: int = 0) -> results.Tested:
    scores = results.Scores(f1, f1, f1, f1, f1, f1)
    return results.Tested(probe, 0, tuple(range(neurons)), scores, {}, f1)


def around(estimate: float, width: float) -> Interval | None:
    return Interval(estimate - width, estimate, estimate + width) if width else None


def judged(
    one: float, few: float, dense: float, *, k: int = 3, token: float = 0.5, width: float = 0.04
) -> Judged:
    """Probes of these test F1; differences have intervals of this half-width, or none."""
    found = {"one neuron": one, "sparse": few, "dense": dense}
    sizes = {"one neuron": 1, "sparse": k, "dense": 48}
    best = max(found, key=lambda name: found[name])
    parts = [scored(name, f1, sizes[name]) for name, f1 in found.items()]
    parts += [scored("both tokens", token), scored("embedding", 0.5), scored("majority", TRIVIAL)]
    return Judged(
        tuple(parts),
        best,
        "both tokens",
        around(found[best] - token, width),
        around(found[best] - TRIVIAL, width),
        around(one - TRIVIAL, width),
        None,
    )


@pytest.mark.parametrize(
    ("f1s", "expected"),
    [
        ((0.92, 0.99, 0.99), "one neuron"),
        ((0.80, 0.84, 0.84), "one neuron"),
        ((0.80, 0.86, 0.80), "a few neurons (k = 3)"),
        ((0.70, 0.91, 0.99), "a few neurons (k = 3)"),
        ((0.70, 0.80, 0.84), "a few neurons (k = 3)"),
        ((0.70, 0.80, 0.86), "distributed"),
        ((0.60, 0.65, 0.69), "weak"),
        ((0.60, 0.65, 0.75), "distributed"),
        ((0.50, 0.95, 0.95), "a few neurons (k = 3)"),
        ((0.49, 0.60, 0.95), "distributed"),
        ((0.49, 0.50, 0.52), "not present"),
    ],
)
def test_verdicts(f1s: tuple[float, float, float], expected: str) -> None:
    assert verdict(judged(*f1s), 0.001).verdict == expected
    assert verdict(judged(*f1s), None).verdict == expected, "without p-values the scores decide"


def test_a_sparse_probe_of_one_neuron_counts_as_one() -> None:
    assert verdict(judged(0.80, 0.91, 0.99, k=1), 0.001).verdict == "one neuron"
    assert verdict(judged(0.70, 0.80, 0.84, k=1), 0.001).verdict == "one neuron"
    assert verdict(judged(0.70, 0.80, 0.86, k=1), 0.001).verdict == "distributed"


def test_a_neuron_that_chance_matches_is_no_single_neuron() -> None:
    assert verdict(judged(0.95, 0.95, 0.95), 0.05).verdict == "one neuron"
    assert verdict(judged(0.95, 0.95, 0.95), 0.051).verdict == "a few neurons (k = 3)"
    assert verdict(judged(0.95, 0.95, 0.95, k=1), 0.051).verdict == "distributed"


def test_not_present_is_what_neither_chance_nor_the_majority_yields_to() -> None:
    unsure = judged(0.60, 0.70, 0.72, width=0.3)
    assert verdict(unsure, 0.051).verdict == "not present"
    assert verdict(unsure, 0.05).verdict == "a few neurons (k = 3)"
    assert verdict(judged(0.60, 0.70, 0.76, width=0.0), 0.051).verdict == "distributed", (
        "without intervals the estimates decide"
    )


def test_test_rows_decide_whether_a_probe_of_many_is_there() -> None:
    spread = judged(0.60, 0.65, 0.90)
    assert verdict(spread, 0.5, q_best=0.05).verdict == "distributed"
    assert verdict(spread, 0.5, q_best=0.051).verdict == "not present"
    assert verdict(spread, 0.5, q_best=0.051, within=True).verdict == "distributed"
    unsure = judged(0.60, 0.65, 0.90, width=0.5)
    assert verdict(unsure, 0.5, q_best=0.051, within=True).verdict == "not present"
    assert verdict(judged(0.40, 0.41, 0.42), 0.5, q_best=0.01).verdict == "not present"


def test_a_null_within_documents_does_not_outvote_test_documents() -> None:
    found = verdict(judged(0.95, 0.95, 0.95), 1.0, within=True)
    assert found.verdict == "one neuron"
    assert "Within documents it does not follow the labels beyond chance." in found.reason
    assert verdict(judged(0.60, 0.95, 0.95, width=0.2), 1.0, within=True).verdict != "one neuron"


def test_what_the_tokens_tell_as_well_is_explained_by_them() -> None:
    found = verdict(judged(0.92, 0.99, 0.97, token=0.96), 0.001)
    assert (found.verdict, found.carried_by) == ("explained by token identity", "one neuron")
    assert "(both tokens) gives F1 0.96" in found.reason
    assert "(difference -0.01 to +0.07)" in found.reason


@pytest.mark.parametrize(("token", "width"), [(0.93, 0.3), (0.96, 0.02), (0.98, 0.0)])
def test_tokens_that_are_worse_explain_nothing(token: float, width: float) -> None:
    """Too far below, or shown to be below, or below where there is no interval."""
    found = verdict(judged(0.92, 0.99, 0.97, token=token, width=width), 0.001)
    assert found.verdict == "one neuron"
    assert f"Token identity alone gives {token:.2f}" in found.reason


def test_what_is_not_present_is_not_explained() -> None:
    assert verdict(judged(0.49, 0.50, 0.52, token=0.9), 0.5).verdict == "not present"
