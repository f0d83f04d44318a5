"""How many cores are free: threads that wait for a busy core slow all the others down."""

from __future__ import annotations

import os
import time
from pathlib import Path

from needlepoint._core.provenance import cores

WINDOW = 0.2
"""Seconds over which idleness is watched."""


def free_cores(window: float = WINDOW) -> int:
    """Cores of this process's share that other work leaves idle, at least one.

    Watches the kernel's idle counters for a moment; where there are none, every core counts as
    free.
    """
    before = _idle_seconds()
    if before is None:
        return cores()
    start = time.monotonic()
    time.sleep(window)
    after = _idle_seconds() or before
    spent = time.monotonic() - start
    idle = sum(after[core] - before.get(core, 0.0) for core in after) / spent
    return max(1, min(cores(), round(idle)))


def _idle_seconds() -> dict[int, float] | None:
    """Seconds that each core of this process's share has been idle since the machine started."""
    stat = Path("/proc/stat")
    if not stat.exists() or not hasattr(os, "sched_getaffinity"):
        return None
    mine = os.sched_getaffinity(0)
    tick = os.sysconf("SC_CLK_TCK")
    found = {}
    for line in stat.read_text().splitlines():
        name, *counts = line.split()
        if name.startswith("cpu") and name != "cpu" and int(name[3:]) in mine:
            found[int(name[3:])] = (int(counts[3]) + int(counts[4])) / tick
    return found or None
