"""A contract: every score of heads from activations, on every model whose circuit is known exactly.

A score sees what heads write, not what becomes of it: a head that writes the same on both prompts
of each pair scores nothing, whatever it does, and where one head alone changes, the size of the
change puts it first. How well scores tell heads of the circuit from others that change as well is
measured by benchmarks/known_circuits.py.
"""

from __future__ import annotations

from functools import cache

import pytest
import torch

from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.head_data import HeadData
from needlepoint.circuits.known.models import KNOWN_MODELS, KnownModel, known_model
from needlepoint.circuits.scores import HEAD_SCORES
from needlepoint.evaluation.metrics import average_precision
from needlepoint.evaluation.read_pairs import read_pairs
from needlepoint.models.tracr.library import has_tracr

SMALL = Autoencoder(n_codes=24, n_steps=20, n_train_examples=10, n_seeds=1)
STILL = (
    "tracr reverse", "tracr sort", "tracr sort_freq", "tracr frac_prevs", "tracr pair_balance",
    "tracr dyck", "tracr detect_pattern",
)  # fmt: skip
"""Some heads write the same on both prompts of every pair: they read positions and lengths, or what
only other inputs would change."""
LABELLED = [name for name in HEAD_SCORES if HEAD_SCORES[name].uses_labels]
OF_PAIRS = "discrete_sae_edges"
"""Counts pairs of heads, of which the other one may say something."""
ACCURACY = "linear_probe"
"""Half of all guesses are right where there is nothing to tell."""
OF_CHANGES = [name for name in LABELLED if not HEAD_SCORES[name].draws]
"""Sizes of what a head changes, with nothing learned of it."""


@cache
def known(model: str) -> KnownModel:
    if model.startswith("tracr") and not has_tracr():
        pytest.skip("the extra 'tracr' is not installed")
    return known_model(model, n_pairs=12)


@cache
def data_of(model: str) -> HeadData:
    return read_pairs(known(model).model, known(model).prompts, SMALL).data


@cache
def scored(name: str, model: str) -> torch.Tensor:
    part = HEAD_SCORES[name]
    return part.score(data_of(model), part.generator(0))


@cache
def still(model: str) -> torch.Tensor:
    data = data_of(model)
    return (data.clean_z == data.corrupt_z).all(2).all(0)


every_model = pytest.mark.parametrize("model", list(KNOWN_MODELS))


@every_model
@pytest.mark.parametrize("name", list(HEAD_SCORES))
def test_one_finite_score_for_each_head(name: str, model: str) -> None:
    found = scored(name, model)
    assert found.shape == (int(known(model).graph.is_head.sum()),)
    assert bool(torch.isfinite(found).all())


@every_model
def test_heads_that_write_the_same_are_no_part_of_what_can_be_seen(model: str) -> None:
    assert bool(still(model).any()) == (model in STILL)
    assert not bool((known(model).heads(known(model).seen_nodes) & still(model)).any())


@pytest.mark.parametrize("model", STILL)
@pytest.mark.parametrize("name", [name for name in LABELLED if name != OF_PAIRS])
def test_a_head_that_writes_the_same_scores_nothing(name: str, model: str) -> None:
    chance = 0.5 if name == ACCURACY else 0.0
    assert float(scored(name, model)[still(model)].max()) <= chance


@pytest.mark.parametrize("name", OF_CHANGES)
def test_the_one_head_that_changes_comes_first(name: str) -> None:
    seen = known("tracr reverse").heads(known("tracr reverse").seen_nodes)
    assert torch.equal(seen, ~still("tracr reverse"))
    assert average_precision(scored(name, "tracr reverse"), seen) == pytest.approx(1)


@pytest.mark.parametrize("name", ["output_norm", "layer_index", "random"])
def test_controls_score_heads_that_write_the_same(name: str) -> None:
    assert HEAD_SCORES[name].control
    assert name not in LABELLED
    assert float(scored(name, "tracr reverse")[still("tracr reverse")].max()) > 0
