"""A method that says nothing of some parts, from its run to its page: missing is not 0."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from needlepoint._core.errors import DataError
from needlepoint._core.records import RunFolder
from needlepoint.cli.circuit_export import circuit_of_run
from needlepoint.evaluation.configs import HeadsConfig
from needlepoint.evaluation.find_heads import judge_heads
from needlepoint.models.planted import planted_model, planted_prompts
from needlepoint.report import build_report

CONFIG = HeadsConfig(
    score_pairs=8,
    ablate_pairs=8,
    attribution_pairs=8,
    holdout_pairs=8,
    random_circuits=4,
    curve_pairs=8,
    edges=4,
    methods=("code_edges", "mean_difference"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    planted = planted_model(n_heads=3, n_layers=2)
    study = judge_heads(planted.model, planted_prompts(planted, n_pairs=16), CONFIG)
    folder = RunFolder.create(tmp_path_factory.mktemp("runs") / "run", kind="circuit", config={})
    study.save(folder)
    folder.finish()
    return folder


def test_scores_that_are_not_given_are_missing_in_the_tables(run: RunFolder) -> None:
    (record,) = run.records()
    assert record.status == "done"
    nodes = run.table(record.cell, "nodes")
    missing = nodes["score.code_edges"].isna()
    assert missing.tolist() == (nodes["kind"] != "head").tolist()
    methods = run.table(record.cell, "methods").set_index("method")
    assert methods.loc["code_edges", ["cpr", "cmd"]].isna().all()
    assert pd.notna(methods.loc["code_edges", "average_precision"])
    assert run.table(record.cell, "curves").empty


def test_its_edges_are_patched_and_stand_on_the_page(run: RunFolder) -> None:
    (record,) = run.records()
    edges = run.table(record.cell, "edges")
    assert (edges["method"] == "code_edges").all()
    assert edges["effect"].notna().all()
    assert edges["writer"].str.contains("H").all()
    page = build_report(run.path).read_text(encoding="utf-8")
    assert "Code edges" in page
    assert "NaN" not in page.partition('type="application/json"')[2].partition("</script>")[0]


def test_no_circuit_of_its_edges_is_exported(run: RunFolder, tmp_path: Path) -> None:
    (record,) = run.records()
    with pytest.raises(DataError, match="code_edges says nothing of some of the edges"):
        circuit_of_run(run, record, "code_edges", 5)
