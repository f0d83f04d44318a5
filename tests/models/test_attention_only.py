"""Models of attention alone: from folders in the layout of TransformerLens, and what they lack."""

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from needlepoint._core.errors import ModelError, UnknownSiteError
from needlepoint.models.check import check_model
from needlepoint.models.hooks import record
from needlepoint.models.lens_folder import is_lens_folder
from needlepoint.models.load import load_encoder, load_model
from needlepoint.models.model import Model
from needlepoint.models.outline import model_outline
from needlepoint.testing.attention_only import (
    published_state,
    save_as_published,
    tiny_attention_only,
)
from needlepoint.testing.tiny import byte_tokenizer

KINDS = {
    "LayerNorm": {},
    "RMS": {"norm": "RMS", "final_norm": "RMS"},
    "RMS before the logits": {"final_norm": "RMS"},
    "eps": {"layer_norm_eps": 0.3},
    "no norms": {"norm": "", "final_norm": ""},
    "shortformer": {"shortformer": True},
}


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEEDLEPOINT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_as_published(tiny_attention_only(), tmp_path / "attn-only")


def refusal(source: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_model(source, dtype="float32")
    message = str(caught.value)
    assert "\n" not in message
    return message


def changed(folder: Path, **settings: object) -> Path:
    path = folder / "config.json"
    found = {**json.loads(path.read_text()), **settings}
    if "positional_embedding_type" in settings:
        del found["shortformer_pos"]
    path.write_text(json.dumps(found))
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_a_published_folder_is_the_model_that_was_saved(kind: str, tmp_path, texts) -> None:
    model = tiny_attention_only(**KINDS[kind])
    loaded = load_model(save_as_published(model, tmp_path / "m"), dtype="float32", device="cpu")
    batch = model.batch(texts)
    assert torch.equal(loaded.batch(texts).ids, batch.ids)
    torch.testing.assert_close(loaded.logits(batch), model.logits(batch), atol=1e-5, rtol=1e-5)
    assert (loaded.name, loaded.family.name, loaded.shape) == ("m", "attn_only", model.shape)
    assert loaded.provenance["source"] == "a local folder in the layout of TransformerLens"
    assert len(loaded.provenance["sha256"]) == 16
    assert not loaded.module.training


@pytest.mark.parametrize("name", ["attn-only-4l", "NeelNanda/Attn_Only_4L512W_C4_Code"])
def test_published_names_are_fetched_from_the_hub_as_they_are(name, folder, monkeypatch) -> None:
    asked: list[tuple[str, list[str]]] = []

    def fetch(repository: str, *, allow_patterns: list[str]) -> str:
        asked.append((repository, allow_patterns))
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    model = load_model(name, dtype="float32", device="cpu")
    wanted = ("NeelNanda/Attn_Only_4L512W_C4_Code", ["config.json", "*final.pth"])
    assert (model.name, asked) == (name, [wanted])
    assert model.provenance["source"] == "the hub in the layout of TransformerLens"
    assert load_encoder(name).encode("a") == model.encoder.encode("a")


def test_without_the_hub_it_is_said_what_to_put_into_a_folder(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for load in (load_model, load_encoder):
        with pytest.raises(ModelError, match=r"model_final\.pth and tokenizer into a folder"):
            load("attn-only-4l")


def test_safetensors_are_taken_where_there_are_some(folder, texts) -> None:
    (folder / "model_final.pth").write_bytes(b"never opened")
    model = tiny_attention_only()
    save_file(published_state(model), folder / "model.safetensors")
    loaded = load_model(folder, dtype="float32", device="cpu")
    batch = model.batch(texts)
    torch.testing.assert_close(loaded.logits(batch), model.logits(batch), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("norm", ["LN", "RMS"])
def test_folded_norms_are_a_norm_without_gain_and_shift(norm: str, tmp_path, texts) -> None:
    model = tiny_attention_only(norm=norm, final_norm=norm)
    for name, parameter in model.module.named_parameters():
        if "norm" in name:
            torch.nn.init.constant_(parameter, float(name.endswith("weight")))
    folder = changed(save_as_published(model, tmp_path / "m"), normalization=f"{norm}Pre")
    state = {name: x for name, x in published_state(model).items() if "ln" not in name}
    torch.save(state, folder / "model_final.pth")
    batch = model.batch(texts)
    found = load_model(folder, dtype="float32", device="cpu").logits(batch)
    torch.testing.assert_close(found, model.logits(batch), atol=1e-5, rtol=1e-5)


def test_positions_of_a_shortformer_are_not_in_the_stream(texts) -> None:
    batch = tiny_attention_only().batch([[5, 5, 5]])
    for shortformer in (False, True):
        model = tiny_attention_only(shortformer=shortformer)
        with record(model, ["L0.resid.in"]) as kept:
            model.hidden(batch)
        (stream,) = kept.values()
        assert torch.equal(stream[:, 1], stream[:, 2]) == shortformer
        again = model.batch([[7, 9, 5], [9, 7, 5]])
        one, other = model.last_logits(again)
        assert not torch.allclose(one, other), "order counts, by queries and keys"


def test_sites_of_neurons_are_refused_in_one_sentence() -> None:
    model = tiny_attention_only()
    for address in ("L1.mlp.neurons", "L1.N3", "L1.mlp.out"):
        with pytest.raises(UnknownSiteError, match=r"attention alone, .* as in L1\.attn\.z\.$"):
            model.site(address)
    with pytest.raises(UnknownSiteError, match="attention alone"):
        model.mlp_output(0)
    assert (model.shape.d_mlp, model.shape.n_neurons, model.shape.has_mlps) == (0, 0, False)
    names = [check.name for check in check_model(model)]
    assert not any("neurons" in name for name in names)
    assert len(names) == 4


def test_sizes_and_tokenizer_are_known_without_the_weights(folder) -> None:
    (folder / "model_final.pth").unlink()
    found = model_outline(str(folder))
    assert found is not None
    assert (found.shape, found.positions) == (tiny_attention_only().shape, 256)
    assert load_encoder(folder).encode("one") == tiny_attention_only().encoder.encode("one")


def test_a_pickle_that_would_run_code_is_refused_and_not_run(folder) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (folder / "ran",))

    with (folder / "model_final.pth").open("wb") as file:
        pickle.dump({"embed.W_E": Trap()}, file, protocol=2)
    assert "cannot be read as a plain state dict" in refusal(folder)
    torch.save({"embed.W_E": Trap()}, folder / "model_final.pth")
    assert "nothing in it was run" in refusal(folder)
    assert not (folder / "ran").exists()


BROKEN: dict[str, tuple[Callable[[Path, Model], object], str]] = {
    "MLPs": (lambda folder, _: changed(folder, attn_only=False), "with MLPs"),
    "a size": (lambda folder, _: changed(folder, d_vocab=None), "lacks a size"),
    "norms": (lambda folder, _: changed(folder, normalization="SB"), "norms 'SB'"),
    "positions": (
        lambda folder, _: changed(folder, positional_embedding_type="rotary"),
        "positions 'rotary'",
    ),
    "weights": (lambda folder, _: (folder / "model_final.pth").unlink(), "has 0 files of weights"),
    "one file too many": (
        lambda folder, model: torch.save(published_state(model), folder / "other_final.pth"),
        "has 2 files of weights",
    ),
    "what is in the file": (
        lambda folder, _: (folder / "model_final.pth").write_bytes(b"PK\x03\x04 no zip"),
        "cannot be read as a plain state dict",
    ),
    "what is in the safetensors": (
        lambda folder, _: (folder / "model.safetensors").write_bytes(b"\x10" * 40),
        "cannot be read as a plain state dict",
    ),
    "a weight": (
        lambda folder, model: torch.save(
            {k: x for k, x in published_state(model).items() if k != "blocks.1.attn.b_K"},
            folder / "model_final.pth",
        ),
        "lacks the weights of its configuration, decoder.blocks.1.attention.k.bias",
    ),
    "a weight too many": (
        lambda folder, model: torch.save(
            {**published_state(model), "blocks.0.mlp.W_in": torch.ones(2, 2)},
            folder / "model_final.pth",
        ),
        "has, beyond the weights of its configuration, blocks.0.mlp.W_in",
    ),
    "a shape": (
        lambda folder, model: torch.save(
            {**published_state(model), "unembed.b_U": torch.ones(2)}, folder / "model_final.pth"
        ),
        r"has unembed.bias of shape \(2,\), and its configuration asks for \(257,\)",
    ),
    "no state dict": (
        lambda folder, _: torch.save([1, 2], folder / "model_final.pth"),
        "is no state dict",
    ),
    "the tokenizer": (
        lambda folder, _: [path.unlink() for path in folder.glob("token*")],
        "has no tokenizer that can be read",
    ),
}


@pytest.mark.parametrize("lacking", BROKEN)
def test_what_is_wrong_with_a_folder_is_said_in_one_sentence(lacking: str, folder) -> None:
    spoil, words = BROKEN[lacking]
    spoil(folder, tiny_attention_only())
    assert re.search(words, refusal(folder))


def test_the_first_token_is_the_tokenizers_own_as_in_training(folder) -> None:
    """Though there is an `<|endoftext|>` too, which comes first elsewhere."""
    tokenizer = byte_tokenizer()
    assert load_model(folder, dtype="float32").first_token == 256
    tokenizer.bos_token = "A"
    tokenizer.save_pretrained(folder)
    model = load_model(folder, dtype="float32")
    assert model.first_token == tokenizer.convert_tokens_to_ids("A") != 256
    assert load_model(folder, dtype="float32", first_token=None).first_token is None


def test_folders_of_transformers_are_not_taken_for_it(tiny, tmp_path) -> None:
    tiny("llama").module.save_pretrained(tmp_path / "saved")
    assert not is_lens_folder(tmp_path / "saved")
    assert not is_lens_folder(tmp_path)


@pytest.mark.parametrize("dtype", ["bfloat16", "auto"])
def test_other_precisions(folder, dtype) -> None:
    model = load_model(folder, dtype=dtype, device="cpu")
    assert model.dtype in (torch.float32, torch.bfloat16)
    assert (dtype == "auto") == ("precision" in model.provenance)
