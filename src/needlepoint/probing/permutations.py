"""Which row gets which row's labels, if labels had nothing to do with activations.

A permutation must keep whatever ties rows together anyway: rows of one document share its topic,
neighbouring tokens share their sentence. Rows shuffled one by one lose that, and any neuron with
the same ties then looks significant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from needlepoint._core.errors import DataError, unknown_name
from needlepoint.probing.checks import check_labels

Scheme = Literal["documents", "shift", "rows"]
"""`documents`: documents swap their labels. `shift`: within each document the labels move on by a
random number of rows, those at its end coming back at its start. `rows`: all rows swap labels."""

FEWEST_WAYS = 20
"""Arrangements of labels without which no p-value could be as low as 0.05."""


@dataclass(frozen=True)
class SchemeAdvice:
    """The permutation that fits labels, and why."""

    scheme: Scheme
    reason: str


def permutation_for(
    labels: Bool[Tensor, "example feature"], groups: Int[Tensor, " example"]
) -> SchemeAdvice:
    """The scheme that keeps what ties the rows of a document together; never `rows` by itself.

    Labels of whole documents ask for `documents`: nothing else moves them. Labels that vary within
    documents ask for `shift`. One row for each document is the case in which `documents` and
    `rows` are the same.

    Args:
        labels: Whether each example has each feature.
        groups: Document of each example.

    Raises:
        DataError: If labels vary within documents but can be shifted in so few ways that no
            p-value would be low, or groups do not match.
        OneClassError: If a feature has one class only.

    Example:
        >>> labels = torch.tensor([[True], [True], [False], [False]])
        >>> permutation_for(labels, torch.tensor([0, 0, 1, 1])).scheme
        'documents'
    """
    check_labels(labels, len(labels))
    member, n_groups = number_documents(groups, len(labels))
    if not bool(_mixed(labels, member, n_groups).any()):
        if n_groups == len(labels):
            return SchemeAdvice("documents", "each document has one row, so documents swap labels.")
        return SchemeAdvice("documents", "all rows of a document have the same labels.")
    _check_ways(labels, member, n_groups)
    return SchemeAdvice("shift", "labels vary within documents.")


def label_sources(
    labels: Bool[Tensor, "example feature"],
    groups: Int[Tensor, " example"],
    *,
    scheme: str,
    n_permutations: int,
    generator: torch.Generator,
) -> Iterator[Int[Tensor, " example"]]:
    """For each permutation the row whose labels each row gets; all features move together.

    What each scheme takes for granted under the null hypothesis:

    - `documents`: documents are exchangeable, so that any could have had the labels of any other.
    - `shift`: within a document, labels are as likely at one place as at another (stationary), and
      what the wrap from its end to its start breaks is little. Rows must come in the order of the
      text. How often a feature comes in a document stays as it was, so the question is whether
      activations follow the labels within documents; a document with one row, or with one class,
      has nothing to say. Where rows are not neighbouring tokens, it is the sequence of the rows
      given that is shifted, and it keeps ties between neighbours only as far as those rows do.
      First tokens are not like others: leave them out.
    - `rows`: all rows are exchangeable; for rows drawn independently only.

    The drawing is lazy and takes nothing else from the generator, so that one in the same state
    gives the same permutations for another layer.

    Args:
        labels: Whether each example has each feature.
        groups: Document of each example.
        scheme: How labels move: `documents`, `shift` or `rows`.
        n_permutations: How many; p-values are multiples of one over this plus one.
        generator: Source of the permutations; the unmoved labels are one of the possible draws.

    Raises:
        UnknownNameError: If there is no such scheme.
        DataError: If labels differ within a document (`documents`), if they can be shifted in so
            few ways that no p-value would be low (`shift`), or groups do not match.
    """
    if n_permutations < 1:
        raise DataError("n_permutations must be at least 1; 200 or more tell p = 0.05 from noise.")
    if scheme not in get_args(Scheme):
        raise unknown_name("scheme", scheme, get_args(Scheme))
    member, n_groups = number_documents(groups.to(labels.device), len(labels))
    if scheme == "documents":
        draw = _between(labels, member, n_groups)
    elif scheme == "shift":
        draw = _within(labels, member, n_groups)
    else:
        draw = _any_row(len(labels))
    return (draw(generator).to(labels.device) for _ in range(n_permutations))


def permuted_columns(
    labels: Bool[Tensor, "example feature"],
    groups: Int[Tensor, " example"],
    *,
    scheme: str,
    n_permutations: int,
    generator: torch.Generator,
) -> Bool[Tensor, "example column"]:
    """The labels and, to their right, their permutations, drawn before any activation is read.

    Columns come as all features with their true labels, then all features of the first
    permutation, and so on: put them through a streaming pass as if they were features and give its
    scores to `null.max_null_of_columns`. One byte for each example and column.

    Raises:
        UnknownNameError: As `label_sources`.
        DataError: As `label_sources`.

    Example:
        >>> labels, generator = torch.eye(4, 2) > 0, torch.Generator().manual_seed(0)
        >>> documents, options = torch.arange(4), {"scheme": "documents", "n_permutations": 5}
        >>> permuted_columns(labels, documents, generator=generator, **options).shape
        torch.Size([4, 12])
    """
    sources = label_sources(
        labels, groups, scheme=scheme, n_permutations=n_permutations, generator=generator
    )
    return torch.cat([labels, *(labels[source] for source in sources)], dim=1)


def number_documents(
    groups: Int[Tensor, " example"], n_examples: int
) -> tuple[Int[Tensor, " example"], int]:
    """Documents numbered from 0 without gaps, and how many there are.

    Raises:
        DataError: If there is not one for each example.
    """
    if groups.shape != (n_examples,):
        raise DataError(
            f"{len(groups)} groups for {n_examples} examples; give the document of each example."
        )
    names, member = torch.unique(groups, return_inverse=True)
    return member, len(names)


Draw = Callable[[torch.Generator], Tensor]


def _between(labels: Tensor, member: Tensor, n_groups: int) -> Draw:
    """Documents swap labels, which every row of a document must share."""
    rows = torch.arange(len(member), device=member.device)
    first = torch.full((n_groups,), len(member), device=member.device)
    first = first.scatter_reduce(0, member, rows, "amin")
    other = (labels[first][member] != labels).any(1).nonzero().flatten()
    if len(other):
        raise DataError(
            f"example {int(other[0])} has other labels than the rest of its document; permuting "
            "documents needs one label for each: use scheme='shift', reduce a document to one "
            "row, or group by span."
        )

    def draw(generator: torch.Generator) -> Tensor:
        order = torch.randperm(n_groups, generator=generator, device=generator.device)
        return first[order.to(first.device)][member]

    return draw


def _within(labels: Tensor, member: Tensor, n_groups: int) -> Draw:
    """Each document's labels move on by a number of rows of its own, round its end."""
    _check_ways(labels, member, n_groups)
    order = member.argsort(stable=True)
    length = torch.bincount(member, minlength=n_groups)
    start = length.cumsum(0) - length
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=order.device)
    place -= start[member]

    def draw(generator: torch.Generator) -> Tensor:
        share = torch.rand(
            n_groups, generator=generator, device=generator.device, dtype=torch.float64
        )
        offset = (share.to(length.device) * length).long()
        return order[start[member] + (place + offset[member]) % length[member]]

    return draw


