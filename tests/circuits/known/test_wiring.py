"""The edges told from the weights are those that were planted; cutting all others does nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from needlepoint._core.errors import ModelError
from needlepoint.circuits.ablation import from_clean
from needlepoint.circuits.graph.run import run_edges
from needlepoint.circuits.graph.terms import graph_of
from needlepoint.circuits.known.models import KNOWN_MODELS, KnownModel, known_model
from needlepoint.circuits.known.seen import edge_changes, seen_edges
from needlepoint.circuits.known.wiring import wired_edges
from needlepoint.models.load import load_model
from needlepoint.models.micro import micro_model
from needlepoint.models.plain import PlainConfig, PlainTransformer
from needlepoint.models.planted import planted_model
from needlepoint.models.planted_rules import planted_rules
from needlepoint.models.tracr.library import has_tracr
from needlepoint.models.word_tokenizer import word_tokenizer
from needlepoint.testing.tiny import draw_weights, tiny_model

WITHOUT_TRACR = pytest.mark.skipif(not has_tracr(), reason="needs the extra needlepoint[tracr]")
NAMES = [
    pytest.param(name, marks=WITHOUT_TRACR if name.startswith("tracr") else ())
    for name in KNOWN_MODELS
]
PUBLISHED = {
    "tracr reverse": (
        {
            "L3.H0 > logits", "L2.mlp > L3.H0.q", "embed > L3.K0", "embed > L3.V0",
            "L1.mlp > L2.mlp", "L0.mlp > L1.mlp", "embed > L1.mlp", "L0.H0 > L0.mlp",
            "embed > L0.mlp", "embed > L0.V0",
        },
        {"embed > L3.H0.q"},
    ),
    "tracr frac_prevs": (
        {
            "L1.H0 > logits", "embed > L1.H0.q", "embed > L1.K0", "L0.mlp > L1.V0",
            "embed > L0.mlp",
        },
        set(),
    ),
}  # fmt: skip
"""Edges of two programs that the code of ACDC lists (`get_tracr_reverse_edges` and
`get_tracr_proportion_edges`, found by zero ablation), tokens and positions taken as one writer;
and what the weights have room for beyond that."""


@pytest.fixture(scope="module")
def known() -> Callable[[str], KnownModel]:
    made: dict[str, KnownModel] = {}

    def make(name: str) -> KnownModel:
        if name not in made:
            made[name] = known_model(name, n_pairs=4)
        return made[name]

    return make


def zeros(known: KnownModel):
    width = (known.graph.n_writers, known.model.shape.d_model)
    return lambda piece: torch.zeros(*piece.clean.ids.shape, *width)


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize(
    "make", [planted_model, lambda seed: planted_model(n_kv_heads=2, seed=seed), planted_rules]
)
def test_the_planted_edges_are_found_from_the_weights(make, seed) -> None:
    planted = make(seed=seed)
    found = set(graph_of(planted.model).named(wired_edges(planted.model)))
    assert found == set(planted.edges)


@pytest.mark.parametrize("name", NAMES)
def test_cutting_any_other_edge_changes_nothing(known, name) -> None:
    """One at a time, or a sample of them, then all together; by resampling and by zeros."""
    one = known(name)
    others = one.graph.edges & ~one.wired
    places = others.nonzero()
    some = places[:: max(1, len(places) // 25)]
    sample = torch.zeros_like(others)
    sample[some[:, 0], some[:, 1]] = True
    for replaced in (None, zeros(one)):
        assert float(edge_changes(one.model, one.pairs, sample, replaced).max()) < 1e-4
        moved = run_edges(one.model, from_clean(one.model, one.pairs), one.wired[None], replaced)
        assert float(moved.max()) < 1e-4, "the whole prediction stays where it is"


@pytest.mark.parametrize("name", NAMES)
def test_cutting_what_is_wired_is_seen_where_it_should_be(known, name) -> None:
    """What resampling sees makes a path to the logits; zeros see the edges it cannot."""
    one = known(name)
    assert bool(one.seen.any())
    assert not bool((one.seen & ~one.wired).any())
    zeroed = seen_edges(one.model, one.pairs, one.wired, zeros(one))
    both = int((one.seen | zeroed).sum())
    assert both >= int(one.wired.sum()) * 0.7
    carries = one.seen.any(1)
    fed = (one.graph.feeds.T[:, one.seen.any(0)]).any(1)
    assert bool((fed | ~carries)[1:].all()), "what is seen to write is seen to read"


@WITHOUT_TRACR
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_edges_of_compiled_programs_are_wired(known, name) -> None:
    one = known(name)
    found = {f"{writer} > {reader}" for writer, reader in one.named(one.wired)}
    published, beyond = PUBLISHED[name]
    assert found - published == beyond
    assert published <= found


def test_a_random_model_has_room_for_every_edge() -> None:
    config = PlainConfig(11, 8, 2, 4, 3, 5, num_key_value_heads=2, max_position_embeddings=9)
    module = PlainTransformer(config)
    draw_weights(module, seed=1)
    words = word_tokenizer([f"w{i}" for i in range(11)])
    model = load_model(module, tokenizer=words, device="cpu", first_token=None)
    assert torch.equal(wired_edges(model), graph_of(model).edges)


def test_a_part_that_writes_nothing_or_is_read_by_nothing_has_no_edges() -> None:
    config = PlainConfig(11, 8, 2, 2, 3, 5, num_key_value_heads=2, max_position_embeddings=9)
    module = PlainTransformer(config)
    draw_weights(module, seed=2)
    words = word_tokenizer([f"w{i}" for i in range(11)])
    with torch.no_grad():
        module.decoder.blocks[0].attention.o.weight[:, :3] = 0
        module.decoder.blocks[1].mlp.down.weight[:] = 0
        module.decoder.blocks[1].mlp.down.bias[:] = 0
    model = load_model(module, tokenizer=words, device="cpu", first_token=None)
    graph, wired = graph_of(model), wired_edges(model)
    silent = {"L0.H0", "L1.mlp"}
    missing = set(graph.named(graph.edges & ~wired))
    assert {writer for writer, _ in missing} >= silent
    for writer, reader in missing:
        assert writer in silent or reader in ("L0.H0.q", "L0.K0", "L0.V0", "L1.mlp")


def test_keys_that_are_alike_everywhere_are_no_edge() -> None:
    """A head whose keys do not differ between positions attends to all alike, whatever it asks."""
    model = micro_model()
    graph, wired = graph_of(model), wired_edges(model)
    assert bool(wired[0, graph.reader("L0.K1")])
    assert not bool(wired[:, graph.reader("L0.K0")].any()), "head 0 has keys of 0"
    assert not bool(wired[:, graph.reader("L0.H0.q")].any())


def test_only_models_without_norms_can_be_told() -> None:
    with pytest.raises(ModelError, match="can only be told of models without norms"):
        wired_edges(tiny_model("gpt2"))
