"""Scores of heads in the calibrated mode: what changes alike in all pairs, and what it changes.

`code_change` counts changes by the codes they say. `consistent_change` uses no codes: only
activations, and the size of the residual stream where it is known. `change_and_answer` uses the
weights of the unembedding and the answers besides. None uses a gradient or an altered run.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint.circuits.calibrated.change_rows import ChangeRows
from needlepoint.circuits.calibrated.changes import ChangeSums, HeadChanges
from needlepoint.circuits.calibrated.code_shift import code_shift
from needlepoint.circuits.calibrated.design import Design
from needlepoint.circuits.calibrated.rounding import settled
from needlepoint.circuits.head_data import HeadData

N_FOLDS = 2
"""Folds in which `code_change` is cross-fitted."""


def changes_of(data: HeadData) -> HeadChanges:
    """What heads change at each position, or in the mean over positions if no more was read.

    Changes of the mean are not set beside the residual stream, whose size is not known then, and
    there is no direct effect on the answer. They are remembered in `data.memo`.
    """
    if data.changes is not None:
        return data.changes
    if HeadChanges not in data.memo:
        sums = ChangeSums(data.W_O.cpu())
        size = torch.ones(1, data.n_heads, dtype=torch.float64)
        for change in (data.clean_z - settled(data).corrupt_z).cpu():
            sums.add(change[None], size, torch.tensor(1.0))
        data.memo[HeadChanges] = sums.finish(None)
    found: HeadChanges = data.memo[HeadChanges]
    return found


def rows_of(data: HeadData) -> ChangeRows:
    """Changes at each position where they were kept, or of the mean over positions."""
    if data.changes is not None and data.changes.rows is not None:
        return data.changes.rows
    pairs, ones = torch.arange(data.n_pairs), torch.ones(data.n_pairs)
    change = (data.clean_z - settled(data).corrupt_z).cpu()
    return ChangeRows(change, pairs, 0 * pairs, ones, data.W_O.cpu())


def code_change(data: HeadData, generator: torch.Generator) -> Float[Tensor, " head"]:
    """Root of the consistent change of a head within its codes; 0 if nothing is left of it.

    It is `consistent_change` of pairs that say the same code at the same position, summed over
    codes that were learned from other pairs; what is silent does not count.
    """
    rows = rows_of(data)
    folds = torch.from_numpy(Design.of_pairs(data).folds(N_FOLDS, generator))
    shift = code_shift(rows, folds[: rows.n_pairs], data.autoencoder, generator)[:, 0]
    return shift.clamp(min=0).sqrt()


def consistent_change(data: HeadData) -> Float[Tensor, " head"]:
    """Root of the consistent change of a head, as clean less corrupt and as its answers turn it.

    0 where changes are no more alike than with random signs.
    """
    found = changes_of(data)
    return (found.consistent + found.turned).clamp(min=0).sqrt()


def direct_share(changes: HeadChanges) -> Float[Tensor, " head"]:
    """Size of the mean direct effect as a share of the mean change of the logit difference.

    0 if either was not read, or the logit difference does not change.
    """
    none = torch.zeros_like(changes.consistent)
    if changes.direct is None or changes.answer is None:
        return none
    whole = changes.answer.double().mean().abs()
    return changes.direct.double().mean(0).abs() / whole if whole > 0 else none


def change_and_answer(data: HeadData) -> Float[Tensor, " head"]:
    """Root of the sum of squares of `consistent_change` and `direct_share`.

    Both are shares: of the residual stream that a head writes to, and of what the answer's logits
    change by. So neither has to be weighed by what other heads do. Early heads count by how
    consistently they change, late ones by what that does to the answer. Without a direct effect
    it is `consistent_change`.
    """
    return torch.hypot(consistent_change(data), direct_share(changes_of(data)))
