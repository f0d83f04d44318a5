"""A real Ray cluster of this machine: the same results, also when workers are killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from needlepoint._core.errors import DataError, SourceError, StoreError
from needlepoint.activations.extract import Reading
from needlepoint.activations.reduce import Rows
from needlepoint.activations.store import open_or_create
from needlepoint.evaluation import on_ray
from needlepoint.evaluation.grid.cells import cells_of
from needlepoint.evaluation.grid.ray_executor import CellWorker, OnRay
from needlepoint.evaluation.grid.run import run_grid
from needlepoint.evaluation.grid.state import GridState
from needlepoint.evaluation.on_ray import Cluster, Crew
from needlepoint.evaluation.spread_extraction import ReadingWorker, extract_on_ray
from needlepoint.models.load import load_model
from needlepoint.models.sites import Site

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore:os.fork")  # JAX's, if another test brought it in
TWO = Cluster(workers=2)


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cluster for all tests here, with a cache of its own."""
    from ray import cloudpickle

    cache = tmp_path_factory.mktemp("cache")
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEEDLEPOINT_CACHE", str(cache))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="error",
        )
        yield cache
        ray.shutdown()


def die(marker: Path | None = None) -> None:
    """Kill this process; if a marker is given, once only."""
    if marker is None or not marker.exists():
        if marker:
            marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def test_two_workers_find_the_same_to_the_bit(once, both, tmp_path, results) -> None:
    run_grid(both, tmp_path / "run", OnRay(TWO))
    assert results(tmp_path / "run") == results(once)


def test_a_cell_whose_worker_was_killed_is_computed_again(once, both, tmp_path, results) -> None:
    marker = tmp_path / "died"

    class Dies(CellWorker):
        def run(self, job):
            if job.cell.name.endswith("r1"):
                die(marker)
            return CellWorker.run(self, job)

    run_grid(both, tmp_path / "run", OnRay(TWO, Dies))
    assert marker.exists()
    assert results(tmp_path / "run") == results(once)


def test_a_cell_that_kills_its_workers_fails_and_the_others_are_done(both, tmp_path) -> None:
    unlucky = cells_of(both)[0].name

    class Dies(CellWorker):
        def run(self, job):
            if job.cell.name == unlucky:
                die()
            return CellWorker.run(self, job)

    run_grid(both, tmp_path / "run", OnRay(TWO, Dies))
    state = GridState.of(tmp_path / "run")
    (failed,) = state.ended("failed")
    assert failed.cell == unlucky
    assert "3 workers died over this cell" in failed.reason
    assert len(state.ended("done")) == len(cells_of(both)) - 1


def reading() -> Reading:
    rng = torch.Generator().manual_seed(1)
    lengths = torch.randint(2, 12, (40,), generator=rng).tolist()
    ids = [torch.randint(97, 123, (n,), generator=rng).tolist() for n in lengths]
    rows = Rows.of(np.array([[text, 0, n] for text, n in enumerate(lengths)]), "mean")
    return Reading(ids, (Site.parse("L0.mlp.neurons"), Site.parse("L1.resid")), rows, 32)


def content(path: Path) -> dict[str, bytes]:
    found = [one for one in (path / "arrays").rglob("*") if one.is_file()]
    return {str(one.relative_to(path)): one.read_bytes() for one in found}


@pytest.fixture
def alone(files_of: Path, tmp_path: Path) -> Path:
    """What one process reads."""
    from needlepoint.activations.writer import Writer

    torch.set_num_threads(1)
    model = load_model(str(files_of), dtype="float32")
    store = open_or_create(reading().request(model), tmp_path / "alone", block_rows=4)
    with Writer(store) as writer:
        reading().into(writer, model, 0, 40)
    return store.path


@pytest.fixture
def files_of(files: Path) -> Path:
    """Folder of a tiny model."""
    return files / "one"


class SmallBlocks(ReadingWorker):
    """A worker whose store has blocks of four rows."""

    def begin(self, source, reading, path):
        model = self.load(source)
        open_or_create(reading.request(model), Path(path), block_rows=4)
        return reading.widths(model)


def test_blocks_read_by_two_are_the_bytes_that_one_reads(alone, files_of, tmp_path) -> None:
    found = extract_on_ray(TWO, str(files_of), reading(), tmp_path / "spread", SmallBlocks)
    assert found.store.complete
    assert content(found.store.path) == content(alone)
    assert found.read("L1.resid").shape == (40, 32)


def test_a_reader_killed_in_the_middle_costs_its_block_only(alone, files_of, tmp_path) -> None:
    marker, told = tmp_path / "died", tmp_path / "told"
    told.mkdir()

    class Dies(SmallBlocks):
        def fill(self, source, reading, path, block):
            (told / f"{block}.{len(list(told.glob(f'{block}.*')))}").touch()
            if block == 3:
                die(marker)
            return SmallBlocks.fill(self, source, reading, path, block)

    found = extract_on_ray(TWO, str(files_of), reading(), tmp_path / "spread", Dies)
    assert marker.exists()
    assert content(found.store.path) == content(alone)
    assert len(list(told.iterdir())) == found.store.layout.blocks + 1


def test_workers_that_die_at_once_are_given_up_after_three(files_of, tmp_path) -> None:
    tried = tmp_path / "tried"
    tried.mkdir()

    class Dies(SmallBlocks):
        def begin(self, source, reading, path):
            (tried / str(os.getpid())).touch()
            die()

    with pytest.raises(SourceError, match="3 workers died over the same rows"):
        extract_on_ray(TWO, str(files_of), reading(), tmp_path / "spread", Dies)
    assert len(list(tried.iterdir())) == 3


def test_what_is_there_is_not_read_again(alone, files_of) -> None:
    class Refuses(SmallBlocks):
        def fill(self, source, reading, path, block):
            return AssertionError("read again")

    assert extract_on_ray(TWO, str(files_of), reading(), alone, Refuses).store.complete


def test_a_worker_with_another_model_is_refused(files, files_of, tmp_path) -> None:
    class Other(SmallBlocks):
        def fill(self, source, reading, path, block):
            self.model = load_model(str(files / "two"), dtype="float32")
            return SmallBlocks.fill(self, source, reading, path, block)

    with pytest.raises(StoreError, match=r"a worker would read something else .*same model"):
        extract_on_ray(TWO, str(files_of), reading(), tmp_path / "spread", Other)


def test_workers_are_placed_by_what_they_need() -> None:
    with pytest.raises(DataError, match="memory is -1; it must not be negative"):
        Cluster(memory=-1)
    with pytest.raises(DataError, match="workers is 0; it must be at least 1"):
        Cluster(workers=0)

    class Tells:
        def __init__(self, threads):
            self.threads = threads

        def tell(self):
            import ray

            return ray.get_runtime_context().get_assigned_resources(), self.threads

    with Crew(Cluster(memory=10**8, threads=2), Tells) as crew:
        crew.give(0, "ask", "tell")
        assert crew.idle == []
        number, task, (given, threads) = crew.take()
    assert (number, task, threads) == (0, "ask", 2)
    assert given["CPU"] == 2.0
    assert given["memory"] == 1e8


def test_no_cluster_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)

    def refuse(**_: object) -> None:
        raise ConnectionError("nobody there")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(SourceError, match=r"no Ray cluster answers at 'far:1' .*--ray local"):
        on_ray._started(Cluster(address="far:1"))


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SourceError, match=r"pip install 'needlepoint\[ray\]'"):
        on_ray._started(Cluster())
