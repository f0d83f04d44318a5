"""Sums over rows of a matrix, sixteen columns at once: written as formulas, run as machine code.

A row of sixteen neighbours is one line of the caches and one or a few registers of any processor.
Compilers find such loops by themselves only where they are simple; `over_rows` emits them. As with
`compiled`, machine code is kept by the module that calls it, which must be touched after a change
of this one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["LANES", "Lanes", "over_rows"]

LANES = 16

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_WHOLES = ir.VectorType(ir.IntType(32), LANES)
_FLAGS = ("contract", "arcp", "nsz")
"""Products are added without being rounded; values may be NaN or infinite."""


class Lanes:
    """Sixteen float32, one to a column, that formulas are written with."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    @classmethod
    def all(cls, builder: Any, number: Any) -> Lanes:
        """The same number in each."""
        first = builder.insert_element(
            ir.Constant(_FLOATS, ir.Undefined), number, ir.Constant(ir.IntType(32), 0)
        )
        return cls(builder, builder.shuffle_vector(first, first, _whole(0)))

    def __add__(self, other: Lanes | float) -> Lanes:
        return self._with("fadd", other)

    def __sub__(self, other: Lanes | float) -> Lanes:
        return self._with("fsub", other)

    def __mul__(self, other: Lanes | float) -> Lanes:
        return self._with("fmul", other)

    def __rtruediv__(self, other: float) -> Lanes:
        return self._like(other)._with("fdiv", self)

    def __rsub__(self, other: float) -> Lanes:
        return self._like(other)._with("fsub", self)

    def times_plus(self, factor: Lanes | float, more: Lanes | float) -> Lanes:
        """Times a factor and plus another, rounded once."""
        return self._called("llvm.fma", factor, more)

    def smaller(self, other: Lanes | float) -> Lanes:
        """The smaller of two, each for itself."""
        return self._picked("<", other)

    def larger(self, other: Lanes | float) -> Lanes:
        """The larger of two, each for itself."""
        return self._picked(">", other)

    def size(self) -> Lanes:
        """Without the sign."""
        return self._called("llvm.fabs")

    def two_to(self) -> Lanes:
        """Two to these powers, of at most 80 in size, to 1e-7 of itself."""
        moved = self + _LAST_DIGIT  # rounds to whole numbers, which stand in the last bits
        near = (self - (moved - _LAST_DIGIT)).polynomial(_TWO_TO)
        power = self.builder.shl(moved._as_wholes(), _whole(23))
        return self._of(self._as_floats(self.builder.add(near._as_wholes(), power)))

    def below(self, limit: float, then: Lanes, other: Lanes) -> Lanes:
        """One where these are below a limit, another elsewhere."""
        under = self.builder.fcmp_ordered("<", self.value, self._like(limit).value)
        return self._of(self.builder.select(under, then.value, other.value))

    def log(self) -> Lanes:
        """The natural logarithm of normal numbers above 0, to 2e-7 of itself."""
        # as (1 + f) 2**e, with 1 + f within a third of 1
        bits = self._as_wholes()
        e = self.builder.ashr(self.builder.sub(bits, _whole(_TWO_THIRDS)), _whole(23))
        scaled = self.builder.sub(bits, self.builder.shl(e, _whole(23)))
        f = self._of(self._as_floats(scaled)) - 1.0
        powers = self._of(self.builder.sitofp(e, _FLOATS)) * 0.6931471805599453
        return powers + f * f.polynomial(_LOG)

    def polynomial(self, coefficients: Sequence[float]) -> Lanes:
        """The polynomial with these coefficients, highest power first."""
        value = self._like(coefficients[0])
        for coefficient in coefficients[1:]:
            value = value * self + coefficient
        return value

    def _with(self, operation: str, other: Lanes | float) -> Lanes:
        emit = getattr(self.builder, operation)
        return self._of(emit(self.value, self._like(other).value, flags=_FLAGS))

    def _picked(self, order: str, other: Lanes | float) -> Lanes:
        second = self._like(other).value
        first = self.builder.fcmp_ordered(order, self.value, second)
        return self._of(self.builder.select(first, self.value, second))

    def _called(self, name: str, *others: Lanes | float) -> Lanes:
        values = [self.value, *(self._like(other).value for other in others)]
        form = ir.FunctionType(_FLOATS, [_FLOATS] * len(values))
        return self._of(self.builder.call(self._intrinsic(f"{name}.v{LANES}f32", form), values))

    def _intrinsic(self, name: str, form: Any) -> Any:
        return cgutils.get_or_insert_function(self.builder.module, form, name)

    def _like(self, other: Lanes | float) -> Lanes:
        if isinstance(other, Lanes):
            return other
        return self._of(ir.Constant(_FLOATS, [ir.Constant(ir.FloatType(), other)] * LANES))

    def _of(self, value: Any) -> Lanes:
        return Lanes(self.builder, value)

    def _as_wholes(self) -> Any:
        return self.builder.bitcast(self.value, _WHOLES)

    def _as_floats(self, bits: Any) -> Any:
        return self.builder.bitcast(bits, _FLOATS)


