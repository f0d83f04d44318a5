"""The check passes on every family, and refuses each way of reading a model wrongly."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from needlepoint._core.errors import ModelError
from needlepoint.models.check import check_model
from needlepoint.models.load import load_model
from needlepoint.models.model import Model
from needlepoint.testing.tiny import tiny_model


def refusal(model: Model) -> str:
    with pytest.raises(ModelError) as caught:
        check_model(model)
    message = str(caught.value)
    assert message.endswith("Nothing was computed.")
    assert model.family.name in message
    return message


def test_every_family_is_read_rightly(model: Model) -> None:
    found = check_model(model)
    assert len(found) == 5
    assert all(check.passed for check in found)
    assert all(math.isfinite(check.error) and check.error < 1e-5 for check in found)


def test_every_family_is_read_rightly_in_bfloat16(model: Model) -> None:
    rough = load_model(model.module, tokenizer=model.encoder.tokenizer, dtype="bfloat16")
    assert rough.dtype is torch.bfloat16
    assert model.dtype is torch.float32
    assert all(check.passed for check in check_model(rough))


def test_a_rule_that_points_at_another_attention_module_is_refused(tiny) -> None:
    model = tiny("gemma")
    rule = replace(model.family, attention_out="self_attn.q_proj", name="mistaken")
    square = replace(tiny("llama"), family=rule)
    assert "'heads sum to the attention output'" in refusal(square)


class Interleaved(nn.Linear):
    """An output projection whose input lists a head's numbers one head after another."""

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(z.unflatten(-1, (8, 4)).transpose(-1, -2).flatten(-2))


class Doubled(nn.Linear):
    """A projection that does more than its weights say."""

    def forward(self, neurons: Tensor) -> Tensor:
        return 2 * super().forward(neurons)


def test_interleaved_heads_are_refused_where_the_weights_show_it(fresh) -> None:
    model = fresh("llama")
    model.blocks[1].self_attn.o_proj.__class__ = Interleaved
    assert "'heads sum to the attention output'" in refusal(model)


class Shuffle(nn.Module):
    """Interleaves z and undoes it in the weights: sums cannot show it, shared values do."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.inner = attention.o_proj
        order = torch.arange(32).reshape(4, 8).T.flatten()
        self.o_proj = nn.Linear(32, 32, bias=False)
        self.o_proj.weight.data = attention.o_proj.weight.data[:, order]
        self.order = order
        attention.o_proj = self

    @property
    def weight(self) -> Tensor:
        return self.o_proj.weight

    def forward(self, z: Tensor) -> Tensor:
        return self.o_proj(z[..., self.order])


def test_interleaved_heads_are_refused_where_only_shared_values_show_it(fresh) -> None:
    model = fresh("llama")
    for block in model.blocks:
        Shuffle(block.self_attn)
    rule = replace(model.family, attention_out="self_attn.o_proj.o_proj")
    mistaken = replace(model, family=rule)
    assert "'heads of one group agree on one token'" in refusal(mistaken)


def test_neurons_that_do_not_make_the_mlp_output_are_refused(fresh) -> None:
    model = fresh("llama")
    model.blocks[2].mlp.down_proj.__class__ = Doubled
    assert "'neurons sum to the MLP output'" in refusal(model)


def test_a_model_whose_answers_vary_is_refused(fresh) -> None:
    model = fresh("llama")
    model.module.lm_head = nn.Sequential(model.module.lm_head, nn.Dropout(0.5))
    assert "'replacing sites by themselves changes nothing'" in refusal(model)


def test_dropout_left_on_is_refused() -> None:
    model = tiny_model("gpt2", attn_pdrop=0.0, resid_pdrop=0.0, embd_pdrop=0.5)
    assert all(check.passed for check in check_model(model))
    model.module.train()
    assert "'logits are the plain model's'" in refusal(model)


def test_a_model_that_gives_no_numbers_is_refused(fresh) -> None:
    model = fresh("llama")
    model.blocks[1].mlp.down_proj.weight[0, 0] = float("nan")
    assert "off by inf" in refusal(model)


def test_loading_checks(fresh) -> None:
    model = fresh("llama")
    model.blocks[2].mlp.down_proj.__class__ = Doubled
    with pytest.raises(ModelError, match="would be read wrongly: 'neurons sum"):
        load_model(model.module, tokenizer=model.encoder.tokenizer)
