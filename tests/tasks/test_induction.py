"""Induction prompts repeat themselves where they should, and nowhere else."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from needlepoint._core.errors import DataError, UnknownNameError
from needlepoint.tasks import induction
from needlepoint.tasks.word_lists import COMMON_WORDS

N = 90


@pytest.fixture(scope="module")
def prompts(encoder):
    return induction.make(encoder, n_pairs=N)


def follower(words: list[str]) -> str | None:
    """What came after the last word when it came before; the answer of an ideal induction head."""
    earlier = [i for i, word in enumerate(words[:-1]) if word == words[-1]]
    return words[earlier[-1] + 1] if earlier else None


def test_the_answer_is_what_an_induction_head_says(prompts):
    for pair in prompts.pairs:
        words = pair.clean.split()
        assert words[10:] == words[: len(words) - 10]
        assert len(set(words)) == 10
        assert f" {follower(words)}" == pair.answer
        assert {*pair.wrongs, pair.answer} == {f" {word}" for word in words}
        assert len(pair.wrongs) == 9


def test_every_word_is_one_token(encoder, prompts):
    for pair, ids in zip(prompts.pairs, prompts.clean_ids, strict=True):
        assert encoder.pieces(list(ids)) == [f" {word}" for word in pair.clean.split()]
        assert "".join(encoder.pieces(list(ids))) == pair.clean


def test_the_second_run_stops_anywhere(prompts):
    lengths = Counter(length - 10 for length in prompts.lengths)
    assert set(lengths) == set(range(1, 10))


def test_first_half_repeats_nothing(prompts):
    for pair in prompts.pairs:
        clean, corrupt = pair.clean.split(), pair.corrupt.split()
        assert corrupt[10:] == clean[10:]
        assert len(set(corrupt)) == len(corrupt)
        assert not set(corrupt[:10]) & set(clean)
        assert pair.answer.strip() not in corrupt
        assert follower(corrupt) is None


def test_all_random_shares_nothing_with_the_clean_prompt(encoder, prompts):
    other = induction.make(encoder, n_pairs=N, corruption="all_random")
    assert [pair.clean for pair in other.pairs] == [pair.clean for pair in prompts.pairs]
    for pair in other.pairs:
        words = pair.corrupt.split()
        assert len(set(words)) == len(words)
        assert not set(words) & set(pair.clean.split())


def test_shuffled_holds_the_answer_but_never_after_the_same_word(encoder, prompts):
    other = induction.make(encoder, n_pairs=N, corruption="shuffled")
    assert [pair.clean for pair in other.pairs] == [pair.clean for pair in prompts.pairs]
    for pair in other.pairs:
        clean, corrupt = pair.clean.split(), pair.corrupt.split()
        assert sorted(clean) == sorted(corrupt)
        assert corrupt[10:] == clean[10:]
        assert not set(pairwise(clean[:10])) & set(pairwise(corrupt[:10]))
        assert f" {follower(corrupt)}" != pair.answer


def test_positions_point_at_the_first_time(prompts):
    for index, ids in enumerate(prompts.clean_ids):
        at = {role: where[index] for role, where in prompts.positions.items()}
        assert set(at) == {"earlier", "next", "end"}
        assert ids[at["earlier"]] == ids[at["end"]] == ids[-1]
        assert ids[at["next"]] == prompts.answer_ids[index][0]
        assert at["next"] == at["earlier"] + 1
        assert at["end"] == at["earlier"] + 10


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**31), n=st.integers(2, 15))
def test_pairs_are_distinct_and_a_longer_list_only_adds(encoder, seed, n):
    for corruption in induction.CORRUPTIONS:
        longer = induction.make(encoder, n_pairs=15, seed=seed, corruption=corruption)
        assert induction.make(encoder, n_pairs=n, seed=seed, corruption=corruption) == (
            longer.first(n)
        )
        assert len({pair.clean for pair in longer.pairs}) == 15
        assert [len(ids) for ids in longer.corrupt_ids] == list(longer.lengths)


def test_the_seed_decides(encoder):
    first = induction.make(encoder, n_pairs=6)
    assert induction.make(encoder, n_pairs=6, seed=1).pairs != first.pairs


def test_words_are_plain_and_many():
    assert len(set(COMMON_WORDS)) == len(COMMON_WORDS) >= 250
    assert all(word.isascii() and word.islower() for word in COMMON_WORDS)


def test_too_few_single_token_words_are_refused(bytes_only):
    with pytest.raises(DataError, match=rf"holds 0 of {len(COMMON_WORDS)} common words .*needs 60"):
        induction.make(bytes_only, n_pairs=4)


def test_unknown_corruption_and_bad_count_are_refused(encoder):
    with pytest.raises(UnknownNameError, match="did you mean 'shuffled'"):
        induction.make(encoder, n_pairs=4, corruption="shuffle")
    with pytest.raises(DataError, match="n_pairs is 1; it must be at least 2"):
        induction.make(encoder, n_pairs=1)
