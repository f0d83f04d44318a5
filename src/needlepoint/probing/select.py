"""One layer judged on validation data, and the layer, neuron and k to keep.

Every choice here is made on training and validation examples. Test examples are no argument of
anything in this file: they are read once, by whoever reports the probe that was chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.probing.checks import check_data, check_ridge, check_same_layer
from needlepoint.probing.one_neuron import OneNeuronFits, fit_one_neuron
from needlepoint.probing.probe import LinearProbe, Path, ProbeBatch
from needlepoint.probing.rankings import leading, mean_difference, mean_difference_std
from needlepoint.probing.scores import best_cut, confusion, roc_auc
from needlepoint.probing.selectors import DELETION, RANKING, SELECTORS, Selector
from needlepoint.probing.sweep import DEFAULT_KS
from needlepoint.probing.threshold import BestThreshold, best_threshold_f1, calls_at

L2_GRID = (1.0, 0.1, 0.01)
ONE_NEURON_L2 = 0.001
SHORTLIST = 30
"""Neurons of each layer, those with the best training F1, that may be chosen."""


@dataclass(frozen=True)
class LayerNeurons:
    """How well every neuron of one layer tells every feature by one cut."""

    mean_difference_std: Float[Tensor, "feature neuron"]
    """On training examples, the absolute difference in pooled standard deviations."""
    threshold: BestThreshold
    """Best cuts on training examples."""
    f1_validation: Float[Tensor, "feature neuron"]
    """F1 of those cuts on validation examples."""
    f1_error: Float[Tensor, "feature neuron"]
    """Its standard error, examples taken as independent."""


@dataclass(frozen=True)
class LayerPath:
    """What the sparse probes of one layer show, for every feature and k."""

    path: Path
    """Probes of each k, with the penalty chosen for each feature."""
    l2: Float[Tensor, " feature"]
    """The penalty chosen, one for all k: highest mean validation AUC over k, ties to the larger."""
    cut: Float[Tensor, "feature k"]
    """Operating threshold on the log-odds, chosen on validation examples."""
    f1_validation_k: Float[Tensor, "feature k"]
    """F1 at that threshold on the same examples: optimistic by the choice of the threshold."""
    f1_error_k: Float[Tensor, "feature k"]
    """Its standard error, examples taken as independent."""
    auc_validation_k: Float[Tensor, "feature k"]

    @property
    def ks(self) -> tuple[int, ...]:
        """Sizes of the sparse probes."""
        return self.path.ks


@dataclass(frozen=True)
class LayerProbes(LayerPath, LayerNeurons):
    """What one layer shows, for every feature: every neuron alone, and sparse probes of each k."""

    mean_difference: Float[Tensor, "feature neuron"]
    """On training examples, positive minus negative, in units of the activations."""
    one_neuron: OneNeuronFits
    """Logistic fits on training examples."""


@dataclass(frozen=True)
class NeuronChoice:
    """The neuron kept for one feature: call positive what lies on the `sign` side of the cut."""

    layer: int
    """Position in the sequence of layers that was given."""
    neuron: int
    sign: int
    threshold: float
    f1_train: float
    f1_validation: float


@dataclass(frozen=True)
class SparseChoice:
    """The sparse probe kept for one feature: call positive log-odds above the cut."""

    layer: int
    """Position in the sequence of layers that was given."""
    k: int
    probe: LinearProbe
    cut: float
    l2: float
    f1_validation: float
    auc_validation: float
    f1_highest: float
    """Highest validation F1 over all layers and k, which this one may stay below."""


@dataclass(frozen=True)
class Choice:
    """What was kept for one feature."""

    neuron: NeuronChoice
    sparse: SparseChoice


def score_neurons(
    acts_train: Float[Tensor, "example neuron"],
    y_train: Bool[Tensor, "example feature"],
    acts_validation: Float[Tensor, "example_validation neuron"],
    y_validation: Bool[Tensor, "example_validation feature"],
) -> LayerNeurons:
    """The best cut on every neuron of a layer, judged on validation examples.

    It is the part of `probe_layer` that `choose_neurons` needs, in a quarter of the time.

    Raises:
        DataError: If the data cannot be used, or the two parts have different neurons.
        OneClassError: If a feature has one class only, in either part.
    """
    check_data(acts_validation, y_validation)
    check_same_layer(acts_train, acts_validation)
    threshold = best_threshold_f1(acts_train, y_train)
    calls = calls_at(acts_validation, threshold.threshold, threshold.sign, y_validation)
    spread = mean_difference_std(acts_train, y_train)
    return LayerNeurons(spread, threshold, calls.f1, calls.f1_standard_error)


def probe_layer(
    acts_train: Float[Tensor, "example neuron"],
    y_train: Bool[Tensor, "example feature"],
    acts_validation: Float[Tensor, "example_validation neuron"],
    y_validation: Bool[Tensor, "example_validation feature"],
    *,
    l2_grid: Sequence[float] = L2_GRID,
    ks: Sequence[int] = DEFAULT_KS,
    start: int | None = 256,
    method: str = "adaptive_thresholding",
    ranking: str = RANKING,
    deletion: str = DELETION,
    seed: int = 0,
    one_neuron_l2: float = ONE_NEURON_L2,
) -> LayerProbes:
    """Every neuron of a layer alone, and sparse probes over k, judged on validation examples.

    Rankings, fits and cuts come from the training examples. The penalty of the sparse probes and
    the cut of each are chosen on the validation examples. Fits give both classes equal weight.

    Args:
        acts_train: Activations of the neurons of one layer.
        y_train: Their labels.
        acts_validation: Activations of the same neurons on examples of other documents.
        y_validation: Their labels.
        l2_grid: Penalties to choose from.
        ks: Sizes of the sparse probes; those beyond `start` or the layer are left out.
        start: Neurons that a sweep that shrinks starts from; `None` for all.
        method: How the neurons of sparse probes are selected: a name of `SELECTORS`. One that takes
            no ridge is run once; the penalty noted is then the middle one of the grid.
        ranking: The ranking that the method starts from: a name of `RANKINGS`.
        deletion: The rule by which it gives neurons up: a name of `DELETIONS`.
        seed: Seed of rankings that draw.
        one_neuron_l2: Penalty of the fits on one neuron.

    Raises:
        DataError: If the data cannot be used, the two parts have different neurons, or the method
            has no ranking or rule to choose.
        OneClassError: If a feature has one class only, in either part.
        UnknownNameError: If there is no such method, ranking or rule.
    """
    neurons = score_neurons(acts_train, y_train, acts_validation, y_validation)
    found = probe_path(
        acts_train,
        y_train,
        acts_validation,
        y_validation,
        l2_grid=l2_grid,
        ks=ks,
        start=start,
        method=method,
        ranking=ranking,
        deletion=deletion,
        seed=seed,
    )
    return LayerProbes(
        **vars(neurons),
        **vars(found),
        mean_difference=mean_difference(acts_train, y_train),
        one_neuron=fit_one_neuron(acts_train, y_train, l2=one_neuron_l2),
    )


def probe_path(
    acts_train: Float[Tensor, "example neuron"],
    y_train: Bool[Tensor, "example feature"],
    acts_validation: Float[Tensor, "example_validation neuron"],
    y_validation: Bool[Tensor, "example_validation feature"],
    *,
    l2_grid: Sequence[float] = L2_GRID,
    ks: Sequence[int] = DEFAULT_KS,
    start: int | None = 256,
    method: str = "adaptive_thresholding",
    ranking: str = RANKING,
    deletion: str = DELETION,
    seed: int = 0,
) -> LayerPath:
    """Sparse probes over k alone: the part of `probe_layer` that repeats under permuted labels.

    The arguments and errors are those of `probe_layer`.
    """
    selector = SELECTORS[method]
    options = selector.start_options(
        acts_train, y_train, ranking=ranking, deletion=deletion, seed=seed
    )
    if "start" in selector.options:
        options["start"] = start
    path, l2 = _path_with_best_penalty(
        acts_train,
        y_train,
        acts_validation,
        y_validation,
        l2_grid=l2_grid,
        ks=ks,
        selector=selector,
        options=options,
    )
    odds, labels = _flat(path.log_odds(acts_validation), y_validation)
    cut = best_cut(odds, labels)
    counts = confusion(odds > cut, labels)
    shape = (y_train.shape[1], len(path.ks))
    return LayerPath(
        path=path,
        l2=l2,
        cut=cut.view(shape),
        f1_validation_k=counts.f1.view(shape),
        f1_error_k=counts.f1_standard_error.view(shape),
        auc_validation_k=roc_auc(odds, labels).view(shape),
    )


def choose(
    layers: Sequence[LayerProbes], *, shortlist: int = SHORTLIST, tolerance: float | None = None
) -> tuple[Choice, ...]:
    """For each feature the neuron and the sparse probe to keep, from validation scores alone.

    The neuron: of the `shortlist` neurons of each layer with the best training F1, those whose
    cut has a validation F1 within one standard error of the highest; among these the one with the
    highest training F1, then validation F1, then standardised mean difference, then the first.
    Training F1 has more examples behind it, so a neuron that is lucky on the validation examples
    is not preferred to one that is good on both.

    The sparse probe: of all layers and sizes whose validation F1 is within `tolerance` of the
    highest, the smallest k; among those of that size the highest F1, then AUC, then the first.

    Args:
        layers: Results of `probe_layer` for the layers searched, of the same examples.
        shortlist: Neurons of each layer that may be chosen.
        tolerance: F1 that may be given up for a smaller k. Not given, it is one standard error
            of the highest F1, which is 0 where that is 1.

    Raises:
        DataError: If there is no layer.
    """
    neurons = choose_neurons(layers, shortlist=shortlist)
    return tuple(
        Choice(neuron, _choose_k(layers, feature, tolerance))
        for feature, neuron in enumerate(neurons)
    )


def choose_sizes(layers: Sequence[LayerProbes]) -> tuple[tuple[SparseChoice, ...], ...]:
    """For each feature and size the probe of the best layer, from validation scores alone.

    The best layer has the highest validation F1 of its probes of that size, then AUC, then is the
    first. The probe that `choose` keeps is among these.

    Args:
        layers: Results of `probe_layer` for the layers searched, of the same examples.

    Raises:
        DataError: If there is no layer.
    """
    _require_layer(layers)
    return tuple(
        _best_layers(layers, feature) for feature in range(layers[0].f1_validation.shape[0])
    )


def choose_neurons(
    layers: Sequence[LayerNeurons], *, shortlist: int = SHORTLIST
) -> tuple[NeuronChoice, ...]:
    """For each feature the neuron to keep, by the rule that `choose` tells.

    Raises:
        DataError: If there is no layer.
    """
    _require_layer(layers)
    return tuple(
        _choose_neuron(layers, feature, shortlist)
        for feature in range(layers[0].f1_validation.shape[0])
    )


def _path_with_best_penalty(
    acts_train: Tensor,
    y_train: Tensor,
    acts_validation: Tensor,
    y_validation: Tensor,
    *,
    l2_grid: Sequence[float],
    ks: Sequence[int],
    selector: Selector,
    options: dict[str, Any],
) -> tuple[Path, Tensor]:
    """The sweep under every penalty side by side, and the best of them for each feature."""
    grid = torch.tensor(sorted(set(l2_grid), reverse=True), dtype=torch.float64)
    if len(grid) == 0:
        raise DataError("l2_grid is empty; give at least one penalty, for instance 0.01.")
    check_ridge(grid)
    grid = grid.to(acts_train.device) if selector.ridge else grid[len(grid) // 2, None]
    n_features = y_train.shape[1]
    if "scores" in options:
        options = options | {"scores": options["scores"].repeat(len(grid), 1)}
    every = selector.select(
        acts_train,
        y_train.repeat(1, len(grid)),
        l2=grid.repeat_interleave(n_features),
        ks=ks,
        **options,
    )
    odds, labels = _flat(every.log_odds(acts_validation), y_validation.repeat(1, len(grid)))
    auc = roc_auc(odds, labels).view(len(grid), n_features, -1).mean(2)
    best = (auc >= auc.amax(0) - 1e-12).to(torch.int8).argmax(0)
    rows = best * n_features + torch.arange(n_features, device=best.device)
    return Path(tuple(_rows(batch, rows) for batch in every.probes)), grid[best]


def _rows(batch: ProbeBatch, rows: Tensor) -> ProbeBatch:
    return ProbeBatch(
        batch.support[rows],
        batch.weight[rows],
        batch.bias[rows],
        batch.loss[rows],
        batch.gradient_norm[rows],
        batch.n_iter[rows],
    )


def _flat(odds: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Scores `[example, feature * k]`, and the labels repeated to match."""
    return odds.flatten(1), labels.repeat_interleave(odds.shape[2], dim=1)


