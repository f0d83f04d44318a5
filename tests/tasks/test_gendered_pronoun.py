"""The pronoun goes with the name, and the corrupt name tells the other gender or none."""

from __future__ import annotations

import re

import pytest

from needlepoint.tasks import gendered_pronoun
from needlepoint.tasks.gendered_pronoun import PRONOUNS, TEMPLATES
from needlepoint.tasks.word_lists import MEN, UNISEX, WOMEN

EVERY = {*WOMEN, *MEN, *UNISEX}


def name_in(text: str) -> str:
    (name,) = (word for word in re.findall(r"[A-Z][a-z]+", text) if word in EVERY)
    return name


@pytest.fixture(scope="module", params=["neutral", "swap"])
def prompts(request, encoder):
    return gendered_pronoun.make(encoder, n_pairs=100, corruption=request.param)


def test_the_answer_goes_with_the_name(prompts):
    for pair in prompts.pairs:
        name = name_in(pair.clean)
        assert name not in UNISEX
        assert pair.answer == (" she" if name in WOMEN else " he")
        assert {pair.answer, pair.wrong} == set(PRONOUNS.values())
        assert pair.corrupt == pair.clean.replace(name, name_in(pair.corrupt))


def test_the_corrupt_name_is_of_the_other_gender_or_of_none(prompts):
    for pair in prompts.pairs:
        other = name_in(pair.corrupt)
        if prompts.corruption == "neutral":
            assert other in UNISEX
        else:
            assert other in (MEN if pair.answer == " she" else WOMEN)
            assert other not in UNISEX


def test_genders_take_turns_and_the_position_is_the_name(encoder, prompts):
    assert [pair.answer for pair in prompts.pairs[:4]] == [" she", " he"] * 2
    for i, pair in enumerate(prompts.pairs):
        (token,) = encoder.encode(f" {name_in(pair.clean)}")
        assert prompts.clean_ids[i][prompts.positions["name"][i]] == token


def test_every_name_follows_a_space():
    assert all(re.search(r" \{name\}", template) for template in TEMPLATES)
    assert len(set(TEMPLATES)) >= 6
