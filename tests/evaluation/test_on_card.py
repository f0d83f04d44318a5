"""Whole studies of a model on a card find what they find on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pandas as pd
import pytest
import torch
from pandas.testing import assert_frame_equal

from needlepoint.circuits.registered import CIRCUIT_METHODS
from needlepoint.circuits.scores import HEAD_SCORES
from needlepoint.evaluation.find_heads import judge_heads
from needlepoint.evaluation.find_neurons import judge_neurons
from needlepoint.evaluation.first_pass import first_pass
from needlepoint.models.model import Model
from needlepoint.models.planted import planted_model, planted_prompts
from needlepoint.testing.alike import devices, differences
from needlepoint.testing.tiny import tiny_model

CPU = torch.device("cpu")
QUICK = ("eap", "eap_ig_inputs", "attribution_patching", "information_flow")
MEASURED = ["seconds", "peak_bytes"]


def each(model: Model, card: torch.device) -> Iterator[None]:
    """The model on the CPU, then on the card, and back."""
    for device in (CPU, card):
        model.module.to(device)
        try:
            yield
        finally:
            model.module.to(CPU)


def both(
    model: Model, card: torch.device, work: Callable[[], dict[str, pd.DataFrame]]
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Each table of a study on the CPU beside that on the card."""
    here, there = (work() for _ in each(model, card))
    assert list(here) == list(there)
    for name in here:
        yield tuple(frame[name].drop(columns=MEASURED, errors="ignore") for frame in (here, there))


@pytest.mark.journey
def test_a_study_of_heads(heads_config, card: torch.device) -> None:
    planted = planted_model(n_heads=3, n_layers=2)
    scores = [name for name in HEAD_SCORES if not HEAD_SCORES[name].on_request]
    assert set(QUICK) <= set(CIRCUIT_METHODS)
    config = replace(heads_config, ablate_pairs=8, methods=(*QUICK, *scores))

    def study() -> dict[str, pd.DataFrame]:
        prompts = planted_prompts(planted, n_pairs=24)
        tables = judge_heads(planted.model, prompts, config).tables
        return {name: tables[name] for name in ("heads", "nodes", "faithfulness", "methods")}

    for here, there in both(planted.model, card, study):
        assert_frame_equal(here, there, rtol=1e-3, atol=1e-4)


@pytest.mark.journey
def test_a_study_of_neurons(toy, neurons_config, card: torch.device) -> None:
    model, config = tiny_model("llama"), replace(neurons_config, permutations=20)

    def study() -> dict[str, pd.DataFrame]:
        tables = judge_neurons(model, toy(), config).tables
        return {name: tables[name] for name in ("tests", "neurons", "ablation", "excerpts")}

    for here, there in both(model, card, study):
        assert_frame_equal(here, there, rtol=1e-3, atol=1e-4)


def test_a_first_pass(toy, card: torch.device) -> None:
    model = tiny_model("llama")
    found = [first_pass(model, toy(), batch_tokens=64).rankings for _ in each(model, card)]
    assert differences(*found, rtol=1e-3, atol=1e-4) == []
    assert devices(found) == {CPU}
