"""A run lacks its next member; a corrupt run has no order or goes on with another member."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from needlepoint._core.errors import DataError
from needlepoint.tasks import successor
from needlepoint.tasks.successor import CYCLIC, SEQUENCES

KIND = {member: kind for kind, members in SEQUENCES.items() for member in members}


def members(text: str) -> list[str]:
    return [word for word in re.findall(r"\w+", text.partition(":")[2]) if word in KIND]


def step(a: str, b: str) -> int:
    """How far `b` comes after `a`, around the end of a cyclic sequence."""
    sequence = SEQUENCES[KIND[a]]
    distance = sequence.index(b) - sequence.index(a)
    return distance % len(sequence) if KIND[a] in CYCLIC else distance


@pytest.fixture(scope="module", params=["broken", "shifted"])
def prompts(request, encoder):
    return successor.make(encoder, n_pairs=150, corruption=request.param)


def test_the_answer_follows_the_run(prompts):
    for pair in prompts.pairs:
        run = [*members(pair.clean), pair.answer.strip()]
        assert all(step(a, b) == 1 for a, b in pairwise(run))
        same = {f" {member}" for member in SEQUENCES[KIND[run[0]]]}
        assert {pair.answer, *pair.wrong} == same
        assert len(pair.wrong) == len(same) - 1


def test_a_corrupt_run_is_of_the_same_kind_and_does_not_lead_to_the_answer(prompts):
    for pair in prompts.pairs:
        clean, corrupt = members(pair.clean), members(pair.corrupt)
        answer = pair.answer.strip()
        assert len(corrupt) == len(set(corrupt)) == len(clean)
        assert {KIND[word] for word in corrupt} == {KIND[answer]}
        assert answer not in corrupt
        steps = [step(a, b) for a, b in zip(corrupt, [*corrupt[1:], answer], strict=True)]
        if prompts.corruption == "broken":
            size = len(SEQUENCES[KIND[answer]])
            assert not {1, -1, size - 1} & set(steps)
        else:
            assert set(steps[:-1]) == {1}
            assert steps[-1] != 1


def test_kinds_take_turns_and_positions_are_the_outer_members(encoder, prompts):
    assert [KIND[pair.answer.strip()] for pair in prompts.pairs[:6]] == [*SEQUENCES] * 2
    for i, pair in enumerate(prompts.pairs):
        run = members(pair.clean)
        for role, member in (("first", run[0]), ("last", run[-1])):
            token = prompts.clean_ids[i][prompts.positions[role][i]]
            assert [token] == encoder.encode(f" {member}")


class Splitting:
    """An encoder that splits some words."""

    def __init__(self, encoder, *words):
        self.encoder, self.words = encoder, {f" {word}" for word in words}

    def __getattr__(self, name):
        return getattr(self.encoder, name)

    def encode(self, text):
        return [0, 1] if text in self.words else self.encoder.encode(text)


def test_a_sequence_ends_where_the_tokenizer_splits_a_member(encoder):
    prompts = successor.make(Splitting(encoder, "twelve", "May"), n_pairs=100)
    shown = {word for pair in prompts.pairs for word in members(pair.clean + pair.answer)}
    numbers = SEQUENCES["numbers"]
    assert {KIND[word] for word in shown} == {"days", "numbers"}
    assert shown - set(SEQUENCES["days"]) <= set(numbers[: numbers.index("twelve")])


@pytest.mark.parametrize("corruption", ["broken", "shifted"])
def test_the_shortest_sequences_still_have_their_corruptions(encoder, corruption):
    splitting = Splitting(encoder, "eleven", "May")
    with pytest.raises(DataError, match=r"has only (\d+) distinct") as info:
        successor.make(splitting, n_pairs=10**4, corruption=corruption)
    found = re.search(r"at most (\d+)", str(info.value))
    assert found is not None
    made = successor.make(splitting, n_pairs=int(found[1]), corruption=corruption)
    assert made.n_pairs == int(found[1])


def test_no_sequence_left_is_refused(encoder):
    with pytest.raises(DataError, match="holds none of the 3 sequences of task 'successor'"):
        successor.make(Splitting(encoder, "two", "May", "Sunday"), n_pairs=4)
