"""Run studies into a run folder, show what was found, build the page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rich.console import Console

from needlepoint._core.cores import free_cores
from needlepoint._core.errors import DataError
from needlepoint._core.files import storage_errors
from needlepoint._core.progress import progress_bars
from needlepoint._core.provenance import now
from needlepoint._core.records import Record, RunFolder, cell_name
from needlepoint.cli.asked import Asked
from needlepoint.cli.checks import check_questions
from needlepoint.cli.folder import RUNS, Destination
from needlepoint.cli.show import show_record
from needlepoint.evaluation.attempt import attempt
from needlepoint.evaluation.studies import STUDIES, named
from needlepoint.evaluation.study import Study
from needlepoint.models.model import Model

DEMO = (
    "Demo: which heads of {model} name the indirect object, which neurons know the\n"
    "programming language of a text? About 3 minutes on 2 cores, 5 at the first use."
)


def run_studies(asked: Asked) -> int:
    """Run one study or both on a model, write the records, and build the page.

    With both, one that cannot be done leaves a record that says why and the other goes on; with
    one, the reason is the error of the command.

    Returns:
        0, or 1 if a study failed by a defect and left its traceback in a record.

    Raises:
        NeedlepointError: If nothing could be done. No folder is left then.
        KeyboardInterrupt: If it was stopped; the message says what is kept.
    """
    import torch

    from needlepoint.models.load import load_model
    from needlepoint.report import build_report

    console, start = Console(), time.monotonic()
    destination = Destination(asked)
    destination.check()
    check_questions(asked)
    if asked.kind == "demo":
        console.print(DEMO.format(model=asked.model), highlight=False, markup=False, soft_wrap=True)
    torch.set_num_threads(free_cores())
    with progress_bars(), _stopped_or_full(destination):
        model = load_model(asked.model, dtype=asked.dtype) if asked.model else None
        run = _run_cells(asked, model, destination, console)
        records = run.records()
        run.finish("done" if all(found.status == "done" for found in records) else "partly done")
        page = build_report(run.path)
        run.update(seconds=round(time.monotonic() - start, 1))
    _require_one(records, run)
    console.print(
        f"\nDone in {time.monotonic() - start:.0f} s. Open this page in a browser:\n{page}",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
    return int(any(found.status == "failed" for found in records))


def _run_cells(
    asked: Asked, model: Model | None, destination: Destination, console: Console
) -> RunFolder:
    """Run each study in turn, and write and show its record as soon as there is one."""
    started, cells, run = now(), _cells(asked, model), None
    for kind, question, find in cells:
        study = find() if len(cells) == 1 else attempt(cell_name(kind, question), kind, find)
        if run is None:
            run = RunFolder.create(destination.make(), kind=asked.kind, config=asked.config)
            run.update(started=started, command=asked.command)
            if model is not None:
                run.update(model=model.card())
        show_record(console, run, study.save(run))
    assert run is not None
    return run


Cell = tuple[str, str, Callable[[], Study]]


def _cells(asked: Asked, model: Model | None) -> list[Cell]:
    """Kind, question and work of each study that was asked for."""
    cells: list[Cell] = []
    for config in asked.configs:
        study = STUDIES[type(config)]
        cells.append((study.kind, study.subject(config), partial(named(study.find), model, config)))
    return cells


@contextmanager
def _stopped_or_full(destination: Destination) -> Iterator[None]:
    """Leave no run without a record behind, and say what is kept of one that was stopped."""
    try:
        with storage_errors(destination.path or RUNS):
            yield
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(_kept(destination)) from stop
    finally:
        destination.discard()


def _kept(destination: Destination) -> str:
    path = destination.path
    kept = sorted(record.stem for record in path.glob("records/*.json")) if path else []
    if path is None or not kept:
        return (
            "stopped; no study was finished. Activations that were read are kept in the cache, "
            "and the same command goes on from there."
        )
    RunFolder(path).finish("stopped")
    return (
        f"stopped; {', '.join(kept)} was finished and is kept: "
        f"'needlepoint report {path}' makes its page."
    )


def _require_one(records: list[Record], run: RunFolder) -> None:
    """A run in which every study was skipped is an error, with its page to explain it."""
    if all(found.status == "skipped" for found in records):
        raise DataError(f"no study could be done; {run.path / 'report.html'} says why.")
