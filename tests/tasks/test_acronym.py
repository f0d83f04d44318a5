"""The answer is the third initial; a corrupt prompt has another third word or other letters."""

from __future__ import annotations

import re
from string import ascii_uppercase

import pytest

from needlepoint._core.errors import DataError
from needlepoint.tasks import acronym
from needlepoint.tasks.word_lists import TITLE_WORDS


def read(text: str) -> tuple[str, str, str, str]:
    found = re.fullmatch(r"The (\w+) (\w+) (\w+) \((\w\w)", text)
    assert found is not None
    return found[1], found[2], found[3], found[4]


@pytest.fixture(scope="module", params=["word", "letters"])
def prompts(request, encoder):
    return acronym.make(encoder, n_pairs=60, corruption=request.param)


def test_the_answer_is_the_third_initial_against_all_other_letters(prompts):
    for pair in prompts.pairs:
        first, second, third, letters = read(pair.clean)
        assert letters == first[0] + second[0]
        assert pair.answer == third[0]
        assert pair.answer not in letters
        assert sorted([pair.answer, *pair.wrong]) == list(ascii_uppercase)


def test_one_thing_is_another_in_the_corrupt_prompt(prompts):
    for pair in prompts.pairs:
        *words, letters = read(pair.clean)
        *others, other_letters = read(pair.corrupt)
        if prompts.corruption == "word":
            assert (others[:2], other_letters) == (words[:2], letters)
            assert others[2][0] not in {word[0] for word in words}
        else:
            assert others == words
            assert not set(other_letters) & {word[0] for word in words}


def test_positions_are_the_words_and_the_letters(encoder, prompts):
    for i, pair in enumerate(prompts.pairs):
        ids, at = prompts.clean_ids[i], prompts.positions
        for role, word in zip(("word1", "word2", "word3"), read(pair.clean), strict=False):
            assert [ids[at[role][i]]] == encoder.encode(f" {word}")
        assert at["letters"][i] == at["end"][i] == len(ids) - 1


def test_a_tokenizer_that_merges_every_acronym_has_no_pairs(encoder):
    class Merging:
        """Sees the letters of an acronym as one token, so that none ends before its third."""

        def __getattr__(self, name):
            return getattr(encoder, name)

        def encode(self, text):
            letters = text.partition("(")[2]
            return encoder.encode(text) if len(letters) < 3 else [*encoder.encode(text)[:-2], 0]

    with pytest.raises(DataError, match="task 'acronym' has only 0 distinct pairs"):
        acronym.make(Merging(), n_pairs=2)


def test_words_are_capitalised_distinct_and_over_many_initials():
    assert all(re.fullmatch(r"[A-Z][a-z]+", word) for word in TITLE_WORDS)
    assert len(set(TITLE_WORDS)) == len(TITLE_WORDS)
    assert len({word[0] for word in TITLE_WORDS}) >= 22
