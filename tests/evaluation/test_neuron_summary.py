"""The answer and the control in words, from the summaries of the features."""

from __future__ import annotations

import pandas as pd

from needlepoint.evaluation.ablate_neurons import COLUMNS
from needlepoint.evaluation.neuron_summary import find_answer, shuffled_summary
from needlepoint.evaluation.search_neurons import Search


def feature(
    name: str,
    f1: float,
    verdict_: str = "one neuron",
    low: float | None = 0.7,
    *,
    carried: str = "",
) -> dict:
    high = None if low is None else 1.0
    interval = {"low": low, "estimate": f1, "high": high}
    site = f"L1.N{round(100 * f1)}"
    return {
        "feature": name,
        "verdict": verdict_,
        "carried_by": carried or verdict_,
        "f1_one": interval,
        "site": site,
        "baseline_f1": 0.3,
    }


def no_ablation() -> pd.DataFrame:
    return pd.DataFrame(columns=COLUMNS)


def test_the_answer_names_the_surest_feature_with_its_interval() -> None:
    features = [feature("a", 0.8), feature("b", 0.9), feature("c", 0.4, "not present")]
    answer = find_answer("tiny", features, no_ablation())
    assert answer.startswith("A single neuron of tiny is enough for 2 of 3 features;")
    assert "the surest, L1.N90, tells b: F1 0.90 (95% interval 0.70 to 1.00)" in answer
    assert "calling every text positive gives 0.30" in answer
    assert "nan" not in answer
    assert "interval" not in find_answer("tiny", [feature("a", 0.8, low=None)], no_ablation())


def test_nothing_found_is_said_so() -> None:
    features = [feature("a", 0.9, "not present"), feature("b", 0.5, "not present")]
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
    assert (clean["found"], clean["smallest_p"], clean["smallest_q"]) == (0, 0.03, 0.06)
    assert clean["text"].startswith(
        "On shuffled labels nothing was found: of all neurons and all 2"
    )
    assert "smallest p was 0.030 (100 permutations), q 0.060; q up to 0.05" in clean["text"]
    dirty = shuffled_summary(Wrong(0.02, 0.01, 0.5), 3, 100)
    assert dirty["found"] == 2
    assert "2 of 3 were 'found'" in dirty["text"]


def test_without_p_values_nothing_is_claimed() -> None:
    summary = shuffled_summary(Wrong(None, None), 2, 100)
    assert summary["found"] is None
    assert summary["found_reason"] == "no feature's labels can be moved so that a p-value exists"
    assert "no p-value exists" in summary["text"]


def test_features_that_tokens_explain_are_counted() -> None:
    features = [
        feature("a", 0.8),
        feature("b", 0.9, "explained by token identity", carried="one neuron"),
        feature("c", 0.95, "explained by token identity", carried="distributed"),
    ]
    answer = find_answer("tiny", features, no_ablation())
    assert "enough for 2 of 3 features; the surest, L1.N90" in answer
    assert "For 2 of the 3 features that are present, which tokens a text has tells" in answer
