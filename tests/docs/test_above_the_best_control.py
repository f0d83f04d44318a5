"""What the full page says of methods beside the best control, from rankings that were kept."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
N_HEADS, N_TRUE = 60, 12


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    return importlib.import_module("circuits_full_page")


def row(method: str, strength: torch.Tensor | None, precision: float | None) -> dict[str, Any]:
    """A row of a record; controls are named so."""
    kept = {} if strength is None else {"strength": " ".join(map(str, strength.tolist()))}
    control = method.endswith("control")
    return {"method": method, "control": control, "average_precision": precision, **kept}


def record(*rows: dict[str, Any]) -> dict[str, Any]:
    heads = " ".join(map(str, range(N_TRUE)))
    return {"truth": {"heads": heads, "of": N_HEADS, "n_heads": N_TRUE}, "methods": list(rows)}


EXACT = (torch.arange(N_HEADS) < N_TRUE).double()
NOISE = torch.rand(N_HEADS, generator=torch.Generator().manual_seed(0))


def test_an_exact_ranking_is_above_the_best_control_and_noise_is_not(page: ModuleType) -> None:
    order = -torch.arange(N_HEADS).flip(0).double()
    rows = [row("exact", EXACT, 1.0), row("noise", NOISE, 0.2), row("old", None, 0.5)]
    rows += [row("good control", NOISE.roll(1), 0.25), row("bad control", order, 0.1)]
    found = page._above(record(*rows))
    assert found["good control"] == "the best control"
    assert "old" not in found
    low = float(found["exact"].split("(")[1].split(" to ")[0])
    assert low > 0.3
    ends = found["noise"].split("(")[1].rstrip(")").split(" to ")
    assert float(ends[0]) < 0 < float(ends[1])


def test_nothing_is_said_where_the_best_control_was_not_kept(page: ModuleType) -> None:
    rows = [row("exact", EXACT, 1.0), row("bad control", NOISE, 0.1)]
    assert set(page._above(record(*rows))) == {"exact", "bad control"}
    assert page._above(record(*rows, row("good control", None, 0.3))) == {}
    assert page._above(record(row("exact", EXACT, 1.0))) == {}
    older = record(*rows)
    del older["truth"]["heads"]
    assert page._above(older) == {}
