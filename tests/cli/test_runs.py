"""A command that goes well, and one that is broken off at any point."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from needlepoint._core.errors import DataError
from needlepoint._core.records import Record, RunFolder
from needlepoint.cli.main import run as run_command
from needlepoint.evaluation import find_heads as heads_module
from needlepoint.evaluation.configs import HeadsConfig
from needlepoint.evaluation.find_heads import judge_heads
from needlepoint.evaluation.study import Study
from needlepoint.models.planted import planted_prompts

SMALL_HEADS = ("--ablate-pairs", 12, "--random-circuits", 8, "--sae-seeds", 1)
QUICK = ("mean_difference", "eap")
"""Methods for runs that are about something else."""
SMALL_NEURONS = ("--max-k", 4, "--permutations", 39, "--random-neurons", 2, "--ablate-texts", 4)


@pytest.fixture
def circuit(cli, planted_loads, induction):
    return lambda *more: cli("circuit", "--task", induction, *SMALL_HEADS, *more)


@pytest.fixture
def quick(circuit):
    return lambda *more: circuit("--methods", *QUICK, *more)


@pytest.fixture
def probe(cli, tiny_folder, labelled):
    few = (*SMALL_NEURONS, "--cards", 1)
    model = ("--model", tiny_folder, "--dtype", "float32")
    return lambda *more: cli("probe", "--features", labelled, *model, *few, *more)


def only_run(place: Path) -> RunFolder:
    (path,) = (place / "needlepoint-runs").iterdir()
    return RunFolder.open(path)


def test_a_circuit_is_found_kept_and_shown(circuit, cli, place, planted, induction) -> None:
    done = circuit()
    assert (done.status, done.err) == (0, "")
    run = only_run(place)
    assert run.path.name.startswith("circuit-")
    (record,) = run.records()
    assert (record.cell, record.status) == ("circuit.induction", "done")
    heads = run.table(record.cell, "heads").set_index("site")
    true = {f"L{site.layer}.H{site.index}" for site in planted.heads}
    assert set(heads.index[heads["matters"]]) == true
    assert set(heads["effect"].abs().nlargest(2).index) == true
    header = run.header
    assert (header["kind"], header["status"]) == ("circuit", "done")
    assert header["started"] <= header["ended"]
    assert header["command"].startswith(f"needlepoint circuit --task {induction} --ablate-pairs 12")
    page = (run.path / "report.html").read_text()
    assert header["command"] in page
    shown = done.out.splitlines()
    assert shown[-1].endswith("report.html")
    assert max(map(len, shown[:-1])) <= 80
    leading = [line for line in shown if line.startswith("L")][:2]
    assert {line.split()[0] for line in leading} == true
    again = cli("report", run.path)
    assert (again.status, again.err) == (0, "")
    assert again.out == f"Page: {run.path / 'report.html'}\n"


def test_a_probe_is_found_kept_and_shown(probe, place) -> None:
    done = probe("--out", "mine")
    assert done.status == 0
    run = RunFolder.open(place / "mine")
    (record,) = run.records()
    (feature,) = record.summary["features"]
    assert feature["p_value"] == pytest.approx(1 / 40)
    assert feature["f1_one"]["estimate"] >= 0.9 > feature["baseline_f1"]
    assert feature["site"] in done.out
    assert not record.summary["shuffled"]["found"]
    assert max(map(len, done.out.splitlines())) <= 80
    assert "\n\n\n" not in done.out
    assert "Traceback" not in done.err
    assert sorted(path.name for path in place.iterdir()) == ["mine"]


def test_where_a_file_lies_changes_nothing_that_is_found(
    cli, tiny_folder, labelled, tmp_path, place
) -> None:
    copy = shutil.copy(labelled, tmp_path / labelled.name)
    model = ("--model", tiny_folder, "--dtype", "float32")
    for name, path in {"one": labelled, "other": copy}.items():
        given = ("probe", "--features", path, *model, *SMALL_NEURONS, "--out", name)
        assert cli(*given).status == 0
    one, other = (RunFolder.open(place / name).records()[0].summary for name in ("one", "other"))
    assert one["features"] == other["features"]


def test_a_damaged_store_names_the_file_and_the_way_out(probe, place, monkeypatch) -> None:
    assert probe("--out", "first").status == 0
    cache = Path(os.environ["NEEDLEPOINT_CACHE"])
    shard = next(path for path in cache.rglob("c/*/0") if path.is_file())
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 0xFF
    shard.write_bytes(content)
    sentence = probe("--out", "second").sentence
    assert str(shard) in sentence
    assert "with all that is in it" in sentence
    assert not (place / "second").exists()
    store = Path(sentence.partition("Remove ")[2].partition(" with all")[0])
    assert store in shard.parents
    shutil.rmtree(store)
    assert probe("--out", "second").status == 0


def full(monkeypatch, wanted: str) -> None:
    """No space for files whose path has these words in it."""
    write = Path.write_text

    def fail(path: Path, *arguments: object, **options: object) -> int:
        if wanted in str(path):
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", fail)


@pytest.mark.parametrize("wanted", ["run.json", "records"])
def test_no_space_for_a_record_leaves_no_run(quick, place, monkeypatch, wanted) -> None:
    full(monkeypatch, wanted)
    sentence = quick("--out", "mine").sentence
    assert sentence.startswith("no space left while writing mine/")
    assert "--out at another disk" in sentence
    assert list(place.iterdir()) == []


def test_no_space_for_a_table_leaves_no_run(quick, place, monkeypatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", fail)
    assert "no space left" in quick("--out", "mine").sentence
    assert list(place.iterdir()) == []


def test_no_space_for_the_page_keeps_the_record(quick, cli, place, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        full(patch, "report.html")
        assert "no space left" in quick("--out", "mine").sentence
    names = {path.name for path in (place / "mine").iterdir()}
    assert names == {"run.json", "records", "tables", "arrays"}
    assert RunFolder.open(place / "mine").header["status"] == "done"
    assert cli("report", "mine").status == 0


def test_no_space_for_the_second_record_keeps_the_first(demo, cli, place, monkeypatch) -> None:
    table = pd.DataFrame({"x": [1]})
    record = Record("probe.languages", "probe", "done", summary={"features": []})
    with monkeypatch.context() as patch:
        full(patch, "probe.languages.json")
        found = demo(lambda *_: Study(record, {"curve": table}))
    assert "no space left while writing mine/records/probe.languages.json" in found.sentence
    assert {path.name.split(".")[1] for path in (place / "mine" / "tables").iterdir()} == {"ioi"}
    assert [kept.cell for kept in RunFolder.open(place / "mine").records()] == ["circuit.ioi"]
    assert cli("report", "mine").status == 0


def stop(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def defect(*_: object, **__: object) -> None:
    raise RuntimeError("a defect of ours")


def skip(*_: object, **__: object) -> None:
    raise DataError("the texts are too few.")


def test_a_circuit_that_is_stopped_leaves_nothing(circuit, place, monkeypatch) -> None:
    monkeypatch.setattr(heads_module, "causal_truth", stop)
    stopped = circuit()
    assert stopped.status == 130
    assert stopped.err.startswith("needlepoint: stopped; no study was finished.")
    assert stopped.err.count("\n") == 1
    assert list(place.iterdir()) == []


def test_a_defect_in_a_study_keeps_its_traceback(
    planted_loads, induction, place, monkeypatch
) -> None:
    monkeypatch.setattr(heads_module, "causal_truth", defect)
    with pytest.raises(RuntimeError, match="a defect of ours"):
        run_command(["circuit", "--task", str(induction)])
    assert list(place.iterdir()) == []


@pytest.fixture
def demo(cli, planted_loads, monkeypatch):
    """The demo, whose first study is one of the planted model."""
    prompts = planted_prompts(planted_loads, n_pairs=40)
    config = HeadsConfig(ablate_pairs=12, random_circuits=8, methods=QUICK)

    def find(model, _):
        study = judge_heads(model, prompts, config)
        return Study(dataclasses.replace(study.record, cell="circuit.ioi"), study.tables)

    def call(second, *more):
        monkeypatch.setattr(heads_module, "find_heads", find)
        monkeypatch.setattr("needlepoint.evaluation.find_neurons.find_neurons", second)
        return cli("demo", "--out", "mine", *more)

    return call


def test_the_demo_says_first_what_it_does_and_how_long(demo) -> None:
    first, second, *_ = demo(stop).out.splitlines()
    assert max(len(first), len(second)) <= 80
    assert "smollm2 name the indirect object" in first
    assert "programming language" in second
    assert "About 3 minutes on 2 cores" in second


def test_a_demo_that_is_stopped_keeps_what_was_finished(demo, cli, place) -> None:
    stopped = demo(stop)
    assert stopped.status == 130
    assert stopped.err == (
        "needlepoint: stopped; circuit.ioi was finished and is kept: "
        "'needlepoint report mine' makes its page.\n"
    )
    run = RunFolder.open(place / "mine")
    assert [record.cell for record in run.records()] == ["circuit.ioi"]
    assert run.header["status"] == "stopped"
    assert cli("report", "mine").status == 0


def test_a_study_of_the_demo_that_cannot_be_done_is_skipped_with_its_reason(demo, place) -> None:
    done = demo(skip)
    assert (done.status, done.err) == (0, "")
    assert "skipped: the texts are too few." in done.out
    run = RunFolder.open(place / "mine")
    assert [record.status for record in run.records()] == ["done", "skipped"]
    assert run.header["status"] == "partly done"
    assert "the texts are too few." in (run.path / "report.html").read_text()


def test_a_defect_in_the_demo_is_in_its_record_and_in_the_status(demo, place) -> None:
    done = demo(defect)
    assert done.status == 1
    assert "failed: RuntimeError: a defect of ours; its record has the traceback" in done.out
    _, record = RunFolder.open(place / "mine").records()
    assert record.status == "failed"
    assert "Traceback (most recent call last)" in record.reason


def test_a_demo_of_which_nothing_can_be_done_is_an_error(demo, place, monkeypatch) -> None:
    demo(skip)
    monkeypatch.setattr(heads_module, "find_heads", skip)
    from needlepoint.cli.asked import Asked
    from needlepoint.cli.runs import run_studies
    from needlepoint.evaluation.configs import DEMO_HEADS, DEMO_NEURONS

    asked = Asked("demo", "any", out=Path("other"), configs=(DEMO_HEADS, DEMO_NEURONS))
    with pytest.raises(DataError, match=r"no study could be done; other/report.html says why"):
        run_studies(asked)


@pytest.fixture
def finished(quick, place) -> Path:
    assert quick("--out", "mine").status == 0
    return place / "mine"


def test_a_run_of_another_version_is_refused(finished, cli) -> None:
    header = json.loads((finished / "run.json").read_text())
    (finished / "run.json").write_text(json.dumps({**header, "schema": 99}))
    sentence = cli("report", "mine").sentence
    assert "was written with record schema 99; this version reads 1" in sentence
    assert "Install the needlepoint version named in its run.json" in sentence


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("run.json", "run.json is missing or damaged"),
        ("records/circuit.induction.json", "circuit.induction.json is missing or damaged"),
        ("tables/circuit.induction.heads.parquet", "heads.parquet is missing or damaged"),
    ],
)
def test_a_damaged_run_names_the_file(finished, cli, name, words) -> None:
    page = (finished / "report.html").read_bytes()
    whole = (finished / name).read_bytes()
    (finished / name).write_bytes(whole[: len(whole) // 2])
    assert words in cli("report", "mine").sentence
    assert (finished / "report.html").read_bytes() == page
