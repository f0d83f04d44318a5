"""A cell's key has all in it that its result depends on, and nothing else."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from needlepoint._core.errors import StoreError
from needlepoint.evaluation.configs import HeadsConfig
from needlepoint.evaluation.grid.cells import cells_of
from needlepoint.evaluation.grid.config import GridConfig
from needlepoint.evaluation.grid.inputs import Input, Inputs
from needlepoint.evaluation.grid.key import cell_key
from needlepoint.evaluation.grid.run import jobs_of, resume_grid, run_grid
from needlepoint.evaluation.grid.work import Bench
from needlepoint.models.load import load_model


def keys(config: GridConfig) -> list[str]:
    inputs = Inputs.of(config)
    return [cell_key(cell, inputs, config.dtype) for cell in cells_of(config)]


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"models": ("gemma3-270m",)},
        {"dtype": "bfloat16"},
        {"heads": HeadsConfig(edges=3)},
        {"head_methods": ("eap",)},
    ],
)
def test_whatever_a_result_depends_on_changes_the_key(plain, changed) -> None:
    assert set(keys(plain)).isdisjoint(keys(dataclasses.replace(plain, **changed)))


def test_what_is_added_changes_no_other_key(plain) -> None:
    more = dataclasses.replace(plain, tasks=("ioi", "agreement", "capital"), repeats=3)
    assert set(keys(plain)) < set(keys(more))


def test_another_version_changes_every_key(plain, monkeypatch) -> None:
    before = keys(plain)
    monkeypatch.setattr("needlepoint.evaluation.grid.inputs.version", lambda _: "9.9")
    assert set(before).isdisjoint(keys(plain))


def test_the_content_of_a_file_counts_and_where_it_lies_does_not(grid_of, files, tmp_path) -> None:
    before = keys(grid_of())
    for folder in ("copy", "changed"):
        shutil.copytree(files, tmp_path / folder)
    path = tmp_path / "changed" / "one.jsonl"
    path.write_text(path.read_text().replace("a", "b", 1))

    def there(folder: str, model: str = "copy") -> GridConfig:
        place = tmp_path / model / "one"
        return grid_of(models=(str(place),), tasks=(str(tmp_path / folder / "one.jsonl"),))

    assert keys(there("copy")) == before
    assert keys(there("changed")) != before
    settings = tmp_path / "changed" / "one" / "config.json"
    settings.write_text(
        settings.read_text().replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": 1e-05')
    )
    assert keys(there("copy", "changed")) != before


@pytest.mark.parametrize("name", ["model_final.pth", "model.pt", "model.safetensors"])
def test_weights_count_whatever_file_they_are_in(grid_of, tmp_path: Path, name: str) -> None:
    found = []
    for content in (b"one", b"two"):
        (tmp_path / "m").mkdir(exist_ok=True)
        (tmp_path / "m" / name).write_bytes(content)
        found.append(Inputs.of(grid_of(models=(str(tmp_path / "m"),))).models)
    assert found[0] != found[1]


def test_a_source_of_texts_is_hashed_with_all_its_files(tmp_path: Path, grid_of, files) -> None:
    folder = tmp_path / "treebank"
    folder.mkdir()
    (folder / "a.conllu").write_text("# one\n")
    neurons = dataclasses.replace(grid_of().neurons, source=str(folder))
    config = grid_of(tasks=(), features=("part_of_speech",), neurons=neurons)
    before = keys(config)
    assert Inputs.of(config).data[str(folder)].path == str(folder)
    (folder / "a.conllu").write_text("# two\n")
    assert keys(config) != before


def test_inputs_come_back_from_the_disk(both) -> None:
    inputs = Inputs.of(both)
    assert Inputs.from_json(inputs.to_json()) == inputs
    assert inputs.found() == inputs
    assert len(inputs.data) == 2
    assert all(len(one.sha256) == 64 for one in (*inputs.models.values(), *inputs.data.values()))


@pytest.fixture
def hub(files, monkeypatch) -> dict[str, str]:
    """A model of the hub, at the revision that is set here."""
    revision = {"sha256": "first"}

    def load(_: str, **options: object):
        model = load_model(str(files / "one"), **options)
        return dataclasses.replace(model, provenance=dict(revision))

    monkeypatch.setattr("needlepoint.models.load.load_model", load)
    return revision


def test_a_model_of_the_hub_is_held_to_the_revision_that_was_seen(
    grid_of, hub, tmp_path, own_cache
) -> None:
    config = grid_of(models=("someone/model",))
    state = run_grid(config, tmp_path / "run")
    assert state.inputs.models["someone/model"] == Input("", "first")
    assert len(state.ended("done")) == 1
    state.check()
    (job,) = jobs_of(state.cells, config, state.inputs.found())
    assert Bench().run(job).study.record.status == "done"
    hub["sha256"] = "second"
    record = Bench().run(job).study.record
    assert record.status == "skipped"
    assert (
        "someone/model has changed since the run was begun (second, before first)" in record.reason
    )
    assert resume_grid(tmp_path / "run").left == ()


def test_a_file_that_cannot_be_found_again_says_where_it_was(both) -> None:
    inputs = Inputs.of(both)
    name = next(iter(inputs.data))
    gone = dataclasses.replace(inputs, data={"nowhere.csv": Input("/nowhere/x.csv", "ab")})
    with pytest.raises(
        StoreError, match=r"data nowhere\.csv is not there any more: put it back at"
    ):
        gone.found()
    assert inputs.where(name) == inputs.data[name].path
    assert inputs.where("ioi") == "ioi"
