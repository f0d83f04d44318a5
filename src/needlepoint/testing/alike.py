"""The same values on another device, where they lie, and where two results differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def moved(value: Any, device: torch.device) -> Any:
    """A value with every tensor in it on a device, others as they are.

    Tensors are looked for in tuples, lists, mappings and dataclasses; modules are moved in place.

    Example:
        >>> moved({"a": (torch.ones(1), 2)}, torch.device("cpu"))
        {'a': (tensor([1.]), 2)}
    """
    if isinstance(value, Tensor | nn.Module):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: moved(part, device) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(moved(part, device) for part in value)
    if is_dataclass(value) and not isinstance(value, type):
        made = {field.name: field for field in fields(value) if field.init}
        return replace(value, **{name: moved(getattr(value, name), device) for name in made})
    return value


def devices(value: Any) -> set[torch.device]:
    """The devices that the tensors in a value lie on; empty if there are none.

    Tensors are looked for in tuples, lists, mappings and dataclasses, not in modules.

    Example:
        >>> devices({"a": (torch.ones(1), 2)})
        {device(type='cpu')}
    """
    if isinstance(value, Tensor):
        return {value.device}
    return {device for part in (_parts(value) or {}).values() for device in devices(part)}


def differences(one: Any, other: Any, *, rtol: float = 1e-5, atol: float = 1e-6) -> list[str]:
    """Where two results differ, one sentence each; empty if nowhere.

    Tensors and arrays are compared wherever they lie, in float64 within the tolerances, NaN being
    equal to NaN; whole and true-or-false numbers exactly. Dataclasses are compared by their fields.

    Args:
        one: A tensor, array, number or text, or tuples, lists, mappings and dataclasses of such.
        other: What should be the same.
        rtol: Difference allowed, as a part of the second's size.
        atol: Difference allowed beside it.

    Example:
        >>> differences({"a": torch.ones(2)}, {"a": torch.tensor([1.0, 3.0])})
        ['at a: the values differ by up to 2.']
    """
    return list(_differences(one, other, "", {"rtol": rtol, "atol": atol}))


def _differences(one: Any, other: Any, at: str, close: dict[str, float]) -> Iterator[str]:
    one, other = (_as_tensor(value) for value in (one, other))
    place = f"at {at.removeprefix('.') or 'the top'}: "
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        found = _between(one.detach().cpu(), other.detach().cpu(), close)
        if found:
            yield place + found
        return
    parts, others = _parts(one), _parts(other)
    if parts is None or others is None:
        if not _same(one, other, close):
            yield f"{place}{one!r} is not {other!r}."
        return
    if list(parts) != list(others):
        yield f"{place}there are {list(parts)}, and there {list(others)}."
        return
    for name in parts:
        yield from _differences(parts[name], others[name], f"{at}.{name}", close)


def _as_tensor(value: Any) -> Any:
    return torch.as_tensor(value) if isinstance(value, np.ndarray) else value


def _parts(value: Any) -> dict[Any, Any] | None:
    """What a value is made of, by name or place; nothing for one that is no collection."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple | list):
        return dict(enumerate(value))
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return None


def _same(one: Any, other: Any, close: dict[str, float]) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        first, second = (torch.tensor(value, dtype=torch.float64) for value in (one, other))
        return not _between(first, second, close)
    return bool(one == other)


def _between(one: Tensor, other: Tensor, close: dict[str, float]) -> str:
    """What sets two tensors apart; empty if nothing does."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return (
            f"{one.dtype} of shape {tuple(one.shape)} is not "
            f"{other.dtype} of shape {tuple(other.shape)}."
        )
    if not one.is_floating_point():
        count = int((one != other).sum())
        return f"{count} of {one.numel()} values differ." if count else ""
    wide, others = one.double(), other.double()
    if torch.allclose(wide, others, **close, equal_nan=True):
        return ""
    return f"the values differ by up to {float((wide - others).abs().max()):.3g}."
