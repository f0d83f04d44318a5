"""Each country is held against all capitals but its own."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from needlepoint.tasks import capital
from needlepoint.tasks.countries import CAPITALS, PLANETS


def place_in(text: str) -> str:
    (place,) = (w for w in re.findall(r"[A-Z]\w+", text) if w in CAPITALS or w in PLANETS)
    return place


@pytest.fixture(scope="module", params=["planet", "country"])
def prompts(request, encoder):
    return capital.make(encoder, n_pairs=100, corruption=request.param)


def test_the_answer_is_the_capital_against_all_others(prompts):
    asked = {pair.answers[0] for pair in prompts.pairs}
    for pair in prompts.pairs:
        assert pair.answer == f" {CAPITALS[place_in(pair.clean)]}"
        assert len(set(pair.wrong)) == len(pair.wrong) >= 30
        assert asked <= {pair.answer, *pair.wrong} <= {f" {city}" for city in CAPITALS.values()}


def test_the_corrupt_place_has_another_capital_or_none(prompts):
    for pair in prompts.pairs:
        place = place_in(pair.corrupt)
        assert pair.corrupt == pair.clean.replace(place_in(pair.clean), place)
        if prompts.corruption == "planet":
            assert place in PLANETS
        else:
            assert f" {CAPITALS[place]}" in pair.wrong


def test_a_country_is_left_out_where_its_capital_is_split(encoder):
    class Splits:
        """Splits Paris."""

        def __getattr__(self, name):
            return getattr(encoder, name)

        def encode(self, text):
            return [0, 1] if text == " Paris" else encoder.encode(text)

    prompts = capital.make(Splits(), n_pairs=200)
    assert not any("France" in pair.clean for pair in prompts.pairs)
    assert not any(" Paris" in (*pair.answers, *pair.wrongs) for pair in prompts.pairs)


def test_templates_take_turns_and_the_position_is_the_country(encoder, prompts):
    skeletons = Counter(
        pair.clean.replace(place_in(pair.clean), "{country}") for pair in prompts.pairs
    )
    assert set(skeletons) == set(capital.TEMPLATES)
    assert set(skeletons.values()) == {100 // len(capital.TEMPLATES)}
    for i, pair in enumerate(prompts.pairs):
        token = prompts.clean_ids[i][prompts.positions["country"][i]]
        assert [token] == encoder.encode(f" {place_in(pair.clean)}")


def test_capitals_are_one_word_and_no_two_countries_share_one():
    assert all(re.fullmatch(r"\w+", name) for pair in CAPITALS.items() for name in pair)
    assert len(set(CAPITALS.values())) == len(CAPITALS)
    assert not set(CAPITALS) & set(CAPITALS.values())
