"""Activations of a model on a card, and what is gathered of rows that lie there."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from needlepoint.activations.bins import Bins
from needlepoint.activations.class_histograms import ClassHistograms
from needlepoint.activations.class_sums import ClassSums
from needlepoint.activations.moments import Moments
from needlepoint.activations.reduce import Rows
from needlepoint.activations.stream import gather
from needlepoint.testing.alike import devices, differences
from needlepoint.testing.tiny import tiny_model

CPU = torch.device("cpu")
SITES = ("L0.mlp.neurons", "L1.attn.z", "L1.H2.out", "L2.resid", "L2.N5", "L2.mlp.out")
IDS = [[5, 6, 7, 8], [9, 10], [11, 12, 13], [14]]


def rows(device: torch.device, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    """Activations of two batches, their labels, and which of them are asked."""
    rng = torch.Generator().manual_seed(0)
    acts = torch.randn(90, 7, generator=rng).to(dtype) + 3
    labels, members = torch.rand(2, 90, 4, generator=rng) < torch.tensor([0.4, 0.8])[:, None, None]
    return tuple(part.to(device) for part in (acts, labels, members))


def summed(device: torch.device) -> Any:
    acts, labels, members = rows(device)
    sums = ClassSums()
    for some in (slice(0, 40), slice(40, 90)):
        sums.update(acts[some], labels[some], members[some])
    return sums.mean_difference(), sums.pooled_std(), sums.f_statistic()


def spread(device: torch.device) -> Any:
    acts, _, _ = rows(device, torch.bfloat16)
    parts = Moments(), Moments()
    for moments, some in zip(parts, (slice(0, 40), slice(40, 90)), strict=True):
        moments.update(acts[some])
    parts[0].merge(parts[1])
    return parts[0].mean, parts[0].variance, parts[0].min, parts[0].max


def counted(device: torch.device) -> Any:
    acts, labels, members = rows(device)
    bins = Bins.of(acts[:60], 8)
    histograms = [ClassHistograms(bins, groups=[0, 1, 2, 3]) for _ in range(2)]
    for one, some in zip(histograms, (slice(0, 40), slice(40, 90)), strict=True):
        one.update(acts[some], labels[some], members[some])
    histograms[0].merge(histograms[1])
    return histograms[0].positive, histograms[0].asked, histograms[0].negative(1)


@pytest.mark.parametrize("work", [summed, spread, counted])
def test_what_is_gathered_of_rows(work: Any, card: torch.device) -> None:
    there = work(card)
    assert differences(work(CPU), there, rtol=1e-4) == []
    assert devices(there) == {card}


def test_rows_of_a_card_may_follow_those_of_the_processor(card: torch.device) -> None:
    acts, labels, _ = rows(CPU)
    mixed, sums = Moments(), ClassSums()
    for device, some in ((CPU, slice(0, 40)), (card, slice(40, 90))):
        mixed.update(acts[some].to(device))
        sums.update(acts[some].to(device), labels[some])
    whole, all_sums = Moments(), ClassSums()
    whole.update(acts)
    all_sums.update(acts, labels)
    assert differences(mixed.variance, whole.variance) == []
    assert differences(sums.mean_difference(), all_sums.mean_difference()) == []


@pytest.mark.parametrize("reduce", ["mean", "max", "last"])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_model_on_a_card_is_read_alike(family: str, reduce: Any, card: torch.device) -> None:
    model = tiny_model(family)
    asked = Rows.whole(IDS, reduce, first=True)
    found = []
    for device in (CPU, card):
        model.module.to(device)
        found.append(gather(model, IDS, list(SITES), asked, batch_tokens=6))
    model.module.to(CPU)
    assert differences(*found, rtol=1e-3, atol=1e-5) == []
    assert devices(found) == {CPU}
