"""Batches in smaller parts once memory has run out, so that a long run goes on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import torch

from needlepoint._core.errors import MemoryFullError
from needlepoint._core.progress import say

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_SIGNS = (
    "not enough memory",
    "can't allocate memory",
    "CUDA out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
"""What torch says, in errors of no type of their own, when there is no memory left."""


class BackOff:
    """Runs batches whole for as long as they fit, and in parts from the first that does not.

    The parts stay small afterwards: what did not fit once is not tried again. Numbers can differ
    in the last bits from those of whole batches, as sums of another shape are added in another
    order.

    Args:
        what: What the items are, for the message: "texts".

    Example:
        >>> def run(items):
        ...     if len(items) > 2:
        ...         raise MemoryError
        ...     return sum(items)
        >>> from contextlib import redirect_stderr
        >>> with redirect_stderr(None):
        ...     list(BackOff("numbers")([1, 2, 3, 4, 5], run))
        [3, 3, 9]
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self.most: int | None = None
        """Most items that are run at once; all of a batch if None."""

    def __call__(
        self, items: Sequence[Item], run: Callable[[Sequence[Item]], Answer]
    ) -> Iterator[Answer]:
        """What `run` makes of the items, at once or part by part, in their order.

        `run` must leave nothing behind when it fails.

        Raises:
            MemoryFullError: If not even one item fits.
        """
        left = deque([items])
        while left:
            part = left.popleft()
            if self.most is not None and len(part) > self.most:
                left.extendleft(reversed(_cut(part, self.most)))
                continue
            done, answer = _tried(run, part)
            if done:
                yield answer
                continue
            self._smaller(len(part))
            left.appendleft(part)

    def _smaller(self, n: int) -> None:
        if n == 1:
            raise MemoryFullError(
                f"there is not enough memory for one of the {self._what} alone: use shorter ones, "
                "a smaller model, half precision (--dtype bfloat16), or a machine with more."
            )
        self.most = (n + 1) // 2
        say(f"out of memory with {n} {self._what} at once; going on with {self.most}.")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def ran_out(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on the processor or on a device."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def _tried(run: Callable[[Sequence[Item]], Answer], part: Sequence[Item]) -> tuple[bool, Any]:
    """The answer, or that there was no memory for it; what the failed run held is free by then."""
    try:
        return True, run(part)
    except (MemoryError, RuntimeError) as error:
        if not ran_out(error):
            raise
    return False, None


def _cut(items: Sequence[Item], most: int) -> list[Sequence[Item]]:
    """Items in about equal parts of at most so many."""
    n = -(-len(items) // most)
    bounds = [len(items) * part // n for part in range(n + 1)]
    return [items[start:stop] for start, stop in pairwise(bounds)]
