"""What a grid costs beside the plain calls of its cells, and two workers beside one.

    python benchmarks/grid_overhead.py --out benchmarks/records/grid_overhead.json

1. Overhead: the same studies of heads on the packaged model, by plain calls (load the model, call
   `find_heads` for each cell, keep nothing) and as a grid in this process, which hashes inputs,
   writes tables, arrays and records, and locks its folder. The sides take turns, and which goes
   first alternates. The clock of the processor is disturbed less by other work than the other is.
2. Own work: the processor time of one grid that is spent outside of its cells, and its share.
3. Workers: the grid by one local process and by two, each with one thread, start and imports of the
   processes included. On a machine that others use two workers gain less than on one at rest: the
   record says how many processes wanted the cores.

Medians over the rounds; the ratio is of the medians. Parts can be measured apart: those that are
not asked for stay in the record as they were.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from needlepoint._core.files import write_text
from needlepoint._core.provenance import machine, now, versions
from needlepoint.evaluation.configs import HeadsConfig
from needlepoint.evaluation.find_heads import find_heads
from needlepoint.evaluation.grid.cells import cells_of
from needlepoint.evaluation.grid.config import GridConfig
from needlepoint.evaluation.grid.executor import Executor, InProcess
from needlepoint.evaluation.grid.processes import LocalProcesses
from needlepoint.evaluation.grid.read_config import values_of
from needlepoint.evaluation.grid.run import run_grid
from needlepoint.evaluation.grid.work import Ended, Job
from needlepoint.models.load import load_model

HEADS = HeadsConfig(
    score_pairs=16,
    ablate_pairs=2,
    attribution_pairs=2,
    holdout_pairs=2,
    random_circuits=2,
    sae_seeds=1,
    methods=("mean_difference", "random", "eap"),
    edges=2,
)
GRID = GridConfig(models=("smollm2",), tasks=("ioi", "greater_than"), heads=HEADS)


def by_plain_calls() -> None:
    """Every cell by the call that a notebook would make."""
    model = load_model("smollm2", dtype=GRID.dtype)
    for cell in cells_of(GRID):
        assert isinstance(cell.config, HeadsConfig)
        find_heads(model, cell.config)


def as_a_grid(executor: Executor) -> None:
    """Every cell into a run folder."""
    with tempfile.TemporaryDirectory() as folder:
        state = run_grid(GRID, Path(folder) / "run", executor)
        assert len(state.ended("done")) == len(state.cells), "a cell was not done"


def timed(work: Callable[[], None]) -> dict[str, float]:
    """Seconds by the clock and of this process's processor time."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}


def alternate(sides: dict[str, Callable[[], None]], rounds: int) -> dict[str, Any]:
    """Both sides in turn, the first of a round the second of the next."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in list(sides)[:: 1 if number % 2 == 0 else -1]:
            found[name].append(timed(sides[name]))
            print(f"{name:12s} {found[name][-1]}", flush=True)
    return {
        name: {key: median(one[key] for one in times) for key in times[0]} | {"rounds": times}
        for name, times in found.items()
    }


class Clocked(InProcess):
    """Counts the processor time that is spent in cells, models loaded included."""

    def run(self, jobs: Sequence[Job]) -> Generator[Ended, None, None]:
        """How each job ended."""
        self.inside, results = 0.0, super().run(jobs)
        while True:
            start = time.process_time()
            ended = next(results, None)
            self.inside += time.process_time() - start
            if ended is None:
                return
            yield ended


def overhead(rounds: int) -> dict[str, Any]:
    """The grid against plain calls."""
    print(f"warming up {timed(lambda: as_a_grid(InProcess(1)))}", flush=True)
    sides = alternate({"plain": by_plain_calls, "grid": lambda: as_a_grid(InProcess(1))}, rounds)
    ratio = {key: sides["grid"][key] / sides["plain"][key] for key in ("seconds", "cpu_seconds")}
    return {**sides, "grid_over_plain": ratio, "aim": "below 1.05"}


def own_work(_: int) -> dict[str, Any]:
    """What a grid does besides its cells."""
    executor = Clocked(1)
    whole = timed(lambda: as_a_grid(executor))["cpu_seconds"]
    own = whole - executor.inside
    return {"cpu_seconds": whole, "own_cpu_seconds": own, "share": own / whole, "aim": "below 0.05"}


def workers(rounds: int) -> dict[str, Any]:
    """Two local processes against one."""
    sides = alternate(
        {
            "one worker": lambda: as_a_grid(LocalProcesses(1, 1)),
            "two workers": lambda: as_a_grid(LocalProcesses(2, 1)),
        },
        rounds,
    )
    seconds = {name: [one["seconds"] for one in side["rounds"]] for name, side in sides.items()}
    speedup = median(seconds["one worker"]) / median(seconds["two workers"])
    return {"seconds": seconds, "speedup": speedup}


PARTS = {"overhead": (overhead, 2), "own_work": (own_work, 1), "workers": (workers, 1)}


def measure(name: str) -> dict[str, Any]:
    """One part, with when it was measured and how many processes wanted the cores."""
    torch.set_num_threads(1)
    work, rounds = PARTS[name]
    found = work(rounds)
    load = [round(one, 1) for one in os.getloadavg()]
    return {"date": now(), "load_average_1_5_15_minutes": load, **found}


def main() -> None:
    """Measure, print, and keep the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    there = args.out is not None and args.out.exists()
    record = {
        "benchmark": "overhead of a grid, and two workers against one",
        "machine": machine(),
        "versions": versions(),
        "note": "other work used the machine meanwhile: read shares and ratios",
        "config": values_of(GRID),
        "cells": GRID.n_cells,
        **({} if not there else {n: json.loads(args.out.read_text()).get(n) for n in PARTS}),
    }
    for name in args.parts:
        record[name] = measure(name)
        print(name, json.dumps(record[name]), flush=True)
    if args.out:
        write_text(args.out, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
