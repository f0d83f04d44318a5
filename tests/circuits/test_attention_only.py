"""Circuits of models without MLPs: the graph has none, and all that runs on it does without."""

from __future__ import annotations

import pytest
import torch

from needlepoint._core.errors import UnknownSiteError
from needlepoint.circuits.ablation import head_effects
from needlepoint.circuits.attribution import eap_ig_activations
from needlepoint.circuits.cost import measured
from needlepoint.circuits.graph.graph import Graph, Kind
from needlepoint.circuits.graph.run import run_cut, run_edges
from needlepoint.circuits.graph.run_nodes import run_nodes
from needlepoint.circuits.graph.terms import graph_of, terms
from needlepoint.circuits.known.published import circuit_edges, circuit_heads, published_circuits
from needlepoint.circuits.pair_batch import clean_metric, corrupt_metric
from needlepoint.circuits.patching.effects import node_effects
from needlepoint.circuits.patching.means import means_over
from needlepoint.circuits.patching.replacement import replacements
from needlepoint.circuits.registered import CIRCUIT_METHODS, Question
from needlepoint.circuits.search.subnetwork import Learning, probe_edges, probe_nodes
from needlepoint.models.hooks import record
from needlepoint.models.model import Model
from needlepoint.testing import reference
from needlepoint.testing.attention_only import tiny_attention_only
from needlepoint.testing.pairs import random_pairs

KINDS = {
    "LayerNorm": {},
    "no norms": {"norm": "", "final_norm": ""},
    "shortformer": {"shortformer": True},
}
MASKS = {"subnetwork_probing": probe_nodes, "edge_pruning": probe_edges}


def made(kind: str) -> Model:
    return tiny_attention_only(**KINDS[kind])


every_kind = pytest.mark.parametrize("kind", KINDS)


def test_the_graph_is_that_of_a_model_with_mlps_less_the_mlps() -> None:
    whole = Graph(n_layers=3, n_heads=4, n_kv_heads=2)
    own = Graph(n_layers=3, n_heads=4, n_kv_heads=2, has_mlps=False)
    writers = [node for node in whole.writers if node.kind is not Kind.MLP]
    readers = [node for node in whole.readers if node.kind is not Kind.MLP]
    assert (list(own.writers), list(own.readers)) == (writers, readers)
    assert (own.n_writers, own.n_readers) == (len(writers), len(readers))
    rows = [whole.writer(node.name) for node in writers]
    columns = [whole.reader(node.name) for node in readers]
    for name in ("edges", "feeds"):
        kept = (rows, columns) if name == "edges" else (columns, rows)
        wanted = getattr(whole, name)[kept[0]][:, kept[1]]
        assert torch.equal(getattr(own, name), wanted)
    for layer in range(3):
        heads = own.writers[own.heads(layer)]
        assert [node.name for node in heads] == [f"L{layer}.H{head}" for head in range(4)]
        assert own.inputs(layer, Kind.MLP).start == own.inputs(layer, Kind.MLP).stop
        for kind in (Kind.Q, Kind.K, Kind.V):
            assert {node.kind for node in own.readers[own.inputs(layer, kind)]} == {kind}
    with pytest.raises(UnknownSiteError, match="no MLPs: ask for its heads"):
        own.mlp(0)


