"""Fixtures for every test: an own cache, one thread, shapes checked at run time."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jaxtyping
import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def _sparing(jaxtyped: Callable[..., Any]) -> Callable[..., Any]:
    """The decorator of the import hook, but for functions inside functions that name no shape.

    Those are made anew whenever the outer function runs, and wrapping them each time took most of
    the time of tests that hook models. Their types are mypy's business.
    """

    def decorated(*args: Any, **kwargs: Any) -> Any:
        if not args:
            return lambda function: decorated(function, **kwargs)
        inside = "<locals>" in getattr(args[0], "__qualname__", "")
        shaped = any("'" in str(hint) for hint in getattr(args[0], "__annotations__", {}).values())
        return args[0] if inside and not shaped else jaxtyped(*args, **kwargs)

    return decorated


if os.environ.get("NEEDLEPOINT_CHECK_SHAPES", "1") == "1":
    jaxtyping.jaxtyped = _sparing(jaxtyping.jaxtyped)
    jaxtyping.install_import_hook("needlepoint", "beartype.beartype")


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder for one test."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("NEEDLEPOINT_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def imported() -> Callable[[Path], ModuleType]:
    """Imports a file of another folder of tests, which is no package."""

    def load(path: Path) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"needlepoint_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Small tests are faster on one thread, and several workers share the cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=["stand-in", pytest.param("cuda", marks=pytest.mark.cuda)])
def card(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A CUDA device: one that is computed by the CPU, then a real one where there is any."""
    import torch

    from needlepoint.testing.card import stand_in_card

    if request.param == "stand-in":
        with stand_in_card() as place:
            yield place
        return
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    yield torch.device("cuda", 0)
