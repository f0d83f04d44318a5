"""How a dictionary is used: codes that nothing activates, heads that activate nothing."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint.circuits.codes import distinct_codes
from needlepoint.circuits.dictionary import Reading


class CodeUse(NamedTuple):
    """How a dictionary is used on some examples; whether it is of any use is another question."""

    dead_codes: Float[Tensor, " seed"]
    """Share of the codes that are active on no vector."""
    unchosen_codes: Float[Tensor, " seed"]
    """Share of the codes that are the most active on no vector; the dead are among them."""
    dead_heads: Float[Tensor, " seed"]
    """Share of the heads that activate no code on any example."""
    silent: Float[Tensor, "seed head"]
    """Share of the examples on which a head activates no code."""
    codes_per_head: Float[Tensor, "seed head"]
    """Different codes of a head, silence counted as one: what unique codes are confounded with."""


def code_use(reading: Reading) -> CodeUse:
    """Rates of disuse of a reading, seed by seed, in float64.

    Example:
        One seed, three examples of two heads: the second never says anything.

        >>> reading = Reading(
        ...     codes=torch.tensor([[[2, 0], [1, 0], [2, 0]]]),
        ...     silent=torch.tensor([[[False, True]] * 3]),
        ...     live=torch.tensor([[False, True, True, True]]),
        ... )
        >>> use = code_use(reading)
        >>> use.dead_codes.tolist(), use.unchosen_codes.tolist(), use.dead_heads.tolist()
        ([0.25], [0.5], [0.5])
        >>> use.codes_per_head.tolist()
        [[2.0, 1.0]]
    """
    n_codes = reading.live.shape[1]
    told = reading.told_apart()
    chosen = torch.zeros(len(told), n_codes + 1, dtype=torch.bool, device=told.device)
    chosen.scatter_(1, told.flatten(1), True)
    silent = reading.silent.double().mean(1)
    return CodeUse(
        dead_codes=(~reading.live).double().mean(1),
        unchosen_codes=(~chosen[:, :-1]).double().mean(1),
        dead_heads=(silent == 1).double().mean(1),
        silent=silent,
        codes_per_head=torch.stack(
            [distinct_codes(codes, n_codes=n_codes + 1) for codes in told]
        ).double(),
    )
