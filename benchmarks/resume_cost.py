"""How much work a kill costs: rows read twice by an extraction that is killed and gone on with.

    python benchmarks/resume_cost.py --kills 10

A child process reads the neurons of a random model, a row for each text, and says how many rows it
has read. It is killed (SIGKILL) at a random moment, another goes on, and so on; the last one is
left to end. Rows read twice are those that a child read and the next one did not find. The finished
files are compared, byte by byte, with those of an extraction that nobody disturbed.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from needlepoint._core.files import write_text
from needlepoint._core.provenance import machine, now, versions

RECORD = Path(__file__).parent / "records" / "resume_cost.json"
TEXTS, LENGTH, BLOCK_ROWS, BATCH = 6000, 24, 512, 32


def read(folder: Path) -> None:
    """Go on with the extraction in a folder, a line on standard output for each batch."""
    from needlepoint.activations import extract as module
    from needlepoint.activations.extract import Reading
    from needlepoint.activations.reduce import Rows
    from needlepoint.activations.store import open_or_create
    from needlepoint.activations.writer import Writer
    from needlepoint.models.sites import Site
    from needlepoint.testing.tiny import tiny_model

    model = tiny_model("llama", intermediate_size=2048)
    ids = np.random.default_rng(0).integers(1, 250, (TEXTS, LENGTH)).tolist()
    sites = tuple(Site.parse(f"L{layer}.mlp.neurons") for layer in range(3))
    reading = Reading(ids, sites, Rows.whole(ids), batch_tokens=BATCH * (LENGTH + 1))
    whole = module.collect

    def told(*args: Any, **options: Any) -> Any:
        for chunk in whole(*args, **options):
            print(len(chunk.rows), flush=True)
            yield chunk

    module.collect = told
    store = open_or_create(reading.request(model), folder, block_rows=BLOCK_ROWS)
    with Writer(store) as writer:
        print("begun", store.rows_done, flush=True)
        for start, stop in store.gaps():
            writer.go_to(start)
            reading.into(writer, model, start, stop)


def child(folder: Path, seconds: float | None) -> tuple[int, int, float]:
    """Rows found there, rows read, and seconds of one child; killed so long after its first."""
    command = [sys.executable, "-W", "ignore", __file__, "--read", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        there = int(running.stdout.readline().split()[1])
        begin = time.perf_counter()
        if seconds is not None:
            time.sleep(seconds)
            running.send_signal(signal.SIGKILL)
        rest, _ = running.communicate()
    return there, sum(map(int, rest.split())), time.perf_counter() - begin


def content(folder: Path) -> dict[str, bytes]:
    found = [path for path in (folder / "arrays").rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--kills", type=int, default=10)
    asked.add_argument("--out", type=Path, default=RECORD)
    asked.add_argument("--read", type=Path, help="what a child is told")
    options = asked.parse_args()
    if options.read:
        read(options.read)
        return
    draw = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _, rows, seconds = child(folder / "smooth", None)
        assert rows == TEXTS
        found = []
        for _ in range(options.kills):
            there, read_rows, _ = child(folder / "killed", draw.uniform(0, seconds / 4))
            found.append({"found": there, "read": read_rows})
        there, read_rows, _ = child(folder / "killed", None)
        found.append({"found": there, "read": read_rows})
        same = content(folder / "killed") == content(folder / "smooth")
    for one, after in pairwise(found):
        one["twice"] = one["found"] + one["read"] - after["found"]
    twice = [one["twice"] for one in found[:-1]]
    record = {
        "benchmark": "resume_cost",
        "date": now(),
        "machine": machine(),
        "versions": versions(),
        "rows": TEXTS,
        "block_rows": BLOCK_ROWS,
        "batch_rows": BATCH,
        "kills": len(twice),
        "most_read_twice": max(twice),
        "median_read_twice": float(np.median(twice)),
        "same_bytes": same,
        "children": found,
    }
    print(json.dumps(record, indent=1))
    write_text(options.out, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
