"""Inputs of a program in pairs: real inputs, of one length, with different outputs."""

from __future__ import annotations

import pytest
import torch

from needlepoint._core.errors import DataError, UnknownNameError
from needlepoint.models.tracr.library import has_tracr

if not has_tracr():
    pytest.skip("needs the extra needlepoint[tracr]", allow_module_level=True)

from needlepoint.circuits.metric import Answers
from needlepoint.models.tracr.compiled import tracr_model
from needlepoint.models.tracr.programs import PROGRAMS
from needlepoint.models.tracr.prompts import CORRUPTIONS, tracr_prompts

NO_PAIRS = {
    (name, "shuffled")
    for name in ("sort", "sort_unique", "count", "count_less_freq", "frac_prevs", "pair_balance")
}
"""The last output of these programs does not depend on the order of the input."""


@pytest.mark.parametrize("name", list(PROGRAMS))
@pytest.mark.parametrize("corruption", list(CORRUPTIONS))
def test_the_model_gives_the_answers_on_clean_and_corrupt_prompts(name, corruption) -> None:
    tracr = tracr_model(name)
    if (name, corruption) in NO_PAIRS:
        with pytest.raises(DataError, match="only 0 distinct pairs"):
            tracr_prompts(tracr, n_pairs=2, corruption=corruption)
        return
    prompts = tracr_prompts(tracr, n_pairs=4, corruption=corruption)
    answers = Answers.of(prompts)
    with torch.no_grad():
        clean, corrupt = (
            tracr.model.last_logits(tracr.model.batch(ids))
            for ids in (prompts.clean_ids, prompts.corrupt_ids)
        )
    assert bool(answers.right_above_wrong(clean).all())
    assert bool((answers(clean) > answers(corrupt) + 0.04).all())
    if tracr.program.numerical:
        expected = [tracr.expected(pair.clean.split())[-1] for pair in prompts.pairs]
        torch.testing.assert_close(answers(clean), torch.tensor(expected).float())
        return
    torch.testing.assert_close(answers(clean), torch.ones(4), atol=0.05, rtol=0)
    torch.testing.assert_close(answers(corrupt), -torch.ones(4), atol=0.05, rtol=0)


def test_each_corruption_changes_what_it_says() -> None:
    tracr = tracr_model("reverse")
    for pair in tracr_prompts(tracr, n_pairs=8, corruption="shuffled").pairs:
        assert sorted(pair.clean) == sorted(pair.corrupt)
    for pair in tracr_prompts(tracr, n_pairs=8, corruption="one token").pairs:
        changed = [a != b for a, b in zip(pair.clean, pair.corrupt, strict=True)]
        assert sum(changed) == 1
        assert changed[0], "the last output is the first token"
    assert any(
        sum(a != b for a, b in zip(pair.clean, pair.corrupt, strict=True)) > 2
        for pair in tracr_prompts(tracr, n_pairs=8).pairs
    )


def test_an_input_without_repeats_stays_without() -> None:
    for corruption in ("redrawn", "one token"):
        for pair in tracr_prompts(
            tracr_model("sort_unique"), n_pairs=8, corruption=corruption
        ).pairs:
            for text in (pair.clean, pair.corrupt):
                assert len(set(text.split())) == len(text.split()) == 5


def test_pairs_are_distinct_and_the_seed_is_all_that_decides() -> None:
    tracr = tracr_model("hist")
    prompts = tracr_prompts(tracr, n_pairs=40)
    assert len(set(prompts.pairs)) == 40
    assert prompts == tracr_prompts(tracr, n_pairs=40)
    assert prompts.pairs[:8] == tracr_prompts(tracr, n_pairs=8).pairs
    assert prompts.pairs != tracr_prompts(tracr, n_pairs=40, seed=1).pairs
    assert set(prompts.positions["end"]) == {4}


def test_impossible_draws_are_refused() -> None:
    tracr = tracr_model("dyck")
    with pytest.raises(DataError, match="n_pairs is 1; it must be at least 2"):
        tracr_prompts(tracr, n_pairs=1)
    with pytest.raises(UnknownNameError, match="corruption of Tracr inputs"):
        tracr_prompts(tracr, corruption="reversed")
    with pytest.raises(DataError, match="ask for fewer than 4000, or for another"):
        tracr_prompts(tracr, n_pairs=4000, corruption="one token")
