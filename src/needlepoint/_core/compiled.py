"""Loops compiled to machine code on first use, for what array libraries do in many passes.

Compiled code is kept beside the module, or in the user's cache where that cannot be written, as
Python keeps its own: the first call on a machine takes a few seconds more, later ones none. It is
renewed when the module changes, but not when what it takes from here does: after a change of this
module, touch those that use it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from llvmlite import ir
from numba import float32 as f32
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = [
    "compiled", "f32", "fetch", "inlined", "largest", "on_threads", "rounded", "times_two_to",
    "to_the_bit", "turn_tile", "watchful",
]  # fmt: skip

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
    """Do compiled work on every piece, on several threads at once if asked."""
    todo = list(pieces)
    if threads <= 1 or len(todo) <= 1:
        for piece in todo:
            work(piece)
        return
    with ThreadPoolExecutor(min(threads, len(todo))) as pool:
        for _ in pool.map(work, todo):
            pass


@intrinsic  # type: ignore[untyped-decorator]
def rounded(typing: Any, value: Any) -> Any:
    """The nearest whole number of a float32, as float32."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        nearest = builder.module.declare_intrinsic("llvm.rint", [ir.FloatType()])
        return builder.call(nearest, values)

    return types.float32(types.float32), emit


@intrinsic  # type: ignore[untyped-decorator]
def largest(typing: Any, value: Any, other: Any) -> Any:
    """The larger of two float32, in a form that loops can take many of at once."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        form = ir.FunctionType(ir.FloatType(), [ir.FloatType()] * 2)
        larger = builder.module.declare_intrinsic("llvm.maxnum", [ir.FloatType()], form)
        return builder.call(larger, values)

    return types.float32(types.float32, types.float32), emit


@intrinsic  # type: ignore[untyped-decorator]
def times_two_to(typing: Any, value: Any, power: Any) -> Any:
    """A float32 times two to a whole power, both far from overflow: an addition to its exponent."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        whole = ir.IntType(32)
        bits = builder.bitcast(values[0], whole)
        more = builder.shl(builder.fptosi(values[1], whole), ir.Constant(whole, 23))
        return builder.bitcast(builder.add(bits, more), ir.FloatType())

    return types.float32(types.float32, types.float32), emit


@intrinsic  # type: ignore[untyped-decorator]
def fetch(typing: Any, matrix: Any, row: Any, column: Any) -> Any:
    """Have the cache line of an entry of a matrix on its way before it is read."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = signature.args[0]
        array = context.make_array(kind)(context, builder, values[0])
        place = cgutils.get_item_pointer(context, builder, kind, array, list(values[1:]))
        place = builder.bitcast(place, ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        form = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
        name = "llvm.prefetch.p0"
        read, near, data = (ir.Constant(number, value) for value in (0, 3, 1))
        order = cgutils.get_or_insert_function(builder.module, form, name)
        builder.call(order, [place, read, near, data])
        return context.get_dummy_value()

    return types.void(matrix, types.intp, types.intp), emit


TILE = 16
"""Rows and columns of a tile: one register of floats, and one line of the caches."""


@intrinsic  # type: ignore[untyped-decorator]
def turn_tile(typing: Any, matrix: Any, row: Any, column: Any, into: Any, at: Any, to: Any) -> Any:
    """Copy 16 x 16 float32 of a matrix, from a row and column on, transposed to a place in another.

    Rows of both must be contiguous. The tile is exchanged in registers: halves of pairs of rows
    one apart, then two, four and eight.
    """

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vector = ir.VectorType(ir.FloatType(), TILE)
        whole = signature.args[1]

        def line(array: int, first: Any, second: Any, step: int) -> Any:
            kind = signature.args[array]
            made = context.make_array(kind)(context, builder, values[array])
            index = builder.add(first, ir.Constant(context.get_value_type(whole), step))
            place = cgutils.get_item_pointer(context, builder, kind, made, [index, second])
            return builder.bitcast(place, vector.as_pointer())

        rows = []
        for step in range(TILE):
            rows.append(builder.load(line(0, values[1], values[2], step)))
            rows[-1].align = 4
        for apart in (1, 2, 4, 8):
            for upper in range(TILE):
                if upper & apart:
                    continue
                pair = rows[upper], rows[upper + apart]
                for place, picked in ((upper, 0), (upper + apart, apart)):
                    order = [
                        (one - apart + TILE if one & apart else one) + picked for one in range(TILE)
                    ]
                    mask = ir.Constant(ir.VectorType(ir.IntType(32), TILE), order)
                    rows[place] = builder.shuffle_vector(*pair, mask)
        for step, turned in enumerate(rows):
            builder.store(turned, line(3, values[4], values[5], step)).align = 4
        return context.get_dummy_value()

    return types.void(matrix, types.intp, types.intp, into, types.intp, types.intp), emit
