"""Prompts as the model gets them, and how it answers them."""

from __future__ import annotations

import pytest
import torch

from needlepoint.circuits.metric import Answers
from needlepoint.evaluation.read_heads import pair_batch, read_answers
from needlepoint.models.model import Model


def test_answers_are_those_of_each_prompt_alone(tiny: Model, letter_pairs) -> None:
    asked = letter_pairs(tiny)
    found = read_answers(tiny, asked.clean_ids, Answers.of(asked), "asking")
    for pair, row in enumerate(asked.clean_ids):
        with torch.no_grad():
            logits = tiny.last_logits(tiny.batch([row]))[0]
        gap = logits[asked.answer_ids[pair][0]] - logits[asked.wrong_ids[pair][0]]
        assert found.metric[pair].item() == pytest.approx(gap.item(), abs=1e-4)
        assert found.right[pair].item() == (gap > 0).item()


def test_pairs_are_kept_together_when_put_in_order(tiny: Model, letter_pairs) -> None:
    asked = letter_pairs(tiny)
    found = pair_batch(tiny, asked)
    lengths = found.clean.lengths.tolist()
    assert lengths == sorted(lengths)
    assert isinstance(found.answers, Answers)
    right, wrong = (tokens.tolist() for tokens in (found.answers.right, found.answers.wrong))
    kept = {
        (tuple(clean[1:n].tolist()), tuple(corrupt[1:n].tolist()), tuple(yes), tuple(no))
        for clean, corrupt, n, yes, no in zip(
            found.clean.ids, found.corrupt.ids, lengths, right, wrong, strict=True
        )
    }
    rows = (asked.clean_ids, asked.corrupt_ids, asked.answer_ids, asked.wrong_ids)
    assert kept == set(zip(*rows, strict=True))
    assert {row[0] for row in found.clean.ids.tolist()} == {tiny.first_token}
    where = dict(zip(lengths, found.positions["changed"].tolist(), strict=True))
    first = len(tiny.prefix)
    assert where == {
        first + n: first + place
        for n, place in zip(asked.lengths, asked.positions["changed"], strict=True)
    }
