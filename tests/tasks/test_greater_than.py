"""Greater-than is right for every way of cutting years, and what is right is really later.

Years and endings are read back from the finished texts and compared as whole years.
"""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from needlepoint._core.errors import DataError, UnknownNameError
from needlepoint.tasks import greater_than
from needlepoint.tasks.word_lists import EVENTS

PROMPT = re.compile(r"The (\w+) lasted from the year (\d{4}) to the year( ?\d*)")
N = 24
FORMS = {
    "digits": (r"\d", 3),
    "pairs": (r" ?\d\d", 2),
    "pairs after a space": (r"\d\d", 2),
    "three and one": (r"\d{1,3}", 3),
    "one and three": (r" \d|\d{3}|\d", 1),
    "whole": (r" ?\d{4}|\d{1,2}", 0),
    "whole after a space": (r"\d+", 0),
    "as GPT-2": (r" 1[1-7][05]0| ?\d\d", 2),
}
"""How numbers are cut, and how many digits of the second year the prompt then gives."""


class PieceEncoder:
    """An `Encoder` whose tokens are the matches of a pattern: numbers as asked, words whole."""

    def __init__(self, numbers: str) -> None:
        self.pattern = re.compile(rf"{numbers}| ?[A-Za-z]+| |\d|.", re.DOTALL)
        self.known: dict[str, int] = {}
        self.memory: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        if text not in self.memory:
            self.memory[text] = self.encode_with_offsets(text)[0]
        return list(self.memory[text])

    def encode_with_offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        found = list(self.pattern.finditer(text))
        ids = [self.known.setdefault(match[0], len(self.known)) for match in found]
        return ids, [match.span() for match in found]

    def pieces(self, ids: list[int]) -> list[str]:
        texts = list(self.known)
        return [texts[index] for index in ids]


ENCODERS = {name: PieceEncoder(numbers) for name, (numbers, _) in FORMS.items()}


@pytest.fixture(scope="module", params=FORMS)
def form(request):
    return ENCODERS[request.param], FORMS[request.param][1]


def read(text: str) -> tuple[str, int, str]:
    """Noun, first year, and what is given of the second year."""
    found = PROMPT.fullmatch(text)
    assert found is not None, text
    return found[1], int(found[2]), found[3]


def test_right_endings_make_later_years_and_wrong_ones_do_not(form):
    encoder, given_digits = form
    prompts = greater_than.make(encoder, n_pairs=N)
    assert prompts.metric == greater_than.TASK.metric == "probability difference"
    for pair in prompts.pairs:
        _, first, stem = read(pair.clean)
        assert len(stem.strip()) == given_digits
        assert str(first).startswith(stem.strip())
        right = [int((stem + ending).strip()) for ending in pair.answers]
        wrong = [int((stem + ending).strip()) for ending in pair.wrongs]
        assert min(right) > first >= max(wrong)
        assert first in wrong
        for year, ending in zip(right + wrong, pair.answers + pair.wrongs, strict=True):
            assert (stem + ending) == f" {year}", "stem and ending read as a year after a space"


@pytest.mark.parametrize(("name", "n_endings"), [("digits", 10), ("pairs", 100), ("whole", 100)])
def test_every_ending_is_right_or_wrong(name, n_endings):
    prompts = greater_than.make(ENCODERS[name], n_pairs=N)
    for pair in prompts.pairs:
        assert len(set(pair.answers)) + len(set(pair.wrongs)) == n_endings


def test_the_prompt_ends_where_the_tokenizer_cuts(form):
    encoder, _ = form
    prompts = greater_than.make(encoder, n_pairs=N)
    for index, ids in enumerate(prompts.clean_ids):
        pair = prompts.pairs[index]
        ending = pair.wrongs[-1]
        assert encoder.encode(pair.clean + ending) == [*ids, prompts.wrong_ids[index][-1]]
        at = {role: where[index] for role, where in prompts.positions.items()}
        assert set(at) == {"year", "end"}
        assert at["end"] == len(ids) - 1
        assert ids[at["year"]] == prompts.wrong_ids[index][-1], "the first year's own ending"


