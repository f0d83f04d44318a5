"""The rules that turn numbers into words, case by case."""

from __future__ import annotations

import pandas as pd
import pytest

from needlepoint.evaluation import held_out
from needlepoint.evaluation.ablate_neurons import COLUMNS
from needlepoint.evaluation.search_neurons import Search
from needlepoint.evaluation.verdicts import find_answer, shuffled_summary, verdict


def results(one: float, sparse: float, dense: float, k: int = 3) -> dict[str, held_out.Tested]:
    def part(probe: str, f1: float, neurons: int) -> held_out.Tested:
        return held_out.Tested(probe, 0, tuple(range(neurons)), None, f1, f1, f1, None, None)

    parts = [
        part("one neuron", one, 1),
        part("sparse", sparse, k),
        part("dense", dense, 48),
        part("majority", 0.5, 0),
    ]
    return {one.probe: one for one in parts}


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
        ((0.50, 0.95, 0.95), "not found"),
        ((0.49, 0.95, 0.95), "not found"),
    ],
)
def test_verdicts(f1s: tuple[float, float, float], expected: str) -> None:
    assert verdict(results(*f1s), 0.001, 1) == expected
    assert verdict(results(*f1s), None, 1) == expected, "without p-values the scores decide"


def test_a_sparse_probe_of_one_neuron_counts_as_one() -> None:
    assert verdict(results(0.80, 0.91, 0.99, k=1), 0.001, 1) == "one neuron"
    assert verdict(results(0.70, 0.80, 0.84, k=1), 0.001, 1) == "one neuron"
    assert verdict(results(0.70, 0.80, 0.86, k=1), 0.001, 1) == "distributed"


def test_a_neuron_that_chance_matches_is_not_found() -> None:
    scores = results(0.95, 0.95, 0.95)
    assert verdict(scores, 0.05, 1) == "one neuron"
    assert verdict(scores, 0.051, 1) == "not found"
    assert verdict(scores, 0.005, 10) == "one neuron"
    assert verdict(scores, 0.006, 10) == "not found", "ten features are ten chances"


def feature(name: str, f1: float, verdict_: str = "one neuron", low: float | None = 0.7) -> dict:
    high = None if low is None else 1.0
    interval = {"low": low, "estimate": f1, "high": high}
    site = f"L1.N{round(100 * f1)}"
    return {
        "feature": name,
        "verdict": verdict_,
        "f1_one": interval,
        "site": site,
        "baseline_f1": 0.3,
    }


def no_ablation() -> pd.DataFrame:
    return pd.DataFrame(columns=COLUMNS)


def test_the_answer_names_the_surest_feature_with_its_interval() -> None:
    features = [feature("a", 0.8), feature("b", 0.9), feature("c", 0.4, "not found")]
    answer = find_answer("tiny", features, no_ablation())
    assert answer.startswith("A single neuron of tiny is enough for 2 of 3 features;")
    assert "the surest, L1.N90, tells b: F1 0.90 (95% interval 0.70 to 1.00)" in answer
    assert "calling every text positive gives 0.30" in answer
    assert "nan" not in answer
    assert "interval" not in find_answer("tiny", [feature("a", 0.8, low=None)], no_ablation())


def test_nothing_found_is_said_so() -> None:
    features = [feature("a", 0.9, "not found"), feature("b", 0.5, "not found")]
    answer = find_answer("tiny", features, no_ablation())
    assert answer == "No neuron of tiny tells any of the 2 features from chance."


def test_the_answer_counts_neurons_whose_loss_rises_for_sure() -> None:
    rows = [
        {"mode": "mean", "texts": "positive", "neurons": "found", "loss_increase": 0.2, "low": 0.1},
        {
            "mode": "mean",
            "texts": "positive",
            "neurons": "found",
            "loss_increase": 0.1,
            "low": -0.1,
        },
        {
            "mode": "mean",
            "texts": "positive",
            "neurons": "random",
            "loss_increase": 0.01,
            "low": 0.0,
        },
        {"mode": "zero", "texts": "positive", "neurons": "found", "loss_increase": 9.0, "low": 9.0},
        {"mode": "mean", "texts": "negative", "neurons": "found", "loss_increase": 9.0, "low": 9.0},
    ]
    answer = find_answer("tiny", [feature("a", 0.8)], pd.DataFrame(rows))
    assert "for 1 of 2 tried, by +0.1500 nats per token on average (+0.0100 for random" in answer


class Wrong(Search):
    """A search of which only the smallest p-values are known."""

    def __init__(self, *p_values: float | None) -> None:
        object.__setattr__(self, "smallest", p_values)

    def smallest_p(self, feature: int) -> float | None:
        return self.smallest[feature]


def test_what_was_found_on_shuffled_labels_is_said() -> None:
    clean = shuffled_summary(Wrong(0.2, 0.03), 2, 100)
    assert (clean["found"], clean["smallest_p"]) == (0, 0.03)
    assert clean["text"].startswith(
        "On shuffled labels nothing was found: of all neurons and all 2"
    )
    assert "smallest p was 0.030 (100 permutations); below 0.0250 would" in clean["text"]
    dirty = shuffled_summary(Wrong(0.02, 0.01, 0.5), 3, 100)
    assert dirty["found"] == 1
    assert "1 of 3 were 'found'" in dirty["text"]


def test_without_p_values_nothing_is_claimed() -> None:
    summary = shuffled_summary(Wrong(None, None), 2, 100)
    assert summary["found"] is None
    assert summary["found_reason"] == "labels vary within documents"
    assert "no p-value exists" in summary["text"]
