"""What a head changes by rounding alone is no change: such pairs are made equal before coding.

What is divided by its own spread has no size any more. A head that writes the same on both prompts
of a pair, but for the last digits of a sum, would otherwise seem to tell them apart as well as any.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint.circuits.baselines import STILL
from needlepoint.circuits.head_data import HeadData

SETTLED = "settled"
"""Where the data without its rounding is remembered."""


def settled(data: HeadData) -> HeadData:
    """The data with corrupt activations made equal to clean ones that they are but for rounding.

    Rounding is a distance up to `STILL` of the head's root mean square norm over all examples. The
    data itself, if no pair of no head is like that. Remembered in `data.memo`.

    Example:
        >>> clean = torch.ones(2, 1, 1)
        >>> corrupt = clean + torch.tensor([1e-7, 1e-2])[:, None, None]
        >>> data = HeadData(clean, corrupt, torch.eye(1)[None], torch.zeros(1).long())
        >>> (settled(data).corrupt_z - clean).flatten().bool().tolist()
        [False, True]
    """
    if SETTLED not in data.memo:
        same = rounded(data.clean_z, data.corrupt_z)
        moved = (data.clean_z != data.corrupt_z).any(-1)
        corrupt = torch.where(same[..., None], data.clean_z, data.corrupt_z)
        anything = bool((same & moved).any())
        data.memo[SETTLED] = replace(data, corrupt_z=corrupt) if anything else data
    found: HeadData = data.memo[SETTLED]
    return found


def rounded(
    clean: Float[Tensor, "pair head d_head"], corrupt: Float[Tensor, "pair head d_head"]
) -> Bool[Tensor, "pair head"]:
    """Whether the two sides of a pair differ by no more than rounding."""
    apart = (clean - corrupt).double().norm(dim=-1)
    size = torch.cat([clean, corrupt]).double().square().sum(-1).mean(0).sqrt()
    same: Tensor = apart <= STILL * size
    return same
