"""Scores of heads in the calibrated mode: what changes alike in all pairs, and what it changes.

`code_change` uses codes alone. `consistent_change` uses no codes: only activations, and the size of
the residual stream where it is known. `change_and_answer` uses the weights of the unembedding and
the answers besides. None uses a gradient or an altered run.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint.circuits.calibrated.changes import ChangeSums, HeadChanges
from needlepoint.circuits.calibrated.paired_codes import paired_test
from needlepoint.circuits.head_data import HeadData

N_DRAWS = 200
"""Signs drawn for the null mean of `code_change`; ranks need fewer than p-values do."""


def changes_of(data: HeadData) -> HeadChanges:
    """What heads change at each position, or in the mean over positions if no more was read.

    Changes of the mean are not set beside the residual stream, whose size is not known then, and
    there is no direct effect on the answer. They are remembered in `data.memo`.
    """
    if data.changes is not None:
        return data.changes
    if HeadChanges not in data.memo:
        sums = ChangeSums(data.W_O)
        size = torch.ones(1, data.n_heads, dtype=torch.float64)
        for change in data.clean_z - data.corrupt_z:
            sums.add(change[None], size, torch.tensor(1.0))
        data.memo[HeadChanges] = sums.finish(None)
    found: HeadChanges = data.memo[HeadChanges]
    return found


def code_change(data: HeadData, generator: torch.Generator) -> Float[Tensor, " head"]:
    """Root of the energy that codes of paired differences explain alike in all pairs.

    What codes of differences with random signs would explain is taken off; 0 if nothing is left.
    """
    return paired_test(data, generator, n_draws=N_DRAWS).excess.clamp(min=0).sqrt()


def consistent_change(data: HeadData) -> Float[Tensor, " head"]:
    """Root of the consistent change of a head, as clean less corrupt and as its answers turn it.

    0 where changes are no more alike than with random signs.
    """
    found = changes_of(data)
    return (found.consistent + found.turned).clamp(min=0).sqrt()


def direct_effect(changes: HeadChanges) -> Float[Tensor, " head"]:
    """Size of the mean direct effect on the logit difference, in logits; 0 if it was not read."""
    if changes.direct is None:
        return torch.zeros_like(changes.consistent)
    return changes.direct.double().mean(0).abs()


def change_and_answer(data: HeadData) -> Float[Tensor, " head"]:
    """Consistent change plus direct effect on the answer, each divided by its size over all heads.

    Early heads count by how consistently they change, late ones by what that does to the answer.
    Without a direct effect it ranks as `consistent_change`.
    """
    parts = consistent_change(data), direct_effect(changes_of(data))
    return torch.stack([_in_units(part) for part in parts]).sum(0)


def _in_units(scores: Float[Tensor, " head"]) -> Float[Tensor, " head"]:
    """Scores divided by their root mean square over heads; nothing but 0 stays 0."""
    size = scores.square().mean().sqrt()
    return scores / torch.where(size > 0, size, torch.ones_like(size))
