"""Who does what next, where workers read together what cells need."""

from __future__ import annotations

import pytest

from needlepoint._core.errors import DataError, SourceError, StoreBusyError
from needlepoint.evaluation.grid import spread as module
from needlepoint.evaluation.grid.cells import cells_of
from needlepoint.evaluation.grid.config import GridConfig
from needlepoint.evaluation.grid.spread import Spread
from needlepoint.evaluation.grid.work import Job
from needlepoint.evaluation.on_ray import Lost
from needlepoint.evaluation.spread_extraction import Filling

LOST = Lost("the worker died")


class Blocks(Filling):
    """Stands for a store of three blocks that is being filled."""

    def __init__(self, place):
        self.place, self.left, self.out, self.written = place, [2, 1, 0], set(), []
        self.closed, self.store = False, self

    def __enter__(self):
        if self.place == "busy":
            raise StoreBusyError("another process writes it")
        return self

    def __exit__(self, *_):
        self.closed = True

    @property
    def complete(self):
        return len(self.written) == 3

    @property
    def done(self):
        return not self.left and not self.out

    def take(self):
        if not self.left:
            return None
        self.out.add(self.left[-1])
        return self.left.pop()

    def wrote(self, block):
        self.out.remove(block)
        self.written.append(block)

    def lost(self, block, lost):
        self.out.remove(block)
        raise SourceError(lost.reason)

    def give_up(self, block):
        self.out.remove(block)
        self.left.clear()

    def abandon(self):
        self.left.clear()


@pytest.fixture(autouse=True)
def no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Filling", Blocks)


def jobs(**settings) -> list[Job]:
    config = GridConfig(**{"models": ("one",), "features": ("a.csv",), **settings})
    return [Job(cell, cell.model, "float32", cell.question) for cell in cells_of(config)]


def steps(spread: Spread, *workers: int) -> list[str]:
    tasks = [spread.take(worker) for worker in workers]
    return ["" if task is None else f"{task.step} {task.block}" for task in tasks]


METHODS = ("top_k", "adaptive_thresholding")


def test_all_read_together_and_then_compute_side_by_side() -> None:
    spread = Spread(jobs(neuron_methods=METHODS), 2)
    assert steps(spread, 0, 1) == ["begin -1", ""]
    spread.begun(job := jobs()[0], "here")
    assert steps(spread, 0, 1) == ["fill 0", "fill 1"]
    spread.filled(job, 1, None)
    assert steps(spread, 1) == ["fill 2"]
    spread.filled(job, 0, None)
    assert steps(spread, 0) == [""]  # one is still at the last block
    spread.filled(job, 2, None)
    assert steps(spread, 0, 1) == ["run -1", "run -1"]
    assert len(spread) == 0


def test_enough_readings_for_all_are_read_by_their_cells() -> None:
    spread = Spread(jobs(features=("a.csv", "b.csv")), 2)
    assert steps(spread, 0, 1) == ["run -1", "run -1"]


def test_studies_of_heads_read_nothing_together() -> None:
    spread = Spread(jobs(features=(), tasks=("ioi",)), 4)
    assert steps(spread, 0, 1) == ["run -1", ""]


@pytest.mark.parametrize("answer", ["busy", DataError("no such texts"), SourceError("no network")])
def test_what_cannot_be_begun_is_left_to_the_cells_one_of_which_goes_first(answer) -> None:
    spread = Spread(jobs(neuron_methods=METHODS), 3)
    assert steps(spread, 0) == ["begin -1"]
    spread.begun(jobs()[0], answer)
    assert steps(spread, 0, 1) == ["run -1", ""]


def test_a_store_is_begun_three_times_if_workers_die_over_it() -> None:
    spread = Spread(jobs(neuron_methods=METHODS), 2)
    for _ in range(3):
        assert steps(spread, 0, 1) == ["begin -1", ""]
        spread.begun(jobs()[0], LOST)
    assert steps(spread, 0, 1) == ["run -1", ""]


@pytest.mark.parametrize("answer", [LOST, DataError("a number is not finite")])
def test_a_block_that_cannot_be_written_ends_the_reading_when_all_are_back(answer) -> None:
    spread = Spread(jobs(neuron_methods=METHODS), 2)
    assert steps(spread, 0) == ["begin -1"]
    spread.begun(job := jobs()[0], "here")
    assert steps(spread, 0, 1) == ["fill 0", "fill 1"]
    filling = spread._shared[job.cell.reads].filling
    spread.filled(job, 0, answer)
    assert steps(spread, 0) == [""]
    assert not filling.closed
    spread.filled(job, 1, None)
    assert filling.closed
    assert steps(spread, 0, 1) == ["run -1", ""]


def test_what_is_open_is_closed_at_the_end() -> None:
    spread = Spread(jobs(), 2)
    assert steps(spread, 0) == ["begin -1"]
    spread.begun(job := jobs()[0], "here")
    filling = spread._shared[job.cell.reads].filling
    spread.close()
    assert filling.closed
