"""On a card the methods on circuits give what they give on the CPU; runs of models end there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
import torch

from needlepoint.circuits.ablation import head_effects, run_circuits
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.estimators import DiscreteSAE
from needlepoint.circuits.head_data import HeadData
from needlepoint.circuits.registered import CIRCUIT_METHODS, Question
from needlepoint.circuits.scores import HEAD_SCORES
from needlepoint.circuits.search.subnetwork import Learning, probe_edges, probe_nodes
from needlepoint.models.model import Model
from needlepoint.testing.alike import devices, differences
from needlepoint.testing.pairs import random_pairs
from needlepoint.testing.tiny import tiny_model

CPU = torch.device("cpu")
FEW_STEPS: dict[str, Callable[[Question], Any]] = {
    "subnetwork_probing": lambda question: probe_nodes(question, Learning(steps=3)),
    "edge_pruning": lambda question: probe_edges(question, Learning(steps=3)),
}
SEARCHES = ("acdc", "path_patching", "code_edges")
"""They run the model many times: on one family."""
EACH = [
    (name, family)
    for name in CIRCUIT_METHODS
    for family in (("gpt2",) if name in SEARCHES else ("gpt2", "gemma2"))
]


@cache
def shared(family: str) -> Model:
    return tiny_model(family)


@contextmanager
def on(device: torch.device, family: str) -> Iterator[Model]:
    """A model on a device, and back on the CPU afterwards."""
    model = shared(family)
    model.module.to(device)
    try:
        yield model
    finally:
        model.module.to(CPU)


def heads(device: torch.device) -> HeadData:
    """Heads that change alike in half of the pairs, beside noise."""
    rng = torch.Generator().manual_seed(0)
    clean, corrupt = torch.randn(2, 20, 6, 4, generator=rng, dtype=torch.float64)
    clean[::2, :3] += 2.0
    W_O = torch.randn(6, 4, 8, generator=rng, dtype=torch.float64)
    parts = (part.to(device) for part in (clean, corrupt, W_O, torch.arange(6) // 3))
    small = Autoencoder(n_codes=10, n_steps=10, n_train_examples=8, n_seeds=2)
    return HeadData(*parts, autoencoder=small)


@pytest.mark.parametrize(("name", "family"), EACH)
def test_every_method(name: str, family: str, card: torch.device) -> None:
    find = FEW_STEPS.get(name, CIRCUIT_METHODS[name].find)
    found = []
    for device in (CPU, card):
        with on(device, family) as model:
            pairs = random_pairs(model, n=3, width=4, ragged=True)
            found.append(find(Question(model, pairs)))
    assert differences(*found, rtol=1e-3, atol=1e-4) == []
    assert devices(found) == {CPU}


@pytest.mark.parametrize("kind", ["resample", "zero"])
def test_heads_put_back_into_an_ablated_run(kind: Any, card: torch.device) -> None:
    found = []
    for device in (CPU, card):
        with on(device, "gpt2") as model:
            pairs = random_pairs(model, n=3, width=4, ragged=True)
            keep = torch.rand(4, 12, generator=torch.Generator().manual_seed(0)) < 0.5
            found.append(
                (head_effects(model, pairs, kind=kind), run_circuits(model, pairs, keep, kind=kind))
            )
    assert differences(*found, rtol=1e-3, atol=1e-4) == []
    assert devices(found) == {CPU}


@pytest.mark.parametrize("name", HEAD_SCORES)
def test_every_score_of_activations(name: str, card: torch.device) -> None:
    score = HEAD_SCORES[name]
    here, there = (score.score_and_test(heads(at), score.generator(0)) for at in (CPU, card))
    assert differences(here, there, rtol=1e-3, atol=1e-4) == []


def test_the_autoencoder_as_an_estimator(card: torch.device) -> None:
    vectors = torch.randn(12, 4, 8, generator=torch.Generator().manual_seed(0))
    sae = DiscreteSAE(n_codes=6, n_steps=10, plateau=0.01, random_state=0)
    here = sae.fit(vectors).transform(vectors)
    there = sae.fit(vectors.to(card)).transform(vectors.to(card))
    assert there.device == card
    assert torch.equal(here, there.cpu())
    assert sae.score(vectors.to(card)) == pytest.approx(sae.score(vectors), rel=1e-4)
