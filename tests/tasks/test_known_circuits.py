"""Published circuits are kept as they were published: their sizes, their models, their disputes."""

from __future__ import annotations

import pytest

from needlepoint._core.errors import UnknownNameError
from needlepoint.tasks import TASKS
from needlepoint.tasks.known_circuits import (
    ACRONYM,
    DOCSTRING,
    GENDERED_PRONOUN,
    GREATER_THAN,
    INDUCTION,
    IOI,
    PUBLISHED,
    SHAPES,
    SUCCESSOR,
    known_circuits,
)

ALL = [circuit for circuits in PUBLISHED.values() for circuit in circuits]


@pytest.mark.parametrize(
    ("circuits", "n_heads"),
    [
        (IOI, 26),
        (GREATER_THAN, 9),
        (DOCSTRING, 6),
        (INDUCTION, 4),
        (GENDERED_PRONOUN, 7),
        (ACRONYM, 8),
        (SUCCESSOR, 3),
    ],
)
def test_sizes_are_those_of_the_papers(circuits, n_heads):
    for circuit in circuits:
        assert len(circuit.heads) == n_heads
        assert sum(len(heads) for heads in circuit.roles.values()) == n_heads, "each in one role"


@pytest.mark.parametrize("circuit", ALL)
def test_heads_and_mlps_exist_in_the_model(circuit):
    n_layers, n_heads = SHAPES[circuit.model]
    assert circuit.shape == (n_layers, n_heads)
    assert all(0 <= layer < n_layers and 0 <= head < n_heads for layer, head in circuit.heads)
    assert all(0 <= layer < n_layers for layer in circuit.mlps)


def test_few_lists_have_mlps():
    assert SUCCESSOR[0].mlps == (9,)
    assert GREATER_THAN[0].mlps == (0, 1, 2, 3, 8, 9, 10, 11)
    assert not any(circuit.mlps for circuit in (*IOI, *DOCSTRING, *INDUCTION, *ACRONYM))


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
    assert TASKS["gendered_pronoun"].circuits == GENDERED_PRONOUN
    assert {name for name in TASKS if TASKS[name].circuits} == set(PUBLISHED)
    for name in PUBLISHED:
        variants = [circuit.variant for circuit in TASKS[name].circuits]
        assert len(set(variants)) == len(variants)


@pytest.mark.parametrize(
    ("circuit", "n_edges"), [(IOI[0], 88), (IOI[1], 88), (GREATER_THAN[0], 18), (DOCSTRING[0], 12)]
)
def test_edges_from_head_to_head_are_as_many_as_published(circuit, n_edges):
    assert len(circuit.head_edges) == len(set(circuit.head_edges)) == n_edges
    names = {f"L{layer}.H{head}" for layer, head in circuit.heads}
    assert {name for edge in circuit.head_edges for name in edge} <= names
    for source, target in circuit.head_edges:
        assert int(source[1:].split(".")[0]) < int(target[1:].split(".")[0])


def test_inputs_of_ioi_are_keys_and_values_below_and_queries_above():
    inputs = {(edge.source, edge.target): edge.inputs for edge in IOI[0].edges}
    assert inputs["L2.H2", "L5.H5"] == inputs["L5.H5", "L7.H3"] == inputs["L0.H1", "L8.H6"] == "kv"
    assert inputs["L7.H3", "L9.H9"] == inputs["L8.H10", "L11.H10"] == "q"


def test_greater_than_has_edges_through_its_mlps():
    edges = {(edge.source, edge.target) for edge in GREATER_THAN[0].edges}
    there = {("embed", "L0.H1"), ("L0.H1", "L0.mlp"), ("L0.mlp", "L3.mlp"), ("L2.mlp", "L5.H5")}
    assert there | {("L8.H11", "L8.mlp"), ("L9.H1", "logits"), ("L11.mlp", "logits")} <= edges
    absent = {("L0.H3", "L0.mlp"), ("L9.H1", "L8.mlp"), ("L3.mlp", "L8.mlp"), ("embed", "L5.H5")}
    assert not absent & edges
    mlps = {name for edge in edges for name in edge if name.endswith("mlp")}
    assert mlps == {f"L{layer}.mlp" for layer in GREATER_THAN[0].mlps}


def test_lists_without_published_edges_have_none():
    assert not any(one.edges for one in (DOCSTRING[1], *INDUCTION, *GENDERED_PRONOUN, *ACRONYM))


def test_circuits_are_given_for_their_own_model_only():
    for name in ("gpt2", "gpt2-small", "openai-community/gpt2"):
        assert known_circuits("ioi", name) == IOI
    assert known_circuits("docstring", "attn-only-4l") == DOCSTRING
    for task, model in (("ioi", "gpt2-medium"), ("docstring", "gpt2"), ("agreement", "gpt2")):
        assert known_circuits(task, model) == ()
    assert known_circuits("ioi", "gpt2", "paper") == (IOI[1],)
    with pytest.raises(UnknownNameError, match="unknown variant of ioi 'reference'"):
        known_circuits("ioi", "gpt2", "reference")
