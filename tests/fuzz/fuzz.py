"""Fuzz one reader, or each in turn, guided by which lines of needlepoint an input reaches.

    python tests/fuzz/fuzz.py                      # 20 seconds for each
    python tests/fuzz/fuzz.py "eap-ig" --seconds 600
    python tests/fuzz/fuzz.py --runs 300 --seed 1  # the same inputs each time

An input that ends in anything but a result or one sentence is written to the folder that
`--crashes` names, and the exit status is not 0. Needs `atheris`, which there is for Linux only.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["needlepoint"]):
    import readers

LONGEST = 4096


def fuzz(name: str, reader: readers.Reader, limits: Sequence[str], crashes: Path) -> None:
    """Fuzz one reader in this process, which ends with it."""
    with readers.prepared(reader) as folder, tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(reader.seeds):
            (Path(corpus) / str(number)).write_bytes(seed)

        def once(content: bytes) -> None:
            readers.outcome(reader, content, folder)

        options = [
            *limits,
            f"-max_len={LONGEST}",
            "-timeout=10",
            "-rss_limit_mb=4096",
            f"-artifact_prefix={crashes}/{name.replace(' ', '-')}-",
        ]
        atheris.Setup([sys.argv[0], *options, corpus], once)
        atheris.Fuzz()


def fuzz_each(names: Sequence[str], limits: Sequence[str], crashes: Path) -> list[str]:
    """Fuzz readers one after the other, each in a process of its own; those with a fault."""
    faults = []
    for name in names:
        print(f"== {name}", flush=True)
        child = os.fork()
        if not child:
            fuzz(name, readers.READERS[name], limits, crashes)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            faults.append(name)
    return faults


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("reader", nargs="*", default=list(readers.READERS), help="which; all")
    asked.add_argument("--seconds", type=int, default=20, help="for each")
    asked.add_argument("--runs", type=int, default=-1, help="inputs for each at most; no end")
    asked.add_argument("--seed", type=int, default=0, help="0: another each time")
    asked.add_argument("--crashes", type=Path, default=Path("crashes"))
    given = asked.parse_args()
    given.crashes.mkdir(parents=True, exist_ok=True)
    limits = [f"-max_total_time={given.seconds}", f"-runs={given.runs}", f"-seed={given.seed}"]
    found = fuzz_each(given.reader, limits, given.crashes.resolve())
    print(f"{len(found)} of {len(given.reader)} readers have a fault: {', '.join(found) or 'none'}")
    sys.exit(bool(found))
