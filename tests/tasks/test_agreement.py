"""The verb has the number of the subject, an attractor the other number."""

from __future__ import annotations

import re

import pytest

from needlepoint._core.errors import UnknownNameError
from needlepoint.tasks import TASKS, agreement
from needlepoint.tasks.word_lists import ONE_FORM, PLURAL_OF

NUMBER = {**dict.fromkeys(PLURAL_OF, 0), **dict.fromkeys(PLURAL_OF.values(), 1)}
RIGHT = {0: (" is", " was", " has"), 1: (" are", " were", " have")}
MAKE = {"agreement": agreement.make, "agreement_attractor": agreement.make_attractor}


def nouns(text: str) -> list[str]:
    """Nouns of the lists, in order of the text."""
    return [word for word in re.findall(r"\w+", text) if word in NUMBER or word in ONE_FORM]


@pytest.fixture(scope="module", params=MAKE)
def prompts(request, encoder):
    return {
        corruption: MAKE[request.param](encoder, n_pairs=80, corruption=corruption)
        for corruption in TASKS[request.param].corruptions
    }


def test_the_answers_have_the_number_of_the_subject(prompts):
    for pair in prompts["swap"].pairs:
        number = NUMBER[nouns(pair.clean)[0]]
        assert pair.answer == RIGHT[number]
        assert pair.wrong == RIGHT[1 - number]


def test_an_attractor_has_the_other_number(prompts):
    for pair in prompts["swap"].pairs:
        subject, *attractor = nouns(pair.clean)
        assert len(attractor) == (prompts["swap"].task == "agreement_attractor")
        assert all(NUMBER[noun] != NUMBER[subject] for noun in attractor)


def test_corrupt_subjects_have_the_other_number_or_none_to_see(prompts):
    for neutral, swap in zip(prompts["neutral"].pairs, prompts["swap"].pairs, strict=True):
        subject, *attractor = nouns(neutral.clean)
        assert nouns(neutral.corrupt)[0] in ONE_FORM
        assert nouns(neutral.corrupt)[1:] == nouns(swap.corrupt)[1:] == attractor
        forms = {subject, PLURAL_OF.get(subject, subject)}
        assert NUMBER[nouns(swap.corrupt)[0]] != NUMBER[subject]
        assert nouns(swap.corrupt)[0] in forms or PLURAL_OF[nouns(swap.corrupt)[0]] in forms


def test_both_numbers_are_swapped_where_there_are_two(encoder):
    for pair in agreement.make_attractor(encoder, n_pairs=40, corruption="swap_both").pairs:
        changed = list(zip(nouns(pair.clean), nouns(pair.corrupt), strict=True))
        assert len(changed) == 2
        assert all(NUMBER[old] != NUMBER[new] for old, new in changed)
    with pytest.raises(UnknownNameError, match="unknown corruption of agreement 'swap_both'"):
        agreement.make(encoder, n_pairs=40, corruption="swap_both")


def test_numbers_take_turns_and_positions_are_the_nouns(encoder, prompts):
    made = prompts["neutral"]
    assert [pair.answer for pair in made.pairs[:4]] == [RIGHT[0], RIGHT[1]] * 2
    for i, pair in enumerate(made.pairs):
        for role, noun in zip(("subject", "attractor"), nouns(pair.clean), strict=False):
            (token,) = encoder.encode(f" {noun}")
            assert made.clean_ids[i][made.positions[role][i]] == token
    assert set(made.positions) >= {"subject", "end"}


def test_the_word_lists_do_not_overlap():
    assert not set(PLURAL_OF) & set(PLURAL_OF.values())
    assert not set(ONE_FORM) & set(NUMBER)
    assert len(set(PLURAL_OF.values())) == len(PLURAL_OF) >= 40
