"""Each breach of the contract of a task is planted in a sound one and found."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from needlepoint._core.errors import DataError
from needlepoint.models.encoder import TokenizerEncoder
from needlepoint.tasks import KnownCircuit, Pair, Prompts, Task, pair_prompts
from needlepoint.testing.task_contracts import task_faults
from needlepoint.testing.tiny import byte_tokenizer

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def encoder() -> TokenizerEncoder:
    return TokenizerEncoder(byte_tokenizer())


def make(encoder, *, n_pairs: int, seed: int = 0, corruption: str = "other") -> Prompts:
    """The letter that comes next: `ab` `cd` against `ab` and another letter."""
    draw = np.random.default_rng(seed)
    pairs: list[Pair] = []
    while len(pairs) < n_pairs:
        i, j = draw.choice(24, 2, replace=False)
        noise = "".join(draw.choice(list("0123456789"), 4))
        pair = Pair(
            f"{noise}{LETTERS[i]}{LETTERS[i + 1]}",
            f"{noise}{LETTERS[j]}{LETTERS[j + 1]}",
            LETTERS[i + 2],
            LETTERS[j + 2],
        )
        pairs += [] if pair in pairs else [pair]
    return pair_prompts(
        pairs,
        encoder,
        task="next",
        description="Next letter.",
        question="Which heads name the next letter?",
        corruption=corruption,
        positions={"end": (5,) * n_pairs},
    )


TASK = Task(
    "next",
    "Next letter",
    "The next letter.",
    "own",
    make,
    {"other": "Another letter."},
    answer_hidden=True,
)


def test_a_sound_task_has_no_faults(encoder) -> None:
    assert task_faults(TASK, encoder) == []
    assert task_faults(make(encoder, n_pairs=12), encoder) == []


def first(value, entries):
    return (value, *entries[1:])


PROMPT_FAULTS = {
    "length": (
        lambda p: replace(
            p,
            pairs=first(replace(p.pairs[0], corrupt=p.pairs[0].corrupt[1:]), p.pairs),
            corrupt_ids=first(p.corrupt_ids[0][1:], p.corrupt_ids),
        ),
        r"pair 1: clean has 6 tokens, corrupt 5; make them equal",
    ),
    "ids": (
        lambda p: replace(p, clean_ids=first(p.clean_ids[0][::-1], p.clean_ids)),
        r"pair 1: the ids of clean are not those of its text",
    ),
    "same": (
        lambda p: replace(
            p,
            pairs=first(replace(p.pairs[0], corrupt=p.pairs[0].clean), p.pairs),
            corrupt_ids=first(p.clean_ids[0], p.corrupt_ids),
        ),
        r"pair 1: clean and corrupt are the same prompt",
    ),
    "two tokens": (
        lambda p: replace(p, pairs=first(replace(p.pairs[0], answer="xy"), p.pairs)),
        r"pair 1: answer 'xy' is not one token; use a word that is",
    ),
    "wrong id": (
        lambda p: replace(p, wrong_ids=first((p.wrong_ids[0][0] + 1,), p.wrong_ids)),
        r"pair 1: the ids of wrong are not those of its text",
    ),
    "both": (
        lambda p: replace(
            p,
            pairs=first(replace(p.pairs[0], wrong=p.pairs[0].answer), p.pairs),
            wrong_ids=first(p.answer_ids[0], p.wrong_ids),
        ),
        r"pair 1: a token is both right and wrong; give different tokens",
    ),
    "outside": (
        lambda p: replace(p, positions={"end": first(6, p.positions["end"])}),
        r"pair 1: position 'end' is token 6 of 6; count from 0",
    ),
    "too few places": (
        lambda p: replace(p, positions={"end": (5,)}),
        r"position 'end' is given for 1 of \d+ pairs; give one for each",
    ),
    "question": (
        lambda p: replace(p, question="Next letter"),
        r"the question 'Next letter' does not end in a question mark",
    ),
}


@pytest.mark.parametrize("name", PROMPT_FAULTS)
def test_a_fault_of_prompts_is_found(name: str, encoder) -> None:
    change, message = PROMPT_FAULTS[name]
    found = task_faults(change(make(encoder, n_pairs=12)), encoder)
    assert len(found) == 1, found
    assert re.search(message, found[0])
    loaded = task_faults(replace(TASK, make=lambda *a, **o: change(make(*a, **o))), encoder)
    assert (
        any(fault == f"corruption 'other': {found[0]}" for fault in loaded)
        or name == "too few places"
    )


def test_pairs_that_occur_twice_are_found(encoder) -> None:
    prompts = make(encoder, n_pairs=4)
    parts = {
        name: getattr(prompts, name)[:3] + getattr(prompts, name)[:1]
        for name in ("pairs", "clean_ids", "corrupt_ids", "answer_ids", "wrong_ids")
    }
    assert task_faults(replace(prompts, **parts), encoder) == [
        "pair 4 is pair 1 again; make all pairs distinct."
    ]


def leaking(encoder, **options) -> Prompts:
    prompts = make(encoder, **options)
    pairs = [
        replace(
            pair, clean=pair.answers[0] + pair.clean[1:], corrupt=pair.answers[0] + pair.corrupt[1:]
        )
        for pair in prompts.pairs
    ]
    return pair_prompts(
        pairs, encoder, task="next", description="d", question="Which?", corruption="other"
    )


def short_list(encoder, *, n_pairs: int, **options) -> Prompts:
    return make(encoder, n_pairs=n_pairs - (n_pairs > 20), **options)


CALLS = count()


def unseeded(encoder, **options) -> Prompts:
    return make(encoder, **{**options, "seed": next(CALLS)})


def refused(encoder, **_: object) -> Prompts:
    raise DataError("the tokenizer splits all words.")


TASK_FAULTS = {
    "title": (replace(TASK, title=""), r"the title is empty; fill it"),
    "corruption": (replace(TASK, corruptions={}), r"there is no corruption; name at least one"),
    "undescribed": (
        replace(TASK, corruptions={"other": " "}),
        r"corruption 'other' is not described; say it in a sentence",
    ),
    "metric": (
        replace(TASK, metric="probability difference"),
        r"the prompts have the metric 'logit difference', the task 'probability difference'",
    ),
    "circuit": (
        replace(TASK, circuits=(KnownCircuit("gpt2", "", {}),)),
        r"a known circuit has no source or no model",
    ),
    "named otherwise": (
        replace(TASK, make=lambda e, **o: make(e, **{**o, "corruption": "x"})),
        r"name their corruption 'x'; use one name",
    ),
    "leak": (replace(TASK, make=leaking), r"pair 1: the answer '.' stands in the clean prompt"),
    "too few": (replace(TASK, make=short_list), r"23 pairs were made where 24 were asked for"),
    "chance": (replace(TASK, make=unseeded), r"twice with one seed gives different pairs"),
    "prefix": (
        replace(
            TASK,
            make=lambda e, n_pairs, seed, **o: make(e, n_pairs=n_pairs, seed=seed + n_pairs, **o),
        ),
        r"the first 8 of 24 pairs are not the 8 pairs of a shorter list",
    ),
    "seed": (
        replace(TASK, make=lambda e, n_pairs, **o: make(e, n_pairs=n_pairs)),
        r"another seed gives the same pairs; draw the pairs from the seed",
    ),
    "refused": (replace(TASK, make=refused), r"it cannot be made: the tokenizer splits all words"),
}


@pytest.mark.parametrize("name", TASK_FAULTS)
def test_a_fault_of_a_task_is_found(name: str, encoder) -> None:
    task, message = TASK_FAULTS[name]
    (found,) = task_faults(task, encoder)
    assert re.search(message, found)


def test_a_leak_by_nature_is_none(encoder) -> None:
    assert task_faults(replace(TASK, make=leaking, answer_hidden=False), encoder) == []
