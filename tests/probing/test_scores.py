import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from torch import Tensor

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.probing.scores import average_precision, best_cut, confusion, roc_auc


def tied(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.rand(70, 3, generator=generator) < torch.tensor([0.2, 0.5, 0.8])
    return (torch.randn(70, 3, generator=generator) + labels).round(), labels


def test_scores_of_calls_are_those_of_scikit_learn() -> None:
    scores, labels = tied()
    found = confusion(scores > 0, labels)
    for feature, (score, label) in enumerate(zip(scores.T, labels.T, strict=True)):
        called = score > 0
        for name, reference in {
            "precision": metrics.precision_score,
            "recall": metrics.recall_score,
            "f1": metrics.f1_score,
            "balanced_accuracy": metrics.balanced_accuracy_score,
            "mcc": metrics.matthews_corrcoef,
        }.items():
            value = getattr(found, name)[feature].item()
            assert value == pytest.approx(reference(label, called)), name


def test_curves_are_those_of_scikit_learn_with_ties() -> None:
    scores, labels = tied()
    for feature, (score, label) in enumerate(zip(scores.T, labels.T, strict=True)):
        expected = (
            metrics.roc_auc_score(label, score),
            metrics.average_precision_score(label, score),
        )
        assert roc_auc(scores, labels)[feature].item() == pytest.approx(expected[0])
        assert average_precision(scores, labels)[feature].item() == pytest.approx(expected[1])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-2, 2), st.booleans()), min_size=1, max_size=12))
def test_no_cut_beats_the_best_cut(pairs: list[tuple[int, bool]]) -> None:
    pairs = [*pairs, (0, True), (1, False)]
    scores = torch.tensor([[float(value)] for value, _ in pairs])
    labels = torch.tensor([[label] for _, label in pairs])
    best = confusion(scores > best_cut(scores, labels), labels).f1.item()
    others = [confusion(scores > cut, labels).f1.item() for cut in (-9, -2, -1, 0, 1, 2)]
    assert best == pytest.approx(max(others))


def test_reversed_scores_mirror_the_auc_and_constant_ones_are_chance() -> None:
    scores, labels = tied()
    torch.testing.assert_close(roc_auc(-scores, labels), 1 - roc_auc(scores, labels))
    assert (roc_auc(scores * 0, labels) == 0.5).all()
    torch.testing.assert_close(average_precision(scores * 0, labels), labels.double().mean(0))


def test_undefined_values_are_not_numbers_and_f1_is_zero_only_where_it_is() -> None:
    labels = torch.tensor([[True], [False], [False]])
    nothing = confusion(torch.zeros(3, 1, dtype=torch.bool), labels)
    assert math.isnan(nothing.precision.item())
    assert math.isnan(nothing.mcc.item())
    assert nothing.f1.item() == 0
    assert nothing.balanced_accuracy.item() == 0.5


def test_the_standard_error_of_f1_is_its_spread_over_samples() -> None:
    generator = torch.Generator().manual_seed(0)
    draw = torch.rand(200, 4000, generator=generator)
    labels = torch.rand(200, 4000, generator=generator) < 0.3
    found = confusion(torch.where(labels, draw < 0.8, draw < 0.1), labels)
    assert found.f1_standard_error.mean() == pytest.approx(found.f1.std().item(), rel=0.05)


def test_guards() -> None:
    scores, labels = tied()
    for score in (roc_auc, average_precision, best_cut):
        with pytest.raises(OneClassError, match="no positive"):
            score(scores, labels & False)
        with pytest.raises(DataError, match="NaN"):
            score(scores / 0, labels)
    with pytest.raises(OneClassError, match="no negative"):
        confusion(scores > 0, labels | True)
