import pytest
import torch

from needlepoint._core.errors import UnknownNameError
from needlepoint.models.model import Model
from needlepoint.testing.tiny import TINY_FAMILIES, tiny_model


def test_logits_are_not_degenerate(model: Model, texts) -> None:
    """Tokens differ, texts differ, and nothing is frozen at one token."""
    batch = model.batch(texts)
    logits = model.logits(batch)
    assert 0.3 < logits.std(-1).mean() < 3
    assert model.last_logits(batch).std(0).mean() > 0.1
    assert len(logits[batch.mask].argmax(-1).unique()) > 5


def test_the_seed_is_all_that_decides() -> None:
    torch.manual_seed(4)
    before = torch.random.get_rng_state()
    one, again, other = tiny_model("opt"), tiny_model("opt"), tiny_model("opt", seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    batch = one.batch([[1, 2, 3]])
    assert torch.equal(one.logits(batch), again.logits(batch))
    assert (one.logits(batch) - other.logits(batch)).abs().max() > 0.1


def test_families_are_what_sets_them_apart(tiny) -> None:
    """Each peculiarity that the tests are to cover is really there."""
    config = {name: tiny(name).module.config for name in TINY_FAMILIES}
    assert config["gpt_neox"].use_parallel_residual
    assert not config["gpt_neox-sequential"].use_parallel_residual
    assert tiny("llama-mqa").shape.n_kv_heads == tiny("gemma").shape.n_kv_heads == 1
    assert tiny("llama").shape.n_kv_heads == 2
    assert tiny("qwen2").blocks[0].self_attn.q_proj.bias is not None
    for name in ("ministral", "qwen3", "gemma", "gemma2", "gemma3"):
        shape = tiny(name).shape
        assert shape.n_heads * shape.d_head != shape.d_model
    for name in ("gemma2", "gemma3", "ministral"):
        assert set(config[name].layer_types) == {"sliding_attention", "full_attention"}


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("mistral", "sliding_window", 200),
        ("gemma2", "sliding_window", 200),
        ("gemma3", "sliding_window", 200),
        ("gemma2", "attn_logit_softcapping", None),
        ("gemma2", "final_logit_softcapping", None),
        ("gpt_neox", "use_parallel_residual", False),
        ("phi", "partial_rotary_factor", 1.0),
    ],
)
def test_a_peculiarity_changes_the_logits(tiny, texts, name, setting, value) -> None:
    model = tiny(name)
    without = tiny_model(name, **{setting: value})
    without.module.load_state_dict(model.module.state_dict())
    batch = model.batch(texts)
    moved = (model.logits(batch) - without.logits(batch))[batch.mask].abs().max()
    assert moved > 1e-3


def test_an_unknown_family_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown tiny family 'lama': did you mean 'llama'"):
        tiny_model("lama")
