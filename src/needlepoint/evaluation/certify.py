"""The best sparse probes of the chosen layer, with their proof, and the one to keep of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from needlepoint._core.progress import Bar
from needlepoint.evaluation.read_neurons import NeuronData
from needlepoint.evaluation.search_neurons import Search
from needlepoint.probing.optimal.certificate import OptimalProbe
from needlepoint.probing.optimal.ridges import optimal_ridges
from needlepoint.probing.scores import best_cut, confusion, roc_auc

RIDGES = (1, 10, 100)
"""Gammas, in units of the paper's, 1/sqrt(n): the larger, the weaker the ridge."""
SECONDS = 5.0
"""Most time for one feature, all ridges and sizes together; a gap that is open then is reported."""


@dataclass(frozen=True, eq=False)
class Certified:
    """One probe with its proof, judged on validation rows."""

    solved: OptimalProbe
    layer: int
    ridge: int
    """Its gamma in units of the paper's."""
    cut: float
    """Operating threshold on the log-odds, chosen on validation rows."""
    f1_validation: float
    f1_error: float
    """Its standard error, rows taken as independent."""
    auc_validation: float

    @property
    def sites(self) -> str:
        """The neurons that it reads, separated by spaces."""
        neurons = self.solved.probe.support.tolist()
        return " ".join(f"L{self.layer}.N{neuron}" for neuron in neurons)


@dataclass(frozen=True, eq=False)
class Certificates:
    """The probes of one feature, of each size under each ridge, and the one that is kept."""

    asked: tuple[tuple[int, int], ...]
    """Ridge and size of every probe that was asked for, in the order in which they are solved."""
    solved: tuple[Certified, ...]
    """Those that there was time for, in the same order."""

    @property
    def kept(self) -> Certified:
        """Of those within one standard error of the highest validation F1 the smallest.

        Among those of that size the one with the highest F1, then AUC, then the heaviest ridge:
        the rule by which the sparse probe is chosen, within one layer.
        """
        top = max(self.solved, key=lambda one: (one.f1_validation, one.auc_validation))
        near = [one for one in self.solved if one.f1_validation >= top.f1_validation - top.f1_error]
        return min(
            near, key=lambda one: (one.solved.k, -one.f1_validation, -one.auc_validation, one.ridge)
        )


def certify(
    data: NeuronData, found: Search, largest: int, *, seconds: float = SECONDS
) -> tuple[Certificates, ...]:
    """For each feature the best probes of 1 to `largest` neurons of its chosen layer.

    Each is solved on training rows, at the paper's ridge and at weaker ones, over all neurons of
    the layer; its cut is chosen on validation rows. A certificate is of the objective on training
    rows (logistic loss, both classes alike, ridge gamma). It says nothing of F1 or of other texts,
    and under a small gamma, a heavy ridge, it is easily had. Where time runs out, another machine
    may find another probe.

    Args:
        data: The activations and labels.
        found: The search, which chose the layers.
        largest: Largest size; nothing is solved for 0.
        seconds: Time for each feature.
    """
    if not largest:
        return ()
    order = sorted(range(len(found.choices)), key=lambda at: found.choices[at].sparse.layer)
    certified = {}
    with Bar("certifying probes", total=len(order)) as bar:
        for feature in order:
            layer = found.choices[feature].sparse.layer
            certified[feature] = _certificates(data, feature, layer, largest, seconds)
            bar.advance()
    return tuple(certified[feature] for feature in range(len(order)))


def _certificates(
    data: NeuronData, feature: int, layer: int, largest: int, seconds: float
) -> Certificates:
    acts, rows, truth = data.layer(layer), data.of(feature), data.labels[:, feature]
    ks = range(1, min(largest, acts.shape[1]) + 1)
    paper = 1 / math.sqrt(len(rows.train))
    ridges = {paper * ridge: ridge for ridge in RIDGES}
    solved = optimal_ridges(
        acts[rows.train],
        truth[rows.train],
        gammas=tuple(ridges),
        ks=tuple(ks),
        seconds=seconds,
    )
    own = acts[rows.validation]
    return Certificates(
        tuple((ridge, k) for ridge in RIDGES for k in ks),
        tuple(
            _judged(one, layer, ridges[one.gamma], one.probe(own).double(), truth[rows.validation])
            for one in solved
        ),
    )


def _judged(
    solved: OptimalProbe, layer: int, ridge: int, odds: Float[Tensor, " example"], truth: Tensor
) -> Certified:
    scores, wanted = odds[:, None], truth[:, None]
    cut = best_cut(scores, wanted)
    counts = confusion(scores > cut, wanted)
    return Certified(
        solved,
        layer,
        ridge,
        float(cut[0]),
        float(counts.f1[0]),
        float(counts.f1_standard_error[0]),
        float(roc_auc(scores, wanted)[0]),
    )
