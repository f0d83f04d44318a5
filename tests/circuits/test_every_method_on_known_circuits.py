"""A contract: every circuit method, on every model whose circuit is known exactly.

Exact patching scores the edges that resampling can see, and no others. Estimates score nothing that
the weights have no room for, are exact where the metric is linear in what an edge carries, and find
all that can be seen unless a slope on the way is nil. ACDC keeps seen edges only, and all that move
the prediction; masks of what does nothing all fall alike. What knows nothing of the answers does
not find what was planted. How good each is otherwise, benchmarks/known_circuits.py measures.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from itertools import product

import pytest
import torch
from torch import Tensor

from needlepoint.circuits.graph.graph import Kind
from needlepoint.circuits.known.models import KNOWN_MODELS, KnownModel, known_model
from needlepoint.circuits.metric import Answers
from needlepoint.circuits.pair_batch import PairBatch
from needlepoint.circuits.registered import CIRCUIT_METHODS, Found, Question
from needlepoint.circuits.search.acdc import THRESHOLD
from needlepoint.circuits.search.subnetwork import Learning, probe_edges, probe_nodes
from needlepoint.evaluation.metrics import average_precision
from needlepoint.models.tracr.library import has_tracr

MODELS = tuple(KNOWN_MODELS)
MASKS = {
    "subnetwork_probing": lambda question: probe_nodes(question, Learning(steps=30)),
    "edge_pruning": lambda question: probe_edges(question, Learning(steps=30)),
}
"""In a fifth of the steps that they are registered with."""
GIM = ("eap_gim", "eap_ig_inputs_gim", "eap_ig_activations_gim")
ATTRIBUTION = ("eap", "eap_ig_inputs", "eap_ig_activations", *GIM)
BLIND = ("activation_magnitude", "random_edges", "information_flow")
"""They know nothing of the answers, nor of what is replaced."""
CODES = ("code_edges",)
"""Of heads only, and nothing is ablated."""
INFORMED = tuple(name for name in CIRCUIT_METHODS if name not in (*MASKS, *BLIND, *CODES))
SLOPES = (
    "planted induction", "planted induction, shared keys", "planted rules", "tracr reverse",
    "tracr frac_prevs", "tracr pair_balance", "tracr shift", "tracr detect_pattern",
)  # fmt: skip
"""Of the other programs some attention picks one position so sharply, or some neuron is so far from
its threshold, that small changes of what it reads change nothing."""
LINEAR = ("tracr reverse", "tracr shift")
"""All that can be seen on their prompts goes by values: no pattern changes, and no neuron."""
UNMOVED = ("planted rules", "tracr frac_prevs", "tracr pair_balance")
"""Some of their seen edges move the prediction by less than ACDC's threshold. The output of the two
programs is a number, which is one logit of few."""
LONG = ("tracr dyck", "tracr sort_freq")
"""A graph of more layers, which takes a search ten seconds."""
ONE_LAYER = ("tracr hist", "tracr count", "tracr shift")
COSTLY = ("acdc", "path_patching")
NOISE = 1e-5
"""Scores below this share of the largest are rounding."""


def marks_of(model: str, method: str = "") -> list[pytest.MarkDecorator]:
    marks = []
    if model.startswith("tracr"):
        marks.append(pytest.mark.skipif(not has_tracr(), reason="needs the extra 'tracr'"))
    if method == "acdc" and model in LONG:
        marks.append(pytest.mark.journey)
    return marks


def each(models: Iterable[str], methods: Iterable[str]) -> pytest.MarkDecorator:
    """Every model with every method, codes of heads left out where no head can read another."""
    found = [
        pytest.param(model, method, marks=marks_of(model, method), id=f"{model}, {method}")
        for model, method in product(models, methods)
        if method not in CODES or model not in ONE_LAYER
    ]
    return pytest.mark.parametrize(("model", "method"), found)


every_model = pytest.mark.parametrize(
    "model", [pytest.param(model, marks=marks_of(model)) for model in MODELS]
)


@cache
def known(model: str) -> KnownModel:
    return known_model(model, n_pairs=4)


def find(method: str, question: Question) -> Found:
    return MASKS[method](question) if method in MASKS else CIRCUIT_METHODS[method].find(question)


@cache
def found_by(method: str, model: str) -> Found:
    return find(method, Question(known(model).model, known(model).pairs))


def edges_of(method: str, model: str) -> Tensor:
    edges = found_by(method, model).edges
    assert edges is not None
    return edges


def precision(strength: Tensor, truth: Tensor) -> float:
    """Average precision, scores that are rounding beside the largest being ties."""
    largest = strength.max()
    return average_precision(torch.where(strength > NOISE * largest, strength, 0.0), truth)


@each(MODELS, CIRCUIT_METHODS)
def test_scores_have_the_order_of_the_graph_and_none_where_no_edge_is(
    model: str, method: str
) -> None:
    graph, found = known(model).graph, found_by(method, model)
    assert found.nodes.shape == (graph.n_writers,)
    assert not found.stray()
    assert bool(found.missing) == (method in CODES)
    assert (found.edges is not None) == (CIRCUIT_METHODS[method].level == "edges")
    if found.edges is not None:
        assert found.edges.shape == graph.edges.shape
        assert bool((found.edges[~graph.edges] == 0).all())


@each(MODELS, INFORMED)
def test_what_the_weights_have_no_room_for_is_not_scored(model: str, method: str) -> None:
    one, found = known(model), found_by(method, model)
    most = THRESHOLD if method == "acdc" else 1e-4
    assert float(found.nodes[~one.nodes].abs().sum()) <= most
    if found.edges is not None:
        outside = found.edges[one.graph.edges & ~one.wired]
        assert len(outside)
        assert float(outside.abs().max()) < most


@every_model
def test_exact_effects_are_those_of_the_edges_that_can_be_seen(model: str) -> None:
    exact = [name for name in CIRCUIT_METHODS if CIRCUIT_METHODS[name].exact]
    assert exact == ["path_patching"]
    for name in exact:
        assert torch.equal(edges_of(name, model).abs() > 1e-3, known(model).seen)


@each(MODELS, ATTRIBUTION)
def test_estimates_are_exact_on_edges_to_the_logits(model: str, method: str) -> None:
    """Nothing lies behind them but a linear map: slopes are the same all the way."""
    found, exact = (edges_of(name, model)[:, -1] for name in (method, "path_patching"))
    assert exact.abs().max() > 0.1
    torch.testing.assert_close(found, exact, atol=1e-5, rtol=1e-5)


@each(MODELS, [name for name in ATTRIBUTION if name not in GIM])
def test_estimates_are_exact_where_everything_goes_by_values(model: str, method: str) -> None:
    one = known(model)
    readers = [one.graph.readers[place] for place in one.seen.any(0).nonzero()[:, 0].tolist()]
    by_values = all(reader.kind in (Kind.V, Kind.LOGITS) for reader in readers)
    assert by_values == (model in LINEAR)
    error = (edges_of(method, model) - edges_of("path_patching", model)).abs().max()
    assert not by_values or error < 1e-5


@each(MODELS, ATTRIBUTION)
def test_estimates_find_what_can_be_seen_unless_a_slope_is_nil(model: str, method: str) -> None:
    one = known(model)
    exists = one.graph.edges
    found = precision(edges_of(method, model).abs()[exists], one.seen[exists])
    assert (found > 0.999) == (model in SLOPES)


@every_model
def test_attribution_of_a_node_is_that_of_the_edges_out_of_it(model: str) -> None:
    nodes, edges = (found_by(name, model).nodes for name in ("attribution_patching", "eap"))
    torch.testing.assert_close(nodes, edges, atol=1e-5, rtol=1e-5)
    masks = found_by("hisp", model).nodes
    assert bool((masks >= 0).all())
    assert bool((masks[nodes.abs() > NOISE * nodes.abs().max()] > 0).all())
    if model in SLOPES:
        seen = known(model).seen_nodes
        assert all(precision(found.abs(), seen) > 0.999 for found in (nodes, masks))


@each([name for name in MODELS if name.startswith("planted")], BLIND)
def test_what_knows_no_answer_does_not_find_what_was_planted(model: str, method: str) -> None:
    one = known(model)
    exists = one.graph.edges
    assert precision(edges_of(method, model)[exists], one.seen[exists]) < 0.1


@each(MODELS, ["acdc"])
def test_acdc_keeps_the_seen_edges_that_move_the_prediction(model: str, method: str) -> None:
    kept, seen = edges_of(method, model) >= 1, known(model).seen
    assert not bool((kept & ~seen).any())
    assert torch.equal(kept, seen) == (model not in UNMOVED)


def masked(one: KnownModel, found: Found) -> tuple[Tensor, Tensor, Tensor]:
    """The masks of parts that can be cut, which of the parts are wired, and which are seen."""
    if found.edges is None:
        return found.nodes[1:], one.nodes[1:], one.seen_nodes[1:]
    exists = one.graph.edges
    return found.edges[exists], one.wired[exists], one.seen[exists]


@each(MODELS, MASKS)
def test_masks_of_what_does_nothing_all_fall_alike(model: str, method: str) -> None:
    """Only their price moves them; where there are slopes, those of what is seen end above all."""
    masks, wired, seen = masked(known(model), found_by(method, model))
    idle = masks[~wired]
    assert len(idle) or method == "subnetwork_probing"
    assert bool((idle < 0).all())
    torch.testing.assert_close(idle, idle[:1].expand_as(idle), atol=1e-4, rtol=1e-4)
    if model in SLOPES:
        assert average_precision(masks, seen) == pytest.approx(1)


def exchanged(pairs: PairBatch) -> PairBatch:
    """The pairs in another order, and with the right and the wrong answers exchanged."""
    answers = pairs.answers
    assert isinstance(answers, Answers)
    turned = replace(answers, right=answers.wrong, wrong=answers.right)
    return replace(pairs, answers=turned).rows(torch.tensor([2, 0, 3, 1]))


def check_exchange(model: str, method: str) -> None:
    one, found = known(model), found_by(method, model)
    again = find(method, Question(one.model, exchanged(one.pairs)))
    sign = -1 if found.signed else 1
    torch.testing.assert_close(again.nodes, sign * found.nodes, atol=1e-5, rtol=1e-5)
    if found.edges is not None:
        torch.testing.assert_close(again.edges, sign * found.edges, atol=1e-5, rtol=1e-5)


@each(MODELS, [name for name in (*INFORMED, *BLIND) if name not in COSTLY])
def test_exchanged_answers_turn_signed_scores_and_the_order_of_pairs_counts_for_nothing(
    model: str, method: str
) -> None:
    check_exchange(model, method)


@each(ONE_LAYER, COSTLY)
def test_exchanged_answers_turn_exact_effects_and_leave_what_acdc_keeps(
    model: str, method: str
) -> None:
    check_exchange(model, method)
