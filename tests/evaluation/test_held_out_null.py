"""Calls that agree with labels are told from chance at the level asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from needlepoint.evaluation.held_out_null import held_out_p

DOCUMENTS = torch.arange(60) // 3


def test_labels_of_documents_swap_and_their_level_is_kept(generator) -> None:
    """Calls that follow documents, labels that do not: rows alone would look significant."""
    rng = np.random.default_rng(0)
    low = 0
    for _ in range(150):
        truth = torch.from_numpy(rng.permutation(np.arange(20) % 2 == 0))[DOCUMENTS]
        called = torch.from_numpy(rng.random(20) < 0.5)[DOCUMENTS]
        low += held_out_p(called, truth, DOCUMENTS, generator, n_permutations=99) <= 0.1
    assert low <= 26, "15 are expected"


def test_what_agrees_is_told(generator) -> None:
    truth = (torch.arange(20) % 2 == 0)[DOCUMENTS]
    assert held_out_p(truth, truth, DOCUMENTS, generator, n_permutations=99) == 0.01
    within = torch.arange(60) % 3 == 0
    found = held_out_p(within, within, DOCUMENTS, generator, n_permutations=99)
    assert found == pytest.approx(0.01)


def test_labels_that_cannot_be_moved_have_no_p_value(generator) -> None:
    truth = (torch.arange(20) % 2 == 0)[DOCUMENTS].clone()
    truth[0] = ~truth[0]
    assert held_out_p(truth, truth, DOCUMENTS, generator) is None