_TWO_TO = (
    1.3276471873459247e-3, 9.675541333468885e-3, 5.550713273865548e-2,
    0.24022119723864455, 0.693146967064536, 1.0,
)  # fmt: skip
"""2**x for x within 1/2 of 0."""
_LOG = (
    0.14087328621015166, -0.15403155490415937, 0.1398070941969849, -0.16412799237820955,
    0.2001242686157434, -0.2500802681873641, 0.33333157967544225, -0.4999993212805933,
    1.000000003938874,
)  # fmt: skip
"""log(1 + x) / x for x within 1/3 of 0."""
_LAST_DIGIT = 1.5 * 2.0**23
"""To this, float32 adds whole numbers only."""
_TWO_THIRDS = 0x3F2AAAAB
"""The bits of 2/3."""


def _whole(value: int) -> Any:
    return ir.Constant(_WHOLES, [ir.Constant(ir.IntType(32), value)] * LANES)


Step = Callable[[Lanes, Lanes, Sequence[Lanes], Sequence[Lanes]], Sequence[Lanes]]
Finish = Callable[[Sequence[Lanes]], Sequence[Lanes]]


def over_rows(step: Step, *, given: int, sums: int, finish: Finish | None = None) -> Any:
    """A function for compiled code that goes over rows of a matrix, sixteen columns at once.

    It is called as `f(x, column, rows, start, stop, of_rows, of_columns, into, lane, ahead)`: for
    the rows `rows[start:stop]` and what is given of each, `of_rows[row]`, the sixteen columns of
    `x` from `column` on, what is given of each, `of_columns[:, lane:lane + 16]`, and what is
    summed, `into[:, lane:lane + 16]`. All but `rows` is float32, its rows contiguous. Columns up to
    `column + 15` must be there. With every row it has a line of `x` on its way for later: `ahead`
    is the place in `rows` and the column of the first of them, and how far apart both are from one
    to the next.

    Args:
        step: From the values of a row, what is given of it and of the columns, and the sums so far,
            the sums with this row.
        given: Rows of `of_columns`.
        sums: Rows of `into`.
        finish: From the sums after the last row to those that are kept.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def gone_over(
        typing: Any, x: Any, column: Any, rows: Any, start: Any, stop: Any, of_rows: Any,
        of_columns: Any, into: Any, lane: Any, ahead: Any,
    ) -> Any:  # fmt: skip
        def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            x, column, rows, start, stop, of_rows, of_columns, into, lane, ahead = values
            kinds = dict(zip(("x", "rows", "of", "given", "into"), _kinds(signature), strict=True))
            index = context.get_value_type(types.intp)

            def place(kind: Any, array: Any, *at: Any) -> Any:
                made = context.make_array(kind)(context, builder, array)
                return cgutils.get_item_pointer(context, builder, kind, made, list(at))

            def read(pointer: Any) -> Lanes:
                value = builder.load(builder.bitcast(pointer, _FLOATS.as_pointer()))
                value.align = 4
                return Lanes(builder, value)

            def entry(kind: str, array: Any, number: int) -> Any:
                return place(kinds[kind], array, ir.Constant(index, number), lane)

            of_these = [read(entry("given", of_columns, one)) for one in range(given)]
            held = [cgutils.alloca_once(builder, _FLOATS) for _ in range(sums)]
            for number, slot in enumerate(held):
                builder.store(read(entry("into", into, number)).value, slot)
            place_ahead, column_ahead, by_place, by_column = cgutils.unpack_tuple(builder, ahead)
            made_rows = context.make_array(kinds["rows"])(context, builder, rows)
            n_rows = cgutils.unpack_tuple(builder, made_rows.shape)[0]
            last = builder.sub(n_rows, ir.Constant(index, 1))
            with cgutils.for_range(builder, builder.sub(stop, start), intp=index) as loop:
                here = builder.add(start, loop.index)
                row = builder.load(place(kinds["rows"], rows, here))
                later = builder.add(place_ahead, builder.mul(by_place, loop.index))
                later = builder.select(builder.icmp_signed("<", later, last), later, last)
                coming = builder.load(place(kinds["rows"], rows, later))
                along = builder.add(column_ahead, builder.mul(by_column, loop.index))
                _prefetch(builder, place(kinds["x"], x, coming, along))
                so_far = [Lanes(builder, builder.load(slot)) for slot in held]
                value = read(place(kinds["x"], x, row, column))
                of_row = Lanes.all(builder, builder.load(place(kinds["of"], of_rows, row)))
                after = step(value, of_row, of_these, so_far)
                for slot, more in zip(held, after, strict=True):
                    builder.store(more.value, slot)
            total: Sequence[Lanes] = [Lanes(builder, builder.load(slot)) for slot in held]
            for number, value in enumerate(finish(total) if finish else total):
                pointer = builder.bitcast(entry("into", into, number), _FLOATS.as_pointer())
                builder.store(value.value, pointer).align = 4
            return context.get_dummy_value()

        whole = types.intp
        ahead = types.UniTuple(whole, 4)
        given_and_sums = of_rows, of_columns, into
        return types.void(x, whole, rows, whole, whole, *given_and_sums, whole, ahead), emit

    return gone_over


def _kinds(signature: Any) -> tuple[Any, ...]:
    return tuple(signature.args[place] for place in (0, 2, 5, 6, 7))


def _prefetch(builder: Any, place: Any) -> None:
    """Emit that the cache line of a place in memory be on its way before it is read."""
    number = ir.IntType(32)
    place = builder.bitcast(place, ir.IntType(8).as_pointer())
    form = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
    order = cgutils.get_or_insert_function(builder.module, form, "llvm.prefetch.p0")
    read, near, data = (ir.Constant(number, value) for value in (0, 3, 1))
    builder.call(order, [place, read, near, data])
