"""Models from folders and from memory, and one clear sentence for each way it can go wrong."""

import shutil
import socket
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from needlepoint._core.errors import ModelError, NeedlepointError
from needlepoint.models.load import load_encoder, load_model
from needlepoint.models.model import Model
from needlepoint.testing.tiny import byte_tokenizer


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing here reaches a network or the user's cache."""

    def refuse(*_: object) -> None:
        raise AssertionError("a test tried to reach the network")

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("NEEDLEPOINT_CACHE", str(tmp_path / "cache"))


def save(model: Model, folder: Path) -> Path:
    model.module.save_pretrained(folder)
    model.encoder.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(tiny, tmp_path: Path) -> Path:
    return save(tiny("llama"), tmp_path / "saved")


def refusal(source: object, **options: object) -> str:
    with pytest.raises(ModelError) as caught:
        load_model(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "llama", "gemma2", "gemma3", "opt", "phi3"])
def test_a_saved_model_is_the_same_when_it_is_loaded(tiny, texts, tmp_path, name) -> None:
    model = tiny(name)
    loaded = load_model(save(model, tmp_path / "saved"), dtype="float32", device="cpu")
    batch = model.batch(texts)
    assert torch.equal(loaded.batch(texts).ids, batch.ids)
    assert torch.equal(loaded.logits(batch), model.logits(batch))
    assert (loaded.name, loaded.family, loaded.shape) == ("saved", model.family, model.shape)
    assert not loaded.module.training
    assert loaded.provenance["source"] == "a local folder"
    assert len(loaded.provenance["sha256"]) == 16


def test_a_saved_model_can_be_loaded_in_other_precisions(folder, tiny, texts) -> None:
    rough = load_model(str(folder), dtype=torch.bfloat16)
    assert rough.dtype is torch.bfloat16
    assert load_model(folder, dtype="float16").dtype is torch.float16
    exact = load_model(folder, dtype=torch.float64)
    batch = exact.batch(texts)
    torch.testing.assert_close(exact.logits(batch).float(), tiny("llama").logits(batch))
    assert (rough.logits(batch).float() - exact.logits(batch)).abs().max() < 0.3


def test_under_auto_precision_is_measured_and_said(folder) -> None:
    model = load_model(folder)
    assert model.dtype in (torch.float32, torch.bfloat16)
    chosen = str(model.dtype).removeprefix("torch.")
    assert model.provenance["precision"].endswith(f"running in {chosen}.")


def test_a_model_in_memory_is_used_as_it_is(tiny, texts) -> None:
    module, tokenizer = tiny("llama").module, byte_tokenizer()
    model = load_model(module, tokenizer=tokenizer)
    assert model.module is module
    assert model.name == "LlamaForCausalLM"
    assert model.first_token == 256
    assert load_model(module, tokenizer=tokenizer, first_token=None).prefix == ()
    assert load_model(module, tokenizer=tokenizer, first_token=7).prefix == (7,)


def test_a_model_in_memory_is_copied_into_another_precision(tiny) -> None:
    module = tiny("llama").module
    model = load_model(module, tokenizer=byte_tokenizer(), dtype="bfloat16")
    assert model.dtype is torch.bfloat16
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}
    rotary = model.module.model.rotary_emb
    assert rotary.inv_freq.dtype is torch.float32


def test_a_pickle_is_refused(folder) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert refusal(folder) == (
        f"{folder} has only pytorch_model.bin, which would have to be unpickled; "
        "give a folder with safetensors, which save_pretrained writes."
    )


def test_a_folder_without_weights_is_refused(folder) -> None:
    (folder / "model.safetensors").unlink()
    assert "has no weights; give a folder with safetensors" in refusal(folder)


def test_a_folder_without_a_configuration_is_refused(tmp_path) -> None:
    assert refusal(tmp_path) == f"{tmp_path} does not hold a model: it has no config.json."


def test_a_folder_without_a_tokenizer_is_refused(tiny, tmp_path) -> None:
    tiny("llama").module.save_pretrained(tmp_path / "bare")
    assert "has no tokenizer; save the model's own there" in refusal(tmp_path / "bare")
    with pytest.raises(ModelError, match="has no tokenizer; save the model's own there"):
        load_encoder(tmp_path / "bare")


