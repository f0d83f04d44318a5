"""Whether a run's numbers reproduce: some of its cells are computed again and compared."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from needlepoint._core.errors import DataError
from needlepoint._core.records import Record, RunFolder
from needlepoint._core.seeds import seed_for
from needlepoint.evaluation.grid.compared import CellAgreement, compare_studies, study_of
from needlepoint.evaluation.grid.executor import Executor, InProcess
from needlepoint.evaluation.grid.run import jobs_of
from needlepoint.evaluation.grid.state import GridState
from needlepoint.evaluation.study import Study


def verify_grid(
    path: Path, n_cells: int = 2, executor: Executor | None = None
) -> tuple[CellAgreement, ...]:
    """Compute finished cells of a run again, and say how far they agree with what it holds.

    The run folder is not written to. Activations are read from the store if they are there, so
    what is verified is what was made of them; an empty `NEEDLEPOINT_CACHE` has them made anew.

    Args:
        path: The run folder.
        n_cells: How many cells, drawn at random and the same ones each time; all if there are
            fewer.
        executor: What computes them; this process unless given.

    Raises:
        StoreError: If a record or a file of one is damaged, or a model or a data file has changed.
        DataError: If the run has no finished cell.
    """
    state = GridState.of(path)
    state.check()
    inputs = state.inputs.found()
    chosen = {record.cell: record for record in _sample(state, n_cells)}
    cells = [cell for cell in state.cells if cell.name in chosen]
    found = []
    with closing((executor or InProcess()).run(jobs_of(cells, state.config, inputs))) as results:
        for ended in results:
            before = study_of(state.run, chosen[ended.cell.name])
            found.append(compare_studies(before, _as_written(ended.study)))
    return tuple(sorted(found, key=lambda one: one.cell))


def _sample(state: GridState, n_cells: int) -> Sequence[Record]:
    done = state.ended("done")
    if not done:
        raise DataError(f"{state.run.path} has no finished cell to compute again.")
    if n_cells < 1:
        raise DataError(f"cells is {n_cells}; it must be at least 1.")
    draw = random.Random(seed_for(state.config.seed, use="verify"))
    return draw.sample(done, min(n_cells, len(done)))


def _as_written(study: Study) -> Study:
    """The study after a round to the disk and back, which turns None into NaN and the like."""
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder.create(Path(folder) / "run", kind="grid", config={})
        return study_of(run, study.save(run))
