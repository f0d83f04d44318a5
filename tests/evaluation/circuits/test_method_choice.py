"""Words stand for what their documentation says, and controls come with every method."""

from __future__ import annotations

import pytest

from needlepoint._core.errors import UnknownNameError
from needlepoint.circuits.registered import CIRCUIT_METHODS
from needlepoint.circuits.scores import HEAD_SCORES
from needlepoint.evaluation.circuits.method_choice import CONTROLS, FAST, Choice, chosen_methods

NINE = {*CONTROLS, "distinct_codes", "untrained_codes", "kmeans_codes"}
"""What discrete codes are to be compared with."""


def compared(*names: str) -> set[str]:
    choice = chosen_methods(names)
    return {*choice.scores, *choice.controls}


def test_all_nine_controls_stand_beside_codes() -> None:
    assert len(NINE) == 9
    for words in (("sae",), ("fast",), ("all",), ()):
        assert compared(*words) >= NINE, words


def test_codes_that_take_longer_than_all_else_have_to_be_asked_for() -> None:
    of_codes = {"discrete_sae", "discrete_sae_edges"}
    assert compared("sae") == NINE | of_codes | {"change_and_answer"}
    assert compared("sae", "calibrated_sae") == compared("sae") | {"calibrated_sae"}


@pytest.mark.parametrize("name", CIRCUIT_METHODS)
def test_controls_come_with_whatever_runs_the_model(name: str) -> None:
    assert chosen_methods([name]) == Choice((), (name,), CONTROLS)


def test_a_control_that_is_asked_for_is_compared_once_and_as_what_it_is() -> None:
    choice = chosen_methods(["eap", "random", "mean_difference"])
    assert choice.scores == ("mean_difference", "random")
    assert choice.controls == ("effect_size", "linear_probe", "output_norm", "layer_index")


def test_scores_that_are_named_alone_are_compared_as_named() -> None:
    for name in HEAD_SCORES:
        assert chosen_methods([name]) == Choice((name,), (), ())


def test_words_for_several_add_nothing_that_they_hold_already() -> None:
    everything = chosen_methods(["all"])
    variants = {name for name in CIRCUIT_METHODS if CIRCUIT_METHODS[name].on_request}
    methods = tuple(name for name in CIRCUIT_METHODS if name not in variants)
    assert everything == Choice(tuple(HEAD_SCORES), methods, ())
    assert all(name.endswith("_gim") for name in variants)
    assert set(chosen_methods(["all", *variants]).methods) == set(CIRCUIT_METHODS)
    quick = tuple(name for name in HEAD_SCORES if not HEAD_SCORES[name].on_request)
    fast = Choice(quick, tuple(name for name in CIRCUIT_METHODS if name in FAST), ())
    assert chosen_methods(["fast"]) == chosen_methods() == fast


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'sae'"):
        chosen_methods(["sea"])
