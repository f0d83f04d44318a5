"""A cluster of several machines, one of which is lost in the middle of a run."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from needlepoint.evaluation.grid.ray_executor import CellWorker, OnRay
from needlepoint.evaluation.grid.run import run_grid
from needlepoint.evaluation.on_ray import Cluster

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore:os.fork")


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two machines with one processor each, and a head that computes nothing; this one is all."""
    from ray import cloudpickle
    from ray.cluster_utils import Cluster as Machines

    monkeypatch.setenv("NEEDLEPOINT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    machines = Machines(initialize_head=True, head_node_args={"num_cpus": 0})
    ray.init(address=machines.address, log_to_driver=False, logging_level="error")
    machines.add_node(num_cpus=1)
    yield machines
    ray.shutdown()
    machines.shutdown()
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def wait_for(path: Path) -> None:
    """Wait until a file is there, for two minutes at most."""
    end = time.monotonic() + 120
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.2)


def test_the_cells_of_a_lost_machine_are_computed_by_another(
    nodes, both, once, tmp_path, results
) -> None:
    unlucky = nodes.add_node(num_cpus=1, resources={"unlucky": 1})
    hangs = tmp_path / "hangs"

    class Hangs(CellWorker):
        """Never ends a cell on the machine that will be lost."""

        def run(self, job):
            import ray

            here = ray.get_runtime_context().get_node_id()
            lost = {one["NodeID"] for one in ray.nodes() if "unlucky" in one["Resources"]}
            if here in lost:
                hangs.touch()
                time.sleep(600)
            wait_for(hangs)
            return CellWorker.run(self, job)

    def lose() -> None:
        wait_for(hangs)
        nodes.remove_node(unlucky, allow_graceful=False)

    loser = threading.Thread(target=lose, daemon=True)
    loser.start()
    run_grid(both, tmp_path / "run", OnRay(Cluster(workers=2), Hangs))
    loser.join(timeout=10)
    assert hangs.exists()
    assert not unlucky.any_processes_alive()
    assert results(tmp_path / "run") == results(once)
