"""Faults injected into runs and stores, and whether what happened is what is promised.

    python benchmarks/faults.py

Each fault is injected by a test, which says what has to happen; here all of them are run and what
became of each is written down. docs/grids.md tells in words what happens.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

from needlepoint._core.files import write_text
from needlepoint._core.provenance import machine, now, versions

ROOT = Path(__file__).parent.parent
RECORD = Path(__file__).parent / "records" / "faults.json"
GRID, ACTS = "tests/evaluation/grid", "tests/activations"
DURABLE = f"{GRID}/test_durability.py"
RUN = f"{GRID}/test_run_grid.py"
RAY = f"{GRID}/test_on_ray.py"
WRITER = f"{ACTS}/test_writer.py"
STORE = f"{ACTS}/test_store.py"
OBJECTS = f"{ACTS}/test_object_storage.py"
MEMORY = f"{ACTS}/test_out_of_memory.py"
FAULTS = {
    "SIGKILL in the middle of a grid": (
        f"{DURABLE}::test_a_kill_in_the_middle_leaves_a_run_that_goes_on_to_the_same_end"
    ),
    "SIGKILL after the last record": f"{RUN}::test_a_kill_after_the_last_record_is_made_good",
    "a worker process dies": f"{RUN}::test_a_worker_that_dies_fails_its_cell_alone",
    "a worker of a cluster is killed over a cell": (
        f"{RAY}::test_a_cell_whose_worker_was_killed_is_computed_again"
    ),
    "a cell kills every worker": (
        f"{RAY}::test_a_cell_that_kills_its_workers_fails_and_the_others_are_done"
    ),
    "a worker of a cluster is killed while all read": (
        f"{RAY}::test_all_read_before_cells_are_computed_and_a_killed_worker_costs_a_block"
    ),
    "a machine of a cluster is lost": (
        f"{GRID}/test_lost_node.py::test_the_cells_of_a_lost_machine_are_computed_by_another"
    ),
    "workers cannot begin": f"{RAY}::test_workers_that_cannot_begin_are_given_up",
    "a full disk, in a grid": (
        f"{DURABLE}::test_a_full_disk_stops_the_run_and_leaves_nothing_half_written"
    ),
    "two processes on one run folder": f"{DURABLE}::test_two_processes_on_one_folder",
    "a read-only run folder": f"{DURABLE}::test_a_read_only_folder_is_looked_at_and_not_resumed",
    "a model or data file changed since": (
        f"{DURABLE}::test_a_model_or_data_that_changed_is_refused"
    ),
    "a damaged record": f"{DURABLE}::test_a_damaged_record_is_named_with_the_fix",
    "a flipped byte in a result": f"{DURABLE}::test_a_flipped_byte_in_a_result_is_found",
    "a record of another grid": (
        f"{DURABLE}::test_a_record_of_another_grid_is_not_taken_for_one_of_this"
    ),
    "a clock that jumps back": f"{DURABLE}::test_a_clock_that_jumps_back_makes_no_time_negative",
    "a run folder that was moved": f"{DURABLE}::test_a_run_folder_that_was_moved_goes_on",
    "SIGKILL of an extraction": f"{WRITER}::test_a_killed_process_is_taken_up_where_it_was",
    "a full disk, in a store": (
        f"{WRITER}::test_the_disk_filling_up_spoils_nothing_and_the_rest_follows_later"
    ),
    "two processes that write one store": f"{WRITER}::test_two_processes_cannot_write_at_once",
    "a shard flipped, cut short or deleted": (
        f"{STORE}::test_repair_uncommits_what_is_damaged_and_only_that_is_made_again"
    ),
    "progress lost": f"{STORE}::test_a_lost_progress_file_is_found_again_from_the_files",
    "memory runs out": f"{MEMORY}::test_a_limit_of_the_system_makes_batches_smaller",
    "an object flipped, cut short or deleted": (
        f"{OBJECTS}::test_a_damaged_object_is_named_and_it_alone_is_made_again"
    ),
    "two writers in object storage": (
        f"{OBJECTS}::test_the_second_of_two_writers_is_told_who_the_first_is"
    ),
    "a killed writer in object storage": (
        f"{OBJECTS}::test_what_a_killed_writer_began_another_ends_when_the_lease_has_run_out"
    ),
    "the server goes away": f"{OBJECTS}::test_a_server_that_goes_away_in_the_middle",
    "no server": f"{OBJECTS}::test_a_server_that_is_not_there",
    "wrong credentials": f"{OBJECTS}::test_credentials_that_are_wrong",
}
"""What is injected, and the test that injects it."""


def outcomes(tests: list[str]) -> dict[str, Counter[str]]:
    """What became of each test, over all its cases."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        options = ["-q", "-p", "no:xdist", f"--junitxml={report}"]
        command = [sys.executable, "-m", "pytest", *options, *tests]
        subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL)
        cases = list(ElementTree.parse(report).iter("testcase"))
    found: dict[str, Counter[str]] = {}
    for case in cases:
        bad = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        name = str(case.get("name")).partition("[")[0]
        found.setdefault(name, Counter())["as promised" if not bad else bad[0]] += 1
    return found


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--out", type=Path, default=RECORD)
    out = asked.parse_args().out
    found = outcomes(list(FAULTS.values()))
    faults = {
        fault: {"test": test, **found.get(test.split("::")[1], {"not found": 1})}
        for fault, test in FAULTS.items()
    }
    record = {
        "benchmark": "faults",
        "date": now(),
        "machine": machine(),
        "versions": versions(),
        "as_promised": sum("as promised" in one and len(one) == 2 for one in faults.values()),
        "of": len(faults),
        "faults": faults,
    }
    print(json.dumps(record, indent=1))
    write_text(out, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
