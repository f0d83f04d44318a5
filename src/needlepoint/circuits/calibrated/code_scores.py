"""Scores of heads by what their codes tell of the label: all statistics from one cross-fit.

A statistic of many codes is large by chance alone, and larger the more codes a head has. So the
score is where the statistic stands among its values under exchanged labels, in standard deviations
of these; except of the held-out gain, which chance does not favour.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint.circuits.calibrated.calibrate_heads import N_DRAWS, calibrate_codes, coded_heads
from needlepoint.circuits.calibrated.coding import Coded
from needlepoint.circuits.calibrated.design import Design
from needlepoint.circuits.calibrated.nulls import HeadTest
from needlepoint.circuits.head_data import HeadData


def code_test(statistic: str, n_draws: int = N_DRAWS) -> Callable[..., HeadTest]:
    """The test of one statistic of the codes of clean and corrupt examples, as a function of data.

    Generators in the same state give all statistics the same codes, which are then made once for
    the data, and the same exchanges of labels where the statistic draws nothing itself.

    Args:
        statistic: As in `calibrate_heads`, to which the test is equal.
        n_draws: Exchanges to draw, where there are too many to go through.

    Example:
        >>> clean, corrupt = torch.randn(2, 20, 3, 4, generator=torch.Generator().manual_seed(0))
        >>> clean[:, 1, 0] += 9  # what one head writes has one more part on clean prompts
        >>> data = HeadData(clean, corrupt, torch.eye(4, 6).repeat(3, 1, 1), torch.zeros(3).long())
        >>> test = code_test("mutual_information")
        >>> test(data, torch.Generator().manual_seed(0)).found().tolist()
        [False, True, False]
    """

    def test(data: HeadData, generator: torch.Generator) -> HeadTest:
        design = Design.of_pairs(data)
        coded = remembered_codes(data, design, generator)
        return calibrate_codes(
            coded, design, generator, statistic=statistic, data=data, n_draws=n_draws
        )

    return test


def remembered_codes(data: HeadData, design: Design, generator: torch.Generator) -> list[Coded]:
    """`coded_heads`, remembered in `data.memo` for the same state of the generator.

    The generator is left as making them leaves it either way.
    """
    key = (Coded, generator.get_state().numpy().tobytes())
    if key not in data.memo:
        made = coded_heads(data, design, generator)
        data.memo[key] = made, generator.get_state()
    found: tuple[list[Coded], Tensor] = data.memo[key]
    generator.set_state(found[1])
    return found[0]


def deviation(found: HeadTest) -> Float[Tensor, " head"]:
    """The z of each head; 0 where no exchange changes the statistic, as chance has it too.

    Example:
        >>> import numpy as np
        >>> from needlepoint.circuits.calibrated.nulls import against_null
        >>> null = np.array([[1.0, 3.0], [2.0, 2.0]])
        >>> deviation(against_null(np.array([4.0, 2.0]), null, exact=False, adjust="bh")).tolist()
        [2.0, 0.0]
    """
    return found.z.nan_to_num(nan=0.0)


def as_observed(found: HeadTest) -> Float[Tensor, " head"]:
    """The statistic of each head as it is."""
    return found.observed
