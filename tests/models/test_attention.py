"""Attention patterns are those the model attends by, whatever computes them."""

from __future__ import annotations

import pytest
import torch

from needlepoint._core.errors import ModelError
from needlepoint.models.attention import attention_patterns
from needlepoint.models.hooks import record
from needlepoint.models.planted import planted_model
from needlepoint.testing.tiny import TINY_FAMILIES, tiny_model

IDS = [[3, 1, 4, 1, 5, 9, 2, 6], [5, 3, 5]]


@pytest.mark.parametrize("family", list(TINY_FAMILIES))
def test_patterns_are_those_that_the_eager_implementation_hands_out(family: str) -> None:
    model = tiny_model(family)
    batch = model.batch(IDS)
    layers = range(model.shape.n_layers)
    found = attention_patterns(model, batch, layers)
    before = model.module.config._attn_implementation
    model.module.set_attn_implementation("eager")
    try:
        with torch.no_grad():
            told = model.module(input_ids=batch.ids, output_attentions=True).attentions
    finally:
        model.module.set_attn_implementation(before)
    for layer in layers:
        torch.testing.assert_close(found[layer], told[layer].float(), atol=1e-5, rtol=1e-4)


def test_rows_of_a_causal_model_sum_to_one_and_never_look_ahead() -> None:
    model = tiny_model("llama")
    (pattern,) = attention_patterns(model, model.batch(IDS[:1]), [1]).values()
    torch.testing.assert_close(pattern.sum(-1), torch.ones_like(pattern[..., 0]))
    assert not pattern.triu(1).any()


def test_reading_changes_nothing() -> None:
    model = tiny_model("llama")
    batch = model.batch(IDS)
    with record(model, ["L2.resid"]) as plain:
        model.hidden(batch)
    kept = dict(plain)
    with record(model, ["L2.resid"]) as watched:
        attention_patterns(model, batch, [0, 2])
    for site, activation in kept.items():
        assert torch.equal(activation, watched[site])


def test_the_planted_head_looks_where_it_was_planted_to() -> None:
    model = planted_model(n_heads=3, n_layers=2).model
    batch = model.batch([[7, 8, 9, 7]])
    pattern = attention_patterns(model, batch, [0])[0]
    previous = pattern[0, :, 2, 1]
    assert previous.max() > 0.99, "one head of layer 0 looks at the token before"


def test_an_attention_without_a_softmax_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama")
    monkeypatch.setattr("needlepoint.models.attention.SOFTMAX", ())
    model.module.set_attn_implementation("eager")
    with pytest.raises(ModelError, match=r"the attention of layer 1 of .* cannot be read"):
        attention_patterns(model, model.batch(IDS), [1])
