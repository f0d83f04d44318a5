"""The real default model and a browser; both are asked for once."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from needlepoint.models.load import load_model
from needlepoint.models.model import Model
from needlepoint.testing.browser import BrowserError, find_browser


@pytest.fixture(scope="session")
def smollm2() -> Model:
    return load_model("smollm2", dtype="float32", device="cpu")


@pytest.fixture(scope="session")
def command() -> str:
    """Path of the installed command."""
    found = shutil.which("needlepoint", path=str(Path(sys.executable).parent))
    assert found is not None, "needlepoint is not installed in this environment"
    return found


@pytest.fixture(scope="session")
def chromium() -> str:
    try:
        return find_browser()
    except BrowserError as error:
        pytest.fail(str(error))
