"""The words follow from the numbers, whichever way they fall."""

from __future__ import annotations

from typing import Any

import pandas as pd

from needlepoint.report.sentences import (
    faithfulness_sentence,
    method_sentence,
    shuffled_sentence,
    stability_sentence,
    unmeasured_sentence,
)

COLUMNS = ["method", "label", "auc", "auc_low", "auc_high", "control"]
OURS = ("discrete_sae", "Discrete SAE")


def methods(*rows: tuple[Any, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


def test_losing_to_a_trivial_baseline_is_said_plainly() -> None:
    text = method_sentence(
        methods(
            (*OURS, 0.7, 0.6, 0.8, False),
            ("mean_difference", "Mean difference", 0.9, 0.75, 0.95, False),
            ("random", "Random", 0.5, 0.4, 0.6, True),
        )
    )
    assert "loses to 1 of 2 others: Mean difference 0.90 (simple baseline)" in text
    assert "may be chance" in text


def test_losing_to_a_control_is_called_that() -> None:
    text = method_sentence(
        methods(
            (*OURS, 0.5, 0.45, 0.55, False),
            ("discrete_sae_untrained", "Untrained", 0.9, 0.8, 0.95, True),
        )
    )
    assert "loses to 1 of 1 others: Untrained 0.90 (control)" in text
    assert "do not overlap" in text


def test_a_tie_is_no_win() -> None:
    text = method_sentence(
        methods((*OURS, 0.7, 0.6, 0.8, False), ("output_norm", "Norm", 0.7, 0.6, 0.8, False))
    )
    assert "does no better than 1 of 1 others" in text


def test_winning_names_the_next_best() -> None:
    text = method_sentence(
        methods((*OURS, 0.9, 0.85, 0.95, False), ("output_norm", "Norm", 0.7, 0.6, 0.8, False))
    )
    assert "does better than all 1 others" in text
    assert "Norm, 0.70" in text


def test_without_any_area_nothing_is_claimed() -> None:
    text = method_sentence(methods((*OURS, float("nan"), None, None, False)))
    assert text == "No method could be judged: no AUC is defined."


def test_a_circuit_no_better_than_chance_is_called_that() -> None:
    circuit = {
        "size": 4,
        "ranked_by": "effect",
        "n_random": 20,
        "faithfulness": {"low": 0.1, "estimate": 0.2, "high": 0.3},
        "random_faithfulness": {"low": 0.0, "estimate": 0.1, "high": 0.25},
    }
    assert "not shown to be better than an arbitrary set" in faithfulness_sentence(circuit)


def test_an_undefined_faithfulness_gives_its_reason() -> None:
    circuit = {"size": 4, "faithfulness": None, "faithfulness_reason": "the metric never moves"}
    assert faithfulness_sentence(circuit).endswith("is not defined: the metric never moves.")
    assert "no reason was recorded" in faithfulness_sentence({})


def test_something_found_on_shuffled_labels_is_a_warning() -> None:
    assert shuffled_sentence({"found": 2, "text": "F1 0.6"}).startswith("Warning: on shuffled")
    assert shuffled_sentence({"found": True, "text": ""}).startswith("Warning")
    assert shuffled_sentence({"found": False, "text": ""}).startswith("On shuffled labels nothing")
    assert "not defined" in shuffled_sentence(None)


def test_a_ready_sentence_is_not_repeated() -> None:
    text = "On shuffled labels nothing was found: all below 0.3."
    assert shuffled_sentence({"found": 0, "text": text}) == text


def test_stability_is_said_by_its_verdict_and_older_records_say_nothing() -> None:
    found = {"jaccard": {"low": 0.3, "estimate": 0.45, "high": 0.6}, "chance": 0.05}
    openings = {"stable": "Stable:", "fair": "Fairly stable:", "unstable": "Unstable:"}
    for verdict, opening in openings.items():
        stability = {"verdict": verdict, "n_resamples": 200, **found}
        text = stability_sentence({"size": 7, "stability": stability})
        assert text.startswith(opening)
        assert "200 times" in text
        assert "share 0.45 (0.30 to 0.60) with these 7" in text
        assert "at random share 0.05" in text
    assert stability_sentence({"size": 7}) == ""
    assert stability_sentence({"size": 7, "stability": None, "stability_reason": "none"}) == ""


def test_why_faithfulness_is_not_known() -> None:
    """Each reason with what to do; nothing is said where one size was measured."""
    empty = pd.DataFrame(columns=["kind", "faithfulness"])
    runs = pd.DataFrame({"kind": ["ranked", "ranked", "random"], "faithfulness": [0.5, None, 0.1]})
    truth = {"truth": {"n_heads": 3}}
    assert unmeasured_sentence(truth, runs) == ""
    assert "--ablate-pairs 60" in unmeasured_sentence({"truth": None}, empty)
    assert "--holdout-pairs 40" in unmeasured_sentence(truth, empty)
    assert "do not tell the whole model from" in unmeasured_sentence(truth, runs.iloc[1:])
    reason = {**truth, "circuit": {"faithfulness_reason": "the pairs are all alike"}}
    assert unmeasured_sentence(reason, empty) == (
        "Faithfulness is not defined: the pairs are all alike."
    )
