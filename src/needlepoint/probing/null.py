"""How large the largest of many standardised differences gets when nothing is there.

Searching thousands of neurons finds large differences by chance. Labels are permuted between
documents and the maximum over all neurons is noted each time; a neuron's difference counts for as
much as it stands out from those maxima (Westfall and Young 1993; permutation of groups keeps what
rows of one document share).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.probing.checks import check_data
from needlepoint.probing.columns import blocks
from needlepoint.probing.rankings import mean_difference_std, pooled_units
from needlepoint.probing.weights import contrast

BLOCK_ROWS = 2048


@dataclass(frozen=True)
class MaxNull:
    """Observed standardised differences beside the largest ones found under permuted labels."""

    observed: Float[Tensor, "feature neuron"]
    """`mean_difference_std` with the true labels."""
    null: Float[Tensor, "resample feature"]
    """Its maximum over all neurons, for each permutation."""

    @property
    def p_value(self) -> Float[Tensor, "feature neuron"]:
        """Family-wise p-value of each neuron: `(1 + #{null >= observed}) / (1 + permutations)`.

        The chance, were there no difference anywhere, that any of the neurons searched would look
        as different as this one. It is corrected for the neurons searched, not for the features.
        """
        rising = self.null.T.contiguous().sort(1).values
        fewer = torch.searchsorted(rising, self.observed.contiguous())
        n = self.null.shape[0]
        return (1 + n - fewer).double() / (1 + n)


def max_null(
    acts: Float[Tensor, "example neuron"],
    labels: Bool[Tensor, "example feature"],
    *,
    groups: Int[Tensor, " example"],
    n_permutations: int,
    generator: torch.Generator,
) -> MaxNull:
    """The null distribution of the largest standardised mean difference over these neurons.

    Labels belong to documents, so documents swap labels and rows of one document keep one label.
    The level is exact if documents are exchangeable under the null.

    To search several layers, call this for each with a generator in the same state, so that the
    permutations agree, and join the results with `over_layers`.

    Args:
        acts: Training activations.
        labels: Whether each example has each feature; the same within a document.
        groups: Document of each example.
        n_permutations: How many; p-values are multiples of one over this plus one.
        generator: Source of the permutations.

    Raises:
        DataError: If labels differ within a document, or the data cannot be used.
        OneClassError: If a feature has one class only.
    """
    check_data(acts, labels)
    observed = mean_difference_std(acts, labels)
    member, of_group = _group_labels(labels, groups)
    shuffles = [
        torch.randperm(len(of_group), generator=generator, device=generator.device)
        for _ in range(n_permutations)
    ]
    if not shuffles:
        raise DataError("n_permutations must be at least 1; 200 or more tell p = 0.05 from noise.")
    columns = list(blocks(acts))
    step = max(1, BLOCK_ROWS // labels.shape[1])
    null = []
    for first in range(0, n_permutations, step):
        order = torch.stack(shuffles[first : first + step]).to(acts.device)
        shuffled = of_group[order][:, member].transpose(0, 1).flatten(1)
        rows = contrast(shuffled).to(columns[0].z.dtype)
        top = torch.stack([(rows @ part.z).abs().amax(1) for part in columns]).amax(0)
        share = shuffled.double().mean(0)
        null.append(pooled_units(top.double(), share, len(acts)).view(len(order), -1))
    return MaxNull(observed, torch.cat(null))


def over_layers(nulls: Sequence[MaxNull]) -> list[MaxNull]:
    """The same results, each judged against the largest difference over all layers.

    Raises:
        DataError: If the layers were not given the same number of permutations and features.
    """
    if len({null.null.shape for null in nulls}) != 1:
        raise DataError(
            "the layers have different permutations; call max_null for each with a generator "
            "seeded alike, the same labels and the same n_permutations."
        )
    highest = torch.stack([null.null for null in nulls]).amax(0)
    return [MaxNull(null.observed, highest) for null in nulls]


def _group_labels(labels: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """Group number of each example, and the labels of each group."""
    if groups.shape != labels.shape[:1]:
        raise DataError(
            f"{len(groups)} groups for {len(labels)} examples; give the document of each example."
        )
    names, member = torch.unique(groups.to(labels.device), return_inverse=True)
    of_group = labels.new_zeros(len(names), labels.shape[1])
    of_group[member] = labels
    mixed = (of_group[member] != labels).any(1).nonzero().flatten()
    if len(mixed):
        raise DataError(
            f"example {int(mixed[0])} has other labels than the rest of its document; permuting "
            "documents needs one label for each: reduce a document to one row, or group by span."
        )
    return member, of_group
