"""Running circuits of edges: what keeping all, none and some edges must give, in every family."""

from __future__ import annotations

import gc

import pytest
import torch

from needlepoint._core.errors import ModelError
from needlepoint.circuits.ablation import head_effects
from needlepoint.circuits.graph.changes import Changes
from needlepoint.circuits.graph.graph import Kind
from needlepoint.circuits.graph.run import run_cut, run_edges
from needlepoint.circuits.graph.terms import graph_of, term_bytes, terms
from needlepoint.circuits.pair_batch import clean_metric, corrupt_metric
from needlepoint.evaluation.read_heads import pair_batch
from needlepoint.models.hooks import record
from needlepoint.models.planted import planted_model, planted_prompts
from needlepoint.testing.pairs import random_pairs
from needlepoint.testing.tiny import TINY_FAMILIES, tiny_model

FAMILIES = sorted(TINY_FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_keeping_all_edges_is_the_clean_model_and_keeping_none_the_corrupt_one(family: str) -> None:
    model = tiny_model(family)
    pairs, edges = random_pairs(model), graph_of(model).edges
    clean, corrupt = clean_metric(model, pairs), corrupt_metric(model, pairs)
    # Cut by next to nothing, so that every reader goes through the replaced path.
    touched = run_cut(model, pairs, 1e-20 * edges[None].float(), terms(model, pairs.corrupt))
    found = run_edges(model, pairs, torch.stack([edges, torch.zeros_like(edges)]))
    assert (clean - corrupt).abs().max() > 0.1
    torch.testing.assert_close(found[0], clean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(touched[0].detach(), clean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[1], corrupt, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_cutting_all_edges_out_of_a_head_is_resampling_the_head(family: str) -> None:
    model = tiny_model(family)
    if any(name in family for name in ("gemma2", "gemma3")):
        pytest.skip("a norm after attention shares its division among the heads of a layer")
    pairs, graph = random_pairs(model), graph_of(model)
    heads = graph.is_head.nonzero()[:, 0]
    keep = graph.edges.repeat(len(heads), 1, 1)
    keep[torch.arange(len(heads)), heads] = False
    effects = run_edges(model, pairs, keep) - clean_metric(model, pairs)
    expected = head_effects(model, pairs)
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(effects.T, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_terms_add_up_to_the_stream_but_for_constants(family: str) -> None:
    model = tiny_model(family)
    batch = random_pairs(model).clean
    last = model.site(f"L{model.shape.n_layers - 1}.resid")
    with record(model, [last]) as kept:
        model.hidden(batch)
    found = terms(model, batch)
    rest = kept[last] - found.sum(2)
    assert found.numel() * 4 == term_bytes(model, batch.ids.numel())
    torch.testing.assert_close(rest, rest[:1, :1].expand_as(rest), atol=1e-5, rtol=1e-4)


def test_the_order_of_pieces_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama")
    pairs, edges = random_pairs(model, n=5), graph_of(model).edges
    rng = torch.Generator().manual_seed(1)
    keep = edges & (torch.rand(3, *edges.shape, generator=rng) < 0.7)
    whole = run_edges(model, pairs, keep)
    monkeypatch.setattr("needlepoint.circuits.graph.run.EDGE_BYTES", term_bytes(model, 7))
    torch.testing.assert_close(run_edges(model, pairs, keep), whole, atol=1e-5, rtol=1e-5)


def test_the_planted_circuit_is_its_two_heads_and_cutting_their_edge_breaks_it() -> None:
    planted = planted_model()
    model, graph = planted.model, graph_of(planted.model)
    pairs = pair_batch(model, planted_prompts(planted, n_pairs=8))
    first, second = (f"L{head.layer}.H{head.index}" for head in planted.heads)
    nodes = torch.zeros(graph.n_writers, dtype=torch.bool)
    for name in ("embed", first, second):
        nodes[graph.writer(name)] = True
    whole = graph.between(nodes)
    broken = whole.clone()
    layer, head = second.split(".H")
    broken[graph.writer(first), graph.reader(f"{layer}.K{head}")] = False
    clean, corrupt = clean_metric(model, pairs), corrupt_metric(model, pairs)
    found = run_edges(model, pairs, torch.stack([whole, broken])).mean(1)
    assert clean.mean() - corrupt.mean() > 5
    assert torch.isclose(found[0], clean.mean(), atol=1e-3)
    assert abs(found[1] - corrupt.mean()) < 0.2 * (clean.mean() - corrupt.mean())


def test_cuts_are_differentiable() -> None:
    model = tiny_model("qwen3")
    pairs, graph = random_pairs(model, n=2), graph_of(model)
    instead = terms(model, pairs.corrupt).detach()
    cut = (0.3 * graph.edges[None].float()).requires_grad_()
    run_cut(model, pairs, cut, instead).mean().backward()
    assert cut.grad is not None
    place = (graph.writer("L0.mlp"), graph.reader("L2.K1"))
    step = torch.zeros_like(cut)
    step[0, *place] = 1e-2
    with torch.no_grad():
        up, down = (run_cut(model, pairs, cut + sign * step, instead).mean() for sign in (1, -1))
    torch.testing.assert_close(cut.grad[0, *place], (up - down) / 2e-2, atol=1e-3, rtol=2e-2)


def test_nothing_stays_in_memory_of_a_run_whose_gradients_were_taken() -> None:
    model = tiny_model("llama")
    pairs, graph = random_pairs(model, n=2), graph_of(model)
    instead = terms(model, pairs.corrupt).detach()

    def kept() -> int:
        gc.collect()
        return sum(type(found) is Changes for found in gc.get_objects())

    before = kept()
    for _ in range(2):
        cut = (0.3 * graph.edges[None].float()).requires_grad_()
        run_cut(model, pairs, cut, instead).mean().backward()
    assert kept() == before


def test_norms_after_the_parts_are_refused() -> None:
    model = tiny_model("opt", do_layer_norm_before=False)
    with pytest.raises(ModelError, match="edges are not defined"):
        run_edges(model, random_pairs(model), graph_of(model).edges[None] & False)


def test_parallel_mlps_do_not_read_the_heads_of_their_layer() -> None:
    graph = graph_of(tiny_model("gpt_neox"))
    assert not graph.edges[graph.heads(1), graph.inputs(1, Kind.MLP)].any()
    other = graph_of(tiny_model("gpt_neox-sequential"))
    assert other.edges[other.heads(1), other.inputs(1, Kind.MLP)].all()
