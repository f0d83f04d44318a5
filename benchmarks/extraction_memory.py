"""Peak memory of one extraction at 1, 10 and 100 times the rows, each in a process of its own.

    python benchmarks/extraction_memory.py

Every token of short random texts is a row; the neurons of three layers of SmolLM2 are kept in half
precision. What is written down is the largest resident set after the model was loaded, less what it
was then; the token ids of the texts, which are in memory whole, are told apart.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from needlepoint._core.files import write_text
from needlepoint._core.provenance import machine, now, versions

RECORD = Path(__file__).parent / "records" / "extraction_memory.json"
TEXTS, TOKENS, LAYERS = 450, 16, (0, 1, 2)
SCALES = (1, 10, 100)


def resident(name: str) -> int:
    """A figure of /proc/self/status in bytes."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def measure(scale: int) -> dict[str, Any]:
    """One extraction in this process."""
    from needlepoint.activations.extract import extract
    from needlepoint.activations.reduce import Rows
    from needlepoint.models.load import load_model

    torch.set_num_threads(1)
    model = load_model("smollm2", dtype="float32")
    model.hidden(model.batch([[1] * TOKENS] * 100))
    empty = resident("VmRSS")
    ids = np.random.default_rng(0).integers(100, 40_000, (scale * TEXTS, TOKENS)).tolist()
    rows = Rows.each(ids)
    texts = resident("VmRSS") - empty
    Path("/proc/self/clear_refs").write_text("5")  # the largest resident set begins anew
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        sites = [f"L{layer}.mlp.neurons" for layer in LAYERS]
        found = extract(model, ids, sites, rows, path=Path(folder) / "store", dtype="float16")
        stored = sum(found.store.layout.bytes_of(one) for one in range(found.store.layout.blocks))
        blocks = found.store.layout.blocks
    return {
        "rows": len(rows),
        "blocks": blocks,
        "stored_bytes": stored,
        "texts_bytes": texts,
        "model_bytes": empty,
        "peak_bytes": resident("VmHWM") - empty - texts,
        "seconds": time.perf_counter() - begin,
    }


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--scale", type=int, help="measure one in this process and print it")
    asked.add_argument("--out", type=Path, default=RECORD)
    options = asked.parse_args()
    if options.scale:
        print(json.dumps(measure(options.scale)))
        return
    found = []
    for scale in SCALES:
        command = [sys.executable, __file__, "--scale", str(scale)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found.append({"scale": scale, **json.loads(answer.splitlines()[-1])})
        print(found[-1], flush=True)
    record = {
        "benchmark": "extraction_memory",
        "date": now(),
        "machine": machine(),
        "versions": versions(),
        "model": "smollm2",
        "sites": [f"L{layer}.mlp.neurons" for layer in LAYERS],
        "ratio_10": found[1]["peak_bytes"] / found[0]["peak_bytes"],
        "ratio_100": found[2]["peak_bytes"] / found[0]["peak_bytes"],
        "extractions": found,
    }
    write_text(options.out, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
