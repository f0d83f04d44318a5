"""A contract: every method that finds edges finds those of every circuit that is known exactly."""

from __future__ import annotations

import pytest
import torch

from needlepoint.circuits.known.models import KNOWN_MODELS, KnownModel, known_model
from needlepoint.circuits.registered import CIRCUIT_METHODS, Question
from needlepoint.models.tracr.library import has_tracr

SMALL = (
    "planted induction",
    "planted induction, shared keys",
    "planted rules",
    "tracr reverse",
    "tracr frac_prevs",
    "tracr sort",
)
"""Small enough for every method; benchmarks/known_circuits.py has them all."""
LEARNED = ("edge_pruning", "subnetwork_probing")
"""Takes a minute on all of these; see their own tests."""


@pytest.fixture(scope="module", params=SMALL)
def known(request: pytest.FixtureRequest) -> KnownModel:
    name: str = request.param
    assert name in KNOWN_MODELS
    if name.startswith("tracr") and not has_tracr():
        pytest.skip("the extra 'tracr' is not installed")
    return known_model(name, n_pairs=4)


@pytest.mark.parametrize("name", [name for name in CIRCUIT_METHODS if name not in LEARNED])
def test_scores_have_the_order_of_the_graph_and_none_where_no_edge_is(
    known: KnownModel, name: str
) -> None:
    method = CIRCUIT_METHODS[name]
    found = method.find(Question(known.model, known.pairs))
    graph = known.graph
    assert found.nodes.shape == (graph.n_writers,)
    assert (found.edges is not None) == (method.level == "edges")
    if found.edges is None:
        return
    assert found.edges.shape == graph.edges.shape
    assert (found.edges[~graph.edges] == 0).all()
    if method.exact:
        outside = graph.edges & ~known.wired
        assert found.edges[outside].abs().max() < 1e-4
        assert torch.equal(found.edges.abs() > 1e-3, known.seen)
