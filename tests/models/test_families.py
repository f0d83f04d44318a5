"""Sites of each family, held against what the family's own code computes."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from needlepoint._core.errors import ModelError
from needlepoint.models.families import FAMILIES, family_of, find, input_major_weight, shape_of
from needlepoint.models.hooks import record, replace
from needlepoint.models.model import Batch, Model
from needlepoint.models.sites import Part, Site
from needlepoint.testing.attention_only import tiny_attention_only
from needlepoint.testing.tiny import TINY_FAMILIES, tiny_model


def close(found: Tensor, expected: Tensor, tolerance: float = 2e-5) -> None:
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def everywhere(model: Model, *parts: Part) -> list[Site]:
    return [Site.of(layer, part) for layer in range(model.shape.n_layers) for part in parts]


def test_every_rule_has_a_tiny_model(tiny) -> None:
    tried = {tiny(name).module.config.model_type for name in TINY_FAMILIES}
    tried |= {"needlepoint_plain", tiny_attention_only().module.config.model_type}
    assert tried == {kind for rule in FAMILIES for kind in rule.model_types}


def test_each_site_has_the_shape_of_the_table(model: Model, batch: Batch) -> None:
    shape, (examples, positions) = model.shape, batch.ids.shape
    expected = {
        "L1.attn.z": (shape.n_heads, shape.d_head),
        "L1.H3.z": (shape.d_head,),
        "L1.H3.out": (shape.d_model,),
        "L1.attn.out": (shape.d_model,),
        "L1.mlp.neurons": (shape.d_mlp,),
        "L1.N12": (),
        "L1.mlp.out": (shape.d_model,),
        "L1.resid": (shape.d_model,),
        "L1.resid.in": (shape.d_model,),
    }
    with record(model, list(expected)) as kept:
        model.hidden(batch)
    assert {str(found): tuple(value.shape) for found, value in kept.items()} == {
        address: (examples, positions, *rest) for address, rest in expected.items()
    }
    close(kept[Site.parse("L1.H3.z")], kept[Site.parse("L1.attn.z")][:, :, 3])
    close(kept[Site.parse("L1.N12")], kept[Site.parse("L1.mlp.neurons")][..., 12])


def patterns(model: Model, batch: Batch) -> list[Tensor]:
    """Attention weights `[example, head, to, from]` of each layer, as the model gives them."""
    if model.family.name == "plain":
        found: list[Tensor] = []
        handles = [
            block.attention.register_forward_hook(lambda _, __, out: found.append(out[1]))
            for block in model.blocks
        ]
        model.hidden(batch)
        for handle in handles:
            handle.remove()
        return found
    return list(model.module(batch.ids, use_cache=False, output_attentions=True).attentions)


def values_by_head(model: Model, made: Tensor) -> Tensor:
    """Output of the `values` projection as `[example, pos, key/value head, d_head]`."""
    shape = model.shape
    if model.family.name == "gpt_neox":  # each head's query, key and value lie together
        return made.unflatten(-1, (shape.n_heads, 3, shape.d_head))[..., 2, :]
    # Alone, or after all queries and all keys.
    return made[..., -shape.n_kv_heads * shape.d_head :].unflatten(-1, (shape.n_kv_heads, -1))


def test_z_of_a_head_is_its_attention_pattern_times_the_values_it_reads(model, batch) -> None:
    """The independent check that heads are in order and read the right key/value head."""
    if model.family.name != "plain":
        before = model.module.config._attn_implementation
        model.module.set_attn_implementation("eager")
    made: list[Tensor] = []
    handles = [
        find(block, model.family.values).register_forward_hook(lambda _, __, out: made.append(out))
        for block in model.blocks
    ]
    try:
        with record(model, everywhere(model, Part.HEADS)) as kept:
            attention = patterns(model, batch)
    finally:
        for handle in handles:
            handle.remove()
        if model.family.name != "plain":
            model.module.set_attn_implementation(before)
    assert len(attention) == len(made) == model.shape.n_layers
    group = model.shape.n_heads // model.shape.n_kv_heads
    for layer, (pattern, projected) in enumerate(zip(attention, made, strict=True)):
        values = values_by_head(model, projected)
        z = kept[Site.of(layer, Part.HEADS)]
        for head in range(model.shape.n_heads):
            close(z[:, :, head], pattern[:, head] @ values[:, :, head // group])
            wrong = (head // group + 1) % model.shape.n_kv_heads
            if wrong != head // group:
                other = pattern[:, head] @ values[:, :, wrong]
                assert (z[:, :, head] - other).abs().max() > 0.05


def test_heads_and_the_bias_sum_to_the_attention_output(model: Model, batch: Batch) -> None:
    outs = [Site.of(2, Part.HEAD_OUT, head) for head in range(model.shape.n_heads)]
    with record(model, [*outs, "L2.attn.out"]) as kept:
        model.hidden(batch)
    bias = getattr(model.attention_output(2), "bias", None)
    total = sum(kept[head] for head in outs) + (0 if bias is None else bias)
    close(total, kept[Site.parse("L2.attn.out")])


def test_neurons_through_the_down_projection_are_the_mlp_output(model: Model, batch: Batch) -> None:
    with record(model, everywhere(model, Part.NEURONS, Part.MLP)) as kept:
        model.hidden(batch)
    for layer in range(model.shape.n_layers):
        down = model.mlp_output(layer)
        total = kept[Site.of(layer, Part.NEURONS)] @ input_major_weight(down)
        bias = getattr(down, "bias", None)
        close(total if bias is None else total + bias, kept[Site.of(layer, Part.MLP)])


def test_a_block_reads_what_the_one_below_left(model: Model, batch: Batch) -> None:
    with record(model, everywhere(model, Part.RESID, Part.RESID_IN)) as kept:
        model.hidden(batch)
    for layer in range(model.shape.n_layers - 1):
        assert torch.equal(
            kept[Site.of(layer, Part.RESID)], kept[Site.of(layer + 1, Part.RESID_IN)]
        )


def test_what_is_added_to_the_residual_stream_is_the_two_outputs(
    model: Model, batch: Batch
) -> None:
    """Where no norm stands between an output and the stream; Gemma 2 and 3 have one there."""
    with record(model, everywhere(model, Part.RESID, Part.RESID_IN, Part.ATTENTION, Part.MLP)) as k:
        model.hidden(batch)
    added = k[Site.of(1, Part.RESID)] - k[Site.of(1, Part.RESID_IN)]
    outputs = k[Site.of(1, Part.ATTENTION)] + k[Site.of(1, Part.MLP)]
    if model.module.config.model_type in ("gemma2", "gemma3_text"):
        assert (added - outputs).abs().max() > 0.1
    else:
        close(added, outputs)


def test_taking_a_head_away_takes_what_it_writes_from_the_attention_output(model, batch) -> None:
    out, head = Site.parse("L1.attn.out"), Site.parse("L1.H2.out")
    with record(model, [out, head]) as before:
        model.hidden(batch)
    with (
        record(model, [out, head]) as after,
        replace(model, {"L1.H2.z": torch.zeros(model.shape.d_head)}),
    ):
        model.hidden(batch)
    assert before[head].abs().max() > 0.05
    close(after[out], before[out] - before[head], 1e-6)


SHARING = ["llama", "llama-mqa", "smollm3", "mistral", "ministral", "qwen2", "qwen3", "gemma"]


@pytest.mark.parametrize("name", [*SHARING, "gemma2", "gemma3"])
def test_shared_heads_are_the_model_with_those_heads_repeated(tiny, texts, name) -> None:
    model: Model = tiny(name)
    shape = model.shape
    twin = tiny_model(name, num_key_value_heads=shape.n_heads)
    state = model.module.state_dict()
    for key, value in state.items():
        if "k_proj" in key or "v_proj" in key:
            heads = value.unflatten(0, (shape.n_kv_heads, shape.d_head))
            repeated = heads.repeat_interleave(shape.n_heads // shape.n_kv_heads, dim=0)
            state[key] = repeated.flatten(0, 1)
    twin.module.load_state_dict(state)
    batch = model.batch(texts)
    assert twin.shape.n_kv_heads == shape.n_heads > shape.n_kv_heads
    close(twin.logits(batch), model.logits(batch))
    with record(model, everywhere(model, Part.HEADS)) as few:
        model.hidden(batch)
    with record(twin, everywhere(model, Part.HEADS)) as many:
        twin.hidden(batch)
    for place, z in few.items():
        close(many[place], z)


def test_a_type_without_a_rule_is_refused_with_those_covered() -> None:
    with pytest.raises(ModelError, match=r"'mamba' are not covered; .*gemma2.*llama.* Family rule"):
        family_of(SimpleNamespace(model_type="mamba"))


def test_a_module_that_is_not_where_the_rule_says_is_named() -> None:
    with pytest.raises(ModelError, match=r"Linear has no module 'mlp.fc9': its family's rule"):
        find(nn.Linear(1, 1), "mlp.fc9")


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("num_attention_heads", 3, "reads 32 numbers, but 3 heads of 8 make 24"),
        ("num_key_value_heads", 3, "4 query heads cannot share 3 key/value heads evenly"),
    ],
)
def test_a_configuration_that_its_weights_contradict_is_refused(
    fresh, setting, value, message
) -> None:
    model: Model = fresh("llama")
    setattr(model.module.config, setting, value)
    with pytest.raises(ModelError, match=message):
        shape_of(model.module, model.family)


def test_a_down_projection_that_does_not_write_the_stream_is_refused(tiny) -> None:
    model: Model = tiny("llama")
    rule = dataclasses.replace(model.family, mlp_down="mlp.up_proj")
    with pytest.raises(ModelError, match=r"down projection writes 48 numbers, but .* writes 32"):
        shape_of(model.module, rule)
