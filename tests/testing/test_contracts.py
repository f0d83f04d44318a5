"""Each breach of the contract of a collection is planted in a sound one and found."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from needlepoint._core.errors import SourceError
from needlepoint.features import Card, Collection, CollectionSpec
from needlepoint.models.encoder import TokenizerEncoder
from needlepoint.testing.contracts import collection_faults
from needlepoint.testing.tiny import byte_tokenizer

CARD = Card("toy", "Toy", "Letters.", "made", "MIT", "by rule", ("None is known.",), "last", "0 MB")
N = 40


@pytest.fixture(scope="module")
def encoder() -> TokenizerEncoder:
    return TokenizerEncoder(byte_tokenizer())


def make(encoder, *, n_per_feature: int, n_tokens: int, seed: int, source: str) -> Collection:
    """Random letters: is the last one a vowel, is it in the first half of the alphabet?"""
    draw = np.random.default_rng([seed, n_per_feature])
    texts = ["".join(draw.choice(list("abcdefghijklmnopqrstuvwxyz"), 12)) for _ in range(6 * N)]
    ids = tuple(tuple(encoder.encode(text)) for text in texts)
    labels = np.array([[text[-1] in "aeiou", text[-1] < "n"] for text in texts])
    return Collection(
        card=CARD,
        question="Which?",
        ids=ids,
        documents=tuple(f"d{i // 2}" for i in range(len(ids))),
        rows=np.array([[i, len(row) - 1, len(row)] for i, row in enumerate(ids)]),
        reduce="last",
        features=("vowel", "early"),
        labels=labels,
        texts=tuple(texts),
        members=np.column_stack([np.arange(6 * N) % 10 > 0, np.full(6 * N, True)]),
    )


SPEC = CollectionSpec(CARD, ("vowel", "early"), make, n_tokens=12)


def changed(change: Callable[..., Collection]) -> CollectionSpec:
    """The sound collection, changed each time it is loaded."""
    calls = iter(range(99))

    def load(encoder, **options) -> Collection:
        return change(make(encoder, **options), next(calls), options)

    return replace(SPEC, load=load)


def faults(given, encoder) -> list[str]:
    return collection_faults(given, encoder, n_per_feature=20)


def test_a_sound_collection_has_no_faults(encoder) -> None:
    assert faults(SPEC, encoder) == []
    assert faults(SPEC(encoder, n_per_feature=20), encoder) == []


def with_row(found: Collection) -> Collection:
    again = np.concatenate([np.arange(len(found.rows)), [5]])
    return replace(
        found, rows=found.rows[again], labels=found.labels[again], members=found.members[again]
    )


def unasked(found: Collection) -> Collection:
    members = found.members.copy()
    members[7] = False
    return replace(found, members=members)


def copies(found: Collection) -> Collection:
    """All vowels in texts that are nearly the same."""
    texts = [
        f"one two three four five six seven {t}" if label else t
        for t, label in zip(found.texts, found.labels[:, 0], strict=True)
    ]
    return replace(found, texts=tuple(texts))


def few_rows(found: Collection) -> Collection:
    members = found.members.copy()
    members[np.flatnonzero(found.labels[:, 0])[9:], 0] = False
    return replace(found, members=members)


COLLECTION_FAULTS = {
    "licence": (
        lambda c: replace(c, card=replace(c.card, licence="")),
        r"the card's licence is empty; fill it\.",
    ),
    "confounds": (
        lambda c: replace(c, card=replace(c.card, confounds=())),
        r"the card's confounds is empty; fill it\.",
    ),
    "blank confound": (
        lambda c: replace(c, card=replace(c.card, confounds=(" ",))),
        r"one of the card's confounds is empty",
    ),
    "twice": (with_row, r"1 rows occur twice, row \d+ first; keep each once\."),
    "unasked": (unasked, r"1 rows are asked for no feature, row 7 first; drop them\."),
    "no row": (
        lambda c: replace(
            c, ids=(*c.ids, (1,)), documents=(*c.documents, "x"), texts=(*c.texts, "a")
        ),
        r"1 texts have no row, text 240 first; drop them\.",
    ),
    "unnamed": (
        lambda c: replace(c, documents=("", *c.documents[1:])),
        r"text 0 has a document without a name",
    ),
    "no texts": (lambda c: replace(c, texts=()), r"no texts are kept"),
    "other texts": (
        lambda c: replace(c, texts=c.texts[::-1]),
        r"text \d+ does not hold its token '.'; keep the text that the tokens were cut from",
    ),
    "one document": (
        lambda c: replace(
            c, documents=tuple("d" if v else f"e{i}" for i, v in enumerate(c.labels[:, 0]))
        ),
        r"feature 'vowel' has 1 document with rows with it, near-duplicates counted once",
    ),
    "near-duplicates": (copies, r"feature 'vowel' has 1 document with rows with it, near-dup"),
}


@pytest.mark.parametrize("name", COLLECTION_FAULTS)
def test_a_fault_of_a_collection_is_found(name: str, encoder) -> None:
    change, message = COLLECTION_FAULTS[name]
    found = faults(change(SPEC(encoder, n_per_feature=20)), encoder)
    assert any(re.search(message, fault) for fault in found), found
    loaded = faults(changed(lambda c, *_: change(c)), encoder)
    assert set(found) <= set(loaded), "a specification is looked at in the same way"


def short(names: dict[str, str]) -> Callable[..., Collection]:
    return lambda c, *_: replace(c, card=replace(c.card, shortfalls=names))


def by_call(c: Collection, call: int, _: object) -> Collection:
    return replace(
        c,
        rows=np.roll(c.rows, call, 0),
        labels=np.roll(c.labels, call, 0),
        members=np.roll(c.members, call, 0),
    )


SPEC_FAULTS = {
    "announced": (
        lambda: replace(SPEC, features=("vowel", "late")),
        r"announces features that loading lacks \['late'\]; announce what is there",
    ),
    "order": (
        lambda: replace(SPEC, features=("early", "vowel")),
        r"announces features that loading orders otherwise",
    ),
    "name": (
        lambda: replace(SPEC, card=replace(CARD, name="other")),
        r"bears the name 'toy', that of the specification 'other'; use one",
    ),
    "size": (
        lambda: changed(lambda c, *_: replace(c, card=replace(c.card, size=""))),
        r"the card's size is empty; fill it",
    ),
    "long": (
        lambda: replace(SPEC, n_tokens=11),
        r"the longest text has 12 tokens, more than n_tokens = 11; cut texts",
    ),
    "unsaid shortfall": (
        lambda: changed(lambda c, *_: few_rows(c)),
        r"feature 'vowel' has \d positive rows from \d documents; say why among the card's",
    ),
    "untrue shortfall": (
        lambda: changed(short({"early": "none"})),
        r"names 'early' as falling short, which has \d+ positive rows from \d+ documents; drop",
    ),
    "chance": (lambda: changed(by_call), r"loading twice with one seed gives different rows"),
    "seed": (
        lambda: replace(SPEC, load=lambda encoder, **o: make(encoder, **{**o, "seed": 3})),
        r"another seed gives the same rows; draw the rows from the seed",
    ),
}


@pytest.mark.parametrize("name", SPEC_FAULTS)
def test_a_fault_of_a_specification_is_found(name: str, encoder) -> None:
    spec, message = SPEC_FAULTS[name]
    (found,) = faults(spec(), encoder)
    assert re.search(message, found), found


def test_a_shortfall_that_is_named_and_true_is_none(encoder) -> None:
    def named(c: Collection, *_: object) -> Collection:
        return short({"vowel": "there are no more", "absent": "there are none"})(few_rows(c))

    assert faults(changed(named), encoder) == []


def test_what_cannot_be_loaded_is_a_fault(encoder) -> None:
    def load(encoder, **_: object) -> Collection:
        raise SourceError("the package cannot be had.")

    assert faults(replace(SPEC, load=load), encoder) == [
        "it cannot be loaded: the package cannot be had."
    ]
