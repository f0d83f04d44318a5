"""How well sparse probes do when nothing is there, neurons chosen anew under permuted labels.

The best of many neurons fits by chance, and the best few of them together fit better. A probe of
`k` neurons is therefore held against probes for which labels were permuted and the whole selection
done again (Gurnee et al. 2023 have no such null; refitting keeps the selection inside it).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.probing.checks import check_data, check_same_layer
from needlepoint.probing.permutations import label_sources, permuted_columns
from needlepoint.probing.probe import Path
from needlepoint.probing.scores import roc_auc
from needlepoint.probing.select import probe_path
from needlepoint.probing.sweep import DEFAULT_KS, adaptive_thresholding

FITS_AT_ONCE = 64
TIE = 1e-9

Fit = Callable[
    [Float[Tensor, "example neuron"], Bool[Tensor, "example feature"]],
    Path,
]


@dataclass(frozen=True)
class HeldOut:
    """Examples of other documents on which probes are scored instead of their own."""

    acts: Float[Tensor, "example_validation neuron"]
    labels: Bool[Tensor, "example_validation feature"]
    groups: Int[Tensor, " example_validation"]


@dataclass(frozen=True)
class PathNull:
    """AUC of the probes of each size beside that of probes selected for permuted labels."""

    ks: tuple[int, ...]
    observed: Float[Tensor, "feature k"]
    """AUC with the true labels."""
    null: Float[Tensor, "resample feature k"]
    """AUC with permuted labels, neurons selected and fitted again."""

    @property
    def p_value(self) -> Float[Tensor, "feature k"]:
        """`(1 + #{null >= observed}) / (1 + permutations)` at each k, k being fixed beforehand."""
        return _p_values(self.observed, self.null)

    @property
    def p_value_of_any(self) -> Float[Tensor, "feature k"]:
        """The same, corrected for all sizes that were looked at: for a k chosen along the curve.

        AUC is counted at each k in standard deviations from its mean over all draws, the true
        labels among them, and held against the largest such number over k of each permutation
        (Westfall and Young 1993, max-T).
        """
        every = torch.cat([self.observed[None], self.null])
        spread = every.std(0, correction=0)
        scores = (every - every.mean(0)) / torch.where(spread > TIE, spread, 1.0)
        return _p_values(scores[0], scores[1:].amax(2, keepdim=True))


def path_null(
    acts: Float[Tensor, "example neuron"],
    labels: Bool[Tensor, "example feature"],
    *,
    groups: Int[Tensor, " example"],
    n_permutations: int,
    generator: torch.Generator,
    ks: Sequence[int] = DEFAULT_KS,
    l2: float = 0.01,
    scheme: str = "documents",
    held_out: HeldOut | None = None,
    fit: Fit | None = None,
) -> PathNull:
    """AUC of sparse probes of each size, with their null under permuted labels.

    Each permutation costs as much as the sweep itself, so few are made: 99 tell p = 0.05 with a
    standard error of 0.02. Without `held_out`, scores are of the training examples: flattered by
    the fit, in the null just as much. With it, labels of both parts are permuted, each within its
    part. Documents are not centred under `shift` as they are in `max_null`.

    Args:
        acts: Training activations; with `shift`, in the order of the text.
        labels: Whether each example has each feature.
        groups: Document of each example.
        n_permutations: How many; p-values are multiples of one over this plus one.
        generator: Source of the permutations.
        ks: Sizes of the probes: those of the sweep that is to be judged.
        l2: Ridge penalty of the fits, the same for all sizes.
        scheme: How labels move; see `permutations.label_sources`.
        held_out: Examples to score on.
        fit: What selects and fits probes, all choices included; adaptive thresholding with `ks`
            and `l2` if not given.

    Raises:
        DataError: If labels cannot be permuted so, or the data cannot be used.
        OneClassError: If a feature has one class only.
    """
    check_data(acts, labels)
    parts = [(labels, groups)]
    if held_out is not None:
        check_same_layer(acts, held_out.acts)
        _check_same_features(labels, held_out.labels)
        parts.append((held_out.labels, held_out.groups))

    def sweep(acts: Tensor, labels: Tensor) -> Path:
        return adaptive_thresholding(acts, labels, ks=ks, l2=l2)

    score = _Score(acts, fit or sweep, None if held_out is None else held_out.acts)
    ks_found, observed = score([label for label, _ in parts])
    options: dict[str, Any] = {"scheme": scheme, "n_permutations": n_permutations}
    moved = [label_sources(*part, generator=generator, **options) for part in parts]
    null, draws = [], zip(*moved, strict=True)
    while block := list(islice(draws, max(1, FITS_AT_ONCE // labels.shape[1]))):
        columns = [
            torch.cat([label[source] for source in sources], dim=1)
            for (label, _), sources in zip(parts, zip(*block, strict=True), strict=True)
        ]
        null.append(score(columns)[1].view(len(block), *observed.shape))
    return PathNull(ks_found, observed, torch.cat(null))


@dataclass(frozen=True)
class _Score:
    """Fits probes on the first part of the labels and scores them on the last."""

    acts: Tensor
    fit: Fit
    held_out: Tensor | None

    def __call__(self, labels: Sequence[Tensor]) -> tuple[tuple[int, ...], Tensor]:
        path = self.fit(self.acts, labels[0])
        odds = path.log_odds(self.acts if self.held_out is None else self.held_out)
        truth = labels[-1].repeat_interleave(odds.shape[2], dim=1)
        return path.ks, roc_auc(odds.flatten(1), truth).view(odds.shape[1:])


@dataclass(frozen=True, eq=False)
class MovedLabels:
    """Labels of a training and a validation part, as they are and moved, side by side."""

    train: Bool[Tensor, "example column"]
    validation: Bool[Tensor, "example_validation column"]
    n_features: int
    """The first columns are the true labels of so many features, then come those of each move."""

    @classmethod
    def of(
        cls,
        train: Bool[Tensor, "example feature"],
        groups: Int[Tensor, " example"],
        validation: Bool[Tensor, "example_validation feature"],
        groups_validation: Int[Tensor, " example_validation"],
        *,
        scheme: str,
        n_permutations: int,
        generator: torch.Generator,
    ) -> MovedLabels:
        """Moves labels within each part, so that no document changes sides.

        Args:
            train: Whether each training example has each feature.
            groups: Document of each of them; none of these is in the validation part.
            validation: Whether each validation example has each feature.
            groups_validation: Document of each of them.
            scheme: How labels move; see `permutations.label_sources`.
            n_permutations: How many moves.
            generator: Source of them.

        Raises:
            UnknownNameError: If there is no such scheme.
            DataError: If labels cannot be moved so.
        """
        _check_same_features(train, validation)
        options: dict[str, Any] = {"scheme": scheme, "n_permutations": n_permutations}
        if scheme == "shift":  # within documents: both parts at once
            both = torch.cat([train, validation]), torch.cat([groups, groups_validation])
            moved = permuted_columns(*both, generator=generator, **options)
            return cls(moved[: len(train)], moved[len(train) :], train.shape[1])
        return cls(
            permuted_columns(train, groups, generator=generator, **options),
            permuted_columns(validation, groups_validation, generator=generator, **options),
            train.shape[1],
        )


class HighestF1:
    """Gathers, layer by layer, the highest validation F1 of any sparse probe under each labelling.

    Everything is chosen again for each: neurons, ridge and cut of the probes of every size.

    Args:
        labels: The true labels and the moved ones.
        options: What the search is asked for: keywords of `select.probe_path`.

    Example:
        >>> generator, documents = torch.Generator().manual_seed(0), torch.arange(40)
        >>> truth, acts = documents[:, None] % 2 == 0, torch.randn(80, 9, generator=generator)
        >>> acts[:, 3] += 4 * truth.repeat(2, 1)[:, 0]
        >>> part = (truth, documents)
        >>> moved = MovedLabels.of(
        ...     *part, *part, scheme="documents", n_permutations=19, generator=generator
        ... )
        >>> found = HighestF1(moved, ks=(1, 2))
        >>> found.add(acts[:40], acts[40:])
        >>> found.p_value.tolist()
        [0.05]
    """

    def __init__(self, labels: MovedLabels, **options: Any) -> None:
        self.labels = labels
        self.options = options
        self._highest = torch.zeros(labels.train.shape[1], dtype=torch.float64)

    def add(
        self,
        acts: Float[Tensor, "example neuron"],
        acts_validation: Float[Tensor, "example_validation neuron"],
    ) -> None:
        """Search one more layer."""
        for lot in torch.split(torch.arange(len(self._highest)), FITS_AT_ONCE):
            train, validation = self.labels.train[:, lot], self.labels.validation[:, lot]
            found = probe_path(acts, train, acts_validation, validation, **self.options)
            best = found.f1_validation_k.amax(1).to(self._highest)
            self._highest[lot] = torch.maximum(self._highest[lot], best)

    @property
    def observed(self) -> Float[Tensor, " feature"]:
        """Highest F1 over the layers searched, with the true labels."""
        return self._highest[: self.labels.n_features]

    @property
    def null(self) -> Float[Tensor, "resample feature"]:
        """Highest F1 with each move of the labels."""
        return self._highest[self.labels.n_features :].view(-1, self.labels.n_features)

    @property
    def p_value(self) -> Float[Tensor, " feature"]:
        """`(1 + #{null >= observed}) / (1 + permutations)`, corrected for all that was searched."""
        return _p_values(self.observed, self.null)


def _check_same_features(labels: Tensor, other: Tensor) -> None:
    if labels.shape[1] != other.shape[1]:
        raise DataError(
            f"{labels.shape[1]} features to train on and {other.shape[1]} held out; "
            "give the same features in both parts."
        )


def _p_values(observed: Tensor, null: Tensor) -> Tensor:
    reached = (null >= observed - TIE).sum(0)
    return (1 + reached).double() / (1 + len(null))
