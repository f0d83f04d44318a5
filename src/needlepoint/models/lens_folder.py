"""Attention-only models as TransformerLens published them: its own settings and names of weights.

Such a folder has a `config.json` of plain settings (`attn_only`, `n_layers`, `d_head`) and a state
dict whose attention weights are cut into heads, as `blocks.0.attn.W_Q`, `[head, d_model, d_head]`.
A state dict that was pickled is read by torch's restricted reader (`weights_only=True`), which
makes tensors and runs no code; safetensors are taken where there are some.

Source:
    The layout and the meaning of the settings are those of `transformer-lens` 3.9
    (`loading_from_pretrained.convert_neel_model_config`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from needlepoint._core.errors import ModelError, first_line
from needlepoint.models.attention_only import (
    AttentionOnlyConfig,
    AttentionOnlyTransformer,
    NormKind,
)
from needlepoint.models.quiet import quiet

ON_HUB = {f"attn-only-{n}l": f"NeelNanda/Attn_Only_{n}L512W_C4_Code" for n in range(1, 5)}
"""Attention-only models on the hub by the name that TransformerLens gives them."""
_NORMS: dict[str, NormKind] = {"LN": "LN", "LNPre": "LN", "RMS": "RMS", "RMSPre": "RMS", "": ""}
"""A norm whose name ends in Pre has its gain and shift in the maps behind it: 1 and 0 are left."""
_FOLDED = ("LNPre", "RMSPre")
_BUFFERS = (".mask", ".IGNORE")
"""Constants of attention that lie among the weights."""
_SIZES = {
    "d_vocab": "vocab_size",
    "d_model": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "d_head": "head_dim",
    "n_ctx": "max_position_embeddings",
}
"""Their name of each size, and ours."""


def is_lens_folder(folder: Path) -> bool:
    """Whether a folder holds a model in this layout, attention-only or not."""
    settings = _settings(folder)
    return "model_type" not in settings and {"n_layers", "d_head"} <= set(settings)


def lens_hub_folder(name: str) -> Path | None:
    """The folder of one of `ON_HUB` by either name, fetched once; None if it is another's name.

    Raises:
        ModelError: If it can neither be fetched nor is in the hub's cache.
    """
    repository = ON_HUB.get(name, name)
    if repository not in ON_HUB.values():
        return None
    from huggingface_hub import snapshot_download

    try:
        with quiet():
            wanted = ["config.json", "*final.pth"]
            return Path(snapshot_download(repository, allow_patterns=wanted))
    except Exception as error:  # of the net and of the cache, the hub's client can raise anything
        raise ModelError(
            f"{repository} is neither in the hub's cache nor to be had from the hub "
            f"({first_line(error)}); put its config.json, model_final.pth and tokenizer into a "
            "folder and give that."
        ) from error


def lens_config(folder: Path) -> AttentionOnlyConfig:
    """The sizes of the model in a folder.

    Raises:
        ModelError: If it has MLPs, or something that is not covered.
    """
    found = _settings(folder)
    if not found.get("attn_only"):
        raise ModelError(
            f"{folder} holds a TransformerLens model with MLPs; of that layout only attention-only "
            "models are read: give the model's own folder of transformers instead."
        )
    try:
        sizes: dict[str, Any] = {own: int(found[name]) for name, own in _SIZES.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{folder / 'config.json'} lacks a size ({error}): it needs {', '.join(_SIZES)}."
        ) from error
    norm = _norm_name(found)
    positions = _positions(found)
    if norm not in _NORMS or positions not in ("standard", "shortformer"):
        raise ModelError(
            f"{folder} has norms {norm!r} and positions {positions!r}; covered are the norms "
            f"{', '.join(filter(None, _NORMS))} or none, and positions standard or shortformer."
        )
    final: NormKind = "RMS" if norm and found.get("final_rms") else _NORMS[norm]
    return AttentionOnlyConfig(
        **sizes,
        norm=_NORMS[norm],
        final_norm=final,
        layer_norm_eps=float(found.get("eps", 1e-5)),
        shortformer=positions == "shortformer",
    )


def load_lens_folder(folder: Path) -> AttentionOnlyTransformer:
    """The model in a folder, in float32.

    Raises:
        ModelError: If its settings are not covered, its weights cannot be read without running
            code, or weights are missing, too many, or of another shape.
    """
    config = lens_config(folder)
    with torch.device("meta"):
        module = AttentionOnlyTransformer(config)
    state = _converted(_state(weights_file(folder)), config, _norm_name(_settings(folder)))
    own = module.state_dict()
    for word, names in (("lacks", set(own) - set(state)), ("has, beyond", set(state) - set(own))):
        if names:
            raise ModelError(
                f"{folder} {word} the weights of its configuration, {sorted(names)[0]}: its "
                "files are not those of one attention-only model."
            )
    for name, value in state.items():
        if value.shape != own[name].shape:
            raise ModelError(
                f"{folder} has {name} of shape {tuple(value.shape)}, and its configuration asks "
                f"for {tuple(own[name].shape)}."
            )
    module.load_state_dict(state, assign=True)
    return module


def weights_file(folder: Path) -> Path:
    """The file with the weights: safetensors, or the state dict whose name ends in `final`.

    Raises:
        ModelError: If there is none, or it cannot be told which.
    """
    tensors = sorted(folder.glob("*.safetensors"))
    states = sorted([*folder.glob("*.pth"), *folder.glob("*.pt")])
    final = [path for path in states if path.stem.endswith("final")]
    for found in (tensors, final, states):
        if len(found) == 1:
            return found[0]
    raise ModelError(
        f"{folder} has {len(tensors) + len(states)} files of weights; leave one, .safetensors or "
        "a state dict such as model_final.pth."
    )


def tokenizer_name(folder: Path) -> str:
    """The tokenizer's name on the hub, as the settings give it; empty if they do not."""
    return str(_settings(folder).get("tokenizer_name") or "")


