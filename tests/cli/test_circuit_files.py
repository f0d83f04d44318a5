"""Circuits on their way from a run to a file, and from a file to the bench."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from needlepoint._core.records import RunFolder
from needlepoint.circuits.exchange.circuit import top_circuit
from needlepoint.circuits.exchange.eap_ig import open_eap_ig
from needlepoint.circuits.exchange.json_file import open_circuit, save_circuit
from needlepoint.circuits.graph.terms import graph_of
from needlepoint.circuits.methods import Found
from needlepoint.cli.circuit_judge import circuit_for
from needlepoint.evaluation.configs import HeadsConfig
from needlepoint.evaluation.find_heads import judge_heads
from needlepoint.models.planted import PlantedModel, planted_prompts

SIZE = 4
"""Edges of the planted circuit."""


@pytest.fixture(scope="session")
def circuit_run(planted: PlantedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = HeadsConfig(
        ablate_pairs=6,
        score_pairs=8,
        holdout_pairs=4,
        random_circuits=2,
        attribution_pairs=6,
        methods=("eap", "attribution_patching", "mean_difference"),
    )
    study = judge_heads(planted.model, planted_prompts(planted, n_pairs=16), config)
    path = tmp_path_factory.mktemp("circuits") / "run"
    run = RunFolder.create(path, kind="circuit", config={})
    run.update(model=planted.model.card())
    study.save(run)
    run.finish()
    return path


@pytest.fixture
def exported(cli, circuit_run: Path, tmp_path: Path) -> Path:
    out = tmp_path / "circuit.json"
    assert cli("circuits", "export", circuit_run, out, "--size", SIZE).status == 0
    return out


def test_an_exported_circuit_is_that_of_the_scores_in_the_run(
    exported: Path, circuit_run: Path, planted: PlantedModel
) -> None:
    run = RunFolder.open(circuit_run)
    (record,) = run.records()
    nodes = run.table(record.cell, "nodes")["score.eap"].to_numpy()
    found = Found(torch.tensor(nodes), torch.tensor(run.arrays(record.cell)["edges.eap"]))
    origin = {"method": "eap", "task": "planted induction", "ablation": "resample"}
    whole = top_circuit(
        planted.model, graph_of(planted.model), found, SIZE, metric="logit difference", **origin
    )
    assert open_circuit(exported) == whole
    assert whole.n_edges == SIZE
    first, second = (f"L{head.layer}.H{head.index}" for head in planted.heads)
    assert {first, second} < set(whole.node_names)


def test_the_other_layout_holds_the_same_circuit(cli, exported, circuit_run, tmp_path) -> None:
    out = tmp_path / "mib.json"
    words = ("--size", SIZE, "--layout", "eap-ig")
    printed = cli("circuits", "export", circuit_run, out, *words).out
    assert f"{SIZE} edges" in printed
    assert open_eap_ig(out) == open_circuit(exported)
    assert set(json.loads(out.read_text())) >= {"cfg", "nodes", "edges"}


def test_the_planted_circuit_is_enough_and_random_ones_are_not(
    cli, exported, induction, planted_loads, tmp_path, circuit_run
) -> None:
    arguments = ("--task", induction, "--pairs", 6)
    lines = cli("circuits", "judge", exported, *arguments).out.splitlines()
    assert max(map(len, lines[2:])) <= 80
    assert "It keeps more of the behaviour than random circuits of either kind." in lines
    rows = {line.split()[0]: line.split() for line in lines if " to " in line}
    assert rows["faithfulness"][1:] == ["1.00", "1.00", "to", "1.00"]
    assert rows["completeness"][1:] == ["1.00", "1.00", "to", "1.00"]
    randoms = [line.split() for line in lines if line.startswith("  random")]
    assert len(randoms) == 4
    assert all(float(words[-5]) < 0.5 for words in randoms[:2])
    assert all(float(words[-1]) < 0.1 for words in randoms[:2])
    tried = cli("circuits", "judge", exported, *arguments, "--minimality", 9).out.splitlines()
    assert tried[: len(lines)] == lines, "nothing else is drawn for it"
    assert f"{SIZE} of {SIZE} edges tried are shown to be needed." in tried
    assert sum(line.endswith("  needed") for line in map(str.rstrip, tried)) == SIZE
    other = tmp_path / "mib.json"
    cli("circuits", "export", circuit_run, other, "--size", SIZE, "--layout", "eap-ig")
    again = cli("circuits", "judge", other, *arguments).out.splitlines()
    assert again == lines, "both layouts are recognised, and are one circuit"


@pytest.mark.parametrize(
    ("method", "layout"),
    [("effect", "needlepoint"), ("attribution_patching", "networkx"), ("eap", "eap-ig")],
)
def test_a_circuit_of_nodes_is_written_read_and_judged(
    cli, circuit_run, induction, planted, planted_loads, tmp_path, layout: str, method: str
) -> None:
    """The two planted heads are all that matters, whatever found them."""
    out = tmp_path / "nodes.json"
    words = ("--level", "nodes", "--size", 2, "--method", method, "--layout", layout)
    printed = cli("circuits", "export", circuit_run, out, *words).out
    assert f"of 3 nodes left of the 2 strongest nodes by {method}." in printed
    value = json.loads(out.read_text())
    circuit = circuit_for(value, planted.model, "equal")
    first, second = (f"L{head.layer}.H{head.index}" for head in planted.heads)
    assert circuit.node_names == ("embed", first, second)
    assert (circuit.level, circuit.origin.method) == ("nodes", method)
    assert circuit.edges.equal(circuit.graph.between(circuit.nodes))
    lines = cli("circuits", "judge", out, "--task", induction, "--pairs", 6).out.splitlines()
    assert any(line.startswith("The circuit: 2 nodes") for line in lines)
    rows = {line.split()[0]: line.split() for line in lines if " to " in line}
    assert rows["faithfulness"][1:] == ["1.00", "1.00", "to", "1.00"]
    randoms = [line.split() for line in lines if line.startswith("  random")]
    assert len(randoms) == 4
    assert all(float(words[-5]) < 0.5 for words in randoms[:2])


def test_twenty_nodes_are_written_unless_it_is_said(cli, circuit_run, tmp_path, planted) -> None:
    n = graph_of(planted.model).n_writers - 1
    out = tmp_path / "nodes.json"
    outcome = cli("circuits", "export", circuit_run, out, "--level", "nodes")
    assert n >= 20, "a model that has as many"
    assert "20 strongest nodes by eap" in outcome.out


def test_a_circuit_of_another_model_is_refused(cli, exported, induction, planted_loads) -> None:
    circuit = open_circuit(exported)
    save_circuit(replace(circuit, d_model=7), exported)
    sentence = cli("circuits", "judge", exported, "--task", induction).sentence
    assert sentence.startswith("the circuit is of a model with d_model = 7 and this one has")


@pytest.mark.usefixtures("no_load")
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{}", "is no circuit: it has neither 'format'"),
        ("[1]", "should be one JSON object"),
        ("{", "cannot be read as JSON"),
        ('{"format": "needlepoint circuit", "schema": 9}', "schema 9"),
    ],
)
def test_a_file_that_is_no_circuit(cli, tmp_path, content, words) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    assert words in cli("circuits", "judge", path).sentence


@pytest.mark.usefixtures("no_load")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--task", "iio"], "did you mean 'ioi'"),
        (["--ablation", "zeros"], "did you mean 'zero'"),
        (["--pairs", "1"], "pairs is 1; it must be at least 2"),
        (["--random-circuits", "19"], "random_circuits is 19; it must be at least 20"),
        (["--minimality", "-1"], "minimality is -1; it must be at least 0"),
    ],
)
def test_a_wish_that_cannot_be_met(cli, exported, arguments, words) -> None:
    assert words in cli("circuits", "judge", exported, *arguments).sentence


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method", "epa"], "unknown method of edges in this run 'epa': did you mean 'eap'"),
        (["--method", "mean_difference"], "unknown method of edges in this run"),
        (["--size", "100000"], "size is 100000: the model has"),
        (["--cell", "circuit.x"], "unknown circuit of this run 'circuit.x'"),
        (["--layout", "pt"], "needlepoint"),
        (["--method", "attribution_patching"], "unknown method of edges in this run"),
        (["--level", "nodes", "--method", "efect"], "did you mean 'effect'"),
        (["--level", "nodes", "--size", "500"], "size is 500: the model has"),
    ],
)
def test_what_a_run_does_not_have_is_not_exported(
    cli, circuit_run, tmp_path, arguments, words
) -> None:
    out = tmp_path / "no.json"
    assert words in cli("circuits", "export", circuit_run, out, *arguments).sentence
    assert not out.exists()


def test_edges_that_join_nothing_are_refused_with_the_least_size_that_does(
    cli, circuit_run, tmp_path
) -> None:
    """The first edges of the planted circuit are not all on one way from end to end."""
    out = tmp_path / "few.json"
    refused = cli("circuits", "export", circuit_run, out, "--size", 1)
    assert not out.exists()
    found = re.search(r"ask for (\d+) or more", refused.sentence)
    assert found is not None
    least = int(found[1])
    assert cli("circuits", "export", circuit_run, out, "--size", least - 1).status == 2
    assert cli("circuits", "export", circuit_run, out, "--size", least).status == 0


def test_nothing_is_written_over(cli, exported, circuit_run) -> None:
    before = exported.read_bytes()
    assert "exists already" in cli("circuits", "export", circuit_run, exported).sentence
    assert exported.read_bytes() == before


def test_a_run_of_before_edges_says_so(cli, circuit_run, tmp_path) -> None:
    older = tmp_path / "older"
    shutil.copytree(circuit_run, older)
    (path,) = (older / "records").glob("*.json")
    record = json.loads(path.read_text())
    del record["summary"]["graph"]
    path.write_text(json.dumps(record))
    sentence = cli("circuits", "export", older, tmp_path / "x.json").sentence
    assert "was made by a version that kept no scores of edges: run it again." in sentence


def test_a_run_is_like_itself(cli, circuit_run) -> None:
    out = cli("compare", circuit_run, circuit_run).out
    assert max(map(len, out.splitlines())) <= 80
    assert "model and settings are the same" in out
    rows = [" ".join(line.split()) for line in out.splitlines()]
    assert "rank correlation of effects 1.00" in rows
    assert "heads whose effects differ 0 of 18" in rows
    assert any(row.startswith("EAP 1.00 1.00 ") for row in rows)


def test_what_cannot_be_compared_is_said(cli, circuit_run, tmp_path, planted) -> None:
    assert "nowhere is not a run folder" in cli("compare", circuit_run, "nowhere").sentence
    config = HeadsConfig(
        ablate_pairs=0, score_pairs=8, holdout_pairs=4, methods=("mean_difference",)
    )
    study = judge_heads(planted.model, planted_prompts(planted, n_pairs=16), config)
    run = RunFolder.create(tmp_path / "candidates", kind="circuit", config={})
    study.save(run)
    sentence = cli("compare", circuit_run, run.path).sentence
    assert "so there are no effects to compare: make it again with --ablate-pairs 60" in sentence
