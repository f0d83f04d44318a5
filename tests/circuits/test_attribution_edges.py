"""EAP and its kin against derivatives, exact cuts, and the planted circuit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from needlepoint._core.errors import DataError, ModelError
from needlepoint.circuits.attribution import (
    eap,
    eap_gim,
    eap_ig_activations,
    eap_ig_activations_gim,
    eap_ig_inputs,
    eap_ig_inputs_gim,
    random_edges,
)
from needlepoint.circuits.attribution.activation_attribution import _groups
from needlepoint.circuits.graph.graph import Graph
from needlepoint.circuits.graph.run import run_cut, run_edges
from needlepoint.circuits.graph.terms import graph_of, terms
from needlepoint.circuits.methods import CIRCUIT_METHODS, Found, Question
from needlepoint.circuits.pair_batch import PairBatch, clean_metric, corrupt_metric
from needlepoint.evaluation.read_heads import pair_batch
from needlepoint.models.micro import micro_model
from needlepoint.models.model import Model
from needlepoint.models.planted import planted_model, planted_prompts
from needlepoint.testing.pairs import random_pairs
from needlepoint.testing.tiny import TINY_FAMILIES, tiny_model

FAMILIES = sorted(TINY_FAMILIES)
METHODS: list[Callable[[Question], Found]] = [
    eap,
    eap_gim,
    eap_ig_inputs,
    eap_ig_inputs_gim,
    eap_ig_activations,
    eap_ig_activations_gim,
]


def _derivative(model: Model, pairs: PairBatch) -> Tensor:
    """Derivative of the mean metric in each cut, at next to no cut."""
    graph = graph_of(model)
    cut = (1e-20 * graph.edges[None].float()).requires_grad_()
    run_cut(model, pairs, cut, terms(model, pairs.corrupt)).mean().backward()
    assert cut.grad is not None
    return cut.grad[0] * graph.edges


@pytest.mark.parametrize("family", FAMILIES)
def test_eap_is_the_derivative_of_the_metric_in_each_cut(family: str) -> None:
    model = tiny_model(family)
    pairs = random_pairs(model, ragged=True)
    expected = _derivative(model, pairs)
    found = eap(Question(model, pairs))
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(found.edges, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.nodes, expected.sum(1), atol=1e-5, rtol=1e-4)


def test_eap_of_a_linear_model_is_exact_edge_patching(linear_model: Model) -> None:
    model = linear_model
    pairs, graph = random_pairs(model), graph_of(model)
    places = graph.edges.nonzero()
    keep = graph.edges.repeat(len(places), 1, 1)
    keep[torch.arange(len(places)), places[:, 0], places[:, 1]] = False
    exact = (run_edges(model, pairs, keep) - clean_metric(model, pairs)).mean(1)
    for method in (eap, eap_ig_inputs, eap_ig_activations):
        found = method(Question(model, pairs)).edges
        assert found is not None
        torch.testing.assert_close(found[places[:, 0], places[:, 1]], exact, atol=5e-2, rtol=1e-3)
    assert exact.abs().max() > 5


def _embedding_gap(model: Model, pairs: PairBatch, steps: int) -> float:
    change = corrupt_metric(model, pairs) - clean_metric(model, pairs)
    found = eap_ig_inputs(Question(model, pairs), steps=steps)
    return abs(float(found.nodes[0] - change.mean()))


@pytest.mark.parametrize("family", ["gemma2", "gpt2", "llama"])
def test_edges_out_of_the_embedding_come_to_sum_to_the_whole_change(family: str) -> None:
    model = tiny_model(family)
    pairs = random_pairs(model)
    few, many = (_embedding_gap(model, pairs, steps) for steps in (16, 256))
    assert many < few / 4
    assert many < 0.02


@pytest.mark.parametrize("family", ["gemma2", "gpt2", "gpt_neox"])
def test_edges_out_of_a_layer_part_sum_to_the_exact_effect_of_replacing_it(family: str) -> None:
    model = tiny_model(family)
    pairs, graph = random_pairs(model), graph_of(model)
    groups = [group.writers for group in _groups(graph)]
    keep = graph.edges.repeat(len(groups), 1, 1)
    for copy, writers in enumerate(groups):
        keep[copy, writers] = False
    exact = (run_edges(model, pairs, keep) - clean_metric(model, pairs)).mean(1)
    edges = eap_ig_activations(Question(model, pairs), steps=24).edges
    assert edges is not None
    found = torch.stack([edges[writers].sum() for writers in groups])
    assert exact.abs().max() > 0.1
    torch.testing.assert_close(found, exact, atol=0.02, rtol=0.01)


def test_a_few_points_of_the_activation_variant_beat_none() -> None:
    model = tiny_model("gpt2")
    pairs, graph = random_pairs(model), graph_of(model)
    heads = graph.heads(1)
    keep = graph.edges.clone()
    keep[heads] = False
    exact = (run_edges(model, pairs, keep[None]) - clean_metric(model, pairs)).mean()
    question = Question(model, pairs)
    at_clean, integrated = eap(question).edges, eap_ig_activations(question).edges
    assert at_clean is not None
    assert integrated is not None
    error = (integrated[heads].sum() - exact).abs()
    assert error < (at_clean[heads].sum() - exact).abs() / 2


@pytest.mark.parametrize("method", METHODS)
def test_pieces_and_padding_change_nothing(
    method: Callable[[Question], Found], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model("qwen3", num_hidden_layers=2)
    pairs = random_pairs(model, n=3, ragged=True)
    whole = method(Question(model, pairs)).edges
    monkeypatch.setattr("needlepoint.circuits.attribution.memory.PIECE_BYTES", 1)
    torch.testing.assert_close(method(Question(model, pairs)).edges, whole, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_what_replaces_terms_can_be_given(method: Callable[[Question], Found]) -> None:
    model = tiny_model("llama", num_hidden_layers=2)
    pairs = random_pairs(model, ragged=True)
    given = Question(model, pairs, lambda piece: terms(model, piece.corrupt))
    halved = Question(
        model, pairs, lambda piece: (terms(model, piece.corrupt) + terms(model, piece.clean)) / 2
    )
    whole = method(Question(model, pairs)).edges
    assert whole is not None
    torch.testing.assert_close(method(given).edges, whole, atol=1e-5, rtol=1e-4)
    if method in (eap, eap_gim):
        torch.testing.assert_close(method(halved).edges, whole / 2, atol=1e-5, rtol=1e-4)
    unchanged = Question(model, pairs, lambda piece: terms(model, piece.clean))
    still = method(unchanged).edges
    assert still is not None
    assert still.abs().max() == 0


@pytest.mark.parametrize("method", METHODS)
def test_no_weight_is_given_a_gradient_and_none_stays_frozen(
    method: Callable[[Question], Found],
) -> None:
    model = tiny_model("phi3")
    frozen = model.module.lm_head.weight.requires_grad_(False)
    before = {name: weight.requires_grad for name, weight in model.module.named_parameters()}
    method(Question(model, random_pairs(model)))
    after = {name: weight.requires_grad for name, weight in model.module.named_parameters()}
    assert before == after
    assert not frozen.requires_grad
    assert all(weight.grad is None for weight in model.module.parameters())
    assert not any(module._forward_hooks for module in model.module.modules())
    assert not any(module._forward_pre_hooks for module in model.module.modules())


@pytest.mark.parametrize("method", METHODS)
def test_the_planted_edge_is_on_top_of_its_kind(method: Callable[[Question], Found]) -> None:
    planted = planted_model()
    model, graph = planted.model, graph_of(planted.model)
    pairs = pair_batch(model, planted_prompts(planted, n_pairs=4))
    found = method(Question(model, pairs)).edges
    assert found is not None
    first, second = planted.heads
    heads = [graph.writer(f"L{head.layer}.H{head.index}") for head in (first, second)]
    allowed = graph.between(_inside(graph, heads))
    outside = found.abs()[~allowed & graph.edges]
    edge = found[heads[0], graph.reader(f"L{second.layer}.K{second.index}")]
    value = found[0, graph.reader(f"L{second.layer}.V{second.index}")]
    answer = found[heads[1], -1]
    assert min(edge.abs(), value.abs(), answer.abs()) > 20 * outside.max()


def _inside(graph: Graph, heads: list[int]) -> Tensor:
    nodes = torch.zeros(graph.n_writers, dtype=torch.bool)
    nodes[[0, *heads]] = True
    return nodes


def test_random_scores_depend_on_the_seed_alone_and_fill_every_edge() -> None:
    model = micro_model()
    pairs, graph = random_pairs(model), graph_of(model)
    first, again, other = (random_edges(Question(model, pairs, seed=seed)) for seed in (0, 0, 1))
    assert first.edges is not None
    assert again.edges is not None
    assert other.edges is not None
    assert torch.equal(first.edges, again.edges)
    assert not torch.equal(first.edges, other.edges)
    assert bool((first.edges[graph.edges] > 0).all())
    assert first.edges[~graph.edges].abs().max() == 0


def test_every_method_is_registered_and_finite() -> None:
    model = tiny_model("gpt2")
    question = Question(model, random_pairs(model))
    names = (
        "eap",
        "eap_gim",
        "eap_ig_inputs",
        "eap_ig_inputs_gim",
        "eap_ig_activations",
        "eap_ig_activations_gim",
        "information_flow",
        "random_edges",
    )
    nodes = ("attribution_patching", "attribution_patching_gim", "hisp", "activation_magnitude")
    for name in (*names, *nodes):
        found = CIRCUIT_METHODS[name].find(question)
        assert found.nodes.shape == (question.graph.n_writers,)
        assert (found.edges is not None) == (CIRCUIT_METHODS[name].level == "edges")


def test_no_steps_are_refused() -> None:
    model = micro_model()
    question = Question(model, random_pairs(model))
    with pytest.raises(DataError, match="0 steps make no average"):
        eap_ig_activations(question, steps=0)
    with pytest.raises(DataError, match="0 steps make no average"):
        eap_ig_inputs(question, steps=0)


def test_norms_after_the_parts_are_refused() -> None:
    model = tiny_model("opt", do_layer_norm_before=False)
    with pytest.raises(ModelError, match="edges are not defined"):
        eap(Question(model, random_pairs(model)))
