"""Fast patching agrees with one whole pass for each node, in every family and for every kind."""

from __future__ import annotations

from dataclasses import replace as changed
from functools import cache

import pytest
import torch
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.graph.graph import Graph, Kind
from needlepoint.circuits.metric import Answers, Custom
from needlepoint.circuits.pair_batch import PairBatch, clean_metric, corrupt_metric, from_clean
from needlepoint.circuits.patching import effects as effects_file
from needlepoint.circuits.patching import kept_run
from needlepoint.circuits.patching.effects import node_effects
from needlepoint.circuits.patching.kept_run import KeptRun
from needlepoint.circuits.patching.means import Means, means_over
from needlepoint.circuits.patching.replacement import AblationKind, replacements
from needlepoint.models.model import Model
from needlepoint.models.planted import planted_model, planted_prompts
from needlepoint.testing import reference
from needlepoint.testing.tiny import TINY_FAMILIES, tiny_model

LENGTHS = (6, 3, 9, 6, 5)
FIRST = (3, 1, 4, 2, 1)
"""Token at which clean and corrupt begin to differ, the model's first token not counted."""
KINDS: tuple[AblationKind, ...] = ("resample", "mean", "zero")


@cache
def made(family: str) -> Model:
    return tiny_model(family)


@cache
def pairs_of(family: str) -> PairBatch:
    """Pairs that share a beginning, with a named position at or before the last token."""
    model, rng = made(family), torch.Generator().manual_seed(5)
    clean = [torch.randint(256, (n,), generator=rng).tolist() for n in LENGTHS]
    corrupt = [
        row[:first] + [(token + 1) % 256 for token in row[first:]]
        for row, first in zip(clean, FIRST, strict=True)
    ]
    right, wrong = torch.randint(256, (2, len(LENGTHS), 1), generator=rng)
    before = len(model.prefix)
    named = {"late": torch.tensor([before + first + 1 for first in FIRST])}
    answers = Answers(right, wrong)
    return PairBatch(model.batch(clean), model.batch(corrupt), answers, named)


@cache
def means(family: str) -> Means:
    return means_over(made(family), pairs_of(family).corrupt)


def data_of(family: str, kind: str) -> Means | None:
    return means(family) if kind == "mean" else None


def slow(
    model: Model, pairs: PairBatch, kind: AblationKind, data: Means | None, position: str = ""
) -> Tensor:
    where = pairs.clean.mask
    if position:
        where = torch.arange(where.shape[1]) == pairs.positions[position][:, None]
    values = replacements(model, pairs, kind, data)
    return reference.node_effects(model, pairs, values, Graph.of(model.shape).writers, where)


