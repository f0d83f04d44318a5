"""Terms of replaced nodes: those of the run they were recorded in, and nothing for zero."""

from __future__ import annotations

import pytest
import torch

from needlepoint.circuits.graph.replaced import replaced_by, terms_of
from needlepoint.circuits.graph.terms import terms
from needlepoint.circuits.patching.means import means_over
from needlepoint.circuits.patching.replacement import recorded
from needlepoint.testing.pairs import random_pairs
from needlepoint.testing.tiny import tiny_model


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2", "gemma3", "gpt_neox"])
def test_recorded_values_give_the_terms_of_their_run(family: str) -> None:
    model = tiny_model(family)
    pairs = random_pairs(model)
    found = terms_of(model, recorded(model, pairs.corrupt), tuple(pairs.corrupt.ids.shape))
    torch.testing.assert_close(found, terms(model, pairs.corrupt), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_zero_leaves_nothing(family: str) -> None:
    model = tiny_model(family)
    pairs = random_pairs(model)
    instead = replaced_by(model, "zero")
    assert instead is not None
    assert instead(pairs).abs().max() == 0


def test_the_mean_over_one_prompt_is_that_prompt() -> None:
    model = tiny_model("llama")
    pairs = random_pairs(model)
    one = pairs.rows(slice(0, 1))
    instead = replaced_by(model, "mean", means_over(model, one.corrupt))
    assert instead is not None
    torch.testing.assert_close(instead(one), terms(model, one.corrupt), atol=1e-5, rtol=1e-4)


def test_resampling_is_what_a_question_does_by_itself() -> None:
    assert replaced_by(tiny_model("llama"), "resample") is None
