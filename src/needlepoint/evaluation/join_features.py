"""Results on some features each, put together as results on all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")


def join_features(parts: Sequence[Result], features: Sequence[Sequence[int]]) -> Result:
    """One result on all features, from results of the same kind on some features each.

    Args:
        parts: Dataclasses whose tensors all have the feature as their first axis; they may hold
            such dataclasses and tuples of them.
        features: Numbers of the features of each part, each number from 0 on once in all.

    Example:
        >>> from needlepoint.probing.threshold import BestThreshold
        >>> zero, sign = torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.long)
        >>> one, two = (BestThreshold(torch.full((1, 1), f1), zero, sign) for f1 in (0.5, 1.0))
        >>> join_features([one, two], [[1], [0]]).f1.tolist()
        [[1.0], [0.5]]
    """
    if len(parts) == 1:
        return parts[0]
    order = torch.tensor([number for some in features for number in some]).argsort()
    joined: Result = _joined(parts, order)
    return joined


def _joined(parts: Sequence[Any], order: Tensor) -> Any:
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat(list(parts))[order]
    if isinstance(first, tuple):
        return tuple(_joined(entries, order) for entries in zip(*parts, strict=True))
    if is_dataclass(first) and not isinstance(first, type):
        names = [field.name for field in fields(first)]
        columns = ([getattr(part, name) for part in parts] for name in names)
        return type(first)(*(_joined(column, order) for column in columns))
    raise TypeError(f"{type(first).__name__} holds no features")
