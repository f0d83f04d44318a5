"""A shared key or value head is what its copies are together: every method on an ungrouped twin.

The twin computes the same, with a key/value head of its own for each query head. A reader that
heads share stands there as many times as heads share it; all other nodes stand there once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from needlepoint.circuits.attribution import (
    activation_magnitude,
    attribution_patching,
    eap,
    eap_gim,
    eap_ig_activations,
    eap_ig_activations_gim,
    eap_ig_inputs,
    eap_ig_inputs_gim,
    hisp,
)
from needlepoint.circuits.graph.graph import Graph, Kind
from needlepoint.circuits.graph.run import run_cut, run_edges
from needlepoint.circuits.graph.run_nodes import run_nodes
from needlepoint.circuits.graph.terms import graph_of, terms
from needlepoint.circuits.methods import Found, Question
from needlepoint.circuits.pair_batch import PairBatch, from_clean
from needlepoint.circuits.patching.effects import node_effects
from needlepoint.circuits.patching.means import means_over
from needlepoint.circuits.patching.replacement import AblationKind
from needlepoint.circuits.search.acdc import prune_edges
from needlepoint.circuits.search.edge_patching import path_patching
from needlepoint.circuits.search.subnetwork import Learning, probe_nodes
from needlepoint.evaluation.read_heads import pair_batch
from needlepoint.models.model import Model
from needlepoint.models.planted import planted_model, planted_prompts
from needlepoint.testing.pairs import random_pairs
from needlepoint.testing.tiny import tiny_model

FAMILIES = ("llama", "llama-mqa", "qwen2", "qwen3", "gemma2")
SHARED = ("k_proj", "v_proj", "attention.k.", "attention.v.")


@dataclass(frozen=True)
class Twins:
    """A model whose heads share keys and values, and one that has a copy for each of them."""

    model: Model
    twin: Model
    pairs: PairBatch

    @property
    def graph(self) -> Graph:
        return graph_of(self.model)

    @property
    def own(self) -> Int[Tensor, " reader"]:
        """Of each reader of the twin the reader of the model that it is a copy of."""
        group = self.graph.n_heads // self.graph.n_kv_heads
        places = {reader: place for place, reader in enumerate(self.graph.readers)}
        found = []
        for reader in graph_of(self.twin).readers:
            shared = reader.kind in (Kind.K, Kind.V)
            found.append(
                places[replace(reader, index=reader.index // group if shared else reader.index)]
            )
        return torch.tensor(found)

    def joined(self, scores: Tensor) -> Tensor:
        """Scores of the twin's edges, those of copies added up."""
        return torch.zeros(scores.shape[0], self.graph.n_readers).index_add(1, self.own, scores)


