"""Models are loaded seldom, and no two workers write the same activations."""

from __future__ import annotations

from needlepoint.evaluation.grid.cells import cells_of
from needlepoint.evaluation.grid.config import GridConfig
from needlepoint.evaluation.grid.schedule import Schedule
from needlepoint.evaluation.grid.work import Job


def schedule(**asked: object) -> Schedule:
    config = GridConfig(**asked)  # type: ignore[arg-type]
    return Schedule([Job(cell, cell.model, "float32", cell.question) for cell in cells_of(config)])


def taken(found: Schedule, worker: int) -> Job:
    job = found.take(worker)
    assert job is not None
    return job


def test_a_worker_keeps_to_its_model_and_others_take_another() -> None:
    found = schedule(models=("a", "b"), tasks=("ioi",), repeats=3)
    models: dict[int, list[str]] = {0: [], 1: []}
    for _ in range(3):
        for worker in (0, 1):
            job = taken(found, worker)
            models[worker].append(job.model)
            found.ended(job)
    assert models == {0: ["a"] * 3, 1: ["b"] * 3}
    assert found.take(0) is None


def test_one_model_is_shared_when_there_is_no_other() -> None:
    found = schedule(models=("a",), tasks=("ioi",), repeats=2)
    assert {taken(found, 0).model, taken(found, 1).model} == {"a"}


def test_cells_that_read_the_same_wait_for_the_first_of_them() -> None:
    found = schedule(features=("latex",), neuron_methods=("top_k", "swap", "forward"))
    first = taken(found, 0)
    assert found.take(1) is None
    assert len(found) == 2
    found.ended(first)
    assert taken(found, 0).cell.name != taken(found, 1).cell.name


def test_studies_of_heads_wait_for_nobody() -> None:
    found = schedule(tasks=("ioi",), head_methods=("eap", "random"))
    assert taken(found, 0) != taken(found, 1)


def test_a_worker_that_is_gone_holds_nothing() -> None:
    found = schedule(models=("a", "b"), tasks=("ioi",), repeats=2)
    assert taken(found, 0).model == "a"
    found.gone(0)
    assert taken(found, 1).model == "a"
