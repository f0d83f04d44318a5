"""The planted model as a question, and the edges that are its circuit."""

from __future__ import annotations

import pytest
import torch

from needlepoint.circuits.methods import Question
from needlepoint.evaluation.read_heads import pair_batch
from needlepoint.models.micro import micro_model
from needlepoint.models.model import Model
from needlepoint.models.planted import PlantedModel, planted_model, planted_prompts


@pytest.fixture(scope="session")
def planted() -> PlantedModel:
    """Two layers of three heads, two of which are the circuit."""
    return planted_model(n_heads=3, n_layers=2)


@pytest.fixture(scope="session")
def planted_question(planted: PlantedModel) -> Question:
    """Which edges make it go on with a sequence that it has seen before?"""
    prompts = planted_prompts(planted, n_pairs=8)
    return Question(planted.model, pair_batch(planted.model, prompts))


@pytest.fixture(scope="session")
def linear_model() -> Model:
    """The micro model with fixed attention patterns and neurons that are always open."""
    model = micro_model()
    with torch.no_grad():
        for block in model.blocks:
            block.attention.q.weight.zero_()
            block.mlp.up.bias.fill_(1000.0)
    return model


@pytest.fixture(scope="session")
def planted_edges(planted: PlantedModel) -> set[tuple[str, str]]:
    """The edges along which a corrupt prompt reaches the answer.

    Positions are the same on both prompts, so what is read of them does not count.
    """
    first, second = planted.heads
    copied, matched = f"L0.H{first.index}", f"L1.H{second.index}"
    return {
        ("embed", f"L0.V{first.index}"),
        (copied, f"L1.K{second.index}"),
        ("embed", f"L1.V{second.index}"),
        (matched, "logits"),
    }
