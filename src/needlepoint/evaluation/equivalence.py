"""Neurons that do as well as the one named: chance alone put it first among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint.evaluation.clustered import Resamples
from needlepoint.evaluation.read_neurons import NeuronData
from needlepoint.probing.rankings import leading
from needlepoint.probing.select import SHORTLIST, LayerNeurons, NeuronChoice

DUPLICATE = 0.95
"""Correlation, of either sign, from which on two neurons count as copies of one another."""
LISTED = 50
"""Most tied neurons that are listed for each feature; all are counted."""
N_RESAMPLES = 1000
END = 0.025
"""Share of the resamples below an interval, and above it."""


@dataclass(frozen=True)
class Tied:
    """A neuron whose validation F1 is not shown to be below that of the one named."""

    layer: int
    neuron: int
    sign: int
    f1_validation: float
    difference: float
    """F1 of the named neuron less that of this one."""
    low: float
    high: float
    correlation: float
    """With the named neuron, on validation rows; NaN if one of them is constant there."""


@dataclass(frozen=True)
class EquivalenceSet:
    """The neurons of one feature that cannot be told from the one named by their validation F1."""

    tied: tuple[Tied, ...] | None
    """Of the shortlist, without the named one, best first; None where documents are too few to
    resample."""
    n_all: int | None = None
    """How many of all neurons of all layers tie, on the shortlist or not; None if not counted."""

    @property
    def n_tied(self) -> int | None:
        """How many of the shortlist, the named one not counted."""
        return None if self.tied is None else len(self.tied)

    @property
    def n_duplicates(self) -> int | None:
        """How many of them are correlated with the named one by 0.95 or more, of either sign."""
        if self.tied is None:
            return None
        return sum(abs(one.correlation) >= DUPLICATE for one in self.tied)


@dataclass(frozen=True, eq=False)
class Candidates:
    """The neurons of the shortlist of one feature: what each shows and calls on validation rows."""

    layer: Int[Tensor, " unit"]
    neuron: Int[Tensor, " unit"]
    sign: Int[Tensor, " unit"]
    values: Float[Tensor, "example unit"]
    called: Bool[Tensor, "example unit"]


def equivalence_sets(
    data: NeuronData,
    layers: Sequence[LayerNeurons],
    neurons: Sequence[NeuronChoice],
    generator: torch.Generator,
) -> tuple[EquivalenceSet, ...]:
    """For each feature the neurons of the shortlist over all layers that tie with the chosen one.

    The shortlist is that of the choice: the 30 neurons of each layer with the best training F1.
    Ties are judged on validation documents, so the set says which others could have been named,
    not how good any of them is. Neurons beyond the shortlist could not have been named, but may
    tie as well: `n_all` counts every neuron of every layer.

    Args:
        data: The activations; every layer is read twice.
        layers: What the search found in each layer.
        neurons: The neuron chosen for each feature.
        generator: Source of the resamples of documents.
    """
    found: list[list[Candidates]] = [[] for _ in neurons]
    for place, layer in enumerate(layers):
        for feature, parts in enumerate(found):
            parts.append(_of_layer(data, place, layer, feature))
    sets, counts = [], []
    for feature, (parts, chosen) in enumerate(zip(found, neurons, strict=True)):
        rows = data.of(feature).validation
        truth = data.labels[rows, feature]
        resamples = Resamples.draw(data.documents[rows], truth, generator, n_resamples=N_RESAMPLES)
        candidates = _joined(parts)
        named = (candidates.layer == chosen.layer) & (candidates.neuron == chosen.neuron)
        place = int(named.nonzero()[0])
        sets.append(tied_neurons(candidates, place, resamples))
        counts.append(
            None if resamples is None else TieCount(resamples, candidates.called[:, place])
        )
    for place, layer in enumerate(layers):
        for feature, count in enumerate(counts):
            if count is not None:
                count.add(_calls(data, place, layer, feature))
    return tuple(
        replace(one, n_all=None if count is None else count.others)
        for one, count in zip(sets, counts, strict=True)
    )


class TieCount:
    """Counts the neurons that tie with the one named, by the rule of `tied_neurons`.

    Counts of documents are whole numbers, which float32 adds up exactly.
    """

    def __init__(self, resamples: Resamples, named: Bool[Tensor, " example"]) -> None:
        self._resamples = resamples
        self._named = resamples.f1(named[:, None])
        self._drawn = resamples.counts.float()
        self._positives = resamples.sums(resamples.truth[:, None].double()).float()
        self._count = 0

    @property
    def others(self) -> int:
        """How many so far, the named one, which ties with itself, not counted."""
        return self._count - 1

    def add(self, called: Bool[Tensor, "example unit"]) -> None:
        """Count among some more neurons, given what they call positive."""
        truth, member = self._resamples.truth[:, None], self._resamples.member
        n_groups = self._drawn.shape[1]
        hits, calls = (
            torch.zeros(n_groups, called.shape[1]).index_add_(0, member, part.float())
            for part in (called & truth, called)
        )
        f1 = 2 * (self._drawn @ hits).double() / (self._drawn @ calls + self._positives)
        ahead = self._named - f1
        # The lower end of the interval is one of these two steps, or between them.
        step = int(END * (len(ahead) - 1))
        reached = (ahead <= 0).sum(0)
        self._count += int((reached > step + 1).sum())
        for column in ahead.T[reached == step + 1]:
            self._count += int(torch.quantile(column, END) <= 0)


def tied_neurons(candidates: Candidates, named: int, resamples: Resamples | None) -> EquivalenceSet:
    """The candidates that tie with one of them.

    A candidate ties if the 95 % interval of the named one's F1 less its own, both on the same
    resamples of documents, does not lie above 0. Each is judged by itself.
    """
    if resamples is None:
        return EquivalenceSet(None)
    f1 = resamples.f1(candidates.called)
    ends = torch.tensor([END, 1 - END], dtype=torch.float64)
    low, high = torch.quantile(f1[:, named, None] - f1, ends, dim=0)
    hits = (candidates.called & resamples.truth[:, None]).sum(0).double()
    exact = 2 * hits / (candidates.called.sum(0) + resamples.truth.sum())
    correlation = _correlation(candidates.values, named)
    order = exact.argsort(descending=True, stable=True).tolist()
    return EquivalenceSet(
        tuple(
            Tied(
                int(candidates.layer[at]),
                int(candidates.neuron[at]),
                int(candidates.sign[at]),
                float(exact[at]),
                float(exact[named] - exact[at]),
                float(low[at]),
                float(high[at]),
                float(correlation[at]),
            )
            for at in order
            if at != named and low[at] <= 0
        )
    )


def equivalence_frame(sets: Sequence[EquivalenceSet], features: Sequence[str]) -> pd.DataFrame:
    """The table of tied neurons, at most `LISTED` for each feature."""
    columns = "feature rank layer neuron site sign f1_validation difference low high correlation"
    rows = [
        {
            **vars(one),
            "feature": feature,
            "rank": rank,
            "site": f"L{one.layer}.N{one.neuron}",
            "correlation": None if one.correlation != one.correlation else one.correlation,
        }
        for feature, found in zip(features, sets, strict=True)
        for rank, one in enumerate((found.tied or ())[:LISTED])
    ]
    return pd.DataFrame(rows, columns=columns.split()).astype({"correlation": "float64"})


def _of_layer(data: NeuronData, place: int, layer: LayerNeurons, feature: int) -> Candidates:
    top = leading(layer.threshold.f1[feature][None], SHORTLIST)[0]
    values = data.layer(place)[data.of(feature).validation][:, top]
    called = _called(values, layer, feature, top)
    sign = layer.threshold.sign[feature, top]
    return Candidates(torch.full_like(top, place), top, sign, values, called)


def _calls(
    data: NeuronData, place: int, layer: LayerNeurons, feature: int
) -> Bool[Tensor, "example unit"]:
    """What every neuron of a layer calls positive on the validation rows of a feature."""
    values = data.layer(place)[data.of(feature).validation]
    return _called(values, layer, feature, torch.arange(values.shape[1]))


def _called(
    values: Float[Tensor, "example unit"],
    layer: LayerNeurons,
    feature: int,
    neurons: Int[Tensor, " unit"],
) -> Bool[Tensor, "example unit"]:
    cut = layer.threshold.threshold[feature, neurons]
    return torch.where(layer.threshold.sign[feature, neurons] > 0, values > cut, values < cut)


def _joined(parts: Sequence[Candidates]) -> Candidates:
    return Candidates(
        *(
            torch.cat([getattr(part, field.name) for part in parts], dim=-1)
            for field in fields(Candidates)
        )
    )


def _correlation(values: Tensor, named: int) -> Float[Tensor, " unit"]:
    centred = values.double() - values.double().mean(0)
    length = centred.norm(dim=0)
    found: Tensor = (centred.T @ centred[:, named]) / (length * length[named])
    return found