def _twins(model: Model, twin: Model, pairs: PairBatch) -> Twins:
    """Give the twin the weights of the model, shared ones once for each head that shares them."""
    shape, weights = model.shape, model.module.state_dict()
    for name in weights:
        if any(part in name for part in SHARED):
            each = weights[name].unflatten(0, (shape.n_kv_heads, shape.d_head))
            again = each.repeat_interleave(shape.n_heads // shape.n_kv_heads, 0)
            weights[name] = again.flatten(0, 1)
    twin.module.load_state_dict(weights)
    return Twins(model, twin, pairs)


@cache
def random_twins(family: str) -> Twins:
    config: dict[str, Any] = {"num_hidden_layers": 2}
    if family == "gemma2":
        config["layer_types"] = ["sliding_attention", "full_attention"]
    model = tiny_model(family, **config)
    twin = tiny_model(family, **config, num_key_value_heads=model.shape.n_heads)
    return _twins(model, twin, random_pairs(model, ragged=True))


@pytest.fixture(scope="module")
def planted_twins() -> Twins:
    """The heads that share the circuit's keys and values read them to no effect."""
    planted, apart = (planted_model(n_heads=4, n_layers=2, n_kv_heads=n) for n in (2, 4))
    pairs = pair_batch(planted.model, planted_prompts(planted, n_pairs=8))
    return _twins(planted.model, apart.model, pairs)


every_family = pytest.mark.parametrize("family", FAMILIES)


@every_family
def test_a_circuit_is_that_of_the_twin_with_all_copies_kept_or_cut(family: str) -> None:
    one = random_twins(family)
    rng = torch.Generator().manual_seed(0)
    edges = one.graph.edges
    keep = edges & (torch.rand(6, *edges.shape, generator=rng) < 0.7)
    found, wanted = (
        run_edges(one.model, one.pairs, keep),
        run_edges(one.twin, one.pairs, keep[:, :, one.own]),
    )
    assert found.std(0).min() > 1e-2
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


@every_family
def test_a_circuit_of_nodes_is_that_of_the_twin(family: str) -> None:
    one = random_twins(family)
    keep = torch.rand(6, one.graph.n_writers, generator=torch.Generator().manual_seed(0)) < 0.7
    found, wanted = (run_nodes(model, one.pairs, keep) for model in (one.model, one.twin))
    assert found.std(0).min() > 1e-2
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


@every_family
@pytest.mark.parametrize("kind", ["resample", "mean", "zero"])
def test_exact_effects_of_nodes_are_those_of_the_twin(family: str, kind: AblationKind) -> None:
    one = random_twins(family)
    data = [
        means_over(model, one.pairs.corrupt) if kind == "mean" else None
        for model in (one.model, one.twin)
    ]
    found, wanted = (
        node_effects(model, one.pairs, kind=kind, data=means).values
        for model, means in zip((one.model, one.twin), data, strict=True)
    )
    assert found.abs().amax(0).min() > 1e-3
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


@every_family
def test_the_exact_effect_of_an_edge_is_that_of_cutting_all_its_copies_at_once(family: str) -> None:
    """Which is not the sum of what each of them does alone, as it is of what EAP makes of them."""
    one = random_twins(family)
    edges = one.graph.edges
    places = edges.nonzero()
    keep = edges.repeat(len(places) + 1, 1, 1)
    keep[torch.arange(len(places)), places[:, 0], places[:, 1]] = False
    metric = run_edges(one.twin, one.pairs, keep[:, :, one.own])
    wanted = (metric[:-1] - metric[-1]).mean(1)
    found, apart = (path_patching(Question(m, one.pairs)).edges for m in (one.model, one.twin))
    assert found is not None
    assert apart is not None
    torch.testing.assert_close(found[edges], wanted, atol=2e-5, rtol=1e-3)
    shared = torch.tensor([reader.kind in (Kind.K, Kind.V) for reader in one.graph.readers])
    summed = one.joined(apart)
    torch.testing.assert_close(found[:, ~shared], summed[:, ~shared], atol=2e-5, rtol=1e-3)
    assert (found - summed)[:, shared].abs().max() > 1e-2


@every_family
@pytest.mark.parametrize(
    "method",
    [
        eap,
        eap_gim,
        eap_ig_inputs,
        eap_ig_inputs_gim,
        eap_ig_activations,
        eap_ig_activations_gim,
    ],
)
def test_an_estimate_of_an_edge_is_the_sum_of_those_of_its_copies(
    family: str, method: Callable[[Question], Found]
) -> None:
    one = random_twins(family)
    found, apart = (method(Question(m, one.pairs)).edges for m in (one.model, one.twin))
    assert found is not None
    assert apart is not None
    assert found.abs().max() > 0.1
    torch.testing.assert_close(found, one.joined(apart), atol=1e-5, rtol=1e-4)


@every_family
@pytest.mark.parametrize("method", [activation_magnitude, attribution_patching, hisp])
def test_scores_of_nodes_are_those_of_the_twin(
    family: str, method: Callable[[Question], Found]
) -> None:
    one = random_twins(family)
    found, wanted = (method(Question(model, one.pairs)).nodes for model in (one.model, one.twin))
    assert found.abs().max() > 0.1
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def _published_on_the_twin(one: Twins, threshold: float) -> Bool[Tensor, "writer reader"]:
    """Algorithm 1 of ACDC, copies cut together."""
    graph, pairs = one.graph, from_clean(one.twin, one.pairs)
    kept, now = graph.edges.clone(), 0.0
    for reader in reversed(range(graph.n_readers)):
        if reader < graph.n_readers - 1 and not kept[graph.moves[reader]].any():
            kept[:, reader] = False
            continue
        for writer in reversed(range(graph.n_before(graph.readers[reader]))):
            without = kept.clone()
            without[writer, reader] = False
            then = float(run_edges(one.twin, pairs, without[None, :, one.own]).double().mean())
            if then - now < threshold:
                kept, now = without, then
    return kept


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_acdc_keeps_what_it_would_of_the_twin_with_copies_cut_together(family: str) -> None:
    one = random_twins(family)
    found = prune_edges(Question(one.model, one.pairs), threshold=0.02, one_by_one=True)
    assert 0 < found.kept.sum() < one.graph.edges.sum()
    assert torch.equal(found.kept, _published_on_the_twin(one, 0.02))


def test_acdc_keeps_a_planted_edge_where_it_keeps_a_copy_of_it(planted_twins: Twins) -> None:
    one = planted_twins
    found, apart = (prune_edges(Question(m, one.pairs)).kept for m in (one.model, one.twin))
    assert found.sum() == 4
    assert torch.equal(found, one.joined(apart.float()) > 0)


@every_family
def test_a_mask_on_an_edge_is_one_mask_on_all_its_copies(family: str) -> None:
    """The metric is the same however far edges are cut, and slopes along copies add up."""
    one = random_twins(family)
    edges = one.graph.edges
    rng = torch.Generator().manual_seed(0)
    far = edges * torch.rand(1, *edges.shape, generator=rng)
    found, apart = far.clone().requires_grad_(), far[:, :, one.own].requires_grad_()
    metrics = [
        run_cut(model, one.pairs, cut, terms(model, one.pairs.corrupt).detach())
        for model, cut in ((one.model, found), (one.twin, apart))
    ]
    torch.testing.assert_close(*metrics, atol=1e-5, rtol=1e-4)
    for metric in metrics:
        metric.mean().backward()
    assert found.grad is not None
    assert apart.grad is not None
    slopes = found.grad[0] * edges
    assert slopes.abs().max() > 1e-2
    torch.testing.assert_close(slopes, one.joined(apart.grad[0]) * edges, atol=1e-5, rtol=1e-4)


@every_family
def test_masks_on_nodes_learn_the_same_of_the_twin(family: str) -> None:
    one = random_twins(family)
    found, wanted = (
        probe_nodes(Question(model, one.pairs), Learning(steps=4)).nodes
        for model in (one.model, one.twin)
    )
    assert found[1:].std() > 1e-2
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
