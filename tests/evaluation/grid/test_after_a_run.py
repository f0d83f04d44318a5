"""What can be said of a run that is there: verified, compared, exported, planned from."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from needlepoint._core.errors import DataError, StoreError, UnknownNameError
from needlepoint._core.records import RunFolder
from needlepoint.evaluation.configs import HeadsConfig
from needlepoint.evaluation.grid.compare_grids import compare_grids
from needlepoint.evaluation.grid.plan import plan_grid
from needlepoint.evaluation.grid.run import resume_grid, run_grid
from needlepoint.evaluation.grid.tidy import tidy_tables, write_tables
from needlepoint.evaluation.grid.verify import verify_grid


@pytest.fixture
def ran(plain, executor, tmp_path: Path) -> Path:
    run_grid(plain, tmp_path / "run", executor())
    return tmp_path / "run"


def rewrite(run: Path, cell: str, factor: float) -> None:
    """Change the numbers of a cell as another computation might have."""
    folder = RunFolder(run)
    record, table = folder.record(cell), folder.table(cell, "heads")
    arrays = folder.arrays(cell)
    heads, methods = table.assign(effect=table["effect"] * factor), folder.table(cell, "methods")
    folder.add(record, {"heads": heads, "methods": methods}, arrays)


def test_a_run_that_reproduces_is_said_to(ran, executor) -> None:
    found = verify_grid(ran, 3, executor())
    assert len(found) == 3
    assert all(cell.same for cell in found)
    assert [cell.cell for cell in verify_grid(ran, 3, executor())] == [cell.cell for cell in found]
    assert len(verify_grid(ran, 99, executor())) == 4


def test_a_run_that_does_not_reproduce_is_said_to_how_many_digits(ran, executor) -> None:
    rewrite(ran, "circuit.ioi.smollm2.r1", 1 + 3e-5)
    found = {cell.cell: cell for cell in verify_grid(ran, 4, executor())}
    changed = found.pop("circuit.ioi.smollm2.r1")
    assert all(cell.same for cell in found.values())
    assert changed.digits == 4
    (part,) = [part for part in changed.parts if not part.same]
    assert (part.part, part.where) == ("heads", "effect")
    assert changed.reproduces(4)
    assert not changed.reproduces(5)


def test_verifying_changes_nothing_and_checks_the_files_first(ran, executor) -> None:
    before = {path: path.read_bytes() for path in ran.rglob("*") if path.is_file()}
    verify_grid(ran, 4, executor())
    assert {path: path.read_bytes() for path in ran.rglob("*") if path.is_file()} == before
    table = ran / "tables" / "circuit.ioi.smollm2.r0.heads.parquet"
    table.write_bytes(table.read_bytes()[:-1])
    with pytest.raises(StoreError, match="its hash is not the one in the record"):
        verify_grid(ran, 1, executor())


def test_nothing_to_verify_is_said(plain, executor, tmp_path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_grid(plain, tmp_path / "run", executor(0))
    with pytest.raises(DataError, match="has no finished cell to compute again"):
        verify_grid(tmp_path / "run", 1, executor())


def test_real_cells_reproduce_from_an_empty_cache(once, own_cache) -> None:
    found = verify_grid(once, 4)
    assert [cell.digits for cell in found] == [16] * 4
    assert all(cell.same for cell in found)


def test_a_copy_compares_as_the_same(ran, tmp_path) -> None:
    shutil.copytree(ran, tmp_path / "copy")
    found = compare_grids(ran, tmp_path / "copy")
    assert found.differences == ()
    assert (len(found.cells), found.only_first, found.only_second) == (4, (), ())
    assert all(cell.same for cell in found.cells)


def test_what_differs_between_grids_is_said(ran, plain, executor, tmp_path) -> None:
    other = dataclasses.replace(plain, tasks=("ioi", "capital"), repeats=1)
    other = dataclasses.replace(other, heads=HeadsConfig(edges=3))
    run_grid(other, tmp_path / "other", executor())
    rewrite(tmp_path / "other", "circuit.ioi.smollm2.r0", 1.01)
    found = compare_grids(ran, tmp_path / "other")
    assert set(found.differences) == {
        "config.tasks is ['ioi', 'agreement'] and ['ioi', 'capital']",
        "config.repeats is 2 and 1",
        "config.heads.edges is 20 and 3",
    }
    (cell,) = found.cells
    assert (cell.cell, cell.digits) == ("circuit.ioi.smollm2.r0", 2)
    assert len(found.only_first) == 3
    assert found.only_second == ("circuit.capital.smollm2.r0",)
    run_grid(dataclasses.replace(plain, tasks=("capital",)), tmp_path / "none", executor())
    with pytest.raises(DataError, match="have no cell in common"):
        compare_grids(ran, tmp_path / "none")


def test_real_circuits_are_compared_head_by_head(once) -> None:
    found = compare_grids(once, once)
    assert [one.first for one in found.circuits] == ["circuit.one.one.r0", "circuit.one.one.r1"]
    assert all(one.spearman == pytest.approx(1) and one.n_differ == 0 for one in found.circuits)


def test_tables_of_all_cells_are_one_long_table(once) -> None:
    tables = tidy_tables(RunFolder.open(once))
    heads = tables["circuit.heads"]
    assert len(heads) == 2 * 12
    assert list(heads.columns[:5]) == ["cell", "kind", "model", "question", "method"]
    parts = [RunFolder.open(once).table(f"circuit.one.one.r{repeat}", "heads") for repeat in (0, 1)]
    for repeat, part in enumerate(parts):
        assert heads.loc[heads["repeat"] == repeat, "effect"].tolist() == part["effect"].tolist()
    assert "own_method" not in heads
    assert "own_method" in tables["circuit.methods"]  # a column that a table has of its own
    cells = tables["cells"]
    assert (len(cells), set(cells["status"])) == (4, {"done"})
    values = tables["summaries"].set_index(["cell", "name"])
    record = RunFolder.open(once).record("circuit.one.one.r0")
    where = ("circuit.one.one.r0", "circuit.faithfulness.estimate")
    assert values.loc[where, "number"] == record.summary["circuit"]["faithfulness"]["estimate"]


@pytest.mark.parametrize("layout", ["csv", "parquet", "json"])
def test_tables_are_read_back_as_they_were(once, tmp_path, layout) -> None:
    tables = tidy_tables(RunFolder.open(once))
    written = write_tables(tables, tmp_path / "out", layout)
    assert {path.name for path in written} == {f"{name}.{layout}" for name in tables}
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet, "json": pd.read_json}[layout]
    again = read(tmp_path / "out" / f"circuit.heads.{layout}")
    assert again["effect"].tolist() == pytest.approx(tables["circuit.heads"]["effect"].tolist())
    tokens = read(tmp_path / "out" / f"probe.excerpts.{layout}")["tokens"]
    first = json.loads(tokens[0]) if layout == "csv" else list(tokens[0])
    assert first == list(tables["probe.excerpts"]["tokens"][0])


def test_an_export_that_cannot_be_is_refused(ran, tmp_path) -> None:
    tables = tidy_tables(RunFolder.open(ran))
    with pytest.raises(UnknownNameError, match="did you mean 'csv'"):
        write_tables(tables, tmp_path / "out", "cvs")
    (tmp_path / "file").write_text("")
    with pytest.raises(
        StoreError, match=r"file cannot be written to .*; choose another with --out"
    ):
        write_tables(tables, tmp_path / "file", "csv")


def test_a_plan_counts_what_is_there_and_what_it_took(plain, executor, tmp_path) -> None:
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run_grid(plain, path, executor(1))
    alone = plan_grid(plain)
    assert (alone.n_cells, alone.n_left, alone.seconds) == (4, 4, (0.0, 4))
    plan = plan_grid(plain, path)
    assert (plan.n_cells, plan.n_left) == (4, 3)
    assert plan.seconds == (6.0, 0)  # every canned cell says that it took two
    bases = {part.cells[0].question: part.cost.basis for part in plan.parts}
    assert bases == {
        "ioi": "median of 1 finished cell of the same question and settings",
        "agreement": "median of 1 finished cell of another question or method",
    }
    resume_grid(path, executor())
    assert plan_grid(plain, path).n_left == 0


def test_cells_of_other_settings_tell_nothing(plain, executor, tmp_path) -> None:
    run_grid(plain, tmp_path / "run", executor())
    other = dataclasses.replace(plain, heads=HeadsConfig(edges=3))
    plan = plan_grid(other, tmp_path / "run")
    assert (plan.n_left, plan.seconds) == (4, (0.0, 4))
    other = dataclasses.replace(plain, models=("gemma3-270m",))
    assert plan_grid(other, tmp_path / "run").seconds == (0.0, 4)


def test_bytes_are_told_exactly_without_a_model(both, once, own_cache, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("needlepoint.evaluation.grid.activation_bytes.load_model", refuse)
    size, unknown = plan_grid(both).bytes
    assert unknown == 0
    stores = [path for path in (once.parent / "cache").rglob("c/*/0") if path.is_file()]
    assert size == sum(path.stat().st_size for path in stores)


def test_what_is_not_known_is_called_so_and_can_be_measured(grid_of, files, own_cache) -> None:
    config = grid_of(tasks=(), features=("programming_language", str(files / "digits.csv")))
    built_in, own = plan_grid(config).parts
    assert built_in.activations.bytes is None
    assert built_in.activations.why == "the texts are not loaded; --measure loads them"
    assert own.cost.seconds is None
    (own,) = plan_grid(grid_of(tasks=(), features=(str(files / "digits.csv"),)), measure=True).parts
    assert own.cost.at_least
    assert own.cost.seconds is not None
    assert own.cost.seconds > 0
    assert "fits are not in it" in own.cost.basis
