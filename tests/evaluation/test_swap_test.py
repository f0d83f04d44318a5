"""Calls swapped document by document: exact by enumeration, and at its level where nothing is."""

from __future__ import annotations

import itertools

import pytest
import torch

from needlepoint.evaluation.case_studies.swap_test import swap_p_value
from needlepoint.evaluation.clustered import f1_of


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def by_enumeration(
    one: torch.Tensor, other: torch.Tensor, truth: torch.Tensor, documents: torch.Tensor
) -> float:
    """The share of all ways to swap documents with an F1 difference as large."""
    names = documents.unique()
    observed = abs(f1_of(one, truth) - f1_of(other, truth))
    found = []
    for swaps in itertools.product((False, True), repeat=len(names)):
        swapped = torch.tensor(swaps)[torch.searchsorted(names, documents)]
        first, second = torch.where(swapped, other, one), torch.where(swapped, one, other)
        found.append(abs(f1_of(first, truth) - f1_of(second, truth)) >= observed - 1e-12)
    return sum(found) / len(found)


@pytest.mark.parametrize("seed", range(4))
def test_random_swaps_come_near_all_swaps(seed: int) -> None:
    rng = generator(seed)
    documents = torch.randint(8, (40,), generator=rng)
    truth = torch.rand(40, generator=rng) < 0.4
    one = truth ^ (torch.rand(40, generator=rng) < 0.1)
    other = truth ^ (torch.rand(40, generator=rng) < 0.4)
    found = swap_p_value(one, other, truth, documents, rng)
    assert found == pytest.approx(by_enumeration(one, other, truth, documents), abs=0.02)


def test_probes_that_are_equally_good_differ_as_often_as_the_level_says() -> None:
    rng, below, n = generator(), 0, 300
    for _ in range(n):
        truth = torch.arange(120) < 30
        one, other = (truth ^ (torch.rand(120, generator=rng) < 0.1) for _ in range(2))
        below += swap_p_value(one, other, truth, torch.arange(120), rng, n_swaps=199) <= 0.1
    # Binomial: 300 tries at 10 %, three standard deviations.
    assert below / n <= 0.1 + 3 * (0.1 * 0.9 / n) ** 0.5


def test_rows_of_one_document_are_swapped_together() -> None:
    """One document that is told apart by one probe alone is one chance in two, however long."""
    truth = torch.arange(60) < 30
    rng = generator()
    apart = swap_p_value(truth, ~truth, truth, torch.arange(60), rng)
    together = swap_p_value(truth, ~truth, truth, torch.zeros(60, dtype=torch.long), rng)
    assert apart == 1 / 10_000, "it is never 0"
    assert together == 1.0


def test_it_does_not_matter_which_probe_comes_first() -> None:
    rng = generator(1)
    truth = torch.rand(50, generator=rng) < 0.5
    one, other = (truth ^ (torch.rand(50, generator=rng) < share) for share in (0.1, 0.3))
    rows = torch.arange(50)
    first = swap_p_value(one, other, truth, rows, generator(2))
    assert first == swap_p_value(other, one, truth, rows, generator(2))
