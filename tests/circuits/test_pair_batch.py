"""Pairs are cut, trimmed and turned round without losing which is which."""

from __future__ import annotations

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.circuits.metric import Answers
from needlepoint.circuits.pair_batch import PairBatch, clean_metric, corrupt_metric
from needlepoint.evaluation.read_heads import pair_batch
from needlepoint.tasks.pairs import Pair, pair_prompts
from needlepoint.testing.tiny import tiny_model

CLEAN = [[1, 2, 3, 4, 5], [1, 2, 3], [9, 8, 7, 6]]
CORRUPT = [[1, 2, 9, 4, 6], [1, 2, 3], [8, 8, 7, 6]]


def pairs() -> PairBatch:
    model = tiny_model("llama")
    right, wrong = torch.tensor([[1], [2], [3]]), torch.tensor([[4], [5], [6]])
    where = {"end": torch.tensor([5, 3, 4])}
    return PairBatch(model.batch(CLEAN), model.batch(CORRUPT), Answers(right, wrong), where)


def test_the_first_difference_is_the_last_position_where_there_is_none() -> None:
    assert pairs().first_difference.tolist() == [3, 3, 1]


def test_padding_that_differs_is_no_difference() -> None:
    found = pairs()
    found.corrupt.ids[1, -1] = 200
    assert found.first_difference.tolist() == [3, 3, 1]


def test_rows_in_any_order_keep_their_positions() -> None:
    some = pairs().rows(torch.tensor([2, 0]))
    assert torch.equal(some.clean.ids, pairs().clean.ids[[2, 0]])
    assert some.positions["end"].tolist() == [4, 5]
    assert len(some) == 2


def test_trimming_takes_off_common_padding_alone() -> None:
    short = pairs().rows(slice(1, 3)).trimmed()
    assert short.clean.ids.shape == short.corrupt.ids.shape == (2, 5)
    assert torch.equal(short.clean.ids, pairs().clean.ids[1:3, :5])


def test_swapping_twice_is_nothing() -> None:
    model, whole = tiny_model("llama"), pairs()
    turned = whole.swapped()
    assert torch.equal(turned.clean.ids, whole.corrupt.ids)
    assert torch.equal(turned.swapped().clean.ids, whole.clean.ids)
    torch.testing.assert_close(clean_metric(model, turned), corrupt_metric(model, whole))


def test_a_position_without_a_name_is_refused() -> None:
    assert pairs().position("end").tolist() == [5, 3, 4]
    with pytest.raises(
        DataError, match=r"no position is called 'start' here; the named ones .* end"
    ):
        pairs().position("start")


def test_positions_of_a_task_count_the_first_token() -> None:
    """Pairs are put in the order of their lengths, and their positions with them."""
    model = tiny_model("llama")
    texts = [("abcd", "accd"), ("bc", "cc")]
    prompts = pair_prompts(
        [Pair(clean, corrupt, "a", "b") for clean, corrupt in texts],
        model.encoder,
        task="t",
        description="d",
        question="q?",
        corruption="c",
        positions={"changed": (1, 0)},
    )
    found = pair_batch(model, prompts)
    assert len(model.prefix) == 1
    assert found.positions["changed"].tolist() == [1, 2]
    assert torch.equal(found.first_difference, found.positions["changed"])
