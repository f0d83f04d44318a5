"""The sample run and its page, made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from needlepoint.report import build_report
from needlepoint.testing.browser import BrowserError, find_browser


@pytest.fixture(scope="session")
def sample(imported: Callable[[Path], ModuleType]) -> ModuleType:
    return imported(Path(__file__).with_name("sample_run.py"))


@pytest.fixture(scope="session")
def run(sample: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = sample.write_sample_run(tmp_path_factory.mktemp("report") / "run")
    return folder


@pytest.fixture(scope="session")
def page(run: Path) -> Path:
    return build_report(run)


@pytest.fixture(scope="session")
def chromium() -> str:
    try:
        return find_browser()
    except BrowserError as error:
        pytest.fail(str(error))
