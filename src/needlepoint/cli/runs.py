"""Run studies into a run folder, show what was found, build the page."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from rich.console import Console

from needlepoint._core.cores import free_cores
from needlepoint._core.errors import NeedlepointError, StoreError
from needlepoint._core.progress import progress_bars, say
from needlepoint._core.records import Record, RunFolder
from needlepoint.cli.show import show_record
from needlepoint.evaluation.configs import HeadsConfig, NeuronsConfig
from needlepoint.evaluation.study import Study

Cell = tuple[str, str, Callable[[], Study]]


def run_studies(
    kind: str,
    model_name: str,
    dtype: str,
    out: Path | None,
    *,
    heads: HeadsConfig | None = None,
    neurons: NeuronsConfig | None = None,
) -> Path:
    """Run one study or both on a model, write the records, and build the page.

    With both, one that cannot be done leaves a record that says why and the other goes on; with
    one, the reason is the error of the command.

    Returns:
        The run folder.
    """
    import torch

    from needlepoint.evaluation.find_heads import find_heads
    from needlepoint.evaluation.find_neurons import find_neurons
    from needlepoint.models.load import load_model
    from needlepoint.report import build_report

    console = Console()
    start = time.monotonic()
    torch.set_num_threads(free_cores())
    folder = _folder(kind, out)
    with progress_bars():
        model = load_model(model_name, dtype=dtype)
        cells: list[Cell] = []
        if heads is not None:
            name = f"circuit.{Path(heads.task).stem}"
            cells.append((name, "circuit", lambda: find_heads(model, heads)))
        if neurons is not None:
            name = f"probe.{Path(neurons.features).stem}"
            cells.append((name, "probe", lambda: find_neurons(model, neurons)))
        configs = {"heads": heads, "neurons": neurons}
        config = {name: asdict(part) for name, part in configs.items() if part is not None}
        run: RunFolder | None = None
        for cell in cells:
            study = _attempt(cell, alone=len(cells) == 1)
            run = run or RunFolder.create(folder, kind=kind, config={"model": model_name, **config})
            run.update(model=model.card())
            record = study.save(run)
            show_record(console, run, record)
    assert run is not None
    run.finish("done" if all(r.status == "done" for r in run.records()) else "partly done")
    page = build_report(run.path)
    run.update(seconds=round(time.monotonic() - start, 1))
    console.print(
        f"\nDone in {time.monotonic() - start:.0f} s. Open this page in a browser:\n{page}",
        soft_wrap=True,
        highlight=False,
    )
    return run.path


def _folder(kind: str, out: Path | None) -> Path:
    if out is None:
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        return Path("needlepoint-runs") / f"{kind}-{stamp}"
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StoreError(f"{out} is not empty; choose another folder with --out, or remove it.")
    return out


def _attempt(cell: Cell, *, alone: bool) -> Study:
    """The study, or a record of why there is none."""
    name, kind, find = cell
    start = time.monotonic()
    try:
        return find()
    except NeedlepointError as error:
        if alone:
            raise
        say(f"{name} was skipped: {error}")
        status, reason = "skipped", str(error)
    except (RuntimeError, ValueError, ArithmeticError, LookupError):
        if alone:
            raise
        say(f"{name} failed; its record has the traceback.")
        status, reason = "failed", traceback.format_exc()
    record = Record(name, kind, status, reason, seconds=time.monotonic() - start)  # type: ignore[arg-type]
    return Study(record, {})