def test_a_folder_that_lacks_a_weight_is_refused(folder) -> None:
    """Another library would draw it at random and go on."""
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.down_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    message = refusal(folder)
    assert "lacks 1 of the weights" in message
    assert "model.layers.1.mlp.down_proj.weight among them" in message


def test_a_folder_with_a_weight_of_another_shape_is_refused(folder) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.down_proj.weight"] = torch.zeros(3, 3)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert "does not hold a model that can be loaded" in refusal(folder)


def test_a_truncated_file_is_refused(folder) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    assert "does not hold a model that can be loaded" in refusal(folder)


@pytest.mark.parametrize("name", ["no-such-org/no-such-model", "no-such-model", "a/b/c"])
def test_an_unknown_name_is_refused_with_what_it_could_be(name) -> None:
    message = refusal(name)
    start = f"no model {name!r}: it is neither smollm2, gemma3-270m, nor a local folder or"
    assert message.startswith(start)


def test_a_model_in_memory_needs_its_tokenizer(tiny) -> None:
    message = refusal(tiny("llama").module)
    assert message == "a model in memory needs its tokenizer: load_model(model, tokenizer=...)."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int7"}, "dtype 'int7' is not one of auto, float32, bfloat16, float16."),
        ({"dtype": torch.int8}, "dtype torch.int8 cannot be computed in; give one of float32,"),
        ({"device": "gpu"}, "device 'gpu' is not one; give 'cpu', 'cuda' or 'cuda:1'."),
        ({"first_token": "the"}, "first_token 'the' is not a token id, None or 'auto'."),
    ],
)
def test_a_wrong_option_is_refused(tiny, options, message) -> None:
    model = tiny("llama")
    assert message in refusal(model.module, tokenizer=model.encoder.tokenizer, **options)


def test_a_device_that_is_not_there_is_refused(tiny, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    model = tiny("llama")
    message = refusal(model.module, tokenizer=model.encoder.tokenizer, device="cuda")
    assert message == "device 'cuda' cannot be used here: there is no CUDA device."


SMALL = {"vocab_size": 257, "hidden_size": 32, "num_hidden_layers": 2}


@pytest.mark.parametrize(
    "config",
    [
        transformers.BertConfig(
            **SMALL, num_attention_heads=4, intermediate_size=48, is_decoder=True
        ),
        transformers.MambaConfig(**SMALL),
    ],
    ids=["bert", "mamba"],
)
def test_a_model_of_another_type_is_refused_with_the_types_covered(config, tmp_path) -> None:
    module = transformers.AutoModelForCausalLM.from_config(config)
    message = refusal(module, tokenizer=byte_tokenizer())
    assert f"models of type {config.model_type!r} are not covered" in message
    assert "gemma, gemma2, gemma3_text, gpt2" in message
    assert "needlepoint_plain" not in message
    module.save_pretrained(tmp_path / "other")
    byte_tokenizer().save_pretrained(tmp_path / "other")
    with pytest.raises(NeedlepointError, match="are not covered"):
        load_model(tmp_path / "other", dtype="float32")


def test_a_file_that_is_no_model_is_refused(tmp_path, folder) -> None:
    shutil.copy(folder / "model.safetensors", tmp_path / "loose.safetensors")
    assert "nor a local folder or .gguf file" in refusal(tmp_path / "loose.safetensors")


def test_the_tokenizer_alone_cuts_as_with_its_model_and_needs_no_weights(folder, monkeypatch):
    whole = load_model(folder, dtype="float32", device="cpu").encoder

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("weights were read")

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", refuse)
    alone = load_encoder(folder)
    for text in ("Mary and John", "caf\u00e9 \U0001f642\r\n\t"):
        assert alone.encode_with_offsets(text) == whole.encode_with_offsets(text)
    assert alone.first_token() == whole.first_token()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("none.gguf", "there is no file none.gguf; give the path of a GGUF file."),
        ("nobody/nothing", "no model 'nobody/nothing': it is neither smollm2"),
    ],
)
def test_a_tokenizer_that_is_nowhere_is_refused_like_its_model(source, words) -> None:
    with pytest.raises(ModelError) as caught:
        load_encoder(source)
    assert words in str(caught.value)
