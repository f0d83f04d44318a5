"""On a card everything gives what it gives on the CPU, and what is given stays on the card."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.activations.bins import Bins
from needlepoint.activations.class_histograms import ClassHistograms
from needlepoint.probing import path
from needlepoint.probing.cuts import best_cut as best_cut_by
from needlepoint.probing.cuts import score_cuts
from needlepoint.probing.estimators import OptimalSparseProbe, SparseProbe
from needlepoint.probing.hadamard import RandomBasis
from needlepoint.probing.histogram_scores import histogram_scores
from needlepoint.probing.l1_logistic import fit_l1_logistic
from needlepoint.probing.logistic import fit_logistic
from needlepoint.probing.mutual_information import mutual_information, mutual_information_knn
from needlepoint.probing.null import centred_ranks, max_null
from needlepoint.probing.one_neuron import fit_one_neuron
from needlepoint.probing.optimal.solve import optimal_probe
from needlepoint.probing.path_null import HeldOut, path_null
from needlepoint.probing.permutations import permutation_for, permuted_columns
from needlepoint.probing.ranking_methods import RANKINGS
from needlepoint.probing.scores import average_precision, best_cut, confusion, roc_auc
from needlepoint.probing.select import choose, choose_sizes, probe_layer, score_neurons
from needlepoint.probing.selectors import SELECTORS
from needlepoint.probing.sweep import adaptive_thresholding, fit_on_support
from needlepoint.probing.threshold import best_threshold_f1, calls_at
from needlepoint.testing.alike import devices, differences, moved

Work = Callable[[Tensor, Tensor, Tensor], Any]

N, D = 120, 24
L2 = 0.02


def planted(n: int = N, *, dtype: torch.dtype = torch.float32, seed: int = 0) -> tuple[Tensor, ...]:
    """Activations with ties and a constant neuron, labels of three features, and documents."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.rand(n, 3, generator=rng) < torch.tensor([0.3, 0.5, 0.6])
    acts = torch.randn(n, D, generator=rng)
    acts[:, :6] += labels.float().repeat(1, 2) * torch.linspace(0.4, 1.2, 6)
    acts[:, 7], acts[:, 8] = acts[:, 8].round(), 2.0
    return acts.to(dtype), labels, torch.arange(n) // 4


def ranking(name: str) -> Work:
    return lambda acts, labels, _: RANKINGS[name].compute(acts, labels, 0)


def selection(name: str) -> Work:
    return lambda acts, labels, _: SELECTORS[name].select(acts, labels, ks=[1, 4], l2=L2)


def null(statistic: str) -> Work:
    def work(acts: Tensor, labels: Tensor, groups: Tensor) -> Any:
        scheme = permutation_for(labels, groups).scheme
        generator = torch.Generator().manual_seed(1)
        return max_null(
            acts,
            labels,
            groups=groups,
            n_permutations=19,
            generator=generator,
            scheme=scheme,
            statistic=statistic,
        )

    return work


def nulls_of_paths(acts: Tensor, labels: Tensor, groups: Tensor) -> Any:
    scheme = permutation_for(labels, groups).scheme
    held_out = HeldOut(acts[:60], labels[:60], groups[:60])
    return path_null(
        acts[60:],
        labels[60:],
        groups=groups[60:],
        n_permutations=1,
        generator=torch.Generator().manual_seed(1),
        ks=[1, 3],
        scheme=scheme,
        held_out=held_out,
    )


def histograms(acts: Tensor, labels: Tensor, _: Tensor) -> Any:
    counted = ClassHistograms(Bins.of(acts[:90], 16), groups=[0, 0, 1])
    counted.update(acts[:50], labels[:50])
    counted.update(acts[50:], labels[50:])
    return counted.positive, histogram_scores(counted)


def search(acts: Tensor, labels: Tensor, _: Tensor) -> Any:
    parts = acts[:100], labels[:100], acts[100:], labels[100:]
    layers = [probe_layer(*parts, l2_grid=(0.1, 0.01), ks=[1, 4])]
    return layers, choose(layers), choose_sizes(layers), score_neurons(*parts)


def judged(acts: Tensor, labels: Tensor, _: Tensor) -> Any:
    scores = acts[:, :3]
    cut = best_cut(scores, labels)
    counts = confusion(scores > cut, labels)
    best = best_threshold_f1(acts, labels)
    return (
        roc_auc(scores, labels),
        average_precision(scores, labels),
        (cut, counts, counts.f1, counts.mcc, counts.f1_standard_error),
        (
            best,
            calls_at(acts, best.threshold, best.sign, labels),
        ),
    )


def rotated(acts: Tensor, labels: Tensor, _: Tensor) -> Any:
    basis = RandomBasis.draw(acts.shape[1], torch.Generator().manual_seed(1))
    rows = basis.rotate(acts)
    return rows, basis.inverse(rows), basis.direction(3)