@pytest.mark.parametrize(
    ("family", "kind"),
    [(family, "resample") for family in TINY_FAMILIES]
    + [(family, kind) for family in ("gpt2", "llama", "gemma2", "opt") for kind in KINDS[1:]],
)
def test_effects_are_those_of_one_whole_pass_for_each_node(family: str, kind) -> None:
    model, pairs, data = made(family), pairs_of(family), data_of(family, kind)
    found = node_effects(model, pairs, kind=kind, data=data)
    assert found.values.shape == (len(LENGTHS), 16)
    torch.testing.assert_close(found.values, slow(model, pairs, kind, data), rtol=1e-4, atol=2e-5)
    assert found.values.abs().amax(0).min() > 1e-5, "every node of a random model does something"
    torch.testing.assert_close(found.base, clean_metric(model, pairs), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2", "opt", "gpt_neox"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_position_of_each_prompt(family: str, kind) -> None:
    model, pairs, data = made(family), pairs_of(family), data_of(family, kind)
    found = node_effects(model, pairs, kind=kind, data=data, position="late").values
    torch.testing.assert_close(found, slow(model, pairs, kind, data, "late"), rtol=1e-4, atol=2e-5)
    everywhere = node_effects(model, pairs, kind=kind, data=data).values
    assert (found - everywhere).abs().max() > 1e-3


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2", "opt"])
def test_denoising_is_patching_with_the_sides_changed_over(family: str) -> None:
    model, pairs = made(family), pairs_of(family)
    found = node_effects(model, pairs, denoise=True)
    wanted = slow(model, pairs.swapped(), "resample", None)
    torch.testing.assert_close(found.values, wanted, rtol=1e-4, atol=2e-5)
    torch.testing.assert_close(found.base, corrupt_metric(model, pairs), rtol=1e-5, atol=1e-5)
    assert found.denoised
    noised = node_effects(model, pairs)
    assert (found.values + noised.values).abs().max() > 1e-2, "a random model is not linear"


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma3", "phi"])
@pytest.mark.parametrize("denoise", [False, True])
def test_another_embedding_is_another_prompt(family: str, denoise: bool) -> None:
    """With the embedding replaced everywhere, everything above is as on the other prompt."""
    model, pairs = made(family), pairs_of(family)
    clean, corrupt = clean_metric(model, pairs), corrupt_metric(model, pairs)
    found = node_effects(model, pairs, denoise=denoise).column("embed")
    wanted = clean - corrupt if denoise else corrupt - clean
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_the_shared_beginning_is_not_computed_again(family: str) -> None:
    model = made(family)
    ids = pairs_of(family).clean.rows(torch.tensor([0, 2]))
    run = KeptRun.of(model, ids, 3)
    assert run.start == 3
    assert {keys.shape[2] for keys, _ in run.past} == {3}
    rows = torch.tensor([1, 0, 1])
    for layer in range(3):
        z = run.z[layer][rows, 3:]
        torch.testing.assert_close(
            run.resume(rows, layer, heads=z), run.logits[rows], rtol=1e-4, atol=1e-4
        )


def test_a_beginning_that_cannot_be_reused_is_computed_again(monkeypatch) -> None:
    """A model that would answer otherwise is noticed, and the effects stay right."""
    model, pairs = made("llama"), pairs_of("llama")
    right = kept_run._past

    def wrong(cache, n_layers, start):
        return tuple((keys, values.flip(2)) for keys, values in right(cache, n_layers, start))

    monkeypatch.setattr(kept_run, "_past", wrong)
    assert KeptRun.of(model, pairs.clean.rows(slice(0, 1)), 3).start == 0
    found = node_effects(model, pairs).values
    torch.testing.assert_close(found, slow(model, pairs, "resample", None), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("tokens", [1, 20, 10_000])
def test_pieces_make_no_difference(tokens: int, monkeypatch) -> None:
    model, pairs = made("llama"), pairs_of("llama")
    whole = node_effects(model, pairs).values
    monkeypatch.setattr(effects_file, "RUN_TOKENS", tokens)
    monkeypatch.setattr(effects_file, "LEAST_PIECE", 1)
    torch.testing.assert_close(node_effects(model, pairs).values, whole, rtol=1e-5, atol=1e-5)


def test_the_order_of_pairs_and_nodes_is_that_asked_for() -> None:
    model, pairs = made("llama"), pairs_of("llama")
    whole = node_effects(model, pairs)
    order, nodes = torch.tensor([4, 0, 2]), [whole.nodes[n] for n in (7, 0, 15, 3)]
    some = node_effects(model, pairs.rows(order), nodes=nodes)
    assert [node.name for node in some.nodes] == ["L1.H1", "embed", "L2.mlp", "L0.H2"]
    torch.testing.assert_close(
        some.values, whole.values[order][:, [7, 0, 15, 3]], rtol=1e-5, atol=1e-5
    )
    assert torch.equal(whole.heads, whole.values[:, [n.kind is Kind.HEAD for n in whole.nodes]])
    assert torch.equal(whole.column("L1.H1"), whole.values[:, 7])
    with pytest.raises(DataError, match=r"'L9\.mlp' is not among the 16 nodes"):
        whole.column("L9.mlp")


def test_other_metrics() -> None:
    model, pairs = made("llama"), pairs_of("llama")

    def surprise(logits, tokens):
        return -logits.log_softmax(-1).gather(1, tokens)[:, 0]

    assert isinstance(pairs.answers, Answers)
    custom = Custom(surprise, len(pairs), "surprise", "nats", targets=pairs.answers.right)
    probability = changed(pairs.answers, metric="probability difference")
    for other in (changed(pairs, answers=custom), changed(pairs, answers=probability)):
        found = node_effects(model, other)
        wanted = slow(model, other, "resample", None)
        torch.testing.assert_close(found.values, wanted, rtol=1e-3, atol=1e-5)
        assert found.values.abs().max() > 1e-3
    divergence = node_effects(model, from_clean(model, pairs))
    assert (divergence.metric, divergence.unit) == ("KL divergence", "nats")
    assert torch.equal(divergence.base, torch.zeros(5)) or divergence.base.max() < 1e-6
    assert (divergence.values > -1e-6).all()


def test_what_is_equal_has_exactly_no_effect() -> None:
    """A pair of one prompt twice, and a position before anything differs, are 0 to the bit."""
    model, pairs = made("gpt2"), pairs_of("gpt2")
    same = PairBatch(pairs.clean, pairs.clean, pairs.answers)
    assert torch.equal(node_effects(model, same).values, torch.zeros(5, 16))
    early = {"early": torch.zeros(5, dtype=torch.long)}
    found = node_effects(model, changed(pairs, positions=early), position="early").values
    assert torch.equal(found, torch.zeros(5, 16))
    assert node_effects(model, pairs).values.abs().max() > 0.1


def test_planted_nodes_are_found_and_no_other() -> None:
    planted = planted_model()
    prompts = planted_prompts(planted, n_pairs=12)
    model = planted.model
    pairs = PairBatch(
        model.batch(prompts.clean_ids), model.batch(prompts.corrupt_ids), Answers.of(prompts)
    )
    for denoise, sign in ((False, -1), (True, 1)):
        found = node_effects(model, pairs, denoise=denoise)
        true = {f"L{site.layer}.H{site.index}" for site in planted.heads}
        for node, effect in zip(found.nodes, found.mean.tolist(), strict=True):
            if node.name == "embed" or (node.name in true and not denoise):
                assert sign * effect > 4
            elif node.name not in true:
                assert abs(effect) < 1e-3


def test_what_cannot_be_asked_is_refused() -> None:
    model, pairs = made("llama"), pairs_of("llama")
    with pytest.raises(DataError, match="goes with 'resample', not 'zero'"):
        node_effects(model, pairs, kind="zero", denoise=True)
    with pytest.raises(DataError, match="no position is called 'S2' here; the named ones are: la"):
        node_effects(model, pairs, position="S2")
    with pytest.raises(DataError, match="needs the means of a set of prompts"):
        node_effects(model, pairs, kind="mean")


def test_nothing_is_left_on_the_model() -> None:
    model, pairs = made("llama"), pairs_of("llama")
    before = clean_metric(model, pairs)
    node_effects(model, pairs)
    assert torch.equal(clean_metric(model, pairs), before)
    for layer, block in enumerate(model.blocks):
        parts = (block, block.self_attn, block.mlp, model.attention_output(layer))
        assert not any("forward" in vars(part) for part in parts)
        assert not any(part._forward_pre_hooks or part._forward_hooks for part in parts)
    assert not model.module.lm_head._forward_pre_hooks
