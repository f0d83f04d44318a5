"""The chosen probes on test texts, once, with the probes that they must beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.evaluation.intervals import Interval, bootstrap_ratios
from needlepoint.evaluation.read_neurons import NeuronData
from needlepoint.evaluation.search_neurons import NeuronSearch
from needlepoint.probing.scores import best_cut, confusion, roc_auc
from needlepoint.probing.select import Choice, NeuronChoice
from needlepoint.probing.sweep import fit_on_support


@dataclass(frozen=True)
class Tested:
    """One probe of one feature on the test part."""

    probe: str
    layer: int | None
    neurons: tuple[int, ...]
    f1: Interval | None
    """None where the interval does not exist: too few documents."""
    f1_point: float
    precision: float
    recall: float
    auc: float | None
    f1_validation: float | None


def f1_interval(
    called: Bool[Tensor, " example"],
    truth: Bool[Tensor, " example"],
    documents: Int[Tensor, " example"],
    generator: torch.Generator,
) -> Interval | None:
    """Interval of F1, documents resampled whole; None if they are too few to say.

    F1 is `2 TP / (2 TP + FP + FN)`, a ratio of sums over examples, resampled jointly. Documents
    with the feature and documents without it are drawn apart, as many of each as there are.
    """
    hits = (called & truth).double()
    errors = (called ^ truth).double()
    try:
        found = bootstrap_ratios(
            (2 * hits)[:, None],
            2 * hits + errors,
            generator=generator,
            groups=documents,
            strata=truth.long(),
        )
    except DataError:
        return None
    return found.of(0)


def judge_feature(
    data: NeuronData,
    feature: int,
    choice: Choice,
    shuffled: tuple[NeuronSearch, Bool[Tensor, "example feature"]],
    generator: torch.Generator,
) -> list[Tested]:
    """The one neuron, the sparse probe, and dense, random, shuffled and trivial ones beside."""
    judge = Judge(data, feature, data.labels, generator)
    found = [one_neuron(judge, "one neuron", choice.neuron)]
    sparse = choice.sparse
    acts = data.layer(sparse.layer)
    odds = sparse.probe(acts).double()
    support = tuple(sparse.probe.support.tolist())
    found.append(
        judge("sparse", odds > sparse.cut, odds, sparse.layer, support, sparse.f1_validation)
    )
    every = torch.arange(acts.shape[1])
    some = torch.randperm(acts.shape[1], generator=generator)[: sparse.k].sort().values
    for name, neurons in (("dense", every), ("random neurons", some)):
        found.append(_refit(judge, name, acts, sparse.layer, neurons, sparse.l2))
    search, labels = shuffled
    wrong = Judge(data, feature, labels, generator)
    found.append(one_neuron(wrong, "shuffled labels", search.neurons[feature]))
    always = torch.ones(len(acts), dtype=torch.bool)
    found.append(judge("majority", always, None, None, (), None))
    return found


def tests_frame(tested: Sequence[tuple[str, Tested]]) -> pd.DataFrame:
    """The table of test results: one row for each feature and probe."""
    rows = []
    for feature, one in tested:
        sites = "" if len(one.neurons) > 256 else _sites(one)
        rows.append(
            {
                "feature": feature,
                "probe": one.probe,
                "layer": one.layer,
                "k": len(one.neurons),
                "sites": sites,
                "f1": one.f1_point,
                "f1_low": None if one.f1 is None else one.f1.low,
                "f1_high": None if one.f1 is None else one.f1.high,
                "precision": one.precision,
                "recall": one.recall,
                "auc": one.auc,
                "f1_validation": one.f1_validation,
            }
        )
    frame = pd.DataFrame(rows)
    return frame.astype({"layer": "Int64"})


class Judge:
    """Scores calls on the test part of the rows that one feature is asked on."""

    def __init__(
        self, data: NeuronData, feature: int, labels: Tensor, generator: torch.Generator
    ) -> None:
        self.data = data
        self.rows = data.of(feature)
        self.truth = labels[:, feature]
        self.generator = generator

    def __call__(
        self,
        probe: str,
        called: Tensor,
        scores: Tensor | None,
        layer: int | None,
        neurons: tuple[int, ...],
        f1_validation: float | None,
    ) -> Tested:
        """How calls fare on the test part; scores of all rows, if there are any, give the AUC."""
        test = self.rows.test
        called, truth = called[test], self.truth[test]
        counts = confusion(called[:, None], truth[:, None])
        auc = None if scores is None else float(roc_auc(scores[test][:, None], truth[:, None])[0])
        interval = f1_interval(called, truth, self.data.documents[test], self.generator)
        return Tested(
            probe,
            layer,
            neurons,
            interval,
            float(counts.f1[0]),
            float(counts.precision[0]),
            float(counts.recall[0]),
            auc,
            f1_validation,
        )


def one_neuron(judge: Judge, name: str, kept: NeuronChoice) -> Tested:
    """How the neuron that was kept for a feature fares on the test part."""
    values = kept.sign * judge.data.layer(kept.layer)[:, kept.neuron].double()
    called = values > kept.sign * kept.threshold
    return judge(name, called, values, kept.layer, (kept.neuron,), kept.f1_validation)


def _refit(
    judge: Judge,
    name: str,
    acts: Float[Tensor, "example neuron"],
    layer: int,
    neurons: Int[Tensor, " k"],
    l2: float,
) -> Tested:
    """A probe on given neurons, fitted on training rows, its cut chosen on validation rows."""
    truth = judge.truth[:, None]
    train, validation = judge.rows.train, judge.rows.validation
    fit = fit_on_support(acts[train], truth[train], neurons[None], l2=l2).probe(0)
    odds = fit(acts).double()
    cut = best_cut(odds[validation][:, None], truth[validation])
    counts = confusion(odds[validation][:, None] > cut, truth[validation])
    return judge(name, odds > cut[0], odds, layer, tuple(neurons.tolist()), float(counts.f1[0]))


def _sites(one: Tested) -> str:
    return " ".join(f"L{one.layer}.N{neuron}" for neuron in one.neurons)