def _choose_neuron(layers: Sequence[LayerNeurons], feature: int, shortlist: int) -> NeuronChoice:
    candidates = [
        (place, neuron)
        for place, layer in enumerate(layers)
        for neuron in leading(layer.threshold.f1[feature][None], shortlist)[0].tolist()
    ]
    if not candidates:
        raise DataError("shortlist must be at least 1.")

    def validation(candidate: tuple[int, int]) -> float:
        return float(layers[candidate[0]].f1_validation[feature, candidate[1]])

    def preference(candidate: tuple[int, int]) -> tuple[float, float, float]:
        layer, neuron = layers[candidate[0]], candidate[1]
        train, spread = layer.threshold.f1, layer.mean_difference_std
        return float(train[feature, neuron]), validation(candidate), float(spread[feature, neuron])

    top = max(candidates, key=validation)
    floor = validation(top) - float(layers[top[0]].f1_error[feature, top[1]])
    place, neuron = max((one for one in candidates if validation(one) >= floor), key=preference)
    kept = layers[place].threshold
    return NeuronChoice(
        place,
        neuron,
        int(kept.sign[feature, neuron]),
        float(kept.threshold[feature, neuron]),
        float(kept.f1[feature, neuron]),
        validation((place, neuron)),
    )


def _choose_k(layers: Sequence[LayerProbes], feature: int, tolerance: float | None) -> SparseChoice:
    sizes = _best_layers(layers, feature)
    top = max(sizes, key=lambda one: (one.f1_validation, one.auc_validation, -one.layer, -one.k))
    if tolerance is None:
        layer = layers[top.layer]
        tolerance = float(layer.f1_error_k[feature, layer.ks.index(top.k)])
    return next(one for one in sizes if one.f1_validation >= top.f1_validation - tolerance)


def _best_layers(layers: Sequence[LayerProbes], feature: int) -> tuple[SparseChoice, ...]:
    """The probe of the best layer for each size, by increasing size."""
    best: dict[int, tuple[float, float, int, int]] = {}
    for place, layer in enumerate(layers):
        f1, auc = layer.f1_validation_k[feature].tolist(), layer.auc_validation_k[feature].tolist()
        for at, k in enumerate(layer.ks):
            entry = (f1[at], auc[at], -place, at)
            best[k] = max(best.get(k, entry), entry)
    highest = max(f1 for f1, *_ in best.values())
    return tuple(
        SparseChoice(
            layer=-place,
            k=k,
            probe=layers[-place].path.probe(feature, k),
            cut=float(layers[-place].cut[feature, at]),
            l2=float(layers[-place].l2[feature]),
            f1_validation=f1,
            auc_validation=auc,
            f1_highest=highest,
        )
        for k, (f1, auc, place, at) in sorted(best.items())
    )


def _require_layer(layers: Sequence[LayerNeurons]) -> None:
    if not layers:
        raise DataError("there is no layer to choose from; give at least one result.")
