"""The chosen probes on test texts, once, with the probes that they must beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint.evaluation.certify import Certificates
from needlepoint.evaluation.clustered import Resamples
from needlepoint.evaluation.held_out_certified import CertifiedTest, certified_tests, kept_test
from needlepoint.evaluation.held_out_judge import Judge, one_neuron
from needlepoint.evaluation.held_out_null import held_out_p
from needlepoint.evaluation.intervals import Interval
from needlepoint.evaluation.random_bases import best_directions, middle_direction
from needlepoint.evaluation.read_neurons import NeuronData
from needlepoint.evaluation.search_neurons import NeuronSearch, Search
from needlepoint.evaluation.tested import EVEN, Tested
from needlepoint.evaluation.token_identity import TokenRows, best_identity, identity_probes
from needlepoint.evaluation.trivial_baselines import (
    LEADING_NEURONS,
    RidgeProbe,
    random_neurons,
    ridge_probe,
)
from needlepoint.probing.hadamard import RandomBasis

FOUND = ("one neuron", "sparse", "dense")
"""Probes of the model's neurons that read what was found, or all there is."""
N_BASES = 3
"""Random bases whose best direction is looked for."""


@dataclass(frozen=True, eq=False)
class Rivals:
    """What the found probes are held against, made once for all features."""

    tokens: TokenRows
    embedding: Float[Tensor, "example d_model"]
    """What enters the first block."""
    shuffled: NeuronSearch
    """The same search on shuffled labels."""
    shuffled_labels: Bool[Tensor, "example feature"]


@dataclass(frozen=True, eq=False)
class Judged:
    """All probes of one feature on the test part, and the differences that the verdict needs."""

    tested: tuple[Tested, ...]
    best: str
    """Of the found probes the one with the highest validation F1."""
    token: str
    """Of the probes of token identity the one with the highest validation F1."""
    over_token: Interval | None
    """Test F1 of `best` less that of `token`, documents resampled; None if they are too few."""
    over_majority: Interval | None
    """The same against calling every row positive."""
    one_over_majority: Interval | None
    """Test F1 of the one neuron less that of calling every row positive."""
    p_best: float | None
    """Chance that moved labels of test rows agree as well with `best`; None if unmovable."""
    by_k: tuple[Tested, ...] = ()
    """The sparse probe of every k, each of the layer that validation rows chose for that k."""
    certified: tuple[CertifiedTest, ...] = ()
    """The certified probes, if any were asked for; the one that validation chose is in `tested`."""

    @property
    def by_name(self) -> dict[str, Tested]:
        """The results by the name of the probe."""
        return {one.probe: one for one in self.tested}


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
    resamples = Resamples.draw(documents, truth, generator)
    return None if resamples is None else resamples.f1_interval(called)


def judge_feature(
    data: NeuronData,
    feature: int,
    found: Search,
    rivals: Rivals,
    generator: torch.Generator,
    *,
    odds: Float[Tensor, "example k"] | None = None,
    certificates: Certificates | None = None,
    prevalence: float = EVEN,
) -> Judged:
    """The one neuron, the sparse and the dense probe on test rows, and those they must beat.

    Beside them stand random neurons of the layer (of all, and of the 512 that differ most between
    the classes), the best direction of random bases, the embedding layer, the identity of the
    tokens, the search on shuffled labels, and calling everything positive.

    Args:
        data: The activations and labels.
        feature: Number of the feature.
        found: What was chosen.
        rivals: What is held against it.
        generator: Source of random neurons, bases and resamples.
        odds: Log-odds of the sparse probe of every k on the feature's test rows, if these are to be
            judged too.
        certificates: Certified probes of the feature, if these are to be judged too. No verdict
            hangs on them.
        prevalence: Share of positives at which F1 is restated.
    """
    judge = Judge(data, feature, data.labels, generator, prevalence)
    certified = () if certificates is None else certified_tests(judge, found, certificates)
    tested = [
        *_found(judge, found),
        *([kept_test(certified)] if certified else []),
        *_drawn(judge, found, generator),
        _direction(judge, found.neurons[feature].layer, generator),
        _ridge(judge, "embedding", rivals.embedding, rivals.embedding.shape[1]),
    ]
    probes = identity_probes(rivals.tokens, judge.truth, judge.rows.train, judge.rows.validation)
    for one in probes:
        fit = RidgeProbe(one.odds, one.cut, one.f1_validation, one.auc_validation)
        tested.append(_judged(judge, one.kind, fit))
    wrong = Judge(data, feature, rivals.shuffled_labels, generator, prevalence)
    tested.append(one_neuron(wrong, "shuffled labels", rivals.shuffled.neurons[feature]))
    everything = torch.ones(len(judge.rows.test), dtype=torch.bool)
    tested.append(judge("majority", everything, None))
    compared = compare(judge, tuple(tested), best_identity(probes).kind)
    by_k = () if odds is None else _by_k(judge, found, odds)
    return replace(compared, by_k=by_k, certified=certified)


