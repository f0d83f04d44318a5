import copy

import pytest
import torch

from needlepoint.models import precision
from needlepoint.models.model import Model
from needlepoint.models.precision import choose_precision, in_precision


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("NEEDLEPOINT_CACHE", str(tmp_path))


def seconds(float32: float, bfloat16: float):
    """Stands in for a clock: the time of each precision."""
    times = {torch.float32: float32, torch.bfloat16: bfloat16}
    return lambda model, batch, repeats=3: times[model.dtype]


@pytest.fixture
def llama(tiny) -> Model:
    return tiny("llama")


@pytest.fixture
def lenient(monkeypatch) -> None:
    monkeypatch.setattr(precision, "MAX_KL", 1.0)
    monkeypatch.setattr(precision, "MIN_AGREEMENT", 0.5)


@pytest.mark.usefixtures("lenient")
def test_bfloat16_is_taken_where_it_is_faster_and_the_logits_stay_put(llama, monkeypatch) -> None:
    monkeypatch.setattr(precision, "_seconds", seconds(3.0, 2.0))
    found = choose_precision(llama, "key")
    assert found.chosen == "bfloat16"
    assert found.speedup == 1.5
    assert 0 < found.mean_kl < 0.1
    assert 0.5 < found.agreement <= 1
    assert 0 < found.max_change < 1
    assert "bfloat16 is 1.50x as fast as float32 here" in found.sentence
    assert found.sentence.endswith("running in bfloat16.")


@pytest.mark.usefixtures("lenient")
def test_bfloat16_is_refused_where_it_is_slower(llama, monkeypatch) -> None:
    monkeypatch.setattr(precision, "_seconds", seconds(2.0, 3.0))
    assert choose_precision(llama, "key").chosen == "float32"


@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize(("limit", "value"), [("MAX_KL", 0.0), ("MIN_AGREEMENT", 1.01)])
def test_bfloat16_is_refused_where_the_logits_move(llama, monkeypatch, limit, value) -> None:
    monkeypatch.setattr(precision, "_seconds", seconds(3.0, 1.0))
    monkeypatch.setattr(precision, limit, value)
    found = choose_precision(llama, "key")
    assert found.chosen == "float32"
    assert found.sentence.endswith("running in float32.")


def test_the_choice_is_measured_once_for_each_model(llama, monkeypatch) -> None:
    monkeypatch.setattr(precision, "_seconds", seconds(3.0, 1.0))
    found = choose_precision(llama, "one")

    def again(_: Model) -> None:
        raise RuntimeError("measured again")

    monkeypatch.setattr(precision, "_measure", again)
    assert choose_precision(llama, "one") == found
    with pytest.raises(RuntimeError, match="measured again"):
        choose_precision(llama, "another")


def test_the_model_is_handed_back_as_it_was(llama, texts) -> None:
    batch = llama.batch(texts)
    before, state = llama.logits(batch), copy.deepcopy(llama.module.state_dict())
    found = choose_precision(llama, "key")
    assert found.speedup > 0
    assert llama.dtype is torch.float32
    assert torch.equal(llama.logits(batch), before)
    for name, value in llama.module.state_dict().items():
        assert torch.equal(value, state[name])


def test_only_weights_change_precision_and_ties_stay(tiny) -> None:
    for name in ("gemma2", "llama"):
        module = tiny(name).module
        rough = in_precision(module, torch.bfloat16)
        assert {parameter.dtype for parameter in rough.parameters()} == {torch.bfloat16}
        for key, buffer in rough.named_buffers():
            assert torch.equal(buffer, module.get_buffer(key))
            assert buffer.dtype is module.get_buffer(key).dtype
        tied = [m.get_input_embeddings().weight is m.lm_head.weight for m in (module, rough)]
        assert tied[0] == tied[1] == (name == "gemma2")
