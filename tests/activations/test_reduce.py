"""Rows say which positions become one vector; the reducer does what a loop over them does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.activations.reduce import Reducer, Rows
from needlepoint.models.model import Batch

LENGTHS = (5, 9, 2)
IDS = [list(range(length)) for length in LENGTHS]


def batch(*, prefix: int = 1) -> Batch:
    longest = max(LENGTHS) + prefix
    ids = torch.zeros(len(LENGTHS), longest, dtype=torch.long)
    return Batch(ids, torch.tensor(LENGTHS) + prefix)


def activation(*width: int, prefix: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    """Values that grow large in the padding, so that a single one that is read would show."""
    rng = torch.Generator().manual_seed(0)
    values = torch.randn(len(LENGTHS), max(LENGTHS) + prefix, *width, generator=rng)
    values[~batch(prefix=prefix).mask] = 1e6
    return values.to(dtype)


def reduced(rows: Rows, values: Tensor, *, prefix: int = 1) -> Tensor:
    return Reducer(rows, torch.arange(len(rows)), rows.text, batch(prefix=prefix), prefix)(values)


def by_loop(rows: Rows, values: Tensor, *, prefix: int = 1) -> Tensor:
    found = []
    for text, start, end in zip(rows.text, rows.start, rows.end, strict=True):
        span = values[text, start + prefix : end + prefix].double()
        how = {"mean": span.mean(0), "max": span.amax(0), "first": span[0], "last": span[-1]}
        found.append(how[rows.reduce])
    return torch.stack(found)


EVERY_REDUCE = pytest.mark.parametrize("reduce", ["mean", "max", "first", "last"])


@EVERY_REDUCE
@pytest.mark.parametrize("width", [(), (4,), (3, 2)], ids=str)
@pytest.mark.parametrize("prefix", [0, 1])
def test_whole_texts(reduce, width, prefix) -> None:
    rows, values = Rows.whole(IDS, reduce), activation(*width, prefix=prefix)
    found = reduced(rows, values, prefix=prefix)
    assert found.shape == (3, *width)
    torch.testing.assert_close(found.double(), by_loop(rows, values, prefix=prefix))


@EVERY_REDUCE
def test_spans_several_to_a_text_in_any_order(reduce) -> None:
    spans = np.array([[1, 3, 9], [0, 0, 2], [1, 0, 1], [2, 1, 2], [1, 2, 7], [0, 4, 5]])
    rows, values = Rows.of(spans, reduce), activation(4)
    torch.testing.assert_close(reduced(rows, values).double(), by_loop(rows, values))


@EVERY_REDUCE
def test_the_first_token_is_in_only_if_asked_for(reduce) -> None:
    values = activation(4)
    without, with_it = (Rows.whole(IDS, reduce, first=first) for first in (False, True))
    torch.testing.assert_close(reduced(with_it, values).double(), by_loop(with_it, values))
    other = values.clone()
    other[:, 0] += 50
    assert torch.equal(reduced(without, other), reduced(without, values))
    if reduce != "last":
        assert (reduced(with_it, other) - reduced(with_it, values)).abs().min() > 1


def test_every_position_is_the_activation_itself_and_no_padding() -> None:
    values = activation(4)
    found = reduced(Rows.each(IDS), values)
    assert torch.equal(found, torch.cat([values[i, 1 : 1 + n] for i, n in enumerate(LENGTHS)]))


def test_some_rows_of_a_batch_in_the_order_of_their_numbers() -> None:
    rows, values = Rows.each(IDS), activation(4)
    here = torch.tensor([11, 3, 5])
    found = Reducer(rows, here, rows.text[here], batch(), 1)(values)
    assert torch.equal(found, by_loop(rows, values)[here].float())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@EVERY_REDUCE
def test_half_precision_is_kept_and_is_near_the_exact_value(reduce, dtype) -> None:
    values = activation(4, dtype=torch.float32).clamp(-9, 9).to(dtype)
    rows = Rows.whole(IDS, reduce)
    found = reduced(rows, values)
    assert found.dtype == dtype
    scale = 0.0 if reduce in ("max", "first", "last") else 4 * torch.finfo(dtype).eps
    assert (found.double() - by_loop(rows, values)).abs().max() <= scale * values.abs().max()


def test_guards() -> None:
    unknown = Rows.whole(IDS)
    object.__setattr__(unknown, "reduce", "median")  # past the check of types, which is off in use
    with pytest.raises(DataError, match="reduce 'median' is not one of mean, max, first, last"):
        unknown.__post_init__()
    with pytest.raises(DataError, match="row 1 covers no position; its end must lie after"):
        Rows.of(np.array([[0, 0, 1], [0, 2, 2]]), "mean")
    with pytest.raises(DataError, match="row 0 covers no position"):
        Rows.whole([[], [1]])
