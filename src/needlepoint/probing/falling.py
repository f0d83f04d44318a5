"""The labels of all examples in the order of a neuron's falling activation, by one plain sort.

No order of indices is sought and nothing is gathered. Each activation becomes an integer that
keeps the order, the labels of some features fill the bits below it, and these keys are sorted:
where the positives of a feature come to stand is then read off one bit. Everything that a ranking
asks of cuts, be it F1, AUC or mutual information, is a function of these places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor

from needlepoint.probing.columns import split_neurons

SIGNLESS = 0x7FFFFFFF
"""The bits of a 32-bit float but for its sign."""
WIDE_LABELS = 31
"""Labels below one activation in a key of 64 bits."""
NARROW_SORTS = 2
"""Sorts of 32-bit keys that are still faster than one of 64-bit keys."""

Decode = Callable[[Tensor, Tensor], Tensor]
"""Activations that keys without label bits stand for, given the neurons of both."""


@dataclass(frozen=True)
class Falling:
    """Some neurons with their examples sorted from the highest activation to the lowest."""

    neurons: Int[Tensor, " neuron"]
    """Which neurons of the layer they are."""
    features: range
    """Features whose labels the keys hold, the first in the lowest bit."""
    keys: Int[Tensor, "neuron example"]
    """Rising: an integer that falls as the activation rises, above the bits of the labels."""
    tied: bool
    """Whether examples of equal activation may have unlike labels; else they are taken not to."""
    decode: Decode

    @cached_property
    def labels(self) -> Integer[Tensor, "neuron example"]:
        """The bits of the labels alone, in few bytes."""
        if len(self.features) > 8:
            return self.keys.to(torch.int32)
        return self.keys.bitwise_and((1 << len(self.features)) - 1).to(torch.uint8)

    def places(self, feature: int) -> Int[Tensor, "neuron cut"]:
        """Where the positives of a feature stand, counted through all neurons."""
        table = _quick(self.keys if len(self.features) == 1 else self.labels)
        has = (table & (1 << (feature - self.features.start))) != 0
        return _true_at(has).view(len(self.keys), -1)

    @cached_property
    def groups(self) -> tuple[Int[Tensor, "neuron example"], Int[Tensor, "neuron example"]]:
        """For each place the first of the places of equal activation, and the one after them."""
        values = self.keys >> len(self.features)
        place = torch.arange(values.shape[1], device=values.device).expand_as(values)
        edge = values[:, 1:] != values[:, :-1]
        side = torch.ones_like(edge[:, :1])
        first = torch.where(torch.cat([side, edge], dim=1), place, 0).cummax(1).values
        last = torch.where(torch.cat([edge, side], dim=1), place, values.shape[1])
        return first, last.flip(1).cummin(1).values.flip(1) + 1

    def activations(self, places: Int[Tensor, "value neuron"]) -> Float[Tensor, "value neuron"]:
        """Activation of each neuron at some places; infinite before the first, after the last."""
        n = self.keys.shape[1]
        keys = self.keys.gather(1, places.T.clamp(0, n - 1)).T
        values = self.decode(self.neurons, keys >> len(self.features))
        return values.masked_fill_(places < 0, torch.inf).masked_fill_(places >= n, -torch.inf)


def sort_falling(
    acts: Float[Tensor, "example neuron"], labels: Bool[Tensor, "example feature"]
) -> Iterator[Falling]:
    """All neurons of a layer with all features, a few at a time; data must have been checked.

    Neurons on which examples of equal activation have unlike labels come a second time, marked
    as tied: what was read off them the first time is to be replaced. The keys are valid until the
    next are asked for.
    """
    if acts.dtype == torch.float64:
        yield from _sort_doubles(acts, labels)
    else:
        yield from _sort_singles(acts, labels)


def midpoints(
    upper: Float[Tensor, "*batch"], lower: Float[Tensor, "*batch"], *, below: bool = False
) -> Float[Tensor, "*batch"]:
    """A value between two others that keeps them apart even when they are neighbouring floats.

    `upper > midpoint >= lower`, or with `below` set `upper >= midpoint > lower`.
    """
    middle = upper / 2 + lower / 2
    if below:
        return torch.where(middle > lower, middle, upper)
    return torch.where(middle < upper, middle, lower)


def falling_order(
    rows: Float[Tensor, "neuron example"],
) -> tuple[Float[Tensor, "neuron example"], Int[Tensor, "neuron example"]]:
    """Each row from its highest value to its lowest, and where each value stood.

    Equal values come in any order. On a CPU numpy sorts: it uses the vector units.
    """
    if rows.device.type == "cpu":
        order = torch.from_numpy(np.argsort(rows.numpy(), axis=1)).flip(1)
    else:
        order = rows.argsort(dim=1, descending=True)
    return rows.gather(1, order), order


def ranks_for(rows: Float[Tensor, "neuron example"]) -> Float[Tensor, " example"]:
    """1, 2, ... up to the number of examples, in a precision that tells all F1 scores apart.

    Two different F1 scores of `n` examples differ by more than `1 / (2 n)**2`, so that float32
    does up to a thousand examples.
    """
    n = rows.shape[1]
    dtype = torch.float32 if n <= 1024 else torch.float64
    return torch.arange(1, n + 1, dtype=dtype, device=rows.device)


def cuts_of(falling: Float[Tensor, "*batch example"]) -> Bool[Tensor, "*batch example"]:
    """Where a cut may fall in rows of falling values: before a smaller value, and at the end."""
    last = torch.ones_like(falling[..., :1], dtype=torch.bool)
    return torch.cat([falling[..., :-1] > falling[..., 1:], last], dim=-1)


def _sort_singles(
    acts: Float[Tensor, "example neuron"], labels: Bool[Tensor, "example feature"]
) -> Iterator[Falling]:
    """By keys of the bits of 32-bit floats.

    The bits of a positive float, read as an integer, rise with it. No value lies between the
    smallest size that occurs and 0, so that this stretch is left out: what remains usually spares
    some bits of 32 for labels.
    """
    smallest, reach = _bounds(acts)

    def decode(neurons: Tensor, keys: Tensor) -> Tensor:
        keys = keys.to(torch.int32)
        size = torch.where(keys == 0, 0, keys.abs() + (smallest - 1)).view(torch.float32)
        return torch.where(keys > 0, -size, size)

    shares = [_Share.of(labels, features, reach, decode) for features in _runs(labels, reach)]
    first = 0
    scratch: tuple[Tensor, ...] = ()
    for block in split_neurons(acts):
        # Two copies: turning a slice of a wide matrix at once misses the caches. Memory that was
        # just used is still in them.
        if first == 0 or block.shape[1] != scratch[0].shape[0]:
            shape = block.shape[::-1]
            scratch = tuple(block.new_empty(shape, dtype=torch.float32) for _ in range(2))
        columns, spare = scratch
        columns.copy_(spare.view(block.shape).copy_(block).T)
        neurons = torch.arange(first, first + len(columns), device=acts.device)
        first += len(columns)
        falling = _single_places(columns, spare.view(torch.int32), smallest)
        for share in shares:
            keys = share.sort(falling, last=share is shares[-1])
            yield Falling(neurons, share.features, keys, False, decode)
            if share.hold(neurons, keys):
                yield from share.release()
    for share in shares:
        yield from share.release()


def _bounds(acts: Float[Tensor, "example neuron"]) -> tuple[int, int]:
    """The smallest size of an activation other than 0, as bits, and how far the largest is off."""
    smallest, largest = SIGNLESS, 0
    for rows in torch.split(acts, max(1, 2**18 // acts.shape[1])):
        size = rows.contiguous().float().view(torch.int32) & SIGNLESS
        low, high = (int(end) for end in torch.aminmax(size))
        largest = max(largest, high)
        if low == 0 < high:
            low = int(size[size > 0].amin())
        smallest = min(smallest, low or SIGNLESS)
    return smallest, max(1, largest - smallest + 1)


def _single_places(
    columns: Float[Tensor, "neuron example"], size: Int[Tensor, "neuron example"], smallest: int
) -> Int[Tensor, "neuron example"]:
    """Integers that fall as 32-bit floats rise, in the memory of `size`; `columns` is used up."""
    bits = columns.view(torch.int32)
    torch.bitwise_and(bits, SIGNLESS, out=size)
    size.sub_(smallest - 1).clamp_(min=0)
    flip = bits.bitwise_right_shift_(31).bitwise_not_()
    return size.bitwise_xor_(flip).sub_(flip)


@dataclass
class _Share:
    """Some features that are sorted together, and the tied neurons met so far."""

    features: range
    pattern: Int[Tensor, " example"]
    """The labels of each example as bits of one integer, the first feature lowest."""
    decode: Decode
    held: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    @classmethod
    def of(cls, labels: Tensor, features: range, reach: int, decode: Decode) -> _Share:
        dtype = torch.int32 if len(features) <= _narrow_labels(reach) else torch.int64
        return cls(features, _patterns(labels[:, features.start : features.stop], dtype), decode)

    def sort(self, falling: Tensor, *, last: bool) -> Tensor:
        """Sorted keys; in the memory of `falling` if it is not needed any more."""
        keys = falling.to(self.pattern.dtype)
        width = len(self.features)
        keys = keys.bitwise_left_shift_(width) if last else keys << width
        return _sorted(keys.bitwise_or_(self.pattern))

    def hold(self, neurons: Tensor, keys: Tensor) -> bool:
        """Keep the neurons with mixed ties; return whether there are many by now."""
        table = _quick(keys)
        apart = table[:, 1:] ^ table[:, :-1]
        if len(self.features) == 1:
            mixed = apart == 1
        else:
            mixed = (apart > 0) & (apart < 1 << len(self.features))
        if mixed.any():
            rows = torch.as_tensor(mixed.any(1), device=keys.device).nonzero()[:, 0]
            self.held.append((neurons[rows], keys[rows]))
        return sum(len(kept) for kept, _ in self.held) > len(neurons)

    def release(self) -> Iterator[Falling]:
        """The neurons kept so far."""
        if self.held:
            neurons, keys = (torch.cat(parts) for parts in zip(*self.held, strict=True))
            self.held.clear()
            yield Falling(neurons, self.features, keys, True, self.decode)


def _sort_doubles(
    acts: Float[Tensor, "example neuron"], labels: Bool[Tensor, "example feature"]
) -> Iterator[Falling]:
    """By keys of the places of 64-bit floats, which leave no bits to spare, in their own order."""
    first = 0
    for block in split_neurons(acts):
        falling, order = falling_order(block.contiguous().T.contiguous())
        neurons = torch.arange(first, first + len(falling), device=acts.device)
        first += len(falling)
        place = torch.arange(falling.shape[1], device=acts.device).expand_as(falling)
        same = falling[:, 1:] == falling[:, :-1]
        ties = bool(same.any())
        if ties:
            later = torch.cat([torch.zeros_like(same[:, :1]), same], dim=1)
            place = torch.where(later, 0, place).cummax(1).values
        decode = _Table(falling, int(neurons[0]))
        for start in range(0, labels.shape[1], WIDE_LABELS):
            features = range(start, min(start + WIDE_LABELS, labels.shape[1]))
            pattern = _patterns(labels[:, features.start : features.stop], torch.int64)
            keys = (place << len(features)) | pattern[order]
            yield Falling(neurons, features, _sorted(keys) if ties else keys, ties, decode)


@dataclass(frozen=True)
class _Table:
    """Looks activations up by their place."""

    falling: Float[Tensor, "neuron example"]
    first: int

    def __call__(self, neurons: Tensor, keys: Tensor) -> Tensor:
        return self.falling[neurons - self.first, keys]


def _runs(labels: Bool[Tensor, "example feature"], reach: int) -> Iterator[range]:
    """The features in runs that are sorted together."""
    n_features, width = labels.shape[1], _narrow_labels(reach)
    if width * NARROW_SORTS < n_features:
        width = WIDE_LABELS
    for first in range(0, n_features, width):
        yield range(first, min(first + width, n_features))


def _narrow_labels(reach: int) -> int:
    """Labels that fit below integers of this size in a key of 32 bits."""
    return 31 - reach.bit_length()


def _patterns(labels: Bool[Tensor, "example feature"], dtype: torch.dtype) -> Tensor:
    bits = torch.arange(labels.shape[1], device=labels.device, dtype=dtype)
    return (labels.to(dtype) << bits).sum(1, dtype=dtype)


def _sorted(rows: Tensor) -> Tensor:
    """Each row in rising order; on a CPU in place, by numpy, which uses the vector units."""
    if rows.device.type != "cpu":
        return rows.sort(dim=1).values
    rows.numpy().sort(axis=1)
    return rows


def _quick(table: Tensor) -> Any:
    """The same memory as a numpy array on a CPU, where passes over it then take half the time."""
    return table.numpy() if table.device.type == "cpu" else table


def _true_at(table: Any) -> Int[Tensor, " _"]:
    """Positions of the true entries, counted through all rows."""
    if isinstance(table, np.ndarray):
        return torch.from_numpy(np.flatnonzero(table))
    positions: Tensor = table.flatten().nonzero()[:, 0]
    return positions
