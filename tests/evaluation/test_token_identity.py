"""A feature of tokens is told by the tokens, whichever they are; one of documents is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from needlepoint.evaluation.token_identity import best_identity, identity_probes, token_rows
from needlepoint.features.collection import Collection
from needlepoint.probing.scores import confusion

TRAIN, VALIDATION, TEST = (torch.arange(a, b) for a, b in ((0, 360), (360, 480), (480, 600)))


@pytest.fixture(scope="module")
def tokens(token_level: Collection) -> Collection:
    """Six hundred rows of one token each, out of eight, in texts of ten."""
    rng = np.random.default_rng(0)
    ids = tuple(tuple(rng.integers(10, 18, 10).tolist()) for _ in range(60))
    rows = np.array([[text, at, at + 1] for text in range(60) for at in range(10)])
    labels = rng.random((600, 1)) < 0.5
    return replace(
        token_level,
        ids=ids,
        documents=tuple(f"document {text}" for text in range(60)),
        rows=rows,
        labels=labels,
    )


def f1s(collection: Collection, truth: list[bool]) -> dict[str, float]:
    labels = torch.tensor(truth)
    probes = identity_probes(token_rows(collection), labels, TRAIN, VALIDATION)
    wanted = labels[TEST][:, None]
    return {
        one.kind: float(confusion((one.odds > one.cut)[TEST][:, None], wanted).f1[0])
        for one in probes
    }


def around(collection: Collection) -> list[tuple[int, int]]:
    """The token before each row and the token of it."""
    ids = collection.ids
    return [(ids[text][at - 1] if at else -1, ids[text][at]) for text, at, _ in collection.rows]


def test_the_token_of_a_row_tells_what_it_says(tokens) -> None:
    found = f1s(tokens, [current % 2 == 0 for _, current in around(tokens)])
    assert found["current token"] == found["both tokens"] == 1
    assert found["previous token"] < 0.8


def test_the_token_before_tells_what_it_says(tokens) -> None:
    found = f1s(tokens, [before % 3 == 0 for before, _ in around(tokens)])
    assert found["previous token"] == found["both tokens"] == 1
    assert found["current token"] < 0.8


def test_what_only_the_pair_says_takes_both(tokens) -> None:
    found = f1s(tokens, [(before + current) % 2 == 0 for before, current in around(tokens)])
    assert found["both tokens"] > 0.95
    assert max(found["current token"], found["previous token"]) < 0.8


def test_a_tossed_coin_is_in_no_token(tokens) -> None:
    found = f1s(tokens, tokens.labels[:, 0].tolist())
    assert max(found.values()) < 0.75, "calling everything positive gives two thirds"


def test_a_row_of_many_positions_is_a_bag_and_of_the_last_is_one_token(tokens) -> None:
    spans = replace(
        tokens, rows=np.array([[text, 2, 6] for text in range(60)]), labels=tokens.labels[:60]
    )
    bag = token_rows(spans).current
    lengths = np.sqrt(bag.multiply(bag).sum(1))
    assert np.allclose(lengths, 1)
    assert bag[3].nnz == len(set(spans.ids[3][2:6]))
    last = token_rows(replace(spans, reduce="last"))
    assert (np.diff(last.current.indptr) == 1).all()
    names = sorted({ids[5] for ids in spans.ids})
    assert [names[column] for column in last.current.indices] == [ids[5] for ids in spans.ids]
    before = sorted({ids[4] for ids in spans.ids})
    assert [before[column] for column in last.previous.indices] == [ids[4] for ids in spans.ids]


def test_test_labels_choose_nothing(tokens) -> None:
    truth = torch.tensor([current % 2 == 0 for _, current in around(tokens)])
    turned = truth.clone()
    turned[TEST] = ~turned[TEST]
    rows = token_rows(tokens)
    for one, other in zip(
        identity_probes(rows, truth, TRAIN, VALIDATION),
        identity_probes(rows, turned, TRAIN, VALIDATION),
        strict=True,
    ):
        assert torch.equal(one.odds, other.odds)
        assert (one.cut, one.C) == (other.cut, other.C)


def test_a_token_that_training_rows_lack_tells_nothing(tokens) -> None:
    ids = tuple((*ids[:9], 99) if text >= 36 else ids for text, ids in enumerate(tokens.ids))
    truth = torch.tensor([current % 2 == 0 for _, current in around(tokens)])
    new = replace(tokens, ids=ids)
    current = identity_probes(token_rows(new), truth, TRAIN, VALIDATION)[0]
    odds = current.odds[torch.from_numpy(new.rows[:, 1] == 9) & (torch.arange(600) >= 360)]
    assert len(set(odds.tolist())) == 1


def test_the_best_is_chosen_by_validation_and_of_equals_the_simplest(tokens) -> None:
    truth = torch.tensor([current % 2 == 0 for _, current in around(tokens)])
    probes = identity_probes(token_rows(tokens), truth, TRAIN, VALIDATION)
    assert best_identity(probes).kind == "current token"
