"""When memory runs out, batches get smaller and nothing is lost or done twice."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from needlepoint._core.errors import MemoryFullError
from needlepoint._core.progress import progress_bars
from needlepoint.models.back_off import BackOff, ran_out


@given(sizes=st.lists(st.integers(0, 30), max_size=5), room=st.integers(1, 30))
def test_every_item_is_run_once_and_in_order(sizes: list[int], room: int) -> None:
    tried: list[int] = []

    def run(items: list[int]) -> list[int]:
        tried.append(len(items))
        if len(items) > room:
            raise torch.OutOfMemoryError("no memory")
        return items

    in_parts = BackOff("items")
    for size in sizes:
        found = [item for part in in_parts(list(range(size)), run) for item in part]
        assert found == list(range(size))
    failed = [n for n in tried if n > room]
    assert len(failed) <= 5  # 30 halved until it is 1
    assert failed == sorted(failed, reverse=True)
    assert len(set(failed)) == len(failed)


def test_an_item_that_does_not_fit_alone_is_an_error() -> None:
    def run(items: list[int]) -> None:
        raise MemoryError

    with pytest.raises(MemoryFullError, match="not enough memory for one of the texts alone"):
        list(BackOff("texts")([1, 2, 3], run))


def test_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    def run(items: list[int]) -> int:
        if len(items) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")
        return len(items)

    with progress_bars():
        assert list(BackOff("texts")([1, 2, 3, 4, 5], run)) == [2, 1, 2]
    assert "out of memory with 5 texts at once; going on with 3." in capsys.readouterr().err


def test_other_errors_pass() -> None:
    def run(items: list[int]) -> None:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        list(BackOff("texts")([1, 2], run))


@pytest.mark.filterwarnings("ignore")
def test_what_torch_says_of_the_processor_is_known() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**62, dtype=torch.uint8)
    assert ran_out(raised.value)
    assert not ran_out(RuntimeError("shapes do not fit"))
    assert not ran_out(ValueError("not enough memory"))
