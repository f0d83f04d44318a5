"""Every cut on a neuron that can be the best one, and what it is worth: exact, both directions.

A cut calls positive what lies on one side of it. F1, the Matthews correlation and the balanced
accuracy all rise when a positive is called that was not, and fall when a negative is: the best
cut on either side lies right behind a positive. Cuts fall only between distinct values, so equal
activations are always called alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint.probing.checks import check_data
from needlepoint.probing.columns import compute_dtype
from needlepoint.probing.falling import Falling, midpoints, sort_falling


@dataclass(frozen=True)
class Cuts:
    """For one feature, on each neuron, the cut right below and right above every positive.

    Positives are counted from the highest activation down. Counts are float64, hence exact.
    """

    called_above: Float[Tensor, "neuron cut"]
    """Examples called by calling all that is at least as high as a positive."""
    called_below: Float[Tensor, "neuron cut"]
    """Examples called by calling all that is at most as high as a positive."""
    n_examples: int

    @classmethod
    def of(cls, falling: Falling, feature: int) -> Cuts:
        """Read the cuts for one feature off sorted neurons."""
        places = falling.places(feature)
        n_neurons, n = falling.keys.shape
        start = torch.arange(0, n_neurons * n, n, device=places.device)[:, None]
        if not falling.tied:
            above = places - (start - 1).double()
            return cls(above, n + 1 - above, n)
        first, after = (table.gather(1, places - start).double() for table in falling.groups)
        return cls(after, n - first, n)

    @property
    def n_positive(self) -> int:
        """Examples that have the feature."""
        return self.called_above.shape[1]

    @property
    def auc(self) -> Float[Tensor, " neuron"]:
        """Chance that a positive is higher than a negative, ties counting half."""
        pairs = self.n_positive * (self.n_examples - self.n_positive)
        return (1 + (self.called_below.sum(1) - self.called_above.sum(1)) / pairs) / 2

    def best(self, measure: Measure) -> Float[Tensor, "6 neuron"]:
        """The best cut from above, then from below: how good it is, positives and examples called.

        Of several positives of one height each is counted as if it were called last of them,
        which is so for the last alone; the others seem worse than they are, and it is chosen.
        """
        device = self.called_above.device
        rank = torch.arange(1, self.n_positive + 1, dtype=torch.float64, device=device)
        sides = []
        for hits, called in (rank, self.called_above), (rank.flip(0), self.called_below):
            score = measure.compare(hits, called, self.n_positive, self.n_examples)
            at = _highest(score)
            sides += [score.gather(1, at), hits[at], called.gather(1, at)]
        return torch.cat(sides, dim=1).T


@dataclass(frozen=True)
class Measure:
    """Something by which one cut is better than another.

    Both functions take positives called, examples called, positives, and examples.
    """

    compare: Callable[[Tensor, Tensor, int, int], Tensor]
    """Larger for a better cut, and equal to the last digit for equally good ones."""
    value: Callable[[Tensor, Tensor, Tensor, int], Tensor]
    """What is reported."""


def _share_of_f1(hits: Tensor, called: Tensor, n_positive: int, n: int) -> Tensor:
    return hits / (called + n_positive)


def _f1(hits: Tensor, called: Tensor, n_positive: Tensor, n: int) -> Tensor:
    return 2 * hits / (called + n_positive)


def _signed_square_of_mcc(hits: Tensor, called: Tensor, n_positive: int, n: int) -> Tensor:
    excess = hits * n - called * n_positive
    square = excess * excess.abs() / (called * (n - called))
    return torch.where(called == n, -torch.inf, square)


def _mcc(hits: Tensor, called: Tensor, n_positive: Tensor, n: int) -> Tensor:
    spread = called * (n - called) * (n_positive * (n - n_positive))
    value = (hits * n - called * n_positive) / spread.sqrt()
    return torch.where(called == n, torch.nan, value)


def _excess(hits: Tensor, called: Tensor, n_positive: int, n: int) -> Tensor:
    return hits * n - called * n_positive


def _balanced_accuracy(hits: Tensor, called: Tensor, n_positive: Tensor, n: int) -> Tensor:
    return (1 + (hits * n - called * n_positive) / (n_positive * (n - n_positive))) / 2


MEASURES = {
    "f1": Measure(_share_of_f1, _f1),
    "mcc": Measure(_signed_square_of_mcc, _mcc),
    "balanced_accuracy": Measure(_excess, _balanced_accuracy),
}
"""By name; each rises with every positive called and falls with every negative called."""


@dataclass(frozen=True)
class BestCut:
    """For each feature and neuron the best cut by one measure, on the examples it was chosen on."""

    value: Float[Tensor, "feature neuron"]
    """The measure at the cut: optimistic, as the cut was chosen for it; float64."""
    threshold: Float[Tensor, "feature neuron"]
    """Halfway between two neighbouring values; -inf where all is called. In the precision of the
    activations, at least float32."""
    sign: Int[Tensor, "feature neuron"]
    """+1: positive above the threshold. -1: positive below it."""

    @classmethod
    def empty(cls, acts: Tensor, labels: Tensor) -> BestCut:
        """Room for the results on some data."""
        shape = labels.shape[1], acts.shape[1]
        kinds = torch.float64, compute_dtype(acts), torch.int64
        return cls(*(acts.new_empty(shape, dtype=kind) for kind in kinds))

    def fill(self, falling: Falling, cuts: list[Cuts], measure: Measure) -> None:
        """Write the best cuts for some features on some neurons where they belong."""
        best = torch.stack([some.best(measure) for some in cuts])
        n = cuts[0].n_examples
        n_positive = best.new_tensor([some.n_positive for some in cuts])[:, None]
        up = best[:, 0] >= best[:, 3]
        _, hits, called = torch.where(up[:, None], best[:, :3], best[:, 3:]).unbind(1)
        after = torch.where(up, called, n - called).long()
        upper, lower = falling.activations(torch.cat([after - 1, after])).chunk(2)
        middle = torch.where(up, midpoints(upper, lower), midpoints(upper, lower, below=True))
        rows = torch.tensor(list(falling.features), device=up.device)[:, None]
        self.value[rows, falling.neurons] = measure.value(hits, called, n_positive, n)
        self.threshold[rows, falling.neurons] = middle
        self.sign[rows, falling.neurons] = torch.where(up, 1, -1)


@dataclass(frozen=True)
class CutScores:
    """Everything that one sort of each neuron tells of its cuts, for each feature and neuron."""

    auc: Float[Tensor, "feature neuron"]
    """Chance that a positive is higher than a negative, ties counting half; below 0.5 where the
    neuron is low on the feature. Float64."""
    best: dict[str, BestCut]
    """By the name of the measure."""


def score_cuts(
    acts: Float[Tensor, "example neuron"],
    labels: Bool[Tensor, "example feature"],
    *,
    measures: tuple[str, ...] = tuple(MEASURES),
) -> CutScores:
    """AUC and the best cut by each measure, for every neuron and feature, from one sort.

    All cuts and both signs are searched. Among equally good ones the sign +1 comes first, then
    the highest threshold. The Matthews correlation of a constant neuron is NaN: no cut divides
    the examples.

    Args:
        acts: Activations of a layer.
        labels: Whether each example has each feature.
        measures: Names in `MEASURES`; none for the AUC alone.

    Raises:
        DataError: If activations are not finite or do not match the labels.
        OneClassError: If a feature has one class only.

    Example:
        >>> acts = torch.tensor([[0.0], [1.0], [4.0], [6.0]])
        >>> scores = score_cuts(acts, torch.tensor([[True], [False], [False], [False]]))
        >>> scores.auc.item(), scores.best["mcc"].value.item(), scores.best["mcc"].sign.item()
        (0.0, 1.0, -1)
    """
    check_data(acts, labels)
    auc = acts.new_empty(labels.shape[1], acts.shape[1], dtype=torch.float64)
    best = {name: BestCut.empty(acts, labels) for name in measures}
    for falling in sort_falling(acts, labels):
        cuts = []
        for feature in falling.features:
            cuts.append(Cuts.of(falling, feature))
            auc[feature, falling.neurons] = cuts[-1].auc
        for name, into in best.items():
            into.fill(falling, cuts, MEASURES[name])
    return CutScores(auc, best)


def best_cut(
    acts: Float[Tensor, "example neuron"], labels: Bool[Tensor, "example feature"], measure: str
) -> BestCut:
    """The best cut by one measure, as `score_cuts` finds it, and nothing else."""
    check_data(acts, labels)
    best = BestCut.empty(acts, labels)
    for falling in sort_falling(acts, labels):
        cuts = [Cuts.of(falling, feature) for feature in falling.features]
        best.fill(falling, cuts, MEASURES[measure])
    return best


def _highest(scores: Float[Tensor, "neuron cut"]) -> Int[Tensor, "neuron 1"]:
    """Index of the first highest score of each neuron; on a CPU numpy is faster."""
    if scores.device.type != "cpu":
        return scores.argmax(1, keepdim=True)
    return torch.from_numpy(scores.numpy().argmax(1, keepdims=True))
