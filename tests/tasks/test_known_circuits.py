"""Published circuits are kept as they were published: their sizes, their models, their disputes."""

from __future__ import annotations

import pytest

from needlepoint.tasks import TASKS
from needlepoint.tasks.known_circuits import DOCSTRING, GREATER_THAN, INDUCTION, IOI

SHAPES = {
    "openai-community/gpt2": (12, 12),
    "NeelNanda/Attn_Only_4L512W_C4_Code": (4, 8),
    "callummcdougall/attn_only_2L_half": (2, 12),
}
"""Layers, and heads in each, of the models in question."""
ALL = [*IOI, *GREATER_THAN, *DOCSTRING, *INDUCTION]


@pytest.mark.parametrize(
    ("circuits", "n_heads"), [(IOI, 26), (GREATER_THAN, 9), (DOCSTRING, 6), (INDUCTION, 4)]
)
def test_sizes_are_those_of_the_papers(circuits, n_heads):
    for circuit in circuits:
        assert len(circuit.heads) == n_heads
        assert sum(len(heads) for heads in circuit.roles.values()) == n_heads, "each in one role"


@pytest.mark.parametrize("circuit", ALL)
def test_heads_and_mlps_exist_in_the_model(circuit):
    n_layers, n_heads = SHAPES[circuit.model]
    assert all(0 <= layer < n_layers and 0 <= head < n_heads for layer, head in circuit.heads)
    assert all(0 <= layer < n_layers for layer in circuit.mlps)


def test_only_greater_than_has_mlps():
    assert GREATER_THAN[0].mlps == (0, 1, 2, 3, 8, 9, 10, 11)
    assert not any(circuit.mlps for circuit in (*IOI, *DOCSTRING, *INDUCTION))


@pytest.mark.parametrize(
    ("circuits", "differing"), [(IOI, {(9, 0), (11, 3)}), (DOCSTRING, {(1, 2), (1, 0)})]
)
def test_variants_differ_in_the_one_disputed_head(circuits, differing):
    first, second = circuits
    assert set(first.heads) ^ set(second.heads) == differing
    assert first.variant != second.variant
    assert first.disputes == second.disputes
    assert all(str(head) in first.disputes[0] for head in differing)


@pytest.mark.parametrize("circuit", ALL)
def test_every_circuit_says_where_it_is_from(circuit):
    assert "20" in circuit.source
    assert all(dispute.endswith(".") for dispute in circuit.disputes)


def test_tasks_carry_their_circuits():
    assert TASKS["ioi"].circuits == IOI
    assert TASKS["greater_than"].circuits == GREATER_THAN
    assert TASKS["docstring"].circuits == DOCSTRING
    assert TASKS["induction"].circuits == INDUCTION
    for name in ("ioi", "greater_than", "docstring", "induction"):
        variants = [circuit.variant for circuit in TASKS[name].circuits]
        assert len(set(variants)) == len(variants)
