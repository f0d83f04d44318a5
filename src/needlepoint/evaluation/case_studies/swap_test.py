"""Do two sets of calls differ in F1 by more than swapping them document by document makes?"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from needlepoint.evaluation.clustered import f1_of

N_SWAPS = 9999
TIE = 1e-12
"""Differences of F1 this close are the same difference, rounded otherwise."""


def swap_p_value(
    one: Bool[Tensor, " example"],
    other: Bool[Tensor, " example"],
    truth: Bool[Tensor, " example"],
    documents: Int[Tensor, " example"],
    generator: torch.Generator,
    *,
    n_swaps: int = N_SWAPS,
) -> float:
    """Two-sided p-value of a difference in F1, by swapping the calls of whole documents.

    If it makes no difference which of two probes called a document, their calls can be swapped in
    any documents. The p-value is the share of random swaps, the data as they are among them, whose
    absolute difference of F1 is as large. It is never 0, and 1 if the calls are the same. It says
    nothing of how the probes would differ if they were chosen again.

    Args:
        one: What the first probe calls positive.
        other: What the second does.
        truth: Whether each row has the feature.
        documents: Number of the document of each row.
        generator: Source of the swaps.
        n_swaps: Random swaps; the smallest p-value is `1 / (n_swaps + 1)`.

    Example:
        >>> truth = torch.tensor([True] * 12 + [False] * 12)
        >>> rng = torch.Generator().manual_seed(0)
        >>> swap_p_value(truth, truth, truth, torch.arange(24), rng)
        1.0
        >>> swap_p_value(truth, ~truth, truth, torch.arange(24), rng) < 0.001
        True
    """
    member = torch.unique(documents, return_inverse=True)[1]
    parts = torch.stack([one & truth, one, other & truth, other], dim=1).double()
    sums = parts.new_zeros(int(member.max()) + 1, 4).index_add_(0, member, parts)
    moved = (sums[:, 2:] - sums[:, :2])[(sums[:, 2:] != sums[:, :2]).any(1)]
    swaps = torch.rand(n_swaps, len(moved), generator=generator) < 0.5
    change = swaps.double() @ moved
    first, second = sums[:, :2].sum(0) + change, sums[:, 2:].sum(0) - change
    positives = int(truth.sum())
    gaps = _f1(first, positives) - _f1(second, positives)
    observed = abs(f1_of(one, truth) - f1_of(other, truth))
    return (1 + int((gaps.abs() >= observed - TIE).sum())) / (1 + n_swaps)


def _f1(hits_and_calls: Tensor, positives: int) -> Tensor:
    return 2 * hits_and_calls[:, 0] / (hits_and_calls[:, 1] + positives)
