"""Whether calls on test rows agree with the labels beyond chance: one probe, no search."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.evaluation.clustered import f1_of
from needlepoint.probing.permutations import label_sources, permutation_for

N_PERMUTATIONS = 1000


def held_out_p(
    called: Bool[Tensor, " example"],
    truth: Bool[Tensor, " example"],
    documents: Int[Tensor, " example"],
    generator: torch.Generator,
    *,
    n_permutations: int = N_PERMUTATIONS,
) -> float | None:
    """Chance that labels moved at random agree as well with these calls, by F1; None if unmovable.

    The calls were fixed without these rows, so this is one test, whatever was searched before. How
    labels move is told in `probing.permutations`: documents swap them, or they shift within
    documents. It is not the p-value of the search, which is against the best of all neurons.

    Args:
        called: Calls on test rows.
        truth: Labels of these rows, of both classes.
        documents: Document of each row.
        generator: Source of the permutations.
        n_permutations: How many.

    Example:
        >>> truth, documents = torch.arange(40) % 2 == 0, torch.arange(40)
        >>> round(held_out_p(truth, truth, documents, torch.Generator().manual_seed(0)), 3)
        0.001
    """
    column = truth[:, None]
    try:
        scheme = permutation_for(column, documents).scheme
    except DataError:
        return None
    sources = label_sources(
        column, documents, scheme=scheme, n_permutations=n_permutations, generator=generator
    )
    moved = truth[torch.stack(list(sources))]
    f1 = 2 * (moved & called).sum(1).double() / (called.sum() + moved.sum(1))
    reached = int((f1 >= f1_of(called, truth) - 1e-12).sum())
    return (1 + reached) / (1 + n_permutations)
