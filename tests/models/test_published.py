"""Heads as the published code reads them: biases folded away, weights centred, norm by norm."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from needlepoint.models.families import find
from needlepoint.models.hooks import record
from needlepoint.models.model import Model
from needlepoint.models.published import centred_head_weights, split_values, value_offsets
from needlepoint.models.sites import Part, Site

WITH_LAYER_NORM = ("gpt2", "gpt_neox", "gpt_neox-sequential", "opt", "phi")
WITH_VALUE_BIAS = (*WITH_LAYER_NORM, "qwen2")


def heads(model: Model, layer: int, ids: list[list[int]]) -> Tensor:
    place = Site.of(layer, Part.HEADS)
    with record(model, [place]) as kept:
        model.hidden(model.batch(ids))
    return kept[place]


def test_the_first_position_reads_its_own_values(model: Model, texts: list[list[int]]) -> None:
    """Nothing else is there to attend to, so z is the value of the head that is shared."""
    shape = model.shape
    project = find(model.blocks[1], model.family.values)
    seen: list[Tensor] = []
    handle = project.register_forward_hook(lambda _, __, output: seen.append(output))
    try:
        z = heads(model, 1, texts)
    finally:
        handle.remove()
    values = split_values(model, seen[0].reshape(*z.shape[:2], -1))
    assert values.shape == (*z.shape[:2], shape.n_kv_heads, shape.d_head)
    group = shape.n_heads // shape.n_kv_heads
    for head in range(shape.n_heads):
        torch.testing.assert_close(z[:, 0, head], values[:, 0, head // group])
    assert (values[:, 0, 0] - values[:, 0, -1]).abs().max() > 0.1 or shape.n_kv_heads == 1


def fold(model: Model, layer: int) -> None:
    """Move the norm's bias into the maps that read it, then take it and the value bias away.

    Queries, keys and MLP neurons stay what they were; the values lose what no text changes.
    """
    block, shape = model.blocks[layer], model.shape
    norm = find(block, model.family.attention_norm)
    name = model.family.name
    if name == "gpt2":
        readers = [block.attn.c_attn]
    elif name == "gpt_neox":
        readers = [block.attention.query_key_value]
    else:
        attention = block.self_attn
        readers = [attention.q_proj, attention.k_proj, attention.v_proj]
        if name == "phi":
            readers.append(block.mlp.fc1)
    shift = getattr(norm, "bias", None)
    for reader in readers:
        if shift is not None:
            reader.bias.copy_(reader(shift))
    if name == "gpt2":
        readers[0].bias[2 * shape.d_model :] = 0
    elif name == "gpt_neox":
        readers[0].bias.view(shape.n_heads, 3, shape.d_head)[:, 2] = 0
    else:
        readers[2].bias.zero_()
    if shift is not None:
        shift.zero_()


@pytest.mark.parametrize("name", WITH_VALUE_BIAS)
@pytest.mark.parametrize("layer", [0, 2])
def test_offsets_are_what_folding_the_biases_takes_away(name, layer, fresh, texts) -> None:
    model = fresh(name)
    before, offsets = heads(model, layer, texts), value_offsets(model)
    fold(model, layer)
    after = heads(model, layer, texts)
    assert (before - after).abs().max() > 0.05, "there is something to fold"
    mask = model.batch(texts).mask
    torch.testing.assert_close((before - offsets[layer])[mask], after[mask], rtol=1e-4, atol=1e-5)
    assert value_offsets(model)[layer].abs().max() == 0


def test_offsets_do_not_depend_on_the_text_and_are_of_every_layer(model: Model) -> None:
    found = value_offsets(model)
    shape = model.shape
    assert found.shape == (shape.n_layers, shape.n_heads, shape.d_head)
    assert found.dtype == torch.float32
    name = model.name.removeprefix("tiny ")
    biased = name in WITH_VALUE_BIAS
    assert (found.abs().amax((1, 2)) > 0.01).all() if biased else (found == 0).all(), name


def test_a_norm_that_comes_after_the_attention_shifts_no_values() -> None:
    from needlepoint.testing.tiny import tiny_model

    model = tiny_model("opt", do_layer_norm_before=False)
    biases = torch.stack([block.self_attn.v_proj.bias for block in model.blocks])
    torch.testing.assert_close(value_offsets(model).flatten(1), biases)


def test_weights_are_centred_only_where_the_norm_does_not_see_the_mean(model: Model) -> None:
    shape = model.shape
    found = centred_head_weights(model)
    plain = torch.cat([model.head_weights(layer) for layer in range(shape.n_layers)])
    assert found.shape == (shape.n_layers * shape.n_heads, shape.d_head, shape.d_model)
    if model.name.removeprefix("tiny ") in WITH_LAYER_NORM:
        assert found.mean(-1).abs().max() < 1e-6
        assert plain.mean(-1).abs().max() > 1e-3
        torch.testing.assert_close(found - found[..., :1], plain - plain[..., :1])
    else:
        assert torch.equal(found, plain)


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "opt"])
def test_centring_changes_nothing_that_a_layer_norm_model_computes(name, fresh, texts) -> None:
    """The last block writes what only a LayerNorm reads, so the mean of its heads is not seen."""
    model = fresh(name)
    batch = model.batch(texts)
    before = model.logits(batch)
    last = model.shape.n_layers - 1
    weight = model.attention_output(last).weight
    centred = centred_head_weights(model)[-model.shape.n_heads :].flatten(0, 1)
    assert (weight - (centred if name == "gpt2" else centred.T)).abs().max() > 0.01
    weight.copy_(centred if name == "gpt2" else centred.T)
    torch.testing.assert_close(model.logits(batch), before, rtol=1e-3, atol=1e-4)
