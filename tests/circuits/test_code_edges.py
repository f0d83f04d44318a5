"""Codes as a method for edges: what it reads, which edges it speaks of, and that it finds one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint._core.seeds import seed_for
from needlepoint.circuits import code_edges as module
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.calibrated import edges
from needlepoint.circuits.calibrated.calibrate_heads import coded_heads
from needlepoint.circuits.calibrated.coding import Coding
from needlepoint.circuits.calibrated.design import Design
from needlepoint.circuits.code_edges import of_head_pairs
from needlepoint.circuits.exchange.circuit import top_circuit
from needlepoint.circuits.graph.graph import ATTENTION_INPUTS, Graph
from needlepoint.circuits.head_data import HeadData
from needlepoint.circuits.known.models import known_model
from needlepoint.circuits.methods import CIRCUIT_METHODS, Found, Question
from needlepoint.evaluation.circuits.ranking import head_pairs
from needlepoint.evaluation.read_pairs import read_pairs

METHOD = CIRCUIT_METHODS["code_edges"]


@pytest.fixture(scope="module")
def found(planted_question: Question) -> Found:
    return METHOD.find(planted_question)


def test_it_is_the_interaction_of_the_codes_of_what_a_study_reads() -> None:
    known = known_model("planted induction", n_pairs=12)
    question = Question(known.model, known.pairs, seed=3)
    read = read_pairs(known.model, known.prompts, Autoencoder()).data
    own = module._read(question)
    torch.testing.assert_close(own.z, read.z)
    torch.testing.assert_close(own.W_O, read.W_O)
    draws = torch.Generator().manual_seed(seed_for(3, use="code edges"))
    design = Design.of_pairs(own)
    (coded,) = coded_heads(own, design, draws, Coding(n_folds=1))
    z = edges.code_edges(coded.codes[0], design, own.layer_of, draws).interaction.z
    pairs = head_pairs(METHOD.find(question).edges, known.graph, torch.nan)
    told = z.isfinite()
    assert told.any()
    # a shared input has the largest of its heads, so that pairs are compared where none is shared
    assert known.graph.n_heads == known.graph.n_kv_heads
    torch.testing.assert_close(pairs[told], z[told].abs().float())


def test_it_speaks_of_heads_and_of_edges_between_heads_and_says_why(
    planted_question: Question, found: Found
) -> None:
    graph = planted_question.graph
    reads = torch.tensor([node.kind in ATTENTION_INPUTS for node in graph.readers])
    between = graph.edges & graph.is_head[:, None] & reads
    assert found.edges is not None
    assert between.any()
    assert torch.equal(found.edges.isnan(), graph.edges & ~between)
    assert torch.equal(found.nodes.isnan(), ~graph.is_head)
    assert found.missing == module.MISSING
    assert "embedding" in found.missing
    assert (found.edges[between] >= 0).all()
    last = found.edge_strength[graph.edges & ~between]
    assert (last < found.edge_strength[between].min()).all()
    assert (found.node_strength[~graph.is_head] < found.node_strength[graph.is_head].min()).all()


def test_a_head_has_the_strength_of_its_strongest_pair_at_either_end() -> None:
    graph = Graph(n_layers=3, n_heads=4, n_kv_heads=2)
    layer = torch.arange(12) // 4
    strength = torch.rand(12, 12, generator=torch.Generator().manual_seed(0))
    strength *= layer[:, None] < layer
    found = of_head_pairs(graph, strength)
    assert found.edges is not None
    for head, writer in enumerate(graph.is_head.nonzero()[:, 0].tolist()):
        assert found.nodes[writer] == max(strength[head].max(), strength[:, head].max())
    row = graph.writer("L0.H1")
    for name in ("L1.K1", "L1.V1"):
        assert found.edges[row, graph.reader(name)] == strength[1, 6:8].max()
    assert found.edges[row, graph.reader("L1.H3.q")] == strength[1, 7]


def spoken(tied: bool, seed: int, n_pairs: int = 40) -> HeadData:
    """Every head says one of two words at random; tied, the last says on clean what the first does.

    Alone, no head tells clean from corrupt.
    """
    rng = torch.Generator().manual_seed(seed)
    said = torch.rand(2, n_pairs, 6, generator=rng) < 0.5
    if tied:
        said[0, :, 5] = said[0, :, 0]
    words = torch.randn(2, 6, 4, generator=rng)
    z = torch.where(said[..., None], *words) + 0.1 * torch.randn(2, n_pairs, 6, 4, generator=rng)
    weights = torch.randn(6, 4, 12, generator=rng)
    return HeadData(*z, weights, torch.arange(6) // 3, autoencoder=Autoencoder(n_codes=20))


def first_pair(question: Question) -> tuple[str, str]:
    strength = METHOD.find(question).edge_strength
    row, column = divmod(int(strength.flatten().argmax()), strength.shape[1])
    return question.graph.writers[row].name, question.graph.readers[column].name


@pytest.mark.parametrize("tied", [True, False])
def test_two_heads_that_tell_the_label_only_together_come_first(
    planted_question: Question, monkeypatch: pytest.MonkeyPatch, tied: bool
) -> None:
    found = []
    for seed in range(3):
        monkeypatch.setattr(module, "_read", lambda _, seed=seed: spoken(tied, seed))
        found.append(first_pair(planted_question))
    assert (found == [("L0.H0", "L1.H2.q")] * 3) == tied


def test_the_same_seed_gives_the_same_scores(planted_question: Question, found: Found) -> None:
    again = METHOD.find(planted_question)
    torch.testing.assert_close(again.edges, found.edges, equal_nan=True, rtol=0, atol=0)
    other = METHOD.find(replace(planted_question, seed=1))
    assert not torch.equal(other.edge_strength, found.edge_strength)


def test_guards_say_what_to_do(planted_question: Question, found: Found) -> None:
    with pytest.raises(DataError, match="only 1 pair: give at least 2"):
        METHOD.find(replace(planted_question, pairs=planted_question.pairs.rows(slice(0, 1))))
    model, graph = planted_question.model, planted_question.graph
    for level in ("edges", "nodes"):
        with pytest.raises(DataError, match=f"code_edges says nothing of some of the {level}"):
            top_circuit(model, graph, found, 3, level=level, method="code_edges")


def test_a_model_of_one_layer_is_refused() -> None:
    shallow = known_model("planted induction", n_pairs=2)
    question = Question(shallow.model, shallow.pairs)
    question.__dict__["graph"] = Graph(n_layers=1, n_heads=2, n_kv_heads=2)
    with pytest.raises(DataError, match="has one layer, so that no head reads"):
        METHOD.find(question)


def test_a_score_that_is_missing_without_a_reason_is_refused(planted_question: Question) -> None:
    whole = torch.zeros(planted_question.graph.n_writers)
    whole[0] = torch.nan
    endless = whole.clone()
    endless[1] = torch.inf
    told = replace(METHOD, compute=lambda _: Found(whole, missing="nobody looked"))
    assert told.find(planted_question).node_strength[0] == -torch.inf
    for broken in (Found(whole), Found(endless, missing="nobody looked")):
        bad = replace(METHOD, compute=lambda _, broken=broken: broken)
        with pytest.raises(DataError, match="Code edges gave a score that is not finite"):
            bad.find(planted_question)
