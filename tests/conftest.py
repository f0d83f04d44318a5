"""Fixtures for every test: an own cache, one thread, shapes checked at run time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from jaxtyping import install_import_hook

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if os.environ.get("NEEDLEPOINT_CHECK_SHAPES", "1") == "1":
    install_import_hook("needlepoint", "beartype.beartype")

import pytest


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder for one test."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("NEEDLEPOINT_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Small tests are faster on one thread, and several workers share the cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
