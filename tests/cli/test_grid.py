"""The commands on grids, as a user types them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from needlepoint._core.lock import only_writer
from needlepoint._core.records import RunFolder
from needlepoint.cli.grid_runs import Crew
from needlepoint.evaluation.grid import executor
from needlepoint.evaluation.grid.processes import LocalProcesses
from needlepoint.evaluation.grid.ray_executor import OnRay
from needlepoint.evaluation.grid.work import Bench
from needlepoint.evaluation.on_ray import Cluster

ROOT = Path(__file__).parents[2]
SMALL = {
    "heads": {
        "score_pairs": 12,
        "ablate_pairs": 4,
        "attribution_pairs": 2,
        "holdout_pairs": 4,
        "random_circuits": 2,
        "sae_seeds": 1,
        "methods": ["random", "mean_difference"],
    },
    "neurons": {"max_k": 2, "permutations": 20, "ablate_texts": 2, "random_neurons": 1, "cards": 1},
}


@pytest.fixture
def config(place: Path, tiny_folder: Path, labelled: Path, induction: Path) -> Path:
    """Two cells: neurons that tell digits, and heads for pairs that the tiny model does not do."""
    asked = {"models": [str(tiny_folder)], "tasks": [str(induction)], "features": [str(labelled)]}
    path = place / "grid.json"
    path.write_text(json.dumps({**asked, **SMALL}))
    return path


def lines(text: str) -> str:
    return " ".join(text.split())


def test_a_grid_from_plan_to_export(cli, config, place) -> None:
    plan = cli("plan", config)
    assert (plan.status, plan.err) == (0, "")
    assert "2 of 2 cells to compute." in plan.out
    assert "Time, one cell after another: unknown for 2 cells." in plan.out
    assert re.search(r"^Activations: \d+ kB\.$", plan.out, re.MULTILINE)
    assert list(place.iterdir()) == [config]

    ran = cli("run", config, "--out", "mine")
    assert ran.status == 0
    assert "2 cells to compute, into mine" in ran.out
    assert "probe.digits.tiny.r0: done. A single neuron of tiny" in ran.out
    assert "circuit.induction.tiny.r0: skipped." in ran.out
    assert "1 done, 1 skipped, 0 failed of 2 cells" in ran.out
    run = RunFolder.open(place / "mine")
    assert run.header["command"] == f"needlepoint run {config}"
    page = (run.path / "report.html").read_text()
    assert "Cells of the grid" in page

    status = cli("status", "mine")
    assert "1 done, 1 skipped, 0 failed, 0 left of 2 cells." in status.out
    assert "'needlepoint resume mine --retry' computes those not done again." in status.out
    assert "0 of 2 cells to compute." in cli("plan", config, "--run", "mine").out

    verified = cli("verify", "mine")
    assert verified.status == 0
    assert "1 of 1 cells computed again reproduce to 4 digits or more, 1 of them to the bit" in (
        lines(verified.out)
    )

    exported = cli("export", "mine", "--format", "parquet", "--out", "tables")
    assert exported.status == 0
    cells = pd.read_parquet(place / "tables" / "cells.parquet").set_index("cell")
    assert cells.loc["circuit.induction.tiny.r0", "status"] == "skipped"
    assert len(pd.read_parquet(place / "tables" / "probe.neurons.parquet"))

    shutil.copytree(place / "mine", place / "copy")
    compared = cli("compare", "mine", "copy")
    assert compared.status == 0
    assert "settings, weights, data and versions are the same" in compared.out
    assert cli("report", "copy").status == 0


def test_a_run_that_was_stopped_says_how_to_go_on(cli, config, place, monkeypatch) -> None:
    class Stops(Bench):
        def run(self, job):
            if job.cell.kind == "probe":
                raise KeyboardInterrupt
            return super().run(job)

    with monkeypatch.context() as patch:
        patch.setattr(executor, "Bench", Stops)
        stopped = cli("run", config, "--out", "mine")
    assert stopped.status == 130
    assert "stopped; what was finished is kept: 'needlepoint resume mine' goes on" in stopped.err
    status = cli("status", "mine")
    assert "0 done, 1 skipped, 0 failed, 1 left of 2 cells." in status.out
    assert "Nobody is at it: 'needlepoint resume mine' goes on." in status.out
    assert "Time left: unknown" in status.out
    with only_writer(place / "mine"):
        assert "Being computed by process " in cli("status", "mine").out
        assert "is being written by process " in cli("resume", "mine").sentence
    resumed = cli("resume", "mine")
    assert resumed.status == 0
    assert "1 cell to compute, into mine" in resumed.out
    assert "1 done, 1 skipped" in resumed.out


def test_a_failed_cell_is_in_the_status(cli, config, monkeypatch) -> None:
    monkeypatch.setattr("needlepoint.evaluation.find_neurons.find_neurons", lambda *_: 1 / 0)
    ran = cli("run", config, "--out", "mine")
    assert ran.status == 1
    assert "probe.digits.tiny.r0: failed. ZeroDivisionError: division by zero" in ran.out
    assert "failed" in cli("status", "mine").out


def test_a_grid_of_which_nothing_could_be_done_is_an_error(cli, config, place) -> None:
    asked = json.loads(config.read_text())
    config.write_text(json.dumps({**asked, "models": ["none.gguf"]}))
    refused = cli("run", config, "--out", "mine")
    assert refused.status == 2
    assert "no cell could be done; mine/report.html says why" in refused.err
    assert "there is no file" in (place / "mine" / "report.html").read_text()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"tasks": ["iio"]}, "unknown task 'iio': did you mean 'ioi'"),
        ({"features": ["latx"]}, "unknown feature collection 'latx': did you mean 'latex'"),
        ({"head_methods": ["eep"], "heads": {}}, "unknown method 'eep': did you mean 'eap'"),
        ({"repeats": "2"}, "repeats is '2' (a text); it must be a whole number"),
        ({"model": ["x"]}, "unknown setting 'model': did you mean 'models'"),
    ],
)
@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.usefixtures("no_load")
def test_what_cannot_be_run_is_one_sentence(cli, config, place, command, changed, words) -> None:
    config.write_text(json.dumps({**json.loads(config.read_text()), **changed}))
    assert words in cli(command, config).sentence
    assert list(place.iterdir()) == [config]


def test_the_free_cores_are_shared_out(monkeypatch) -> None:
    monkeypatch.setattr("needlepoint.cli.grid_runs.free_cores", lambda: 8)
    given = [(1, 0), (1, 3), (2, 0), (3, 0), (16, 0), (2, 5)]
    found = [Crew(*one).executor() for one in given]
    assert [one.threads for one in found] == [8, 3, 4, 2, 1, 5]
    assert [isinstance(one, LocalProcesses) for one in found] == [False, False, *[True] * 4]


def test_a_cluster_is_given_what_was_asked() -> None:
    found = Crew(workers=4, threads=2, ray="auto", gpus=0.5, memory=10**9).executor()
    assert isinstance(found, OnRay)
    assert found.cluster == Cluster("auto", 4, 2, 0.5, 10**9)
    assert Crew(ray="local").executor(threads=3).threads == 3


@pytest.mark.usefixtures("no_load")
def test_needs_of_workers_need_a_cluster(cli, config) -> None:
    for option in ("--gpus", "--memory"):
        assert "add --ray local" in cli("run", config, option, 1).sentence
    assert "gpus is -1" in cli("run", config, "--ray", "local", "--gpus", -1).sentence


@pytest.mark.usefixtures("no_load")
def test_folders_that_cannot_be_used_are_one_sentence(cli, config, place) -> None:
    (place / "mine").mkdir()
    (place / "mine" / "run.json").write_text("{}")
    assert "mine holds a run already: 'needlepoint resume mine' goes on with it" in (
        cli("run", config, "--out", "mine").sentence
    )
    for command in ("status", "resume", "verify", "export"):
        assert "is not a run folder" in cli(command, place).sentence
    assert "workers is 0; it must be at least 1" in cli("run", config, "--workers", 0).sentence
    RunFolder.create(place / "other", kind="circuit", config={})
    assert "is a run of 'circuit' and not of a grid" in cli("status", "other").sentence


def test_the_schema_is_printed_as_it_is_kept(cli) -> None:
    printed = json.loads(cli("schema").out)
    assert printed == json.loads((ROOT / "docs" / "grid.schema.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["run", "plan", "status", "resume", "verify", "export", "schema"])
def test_help_has_an_example_and_fits_80_columns(cli, name) -> None:
    shown = cli(name, "--help")
    assert (shown.status, shown.err) == (0, "")
    assert f"  needlepoint {name}" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80


@pytest.mark.usefixtures("no_load")
def test_the_example_can_be_planned(cli) -> None:
    plan = cli("plan", ROOT / "examples" / "grid.toml")
    assert plan.status == 0
    assert "of 12 cells to compute." in plan.out
