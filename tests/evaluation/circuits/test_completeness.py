"""Completeness: a whole circuit lacks nothing, half of one lacks what a search can name."""

from __future__ import annotations

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.evaluation.circuits.completeness import incompleteness


def test_the_planted_circuit_and_the_whole_model_lack_nothing(
    question, nodes, head_names, generator
) -> None:
    for kept in (nodes.mask(head_names), torch.ones(nodes.n).bool()):
        found = incompleteness(question, nodes, kept, generator=generator, n_subsets=6)
        assert found.mean == pytest.approx((0, 0, 0), abs=0.02)
        assert found.largest == pytest.approx(0, abs=0.02)


def test_half_a_circuit_lacks_the_other_half(question, nodes, head_names, generator) -> None:
    kept = nodes.mask([*head_names[:1], "L2.H0"])
    found = incompleteness(question, nodes, kept, generator=generator, n_subsets=8)
    assert found.largest == pytest.approx(1, abs=0.02)
    assert head_names[0] not in found.largest_subset, "without it the model fails as well"
    assert 0.1 < found.mean.estimate < 1


def test_a_greedy_search_finds_at_least_what_random_parts_do(
    question, nodes, head_names, generator
) -> None:
    kept = nodes.mask(["L2.H0", "L2.H1"])
    found = incompleteness(
        question, nodes, kept, generator=generator, n_subsets=1, greedy_steps=2, greedy_tries=2
    )
    assert found.largest == pytest.approx(1, abs=0.02)
    assert found.n_subsets == 1


def test_nothing_to_take_out_is_refused(question, nodes, generator) -> None:
    with pytest.raises(DataError, match="the circuit is empty"):
        incompleteness(question, nodes, torch.zeros(nodes.n).bool(), generator=generator)
    some = torch.arange(nodes.n) < 2
    with pytest.raises(DataError, match="n_subsets is 0"):
        incompleteness(question, nodes, some, generator=generator, n_subsets=0)