def test_years_of_another_form_are_left_out():
    encoder = ENCODERS["as GPT-2"]
    years = greater_than.year_form(encoder).years
    assert len(years) == 700 - 14
    assert not any(year % 100 in (0, 50) for year in years)


def test_year_01_is_the_first_of_the_century_and_the_rest_stays(form):
    encoder, given_digits = form
    prompts = greater_than.make(encoder, n_pairs=N)
    for pair in prompts.pairs:
        noun, first, stem = read(pair.clean)
        other_noun, other, other_stem = read(pair.corrupt)
        assert (noun, stem) == (other_noun, other_stem)
        assert other == first // 100 * 100 + 1 != first
        if given_digits == 3:
            assert all(int(stem + ending) > other for ending in pair.answers + pair.wrongs)


def test_random_year_begins_alike_and_is_another(form):
    encoder, given_digits = form
    plain = greater_than.make(encoder, n_pairs=N)
    prompts = greater_than.make(encoder, n_pairs=N, corruption="random_year")
    assert [pair.clean for pair in prompts.pairs] == [pair.clean for pair in plain.pairs]
    for pair in prompts.pairs:
        _, first, _ = read(pair.clean)
        _, other, _ = read(pair.corrupt)
        assert other != first
        assert other // 100 == first // 100
        assert given_digits != 3 or other // 10 == first // 10


def test_last_digits_take_turns():
    digits = greater_than.make(ENCODERS["digits"], n_pairs=N)
    last = Counter(read(pair.clean)[1] % 10 for pair in digits.pairs)
    assert last == dict.fromkeys(range(1, 9), N // 8)
    pairs = greater_than.make(ENCODERS["pairs"], n_pairs=97)
    assert {read(pair.clean)[1] % 100 for pair in pairs.pairs} == set(range(2, 99))
    few = [read(pair.clean)[1] % 100 for pair in pairs.pairs[:20]]
    assert min(few) < 40 < 60 < max(few), "the turns come in a random order"


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(2, 20))
def test_pairs_are_distinct_and_a_longer_list_only_adds(seed, n):
    encoder = ENCODERS["digits"]
    for corruption in greater_than.CORRUPTIONS:
        longer = greater_than.make(encoder, n_pairs=24, seed=seed, corruption=corruption)
        shorter = greater_than.make(encoder, n_pairs=n, seed=seed, corruption=corruption)
        assert shorter == longer.first(n)
        assert len({pair.clean for pair in longer.pairs}) == 24
        assert all(
            len(clean) == len(corrupt)
            for clean, corrupt in zip(longer.clean_ids, longer.corrupt_ids, strict=True)
        )


def test_the_seed_decides():
    encoder = ENCODERS["digits"]
    first = greater_than.make(encoder, n_pairs=6)
    assert greater_than.make(encoder, n_pairs=6, seed=1).pairs != first.pairs


def test_a_tokenizer_of_bytes_is_one_of_digits(bytes_only):
    prompts = greater_than.make(bytes_only, n_pairs=4)
    assert all(len(read(pair.clean)[2].strip()) == 3 for pair in prompts.pairs)


def test_nouns_are_many_and_not_leading():
    assert len(set(EVENTS)) == len(EVENTS) >= 60
    assert all(re.fullmatch("[a-z]+", noun) for noun in EVENTS)


def test_a_tokenizer_that_never_ends_a_year_in_one_token_is_refused():
    class Doubling(PieceEncoder):
        def encode_with_offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
            ids, offsets = super().encode_with_offsets(text)
            return [i for i in ids for _ in "ab"], [span for span in offsets for _ in "ab"]

    with pytest.raises(DataError, match=r"ends no year from 1100 to 1799 in a token of its own"):
        greater_than.make(Doubling(r"\d"), n_pairs=4)


def test_unknown_corruption_and_bad_counts_are_refused():
    encoder = ENCODERS["digits"]
    with pytest.raises(UnknownNameError, match="did you mean 'year_01'"):
        greater_than.make(encoder, n_pairs=4, corruption="year_00")
    with pytest.raises(DataError, match="n_pairs is 1; it must be at least 2"):
        greater_than.make(encoder, n_pairs=1)
    with pytest.raises(DataError, match=r"only \d+ distinct pairs .*ask for at most"):
        greater_than.make(encoder, n_pairs=10**6)
