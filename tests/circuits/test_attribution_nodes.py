"""Node scores: sums of edges, derivatives, masks by layer, shares of what is read, and sizes."""

from __future__ import annotations

import pytest
import torch

from needlepoint.circuits.attribution import (
    activation_magnitude,
    attribution_patching,
    eap,
    hisp,
    information_flow,
)
from needlepoint.circuits.attribution.node_attribution import pair_scores
from needlepoint.circuits.graph.graph import Kind
from needlepoint.circuits.graph.run import run_cut, run_edges
from needlepoint.circuits.graph.terms import graph_of, terms
from needlepoint.circuits.methods import Question
from needlepoint.circuits.pair_batch import clean_metric, corrupt_metric
from needlepoint.evaluation.read_heads import pair_batch
from needlepoint.models.model import Model
from needlepoint.models.planted import planted_model, planted_prompts
from needlepoint.testing.pairs import random_pairs
from needlepoint.testing.tiny import TINY_FAMILIES, tiny_model

FAMILIES = sorted(TINY_FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_node_scores_the_sum_over_the_edges_out_of_it(family: str) -> None:
    model = tiny_model(family)
    for gim in (False, True):
        question = Question(model, random_pairs(model, ragged=True))
        found = attribution_patching(question, gim=gim).nodes
        expected = eap(question, gim=gim).nodes
        assert expected.abs().max() > 0.05
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_a_node_scores_its_derivative_pair_by_pair() -> None:
    model = tiny_model("qwen2")
    pairs, graph = random_pairs(model, ragged=True), graph_of(model)
    instead = terms(model, pairs.corrupt)

    def metric(cut: torch.Tensor) -> torch.Tensor:
        whole = cut[:, None] * graph.edges.float()
        return run_cut(model, pairs, whole[None], instead)[0]

    start = torch.full((graph.n_writers,), 1e-20)
    expected = torch.autograd.functional.jacobian(metric, start).T
    found = torch.cat(list(pair_scores(Question(model, pairs))), dim=1).float()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_attribution_patching_of_a_linear_model_is_exact_for_heads(linear_model: Model) -> None:
    model = linear_model
    pairs, graph = random_pairs(model), graph_of(model)
    heads = graph.is_head.nonzero()[:, 0]
    keep = graph.edges.repeat(len(heads), 1, 1)
    keep[torch.arange(len(heads)), heads] = False
    exact = (run_edges(model, pairs, keep) - clean_metric(model, pairs)).mean(1)
    found = attribution_patching(Question(model, pairs)).nodes[heads]
    assert exact.abs().max() > 1
    torch.testing.assert_close(found, exact, atol=5e-2, rtol=1e-3)


def test_the_embedding_of_a_linear_model_carries_the_whole_change(linear_model: Model) -> None:
    model = linear_model
    pairs = random_pairs(model)
    change = (corrupt_metric(model, pairs) - clean_metric(model, pairs)).mean()
    found = attribution_patching(Question(model, pairs)).nodes[0]
    torch.testing.assert_close(found, change, atol=5e-2, rtol=1e-3)


def test_hisp_sums_sizes_over_pairs_and_scales_each_layer_to_one() -> None:
    model = tiny_model("llama")
    question = Question(model, random_pairs(model, n=6))
    graph, found = question.graph, hisp(question)
    each = torch.cat(list(pair_scores(question)), dim=1).abs().sum(1)
    assert not found.signed
    for layer in range(-1, graph.n_layers):
        inside = graph.layer_of == layer
        torch.testing.assert_close(found.nodes[inside].norm(), torch.tensor(1.0))
        expected = each[inside] / each[inside].norm()
        torch.testing.assert_close(found.nodes[inside], expected.float())


def test_hisp_does_not_blow_rounding_noise_up() -> None:
    """What a layer adds alike to all coordinates is taken out again by the last norm."""
    nodes = []
    for silent in (True, False):
        model = tiny_model("gpt2")
        last = model.shape.n_layers - 1
        with torch.no_grad():
            for part in ("attn.c_proj", "mlp.c_proj"):
                weight = model.blocks[last].get_submodule(part).weight
                if silent:
                    weight.copy_(weight.mean(1, keepdim=True).expand_as(weight))
        question = Question(model, random_pairs(model, n=6))
        inside = question.graph.layer_of == last
        each = torch.cat(list(pair_scores(question)), dim=1).abs().sum(1)
        assert each[inside].max() > 0, "or else there is no noise"
        nodes.append(hisp(question).nodes)
        torch.testing.assert_close(nodes[-1][~inside].max(), torch.tensor(1.0))
    assert nodes[0][inside].max() < 1e-3
    torch.testing.assert_close(nodes[1][inside].norm(), torch.tensor(1.0))


def test_information_flow_is_the_share_by_proximity_at_each_position() -> None:
    model = tiny_model("gpt_neox-sequential")
    pairs, graph = random_pairs(model, n=3, ragged=True), graph_of(model)
    found = information_flow(Question(model, pairs)).edges
    assert found is not None
    written = terms(model, pairs.clean)
    bias = [model.attention_output(layer).bias.detach() for layer in range(graph.n_layers)]
    for reader in (graph.reader("L1.H2.q"), graph.reader("L1.mlp"), graph.n_readers - 1):
        node = graph.readers[reader]
        n, n_attended = graph.n_before(node), node.layer + (node.kind is Kind.MLP)
        total = torch.zeros(n)
        for pair, length in enumerate(pairs.clean.lengths.tolist()):
            parts = written[pair, :length, :n]
            read = parts.sum(1) + sum(bias[:n_attended], torch.zeros_like(bias[0]))
            near = (read.abs().sum(-1)[:, None] - (read[:, None] - parts).abs().sum(-1)).clamp(0)
            total += (near / near.sum(1, keepdim=True)).mean(0)
        torch.testing.assert_close(found[:n, reader], total / len(pairs), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", ["gemma3", "llama-mqa", "phi"])
def test_the_shares_of_what_is_read_sum_to_one(family: str) -> None:
    model = tiny_model(family)
    found = information_flow(Question(model, random_pairs(model, ragged=True))).edges
    assert found is not None
    torch.testing.assert_close(found.sum(0), torch.ones(found.shape[1]), atol=1e-5, rtol=1e-5)


def test_activation_magnitude_is_the_mean_norm_of_terms() -> None:
    model = tiny_model("gpt2")
    pairs = random_pairs(model, ragged=True)
    norms = terms(model, pairs.clean).norm(dim=-1)
    lengths = pairs.clean.lengths.tolist()
    expected = torch.stack([norms[i, :length].mean(0) for i, length in enumerate(lengths)]).mean(0)
    found = activation_magnitude(Question(model, pairs))
    torch.testing.assert_close(found.nodes, expected)
    assert found.edges is not None
    assert torch.equal(found.edges[0], expected[0] * graph_of(model).edges[0])


def test_the_planted_heads_lead_where_the_metric_is_asked_and_not_by_size() -> None:
    planted = planted_model()
    graph = graph_of(planted.model)
    pairs = pair_batch(planted.model, planted_prompts(planted, n_pairs=8))
    heads = {graph.writer(f"L{head.layer}.H{head.index}") for head in planted.heads}
    places = graph.is_head.nonzero()[:, 0]
    question = Question(planted.model, pairs)

    def leading(strength: torch.Tensor) -> set[int]:
        return set(places[strength[places].topk(2).indices].tolist())

    assert leading(attribution_patching(question).node_strength) == heads
    assert leading(activation_magnitude(question).node_strength) != heads