def _any_row(n: int) -> Draw:
    return lambda generator: torch.randperm(n, generator=generator, device=generator.device)


def _mixed(labels: Tensor, member: Tensor, n_groups: int) -> Bool[Tensor, "group feature"]:
    """Which documents have both classes of each feature."""
    count = torch.zeros(n_groups, labels.shape[1], dtype=torch.long, device=labels.device)
    positive = count.index_add(0, member, labels.long())
    length = torch.bincount(member, minlength=n_groups)[:, None]
    return (positive > 0) & (positive < length)


def _check_ways(labels: Tensor, member: Tensor, n_groups: int) -> None:
    """Refuse labels that shifting leaves nearly as they are."""
    mixed = _mixed(labels, member, n_groups)
    length = torch.bincount(member, minlength=n_groups).double()
    ways = (mixed * length.log()[:, None]).sum(0)
    few = (ways < math.log(FEWEST_WAYS) - 1e-9).nonzero().flatten()
    if len(few):
        feature = int(few[0])
        raise DataError(
            f"the labels of feature {feature} can be shifted within documents in only "
            f"{round(math.exp(float(ways[feature])))} ways ({int(mixed[:, feature].sum())} "
            f"documents have both classes), and no p-value could be below one over that; give "
            "more rows of each document, or permute documents if labels are theirs."
        )