def wide(acts: Tensor, labels: Tensor, _: Tensor) -> Any:
    """All neurons, which features share, by conjugate gradients: more of them, and fewer."""
    with patch.object(path, "WIDE", 16):
        return [
            fit_on_support(rows, of_rows, torch.arange(D, device=acts.device).expand(3, -1), l2=L2)
            for rows, of_rows in ((acts, labels), (acts[:20], labels[:20]))
        ]


WORK: dict[str, Work] = {
    **{f"ranking by {name}": ranking(name) for name in RANKINGS},
    **{f"selection by {name}": selection(name) for name in SELECTORS},
    **{f"null of {name}": null(name) for name in ("mean_difference_std", "auc")},
    "null of paths": nulls_of_paths,
    "one-neuron fits": lambda acts, labels, _: fit_one_neuron(acts, labels, l2=L2),
    "fits of given columns": lambda acts, labels, _: fit_logistic(
        acts[None, :, :5].repeat(3, 1, 1), labels, l2=L2
    ),
    "dense fits": wide,
    "l1 path": lambda acts, labels, _: fit_l1_logistic(acts, labels, l1=0.05),
    "cuts": lambda acts, labels, _: (score_cuts(acts, labels), best_cut_by(acts, labels, "mcc")),
    "mutual information": lambda acts, labels, _: (
        mutual_information(acts, labels),
        mutual_information_knn(acts, labels, seed=0),
    ),
    "ranks": lambda acts, labels, _: centred_ranks(acts),
    "histograms": histograms,
    "search of a layer": search,
    "scores": judged,
    "rotation": rotated,
    "moved labels": lambda acts, labels, groups: permuted_columns(
        labels,
        groups,
        scheme=permutation_for(labels, groups).scheme,
        n_permutations=5,
        generator=torch.Generator().manual_seed(0),
    ),
}
ON_THE_PROCESSOR = {"rotation": 2}
"""The part of each work that is there by design: a direction is of the basis, not of any rows."""


def from_rows(name: str, given: Any) -> list[Any]:
    """The parts of what a work gives that should lie where its rows do, as they come of them."""
    parts = given if isinstance(given, tuple) else (given,)
    return [part for place, part in enumerate(parts) if place != ON_THE_PROCESSOR.get(name)]


@pytest.mark.parametrize("name", WORK)
def test_a_card_gives_what_the_processor_gives(name: str, card: torch.device) -> None:
    given = planted()
    here, there = WORK[name](*given), WORK[name](*moved(given, card))
    found = differences(here, there, rtol=1e-3, atol=1e-4)
    # Steps are counted by another path there.
    assert [one for one in found if "n_iter" not in one] == []
    assert devices(from_rows(name, there)) == {card}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name", ["one-neuron fits", "selection by top_k", "cuts"])
def test_it_does_so_in_every_precision(name: str, dtype: torch.dtype, card: torch.device) -> None:
    given = planted(dtype=dtype)
    here, there = WORK[name](*given), WORK[name](*moved(given, card))
    found = differences(here, there, rtol=1e-3, atol=1e-4)
    assert [one for one in found if "n_iter" not in one] == []


@pytest.mark.parametrize("method", ["top_k", "paper"])
def test_estimators_take_tensors_of_a_card(method: str, card: torch.device) -> None:
    acts, labels, _ = planted()
    classes = labels[:, 0].long() + labels[:, 1]
    there, targets = acts.to(card), classes.to(card)
    for target in (classes.numpy(), targets):
        one = SparseProbe(method, k=3).fit(acts, classes)
        other = SparseProbe(method, k=3).fit(there, target)
        assert differences(one.coef_, other.coef_, rtol=1e-3, atol=1e-4) == []
        assert differences(one.predict_proba(acts), other.predict_proba(there), rtol=1e-3) == []
        assert other.transform(there).device == card


@pytest.mark.parametrize("loss", ["logistic", "hinge"])
def test_the_optimum_of_tensors_on_a_card(loss: str, card: torch.device) -> None:
    acts, labels, _ = planted()
    one = OptimalSparseProbe(k=2, loss=loss).fit(acts, labels[:, 0])
    other = OptimalSparseProbe(k=2, loss=loss).fit(acts.to(card), labels[:, 0].to(card))
    assert differences(one.coef_, other.coef_) == []
    assert differences(one.predict(acts), other.predict(acts.to(card))) == []
    assert optimal_probe(acts.to(card), labels[:, 0].to(card), k=2, loss=loss).gap < 1e-4


def test_data_on_two_devices_is_refused(card: torch.device) -> None:
    acts, labels, _ = planted()
    with pytest.raises(DataError, match="activations lie on cuda:0 and the labels on cpu; move"):
        fit_one_neuron(acts.to(card), labels, l2=L2)
    with pytest.raises(DataError, match="activations lie on cpu and the labels on cuda:0; move"):
        adaptive_thresholding(acts, labels.to(card), l2=L2)
