"""Certified probes are chosen on validation rows, and stand on test rows beside the sweep's."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from needlepoint.evaluation.certify import RIDGES, Certificates, Certified, certify
from needlepoint.evaluation.clustered import f1_of
from needlepoint.evaluation.held_out_certified import (
    COLUMNS,
    NO_INTERVAL,
    NO_MCC,
    NOT_TRIED,
    OUT_OF_TIME,
    certificate_frame,
    certified_tests,
    kept_test,
)
from needlepoint.evaluation.held_out_judge import Judge
from needlepoint.evaluation.read_neurons import NeuronData
from needlepoint.evaluation.search_neurons import Search, search
from needlepoint.probing.optimal.certificate import OptimalProbe
from needlepoint.probing.probe import LinearProbe


@pytest.fixture(scope="module")
def found(neuron_data: NeuronData) -> Search:
    return search(neuron_data, 3, max_k=2, n_permutations=1, seed=0, label="toy")


@pytest.fixture(scope="module")
def certificates(neuron_data: NeuronData, found: Search) -> tuple[Certificates, ...]:
    return certify(neuron_data, found, 3, seconds=30.0)


def judge(data: NeuronData, feature: int) -> Judge:
    return Judge(data, feature, data.labels, torch.Generator().manual_seed(0))


def test_nothing_is_solved_unless_asked_for(neuron_data, found) -> None:
    assert certify(neuron_data, found, 0) == ()
    assert list(certificate_frame([], [], []).columns) == COLUMNS


def test_every_size_under_every_ridge_of_the_chosen_layer(found, certificates) -> None:
    for choice, one in zip(found.choices, certificates, strict=True):
        assert one.asked == tuple((ridge, k) for ridge in RIDGES for k in (1, 2, 3))
        assert [(each.ridge, each.solved.k) for each in one.solved] == list(one.asked)
        assert {each.layer for each in one.solved} == {choice.sparse.layer}


def made(k: int, ridge: int, f1: float, auc: float = 0.9, error: float = 0.05) -> Certified:
    probe = LinearProbe(torch.arange(k), torch.ones(k), torch.tensor(0.0))
    proof = (1.0, 1.0, "exact", 0.1, 1, 48, 0, ())
    solved = OptimalProbe(probe, k, "logistic", 0.1 * ridge, *proof)
    return Certified(solved, 0, ridge, 0.0, f1, error, auc)


def kept(*solved: Certified) -> Certified:
    return Certificates((), solved).kept


def test_the_smallest_within_one_standard_error_is_kept() -> None:
    some = made(1, 1, 0.7), made(2, 1, 0.78), made(2, 10, 0.79), made(4, 1, 0.82)
    assert kept(*some) is some[2], "of its size the highest F1"
    tied = made(2, 1, 0.8), made(2, 10, 0.8), made(2, 100, 0.8, auc=0.95)
    assert kept(*tied) is tied[2], "then AUC"
    assert kept(*tied[:2]) is tied[0], "then the heaviest ridge"
    assert kept(made(1, 1, 0.7), made(3, 1, 0.8, error=0.2)).solved.k == 1


def test_test_figures_are_those_of_the_calls(neuron_data, found, certificates) -> None:
    for feature, asked in enumerate(certificates):
        tests = certified_tests(judge(neuron_data, feature), found, asked)
        rows = neuron_data.of(feature)
        truth = neuron_data.labels[:, feature]
        assert [one.chosen for one in tests].count(True) == 1
        assert kept_test(tests).neurons == tuple(asked.kept.solved.probe.support.tolist())
        for one in tests:
            kept = one.certified
            odds = kept.solved.probe(neuron_data.layer(kept.layer)).double()
            assert f1_of((odds > kept.cut)[rows.validation], truth[rows.validation]) == (
                pytest.approx(kept.f1_validation)
            )
            assert one.tested.f1_point == pytest.approx(
                f1_of((odds > kept.cut)[rows.test], truth[rows.test])
            )
            if kept.solved.k == 3:
                assert (one.sweep_f1, one.difference, one.overlap) == (None, None, None)
                continue
            layer = found.layers[kept.layer]
            at = layer.ks.index(kept.solved.k)
            probe = layer.path.probe(feature, kept.solved.k)
            sweep = probe(neuron_data.layer(kept.layer))
            both = {*kept.solved.probe.support.tolist()} & {*probe.support.tolist()}
            assert one.overlap == len(both)
            other = (sweep > layer.cut[feature, at])[rows.test]
            assert one.sweep_f1 == pytest.approx(f1_of(other, truth[rows.test]))
            assert one.difference.low <= one.tested.f1_point - one.sweep_f1 <= one.difference.high


def test_test_labels_choose_nothing(neuron_data, found, certificates) -> None:
    labels = neuron_data.labels.clone()
    labels[neuron_data.test] = ~labels[neuron_data.test]
    turned = certify(dataclasses.replace(neuron_data, labels=labels), found, 3, seconds=30.0)
    for one, other in zip(certificates, turned, strict=True):
        assert (one.kept.ridge, one.kept.solved.k, one.kept.cut) == (
            other.kept.ridge,
            other.kept.solved.k,
            other.kept.cut,
        )


def test_what_is_missing_is_explained(neuron_data, found, certificates) -> None:
    hurried = certify(neuron_data, found, 3, seconds=1e-9)
    tests = [certified_tests(judge(neuron_data, f), found, one) for f, one in enumerate(hurried)]
    frame = certificate_frame(("high", "coin"), hurried, tests)
    assert frame["status"].tolist() == (["exact"] + [NOT_TRIED] * 8) * 2
    skipped = frame[frame["status"] == NOT_TRIED]
    assert (skipped["reason"] == OUT_OF_TIME).all()
    assert skipped[["objective", "bound", "gap", "f1", "mcc", "sweep_f1"]].isna().all(axis=None)
    n_train = len(neuron_data.of(0).train)
    paper = skipped["gamma"] / skipped["ridge"]
    assert paper.to_numpy() == pytest.approx(n_train**-0.5)
    tests = [
        certified_tests(judge(neuron_data, f), found, one) for f, one in enumerate(certificates)
    ]
    frame = certificate_frame(("high", "coin"), certificates, tests)
    three = frame[frame["k"] == 3]
    assert three["reason"].str.contains("the quick search made no probe of 3 neurons").all()
    assert three["sweep_f1"].isna().all()
    for name, why in (("mcc", NO_MCC), ("f1_low", NO_INTERVAL)):
        assert (frame[name].isna() == frame["reason"].str.contains(why, regex=False)).all()