def compare(judge: Judge, tested: tuple[Tested, ...], token: str) -> Judged:
    """Which found probe is best by validation F1, and by how much it beats trivial ones on test."""
    by_name = {one.probe: one for one in tested}
    best = max(FOUND, key=lambda name: by_name[name].f1_validation or 0.0)

    def over(one: str, other: str) -> Interval | None:
        if judge.resamples is None:
            return None
        return judge.resamples.f1_difference(by_name[one].called, by_name[other].called)

    differences = (over(best, token), over(best, "majority"), over("one neuron", "majority"))
    test = judge.rows.test
    truth, documents = judge.truth[test], judge.data.documents[test]
    p_best = held_out_p(by_name[best].called, truth, documents, judge.generator)
    return Judged(tested, best, token, *differences, p_best)


def _found(judge: Judge, found: Search) -> list[Tested]:
    """The one neuron, the sparse probe and all neurons of its layer."""
    kept, sparse = found.choices[judge.feature].neuron, found.choices[judge.feature].sparse
    fits = found.layers[kept.layer].one_neuron
    at = (judge.feature, kept.neuron)
    line = fits.weight[at] * judge.layer(kept.layer)[:, kept.neuron] + fits.bias[at]
    one = one_neuron(judge, "one neuron", kept, zero=line)
    acts = judge.layer(sparse.layer)
    odds = sparse.probe(acts).double()
    few = judge(
        "sparse",
        odds > sparse.cut,
        odds,
        layer=sparse.layer,
        neurons=sparse.probe.support.tolist(),
        f1_validation=sparse.f1_validation,
        zero=odds,
    )
    every = torch.arange(acts.shape[1])
    return [one, few, _refit(judge, "dense", sparse.layer, every, sparse.l2)]


def _by_k(judge: Judge, found: Search, odds: Float[Tensor, "example k"]) -> tuple[Tested, ...]:
    """The sparse probe of every k, from its log-odds on test rows."""
    return tuple(
        judge(
            "sparse",
            column > kept.cut,
            column,
            layer=kept.layer,
            neurons=kept.probe.support.tolist(),
            f1_validation=kept.f1_validation,
            auc_validation=kept.auc_validation,
            zero=column,
            resample_scores=False,
        )
        for kept, column in zip(found.sizes[judge.feature], odds.T, strict=True)
    )


def _drawn(judge: Judge, found: Search, generator: torch.Generator) -> list[Tested]:
    """As many random neurons as the sparse probe reads: of the layer, and of its leading ones."""
    sparse = found.choices[judge.feature].sparse
    train = judge.rows.train
    acts = judge.data.layer(sparse.layer)[train]
    drawn = []
    for name, among in (("random neurons", None), ("random leading neurons", LEADING_NEURONS)):
        some = random_neurons(acts, judge.truth[train], sparse.k, generator, among=among)
        drawn.append(_refit(judge, name, sparse.layer, some, sparse.l2))
    return drawn


def _refit(judge: Judge, name: str, layer: int, neurons: Tensor, l2: float) -> Tested:
    """A probe on given neurons of a layer, its cut chosen on validation rows."""
    acts = judge.data.layer(layer)
    rows = judge.rows
    fit = ridge_probe(acts, judge.truth, rows.train, rows.validation, columns=neurons, l2=[l2])
    return _judged(judge, name, fit, layer=layer, neurons=neurons.tolist())


def _ridge(judge: Judge, name: str, acts: Tensor, k: int) -> Tested:
    rows = judge.rows
    return _judged(judge, name, ridge_probe(acts, judge.truth, rows.train, rows.validation), k=k)


def _judged(
    judge: Judge,
    name: str,
    fit: RidgeProbe,
    *,
    layer: int | None = None,
    neurons: Sequence[int] = (),
    k: int | None = None,
) -> Tested:
    odds = fit.odds[judge.rows.test]
    return judge(
        name,
        odds > fit.cut,
        odds,
        layer=layer,
        neurons=neurons,
        k=k,
        f1_validation=fit.f1_validation,
        auc_validation=fit.auc_validation,
        zero=odds,
    )


def _direction(judge: Judge, layer: int, generator: torch.Generator) -> Tested:
    """The best direction of random bases of a layer: of some draws the middle one."""
    acts, rows = judge.data.layer(layer)[judge.rows.rows], judge.rows
    bases = [RandomBasis.draw(acts.shape[1], generator) for _ in range(N_BASES)]
    place = torch.full((len(judge.truth),), -1)
    place[rows.rows] = torch.arange(len(rows.rows))
    found = best_directions(
        acts, judge.truth[rows.rows], place[rows.train], place[rows.validation], bases
    )
    middle = middle_direction(found)
    kept, values = middle.kept, torch.zeros(len(judge.truth), dtype=torch.float64)
    values[rows.rows] = kept.sign * middle.values.double()
    on_test = values[rows.test]
    return judge(
        "random basis",
        on_test > kept.sign * kept.threshold,
        on_test,
        layer=layer,
        k=1,
        f1_validation=kept.f1_validation,
    )
