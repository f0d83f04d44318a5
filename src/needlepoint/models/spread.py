"""Models larger than one device: their layers lie on several, and in memory and on disk besides."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from needlepoint._core.errors import ModelError
from needlepoint._core.files import cache_dir

SPREAD = "spread"
"""The device that stands for all cards, then memory, then the disk, as far as it takes."""

DeviceMap = Mapping[str, str | int]
"""Where each part of a model lies, as `accelerate` takes it."""


def device_here() -> str | None:
    """What a worker that was given several cards loads its model to; None for the usual choice."""
    return SPREAD if torch.cuda.device_count() > 1 else None


def loading_options(device: Any) -> dict[str, Any]:
    """What `from_pretrained` is told about devices; nothing unless a model is to be spread."""
    if device == SPREAD:
        return {"device_map": "auto", "offload_folder": _offload_folder()}
    if isinstance(device, Mapping):
        return {"device_map": dict(device), "offload_folder": _offload_folder()}
    return {}


def is_spread(module: nn.Module) -> bool:
    """Whether the layers of a model were put in several places."""
    return len(set(getattr(module, "hf_device_map", {}).values())) > 1


def require_one_place(module: nn.Module) -> None:
    """Refuse a model whose layers are in several places.

    Raises:
        ModelError: If they are.
    """
    if is_spread(module):
        raise ModelError(
            "circuits are found in a model on one device only: load it without device='spread', in "
            "half precision or a smaller one. Its neurons can be read as it is."
        )


def execution_device(module: nn.Module) -> torch.device:
    """Where token ids go in."""
    hook = getattr(module, "_hf_hook", None)
    found = getattr(hook, "execution_device", None)
    return next(module.parameters()).device if found is None else torch.device(found)


def weight_of(layer: nn.Module, name: str = "weight") -> Tensor | None:
    """A weight of one layer, wherever it lies; None if the layer has none of that name.

    Raises:
        ModelError: If it lies on the disk and cannot be read.
    """
    if getattr(layer, name, None) is None:
        return None
    with _at_hand(layer):
        weight = getattr(layer, name)
    assert isinstance(weight, Tensor)
    if weight.device.type == "meta":
        raise ModelError("a weight that was put on the disk cannot be found again; load anew.")
    return weight


@contextmanager
def _at_hand(layer: nn.Module) -> Iterator[None]:
    if not hasattr(layer, "_hf_hook"):
        yield
        return
    from accelerate.utils import align_module_device

    with align_module_device(layer):
        yield


def remember_folder(module: nn.Module, options: Mapping[str, Any]) -> None:
    """Remove what was put on the disk when the model goes."""
    if "offload_folder" in options:
        weakref.finalize(module, shutil.rmtree, options["offload_folder"], ignore_errors=True)


def _offload_folder() -> str:
    parent = cache_dir() / "offload"
    parent.mkdir(parents=True, exist_ok=True)
    return tempfile.mkdtemp(dir=parent)