def _settings(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _norm_name(found: Mapping[str, Any]) -> str:
    return str(found.get("normalization", found.get("normalization_type")) or "")


def _positions(found: Mapping[str, Any]) -> str:
    if "shortformer_pos" in found:
        return "shortformer" if found["shortformer_pos"] else "standard"
    return str(found.get("positional_embedding_type", "standard"))


def _state(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            tensors: dict[str, Tensor] = load_file(path)
            return tensors
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of a damaged file, torch's reader can raise anything
        raise ModelError(
            f"{path} cannot be read as a plain state dict ({first_line(error)}); nothing in it "
            "was run."
        ) from error
    if not isinstance(found, Mapping) or not all(isinstance(x, Tensor) for x in found.values()):
        raise ModelError(f"{path} is no state dict: it should hold tensors by name.")
    return dict(found)


def _converted(
    state: Mapping[str, Tensor], config: AttentionOnlyConfig, norm: str
) -> dict[str, Tensor]:
    """The same weights under the names and in the shapes of an `AttentionOnlyTransformer`."""
    made: dict[str, Tensor] = {}
    for name, value in state.items():
        if not name.endswith(_BUFFERS):
            made[_renamed(name)] = _laid_out(name, value.float()).contiguous()
    return {**_unit_norms(config), **made} if norm in _FOLDED else made


def _unit_norms(config: AttentionOnlyConfig) -> dict[str, Tensor]:
    """Gains of 1 and shifts of 0, for norms that were folded away."""
    layers = range(config.num_hidden_layers)
    kinds = {f"decoder.blocks.{layer}.norm": config.norm for layer in layers}
    kinds["decoder.norm"] = config.final_norm
    made = {f"{path}.weight": torch.ones(config.hidden_size) for path in kinds}
    for path, kind in kinds.items():
        if kind == "LN":
            made[f"{path}.bias"] = torch.zeros(config.hidden_size)
    return made


def _renamed(name: str) -> str:
    whole = {
        "embed.W_E": "decoder.tokens.weight",
        "pos_embed.W_pos": "decoder.positions.weight",
        "ln_final.w": "decoder.norm.weight",
        "ln_final.b": "decoder.norm.bias",
        "unembed.W_U": "unembed.weight",
        "unembed.b_U": "unembed.bias",
    }
    parts = name.split(".")
    if parts[0] != "blocks" or len(parts) != 4:
        return whole.get(name, name)
    at = f"decoder.blocks.{parts[1]}"
    kind = {"W": "weight", "w": "weight", "b": "bias"}.get(parts[3][0], parts[3])
    if parts[2] == "ln1":
        return f"{at}.norm.{kind}"
    return f"{at}.attention.{parts[3][2:].lower()}.{kind}" if parts[2] == "attn" else name


def _laid_out(name: str, value: Tensor) -> Tensor:
    """A map cut into heads as one `[output, input]`, and biases as one row."""
    last = name.rpartition(".")[2]
    if last in ("W_Q", "W_K", "W_V") and value.ndim == 3:
        return value.movedim(1, 2).flatten(0, 1)
    if last == "W_O" and value.ndim == 3:
        return value.flatten(0, 1).T
    if last in ("b_Q", "b_K", "b_V"):
        return value.flatten()
    return value.T if last == "W_U" else value
