"""A real Ray cluster of this machine: the same results, also when workers are killed."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections import deque
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
from needlepoint.evaluation.grid.config import GridConfig
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

    def begin(self):
        model = self.load()
        open_or_create(self.reading.request(model), Path(self.path), block_rows=4)
        return self.reading.widths(model)


def test_blocks_read_by_two_are_the_bytes_that_one_reads(alone, files_of, tmp_path) -> None:
    found = extract_on_ray(TWO, str(files_of), reading(), tmp_path / "spread", SmallBlocks)
    assert found.store.complete
    assert content(found.store.path) == content(alone)
    assert found.read("L1.resid").shape == (40, 32)


def test_a_reader_killed_in_the_middle_costs_its_block_only(alone, files_of, tmp_path) -> None:
    marker, told = tmp_path / "died", tmp_path / "told"
    told.mkdir()

    class Dies(SmallBlocks):
        def fill(self, block):
            (told / f"{block}.{len(list(told.glob(f'{block}.*')))}").touch()
            if block == 3:
                die(marker)
            return SmallBlocks.fill(self, block)

    found = extract_on_ray(TWO, str(files_of), reading(), tmp_path / "spread", Dies)
    assert marker.exists()
    assert content(found.store.path) == content(alone)
    assert len(list(told.iterdir())) == found.store.layout.blocks + 1


def test_workers_that_die_at_once_are_given_up_after_three(files_of, tmp_path) -> None:
    tried = tmp_path / "tried"
    tried.mkdir()

    class Dies(SmallBlocks):
        def begin(self):
            (tried / str(os.getpid())).touch()
            die()

    with pytest.raises(SourceError, match="3 workers died over the same rows"):
        extract_on_ray(TWO, str(files_of), reading(), tmp_path / "spread", Dies)
    assert len(list(tried.iterdir())) == 3


def test_what_is_there_is_not_read_again(alone, files_of) -> None:
    class Refuses(SmallBlocks):
        def fill(self, block):
            return AssertionError("read again")

    assert extract_on_ray(TWO, str(files_of), reading(), alone, Refuses).store.complete


def test_a_worker_with_another_model_is_refused(files, files_of, tmp_path) -> None:
    class Other(SmallBlocks):
        def fill(self, block):
            self.model = load_model(str(files / "two"), dtype="float32")
            return SmallBlocks.fill(self, block)

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
        assert crew.idle == []
        assert crew.take() is None
        assert crew.idle == [0]
        crew.give(0, "ask", "tell")
        assert crew.idle == []
        number, task, (given, threads) = crew.take()
    assert (number, task, threads) == (0, "ask", 2)
    assert given["CPU"] == 2.0
    assert given["memory"] == 1e8


def test_workers_find_the_same_to_the_bit_where_not_all_have_room(
    both, once, tmp_path, results
) -> None:
    run_grid(both, tmp_path / "run", OnRay(Cluster(workers=3)))
    assert results(tmp_path / "run") == results(once)


class Idles:
    def __init__(self, threads):
        self.threads = threads


def test_a_cluster_without_room_says_what_is_needed(monkeypatch) -> None:
    said = []
    monkeypatch.setattr(on_ray, "say", lambda text: said.append(text))
    with Crew(Cluster(threads=64, memory=10**15), Idles) as crew:
        monkeypatch.setattr(crew.ray, "wait", lambda refs, timeout: stop_when(said, refs))
        with pytest.raises(KeyboardInterrupt):
            crew.take()
    (sentence,) = said
    assert "each needs 64 CPU, 1000 TB of memory, and the whole cluster has 2 CPU, " in sentence


def stop_when(said: list[str], refs: list[object]) -> tuple[list[object], list[object]]:
    """Nothing is ever done; ends once something was said."""
    if said:
        raise KeyboardInterrupt
    return [], refs


def test_workers_that_cannot_begin_are_given_up(tmp_path) -> None:
    class Breaks:
        def __init__(self, threads):
            raise RuntimeError("not installed here")

    with (
        Crew(TWO, Breaks) as crew,
        pytest.raises(SourceError, match="3 workers died as they began"),
    ):
        deque(iter(crew.take, "never"))


class SmallBlocksOfCells(CellWorker):
    """A worker whose stores have blocks of four rows, and that notes who wrote which block."""

    notes: Path

    def begin(self, job):
        model, reading = self.bench.reading(job)
        return str(open_or_create(reading.request(model), block_rows=4).place)

    def fill(self, job, block):
        (self.notes / f"{block}.{os.getpid()}").touch()
        return CellWorker.fill(self, job, block)


@pytest.fixture
def neurons(grid_of, files) -> GridConfig:
    """Two methods that read the same neurons."""
    features = (str(files / "digits.csv"),)
    return grid_of(tasks=(), features=features, neuron_methods=("top_k", "adaptive_thresholding"))


@pytest.fixture
def by_itself(neurons, tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("NEEDLEPOINT_CACHE", str(tmp_path / "own"))
    torch.set_num_threads(1)
    run_grid(neurons, tmp_path / "alone")
    return tmp_path / "alone"


def noting(folder: Path, base: type = SmallBlocksOfCells) -> type:
    folder.mkdir()
    return type("Noting", (base,), {"notes": folder})


@pytest.fixture
def emptied(cluster: Path) -> Path:
    """The cache of the cluster without activations."""
    shutil.rmtree(cluster / "activations", ignore_errors=True)
    return cluster


def test_all_read_before_cells_are_computed_and_a_killed_worker_costs_a_block(
    neurons, by_itself, emptied, tmp_path, results, monkeypatch
) -> None:
    marker = tmp_path / "died"

    class Dies(SmallBlocksOfCells):
        def fill(self, job, block):
            answer = SmallBlocksOfCells.fill(self, job, block)
            if block == 2:
                die(marker)
            return answer

    monkeypatch.setenv("NEEDLEPOINT_CACHE", str(emptied))
    run_grid(neurons, tmp_path / "run", OnRay(TWO, noting(tmp_path / "notes", Dies)))
    assert marker.exists()
    assert results(tmp_path / "run") == results(by_itself)
    noted = sorted(int(path.name.split(".")[0]) for path in (tmp_path / "notes").iterdir())
    assert len(set(noted)) > 4
    assert noted == sorted([*set(noted), 2])  # each block once, that of the killed one twice


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


def test_the_example_of_a_cluster_is_one_that_ray_takes() -> None:
    import yaml
    from ray.autoscaler._private.util import prepare_config, validate_config

    text = (Path(__file__).parents[3] / "examples" / "cluster.yaml").read_text()
    config = prepare_config(yaml.safe_load(text))
    validate_config(config)
    with pytest.raises(Exception, match="no_such_setting"):
        validate_config({**config, "no_such_setting": 1})
