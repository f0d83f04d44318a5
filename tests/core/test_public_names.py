"""The public names: all there, loaded when used, and light until then."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import needlepoint

HEAVY = ("torch", "transformers", "pandas", "numpy", "zarr", "plotly", "sklearn")


def test_every_name_is_there_and_is_listed_once_in_order() -> None:
    names = needlepoint.__all__
    assert len(set(names)) == len(names)
    assert sorted(names) == dir(needlepoint)
    for name in names:
        assert getattr(needlepoint, name) is not None
    for wanted in ("load_model", "record", "replace", "find_heads", "find_neurons", "Site"):
        assert wanted in names


@pytest.mark.parametrize("name", [n for n in needlepoint.__all__ if n.islower() and n[0] != "_"])
def test_every_function_says_what_one_gets(name: str) -> None:
    assert (getattr(needlepoint, name).__doc__ or "").strip()


def test_what_type_checkers_see_is_what_is_loaded() -> None:
    tree = ast.parse(Path(needlepoint.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    homes = {n: f"needlepoint.{home}" for home, names in needlepoint._HOMES.items() for n in names}
    assert seen == homes
    assert set(homes) | {"__version__"} == set(needlepoint.__all__)


def test_the_version_is_that_of_the_package() -> None:
    assert needlepoint.__version__ == version("needlepoint")


def test_a_name_that_is_not_there_is_said_so() -> None:
    with pytest.raises(AttributeError, match="module 'needlepoint' has no attribute 'load_modle'"):
        needlepoint.load_modle  # noqa: B018  (the look-up is what is tested)


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import needlepoint", ()),
        ("from needlepoint import NeedlepointError, seed_for, HeadsConfig, Site", ()),
        ("from needlepoint import RunFolder", ("pandas", "numpy")),
        ("from needlepoint import load_task", ("numpy",)),
    ],
)
def test_importing_loads_nothing_heavy(code: str, allowed: tuple[str, ...]) -> None:
    look = f"; import sys, json; print(json.dumps([n for n in {HEAVY} if n in sys.modules]))"
    command = [sys.executable, "-c", code + look]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert set(json.loads(done.stdout)) <= set(allowed)
