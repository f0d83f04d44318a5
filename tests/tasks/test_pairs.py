"""Every way in which a pair can be unusable is refused in a sentence that says what to change."""

from __future__ import annotations

import hashlib
import json
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from needlepoint._core.errors import DataError
from needlepoint.tasks.pairs import Pair, Prompts, pair_prompts

GOOD = Pair("When Mary met John", "When Anna met Paul", " Mary", " John")
OTHER = Pair("It is cold", "It is big", " hot", " small")
LABELS = {"task": "t", "description": "d", "question": "q?", "corruption": "c"}


def build(pairs: list[Pair], encoder: Any, **options: Any) -> Prompts:
    return pair_prompts(pairs, encoder, **LABELS, **options)


def test_another_metric_is_another_question(encoder):
    prompts = build([GOOD, OTHER], encoder)
    assert replace(prompts, metric="probability difference").sha256 != prompts.sha256
    ids = [prompts.clean_ids, prompts.corrupt_ids, prompts.answer_ids, prompts.wrong_ids]
    plain = hashlib.sha256(json.dumps(ids).encode()).hexdigest()
    assert prompts.sha256 == plain, "hashes of earlier records stay what they were"


def test_ids_are_those_of_the_encoder(encoder):
    prompts = build([GOOD, OTHER], encoder)
    assert prompts.clean_ids[0] == tuple(encoder.encode(GOOD.clean))
    assert prompts.corrupt_ids[1] == tuple(encoder.encode(OTHER.corrupt))
    assert list(prompts.answer_ids[0]) == encoder.encode(" Mary")
    assert list(prompts.wrong_ids[1]) == encoder.encode(" small")
    assert prompts.n_pairs == 2
    assert prompts.lengths == tuple(len(encoder.encode(p.clean)) for p in (GOOD, OTHER))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clean": "  "}, r"^pair 2: clean is empty"),
        ({"corrupt": ""}, r"^pair 2: corrupt is empty"),
        ({"answer": ""}, r"^pair 2: answer is empty; give the text of one token\.$"),
        ({"answer": " John"}, r"^pair 2: answer and wrong are both ' John'; give two different"),
        ({"answer": " Mary John"}, r"answer ' Mary John' is 2 tokens \(' Mary' \+ ' John'\), not"),
        ({"wrong": "Paul"}, r"wrong 'Paul' is \d tokens .*; with a leading space, ' Paul', it is"),
        ({"wrong": "zqx"}, r"wrong 'zqx' is 3 tokens .*use a word that the tokenizer holds in one"),
    ],
)
def test_an_unusable_pair_is_named(encoder, change, message):
    with pytest.raises(DataError, match=message):
        build([OTHER, replace(GOOD, **change)], encoder)


def test_unequal_lengths_are_told_with_the_line(encoder):
    longer = replace(GOOD, corrupt=GOOD.corrupt + " Mary")
    n = len(encoder.encode(GOOD.clean))
    message = (
        rf"^pair 2 \(line 5 of F\): clean has {n} tokens, corrupt {n + 1}; make them equal, "
        r"for instance by swapping in names of as many tokens\.$"
    )
    with pytest.raises(DataError, match=message):
        build([GOOD, longer], encoder, lines=[3, 5], source="F")


def test_one_pair_is_not_enough(encoder):
    with pytest.raises(DataError, match=r"^there is 1 pair; at least 2 are needed\.$"):
        build([GOOD], encoder)
    with pytest.raises(DataError, match=r"^F has 0 pairs"):
        build([], encoder, source="F")


def test_hash_follows_content_and_not_names(encoder):
    prompts = build([GOOD, OTHER], encoder)
    assert prompts.sha256 == replace(prompts, task="u", question="why?").sha256
    assert len(prompts.sha256) == 64
    for change in (
        {"answer": " Paul"},
        {"wrong": " Paul"},
        {"clean": "When Mary met Paul"},
        {"corrupt": "When Anna met Mary"},
    ):
        assert build([replace(GOOD, **change), OTHER], encoder).sha256 != prompts.sha256
    assert build([OTHER, GOOD], encoder).sha256 != prompts.sha256


def test_first_keeps_everything_in_step(encoder):
    third = replace(GOOD, answer=" Paul")
    prompts = build([GOOD, OTHER, third], encoder, positions={"end": (3, 2, 3)})
    first = prompts.first(2)
    assert first.sha256 == build([GOOD, OTHER], encoder).sha256
    assert first.positions == {"end": (3, 2)}
    assert prompts.first(99) == prompts
    with pytest.raises(DataError, match="n_pairs is 1; it must be at least 2"):
        prompts.first(1)


def test_prompts_are_frozen(encoder):
    with pytest.raises(FrozenInstanceError):
        build([GOOD, OTHER], encoder).task = "x"
