"""Loops compiled to machine code on first use, for what array libraries do in many passes.

Compiled code is kept beside the module, or in the user's cache where that cannot be written, as
Python keeps its own: the first call on a machine takes a few seconds more, later ones none. It is
renewed when the module changes, but not when what it takes from here does: after a change of this
module, touch those that use it.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from numba import float32 as f32
from numba import njit

__all__ = ["compiled", "f32", "inlined", "on_threads", "to_the_bit", "watchful"]

_LOOSE = {"reassoc", "contract", "arcp", "nsz", "nnan", "ninf"}
"""Sums may be taken in any order, and no value is NaN or infinite: both let loops use vectors."""


def compiled(function: Callable[..., Any]) -> Any:
    """The function as machine code that lets other threads run; sums may be reordered.

    It takes NumPy arrays and numbers and may call other compiled functions. Values that are not
    finite, divisions by zero and indices out of range are for the caller to keep away.
    """
    return _kept(function, fastmath=_LOOSE)


def watchful(function: Callable[..., Any]) -> Any:
    """As `compiled`, where values may be NaN or infinite."""
    return _kept(function, fastmath=_LOOSE - {"nnan", "ninf"})


def to_the_bit(function: Callable[..., Any]) -> Any:
    """As `compiled`, with every operation rounded as it is written."""
    return _kept(function)


def inlined(function: Callable[..., Any]) -> Any:
    """As `compiled`, for a few operations that other compiled functions repeat in their loops."""
    plain = inspect.unwrap(function)
    return njit(inline="always", fastmath=_LOOSE, error_model="numpy")(plain)


def _kept(function: Callable[..., Any], **more: Any) -> Any:
    """The compiled function, kept for later if there is a folder for it."""
    plain = inspect.unwrap(function)  # run-time checks of types cannot be compiled
    settings = {"nogil": True, "error_model": "numpy", **more}
    try:
        return njit(cache=True, **settings)(plain)
    except RuntimeError:  # neither the package's folder nor the user's can be written
        return njit(**settings)(plain)


def on_threads(work: Callable[[Any], object], pieces: Iterable[Any], threads: int) -> None:
    """Do compiled work on every piece, on several threads at once if asked: this one and others."""
    todo = list(pieces)
    more = min(threads, len(todo)) - 1
    left = iter(todo)  # asking a list for the next entry is never interrupted

    def take_all() -> None:
        for piece in left:
            work(piece)

    if more < 1:
        take_all()
        return
    others = [_helpers(more).submit(take_all) for _ in range(more)]
    try:
        take_all()
    finally:
        for other in others:
            if not other.cancel():  # work within such work finds no thread that is free
                other.result()


@functools.cache
def _helpers(threads: int) -> ThreadPoolExecutor:
    """Threads that stay: to start some takes as long as a small piece of work."""
    return ThreadPoolExecutor(threads, thread_name_prefix="needlepoint")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.cache_clear)  # threads stay behind