@every_kind
def test_keeping_all_edges_is_the_clean_model_and_keeping_none_the_corrupt_one(kind: str) -> None:
    model = made(kind)
    pairs, edges = random_pairs(model), graph_of(model).edges
    clean, corrupt = clean_metric(model, pairs), corrupt_metric(model, pairs)
    touched = run_cut(model, pairs, 1e-20 * edges[None].float(), terms(model, pairs.corrupt))
    found = run_edges(model, pairs, torch.stack([edges, torch.zeros_like(edges)]))
    assert (clean - corrupt).abs().max() > 0.1
    torch.testing.assert_close(found[0], clean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(touched[0].detach(), clean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[1], corrupt, atol=1e-5, rtol=1e-5)


@every_kind
def test_terms_of_embedding_and_heads_add_up_to_the_stream_but_for_biases(kind: str) -> None:
    model = made(kind)
    batch = random_pairs(model).clean
    with record(model, ["L2.resid"]) as kept:
        summed = terms(model, batch).sum(2)
    (stream,) = kept.values()
    biases = sum(model.attention_output(layer).bias for layer in range(3))
    torch.testing.assert_close(stream - summed, biases.expand_as(stream), atol=1e-5, rtol=1e-5)


@every_kind
def test_cutting_all_edges_out_of_heads_is_resampling_them(kind: str) -> None:
    model = made(kind)
    pairs, graph = random_pairs(model), graph_of(model)
    keep = graph.edges.repeat(graph.n_writers, 1, 1)
    keep[torch.arange(graph.n_writers), torch.arange(graph.n_writers)] = False
    effects = run_edges(model, pairs, keep) - clean_metric(model, pairs)
    nodes = ~torch.eye(graph.n_writers, dtype=torch.bool)
    by_nodes = run_nodes(model, pairs, nodes) - clean_metric(model, pairs)
    torch.testing.assert_close(by_nodes, effects, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(effects[1:].T, head_effects(model, pairs), atol=1e-4, rtol=1e-4)


@every_kind
@pytest.mark.parametrize("ablation", ["resample", "mean", "zero"])
def test_effects_are_those_of_one_whole_pass_for_each_node(kind: str, ablation) -> None:
    model = made(kind)
    pairs = random_pairs(model)
    data = means_over(model, pairs.corrupt) if ablation == "mean" else None
    found = node_effects(model, pairs, kind=ablation, data=data)
    assert [node.kind for node in found.nodes] == [Kind.EMBED] + 12 * [Kind.HEAD]
    values = replacements(model, pairs, ablation, data)
    wanted = reference.node_effects(model, pairs, values, found.nodes, pairs.clean.mask)
    torch.testing.assert_close(found.values, wanted, atol=1e-4, rtol=1e-4)
    with measured(model) as meter:
        node_effects(model, pairs, kind=ablation, data=data)
    assert 0 < meter.cost.forward_passes < len(pairs) * (len(found.nodes) + 2)


@every_kind
@pytest.mark.parametrize("method", CIRCUIT_METHODS)
def test_every_method_runs_and_scores_what_there_is(kind: str, method: str) -> None:
    model = made(kind)
    question = Question(model, random_pairs(model))
    if method in MASKS:
        found = MASKS[method](question, Learning(steps=5))
    else:
        found = CIRCUIT_METHODS[method].find(question)
    assert found.nodes.shape == (13,)
    assert not found.stray()
    if found.edges is not None:
        assert found.edges.shape == question.graph.edges.shape == (13, 37)
        assert bool((found.edges[~question.graph.edges] == 0).all())


@every_kind
@pytest.mark.parametrize("ending", ["", "_gim"])
def test_attribution_of_a_node_is_that_of_the_edges_out_of_it(kind: str, ending: str) -> None:
    model = made(kind)
    question = Question(model, random_pairs(model))
    edges = CIRCUIT_METHODS[f"eap{ending}"].find(question).nodes
    nodes = CIRCUIT_METHODS[f"attribution_patching{ending}"].find(question).nodes
    assert nodes.abs().max() > 1e-2
    torch.testing.assert_close(nodes, edges, atol=1e-5, rtol=1e-4)


@every_kind
def test_with_more_steps_scores_of_a_layer_come_to_sum_to_its_exact_effect(kind: str) -> None:
    model = made(kind)
    pairs, graph = random_pairs(model), graph_of(model)
    nodes = torch.ones(3, graph.n_writers, dtype=torch.bool)
    for layer in range(3):
        nodes[layer, graph.heads(layer)] = False
    exact = (run_nodes(model, pairs, nodes) - clean_metric(model, pairs)).mean(1)
    scores = eap_ig_activations(Question(model, pairs), steps=12).nodes
    summed = torch.stack([scores[graph.heads(layer)].sum() for layer in range(3)])
    assert exact.abs().max() > 0.05
    torch.testing.assert_close(summed, exact, atol=2e-3, rtol=1e-2)


def test_the_docstring_lists_are_judged_on_a_model_of_that_name_and_shape() -> None:
    model = tiny_attention_only(num_hidden_layers=4, num_attention_heads=8).named("attn-only-4l")
    reference_list, paper = published_circuits("docstring", model)
    graph = graph_of(model)
    heads = {graph.writers[1 + i].name for i in circuit_heads(paper, graph).nonzero()[:, 0]}
    assert heads == {"L0.H5", "L1.H0", "L1.H4", "L2.H0", "L3.H0", "L3.H6"}
    edges = circuit_edges(reference_list, graph)
    assert {name for name, _ in graph.named(edges)} == {"L0.H5", "L1.H2", "L1.H4", "L2.H0"}
    assert int(edges.sum()) == 3 * 12, "each of the published twelve by three inputs"
