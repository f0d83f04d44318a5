from dataclasses import replace

import torch
from torch.nn import functional

from needlepoint.models.plain import PlainConfig, PlainTransformer
from needlepoint.testing.tiny import draw_weights

CONFIG = PlainConfig(11, 6, 2, 4, 3, 5, num_key_value_heads=2, max_position_embeddings=9)
IDS = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])


def random_plain() -> PlainTransformer:
    plain = PlainTransformer(CONFIG)
    draw_weights(plain, seed=1)
    return plain


def test_weights_start_at_zero_and_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    plain = PlainTransformer(CONFIG)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(bool((parameter == 0).all()) for parameter in plain.parameters())
    assert bool((plain(IDS).logits == 0).all())


def test_attention_is_that_of_torch() -> None:
    """Held against torch's own grouped causal attention."""
    attention = random_plain().decoder.blocks[0].attention
    stream = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(2))
    queries, keys, values = (
        part(stream).reshape(2, 5, -1, 3).transpose(1, 2)
        for part in (attention.q, attention.k, attention.v)
    )
    z = functional.scaled_dot_product_attention(
        queries, keys, values, is_causal=True, enable_gqa=True
    )
    written, pattern = attention(stream)
    torch.testing.assert_close(written, attention.o(z.transpose(1, 2).flatten(-2)))
    torch.testing.assert_close(pattern.sum(-1), torch.ones(2, 4, 5))
    assert bool((pattern.triu(1) == 0).all())


def test_the_logits_are_a_sum_of_what_was_written() -> None:
    plain = random_plain()
    stream = plain.decoder.tokens(IDS) + plain.decoder.positions.weight[:4]
    for block in plain.decoder.blocks:
        stream = stream + block.attention(stream)[0]
        stream = stream + block.mlp.down(functional.relu(block.mlp.up(stream)))
    torch.testing.assert_close(plain.base_model(IDS).last_hidden_state, stream)
    torch.testing.assert_close(plain(IDS).logits, stream @ plain.unembed.weight.T)


def test_logits_can_be_asked_for_at_some_positions() -> None:
    plain = random_plain()
    full = plain(IDS).logits
    torch.testing.assert_close(plain(IDS, logits_to_keep=2).logits, full[:, -2:])
    torch.testing.assert_close(
        plain(IDS, logits_to_keep=torch.tensor([0, 3])).logits, full[:, [0, 3]]
    )


def test_a_later_token_changes_nothing_before_it() -> None:
    plain = random_plain()
    changed = IDS.clone()
    changed[:, 2] = 9
    torch.testing.assert_close(plain(changed).logits[:, :2], plain(IDS).logits[:, :2])
    assert (plain(changed).logits[:, 2:] - plain(IDS).logits[:, 2:]).abs().min() > 0


def test_attention_that_is_not_causal_is_that_of_torch_too() -> None:
    plain = PlainTransformer(replace(CONFIG, causal=False))
    draw_weights(plain, seed=1)
    attention = plain.decoder.blocks[0].attention
    stream = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(2))
    queries, keys, values = (
        part(stream).reshape(2, 5, -1, 3).transpose(1, 2)
        for part in (attention.q, attention.k, attention.v)
    )
    z = functional.scaled_dot_product_attention(queries, keys, values, enable_gqa=True)
    written, pattern = attention(stream)
    torch.testing.assert_close(written, attention.o(z.transpose(1, 2).flatten(-2)))
    assert bool((pattern > 0).all())
    changed = IDS.clone()
    changed[:, 3] = 9
    assert (plain(changed).logits[:, 0] - plain(IDS).logits[:, 0]).abs().max() > 1e-3
