"""How large the largest of many class differences gets when nothing is there.

Searching thousands of neurons finds large differences by chance. Labels are permuted and the
maximum over all neurons is noted each time; a neuron's difference counts for as much as it stands
out from those maxima (Westfall and Young 1993). How labels may be permuted is told in
`permutations`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError, unknown_name
from needlepoint.models.products import product
from needlepoint.probing.checks import check_data
from needlepoint.probing.columns import blocks, compute_dtype, split_neurons
from needlepoint.probing.permutations import label_sources, number_documents
from needlepoint.probing.rankings import mean_difference_std, pooled_units
from needlepoint.probing.weights import contrast

Statistic = Literal["mean_difference_std", "auc"]
BLOCK_ROWS = 2048
TIE = 1e-5
"""Share by which a null maximum may fall short of what was observed and still count as reaching
it: permutations are summed in float32, and one that moves nothing must not look smaller."""


@dataclass(frozen=True)
class MaxNull:
    """What was observed on each neuron beside the largest values found under permuted labels."""

    observed: Float[Tensor, "feature neuron"]
    """The statistic with the true labels."""
    null: Float[Tensor, "resample feature"]
    """Its maximum over all neurons, for each permutation."""

    @property
    def p_value(self) -> Float[Tensor, "feature neuron"]:
        """Family-wise p-value of each neuron: `(1 + #{null >= observed}) / (1 + permutations)`.

        The chance, were there no difference anywhere, that any of the neurons searched would look
        as different as this one. It is corrected for the neurons searched, not for the features.
        """
        rising = self.null.T.contiguous().sort(1).values
        fewer = torch.searchsorted(rising, (self.observed * (1 - TIE)).contiguous())
        n = self.null.shape[0]
        return (1 + n - fewer).double() / (1 + n)


def max_null(
    acts: Float[Tensor, "example neuron"],
    labels: Bool[Tensor, "example feature"],
    *,
    groups: Int[Tensor, " example"],
    n_permutations: int,
    generator: torch.Generator,
    scheme: str = "documents",
    statistic: str = "mean_difference_std",
) -> MaxNull:
    """The null distribution of the largest class difference over these neurons.

    Statistics: `mean_difference_std`, the absolute mean difference in pooled standard deviations;
    or `auc`, `|AUC - 0.5|`, which a few outliers do not move. Both are one matrix product for each
    block of permutations, the latter on ranks.

    With `shift`, what a document has in common is taken off first: activations (or ranks) less
    their mean over the document. Labels that stay in their document say nothing on it, and a
    difference is then counted from its mean over all shifts (`auc`: `|AUC - that mean|`).

    The level is exact if rows are exchangeable in the way that the scheme takes for granted; see
    `permutations.label_sources`, and `permutations.permutation_for` for which scheme fits.

    To search several layers, call this for each with a generator in the same state, so that the
    permutations agree, and join the results with `over_layers`.

    Args:
        acts: Training activations; with `shift`, in the order of the text.
        labels: Whether each example has each feature.
        groups: Document of each example.
        n_permutations: How many; p-values are multiples of one over this plus one.
        generator: Source of the permutations.
        scheme: How labels move: `documents`, `shift` or `rows`.
        statistic: `mean_difference_std` or `auc`.

    Raises:
        DataError: If labels differ within a document and `scheme` is `documents`, can hardly be
            moved by `shift`, or the data cannot be used.
        OneClassError: If a feature has one class only.
        UnknownNameError: If there is no such scheme or statistic.
    """
    if statistic not in get_args(Statistic):
        raise unknown_name("statistic", statistic, get_args(Statistic))
    check_data(acts, labels)
    sources = label_sources(
        labels, groups, scheme=scheme, n_permutations=n_permutations, generator=generator
    )
    values = centred_ranks(acts) if statistic == "auc" else acts
    if scheme == "shift":
        values = within_documents(values, groups)
    ranked = statistic == "auc"
    columns = _columns(values, ranked=ranked)
    null = []
    step = max(1, BLOCK_ROWS // labels.shape[1])
    while block := list(islice(sources, step)):
        moved = labels[torch.stack(block)].transpose(0, 1).flatten(1)
        null.append(_largest(columns, moved, ranked=ranked).view(len(block), -1))
    return MaxNull(_observed(values, labels, ranked=ranked), torch.cat(null))


def max_null_of_members(
    acts: Float[Tensor, "example neuron"],
    labels: Bool[Tensor, "example feature"],
    members: Tensor,
    *,
    groups: Int[Tensor, " example"],
    n_permutations: int,
    generator: torch.Generator,
    scheme: str = "documents",
    statistic: str = "mean_difference_std",
) -> MaxNull:
    """`max_null` where each feature is asked on examples of its own.

    Other examples are left out for that feature before its labels move. Features asked on the same
    examples move together, others do not.

    Args:
        acts: As for `max_null`, as is what is not named here.
        labels: Whether each example has each feature; elsewhere than in `members` it is not read.
        members: Which examples each feature is asked on; booleans, `[example, feature]`.
        groups: Document of each example.
        n_permutations: How many.
        generator: Source of the permutations.
        scheme: How labels move: `documents`, `shift` or `rows`.
        statistic: `mean_difference_std` or `auc`.

    Raises:
        DataError: If `members` does not match the labels, or as `max_null`.
        OneClassError: If a feature has one class only among its members.
    """
    if members.shape != labels.shape:
        raise DataError(
            f"members of shape {tuple(members.shape)} for labels of shape {tuple(labels.shape)}; "
            "say for each example and feature whether the feature is asked there."
        )
    patterns, which = torch.unique(members, dim=1, return_inverse=True)
    observed = torch.empty(labels.shape[1], acts.shape[1], dtype=torch.float64, device=acts.device)
    null = torch.empty(n_permutations, labels.shape[1], dtype=torch.float64, device=acts.device)
    for number, asked in enumerate(patterns.T):
        features = (which == number).nonzero().flatten()
        found = max_null(
            acts[asked],
            labels[asked][:, features],
            groups=groups[asked],
            n_permutations=n_permutations,
            generator=generator,
            scheme=scheme,
            statistic=statistic,
        )
        observed[features], null[:, features] = found.observed, found.null
    return MaxNull(observed, null)


def max_null_of_columns(scores: Float[Tensor, "column neuron"], n_features: int) -> MaxNull:
    """The same from scores of `permutations.permuted_columns`, however those were computed.

    For a streaming pass, which has no second look at the activations. Scores of the true labels
    come first; all must be unsigned, with large for different.

    Raises:
        DataError: If the columns are not a whole number of permutations and the true labels.
    """
    if scores.shape[0] % n_features or scores.shape[0] < 2 * n_features:
        raise DataError(
            f"{scores.shape[0]} columns of scores are not the true labels and permutations of "
            f"{n_features} features; score all of permuted_columns, in its order."
        )
    scores = scores.abs().double()
    return MaxNull(scores[:n_features], scores[n_features:].amax(1).view(-1, n_features))


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


def centred_ranks(acts: Float[Tensor, "example neuron"]) -> Float[Tensor, "example neuron"]:
    """Rank of each example on each neuron, ties sharing their mean, less the mean rank.

    `contrast(labels) @ centred_ranks(acts) / n` is `AUC - 0.5`.

    Example:
        >>> centred_ranks(torch.tensor([[5.0], [1.0], [5.0], [9.0]])).T
        tensor([[ 0.0000, -1.5000,  0.0000,  1.5000]])
    """
    found = []
    for block in split_neurons(acts):
        rows = block.T.contiguous()
        rising = rows.sort(1).values
        below = torch.searchsorted(rising, rows)
        not_above = torch.searchsorted(rising, rows, right=True)
        found.append((below + not_above - len(acts)).to(compute_dtype(acts)).T / 2)
    return torch.cat(found, dim=1)


def within_documents(
    values: Float[Tensor, "example neuron"], groups: Int[Tensor, " example"]
) -> Float[Tensor, "example neuron"]:
    """Values less their mean over the document, summed in float64.

    Raises:
        DataError: If there is not one document for each example.
    """
    member, n_groups = number_documents(groups.to(values.device), len(values))
    length = torch.bincount(member, minlength=n_groups)[:, None]
    found = torch.empty_like(values, dtype=compute_dtype(values))
    for part, out in zip(split_neurons(values), split_neurons(found), strict=True):
        wide = part.double()
        sums = wide.new_zeros(n_groups, wide.shape[1]).index_add_(0, member, wide)
        out.copy_(wide - (sums / length)[member])
    return found


def _columns(values: Tensor, *, ranked: bool) -> list[Tensor]:
    """What labels are multiplied with, a block of neurons at a time."""
    if ranked:
        return [part.contiguous() for part in split_neurons(values)]
    return [part.z for part in blocks(values)]


def _largest(columns: list[Tensor], moved: Tensor, *, ranked: bool) -> Float[Tensor, " column"]:
    """The largest statistic over all neurons for each column of labels."""
    rows = contrast(moved).to(columns[0].dtype)
    top = torch.stack([product(rows, part).abs().amax(1) for part in columns]).amax(0).double()
    if ranked:
        return top / len(moved)
    return pooled_units(top, moved.double().mean(0), len(moved))


def _observed(values: Tensor, labels: Tensor, *, ranked: bool) -> Float[Tensor, "feature neuron"]:
    if not ranked:
        return mean_difference_std(values, labels)
    rows = contrast(labels)
    parts = [rows @ part.double() for part in split_neurons(values)]
    return torch.cat(parts, dim=1).abs() / len(labels)
