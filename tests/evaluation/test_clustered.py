"""Resampling with weights is resampling rows; documents stay whole; probes stay paired."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    matthews_corrcoef,
    roc_auc_score,
)

from needlepoint.evaluation.clustered import Resamples, f1_of


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    documents = torch.from_numpy(rng.integers(0, 12, 60))
    truth = torch.from_numpy(rng.random(60) < 0.4)
    scores = torch.from_numpy(np.round(rng.normal(truth.numpy(), 1), 1))
    return documents, truth, scores


def repeated(resamples: Resamples, resample: int) -> torch.Tensor:
    """Numbers of the rows of one resample, each as often as its document was drawn."""
    times = resamples.counts[resample][resamples.member].long()
    return torch.repeat_interleave(torch.arange(len(times)), times)


def test_every_score_is_that_of_the_repeated_rows(rows, generator) -> None:
    documents, truth, scores = rows
    called = scores > 0.3
    resamples = Resamples.draw(documents, truth, generator, n_resamples=40)
    found = resamples.call_scores(called) | resamples.rank_scores(scores)
    for at in range(40):
        row = repeated(resamples, at)
        y, c, s = (part[row].numpy() for part in (truth, called, scores))
        assert found["f1"][at] == pytest.approx(f1_score(y, c))
        assert found["mcc"][at] == pytest.approx(matthews_corrcoef(y, c))
        assert found["balanced_accuracy"][at] == pytest.approx(balanced_accuracy_score(y, c))
        assert found["auc"][at] == pytest.approx(roc_auc_score(y, s))
        assert found["average_precision"][at] == pytest.approx(average_precision_score(y, s))


def test_many_probes_at_once_are_each_alone(rows, generator) -> None:
    documents, truth, scores = rows
    resamples = Resamples.draw(documents, truth, generator, n_resamples=20)
    called = torch.stack([scores > cut for cut in (-1.0, 0.3, 1.2)], dim=1)
    together = resamples.f1(called)
    for place in range(3):
        alone = resamples.call_scores(called[:, place])["f1"]
        assert torch.allclose(together[:, place], alone)
    interval = resamples.f1_interval(called[:, 1])
    assert interval.low <= interval.estimate <= interval.high
    assert interval.estimate == pytest.approx(f1_of(called[:, 1], truth))


def test_blocks_of_resamples_change_nothing(rows, generator, monkeypatch) -> None:
    documents, truth, scores = rows
    resamples = Resamples.draw(documents, truth, generator, n_resamples=30)
    whole = resamples.rank_scores(scores)
    monkeypatch.setattr("needlepoint.evaluation.clustered.BLOCK_NUMBERS", 100)
    for name, values in resamples.rank_scores(scores).items():
        assert torch.equal(values, whole[name])


def test_a_difference_is_paired(rows, generator) -> None:
    """Calls that err on the same documents differ by little, though each varies much."""
    documents, truth, scores = rows
    resamples = Resamples.draw(documents, truth, generator)
    one, other = scores > 0.3, (scores > 0.3) ^ (torch.arange(60) == 7)
    difference, alone = resamples.f1_difference(one, other), resamples.f1_interval(one)
    assert difference.high - difference.low < 0.5 * (alone.high - alone.low)
    assert resamples.f1_difference(one, one) == (0.0, 0.0, 0.0)


def test_a_difference_of_nothing_is_found_at_its_level(generator) -> None:
    """Two probes that are right equally often, at their own rows: 0 lies outside about 5 %."""
    rng = np.random.default_rng(1)
    outside = 0
    for _ in range(150):
        truth = torch.arange(90) % 3 == 0
        one, other = (truth ^ torch.from_numpy(rng.random(90) < 0.2) for _ in range(2))
        resamples = Resamples.draw(torch.arange(90) // 2, truth, generator, n_resamples=400)
        difference = resamples.f1_difference(one, other)
        outside += not difference.low <= 0 <= difference.high
    assert outside <= 18


def test_a_lone_document_without_positives_is_drawn_with_the_others(generator) -> None:
    truth = torch.tensor([True, False, True, False, True, False, False])
    documents = torch.tensor([0, 0, 1, 1, 2, 2, 3])
    resamples = Resamples.draw(documents, truth, generator)
    assert (resamples.counts.sum(1) == 4).all()
    assert resamples.counts[:, 3].max() > 1


def test_one_document_of_a_kind_gives_no_resamples(generator) -> None:
    truth = torch.tensor([True, True, False, False])
    assert Resamples.draw(torch.tensor([0, 0, 1, 2]), truth, generator) is None
