"""The circuit page with edges, nodes and costs, without them, and with nothing ablated."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from needlepoint._core.records import RunFolder
from needlepoint.evaluation.configs import HeadsConfig
from needlepoint.evaluation.find_heads import judge_heads
from needlepoint.evaluation.study import Study
from needlepoint.models.planted import planted_model, planted_prompts
from needlepoint.report import build_report
from needlepoint.report.blocks import ABSENT, FigureBlock, TableBlock
from needlepoint.report.circuit_section import CircuitSection, circuit_section
from needlepoint.report.displays import EdgeCurves, LeadingEdges
from needlepoint.report.edge_curves import HELPFUL
from needlepoint.report.method_table import NO_AREAS, OLDER
from needlepoint.report.tables import ADDED, CellTables

CONFIG = HeadsConfig(
    score_pairs=8,
    ablate_pairs=6,
    holdout_pairs=4,
    random_circuits=3,
    attribution_pairs=6,
    curve_pairs=3,
    methods=("eap", "information_flow", "mean_difference", "random", "random_edges"),
)


def studied(config: HeadsConfig) -> Study:
    planted = planted_model(n_heads=3, n_layers=2)
    return judge_heads(planted.model, planted_prompts(planted, n_pairs=16), config)


@pytest.fixture(scope="module")
def study() -> Study:
    return studied(CONFIG)


@pytest.fixture(scope="module")
def candidates() -> Study:
    return studied(replace(CONFIG, ablate_pairs=0, curve_pairs=0, methods=("mean_difference",)))


def section(found: Study, out: Path) -> CircuitSection:
    run = RunFolder.create(out, kind="circuit", config={})
    found.save(run)
    run.finish()
    (record,) = run.records()
    return circuit_section("s0", record.summary, CellTables(run, record))


def cells(block: TableBlock | None) -> list[dict[str, object]]:
    assert block is not None
    titles = [column.title for column in block.columns]
    return [dict(zip(titles, [cell.text for cell in row], strict=True)) for row in block.rows]


def test_the_page_gives_the_numbers_of_every_piece(study: Study, tmp_path: Path) -> None:
    body = section(study, tmp_path / "run")
    page = build_report(tmp_path / "run").read_text(encoding="utf-8")
    for block in body.blocks:
        assert page.count(f'id="{block.id}"') == 1
        assert f'id="data-{block.id}"' in page
        if isinstance(block, FigureBlock):
            for _, display in block.choices:
                assert len(display.frame()) > 0
                assert display.alt()
    ids = re.findall(r'\sid="([^"]+)"', page.partition("<script")[0])
    assert len(ids) == len(set(ids)), "an id twice leads a link astray"
    assert not re.search(r">\s*(nan|None)\s*<", page)
    for word in ("CPR", "CMD", "precision at k", "repo-F1"):
        assert f"<dt>{word}</dt>" in page or word in page


def test_costs_and_areas_stand_beside_the_agreement(study: Study, tmp_path: Path) -> None:
    rows = {row["method"]: row for row in cells(section(study, tmp_path / "run").methods)}
    table = study.tables["methods"].set_index("method")
    eap = rows["EAP"]
    assert eap["level"] == "edges"
    assert eap["forward passes"] == f"{table.loc['eap', 'forward_passes']:.0f}"
    assert eap["backward passes"] == f"{table.loc['eap', 'backward_passes']:.0f}"
    assert str(eap["CPR"]).startswith(f"{table.loc['eap', 'cpr']:.2f} (")
    assert rows["Mean difference"]["CPR"] == "not measured"


def test_edges_are_listed_with_what_cutting_them_does(study: Study, tmp_path: Path) -> None:
    body = section(study, tmp_path / "run").edges
    assert body.table is not None
    assert body.table.menu == ["EAP", "Information flow"]
    (first, *_) = [row for row in cells(body.table) if row["method"] == "EAP"]
    known = study.tables["edges"].iloc[0]
    assert (first["writer"], first["reader"]) == (known["writer"], known["reader"])
    assert first["confirmed"] == "yes"
    assert re.match(r"4 of the 4 leading edges of EAP are confirmed", body.sentence)
    assert body.nodes is not None
    assert next(row["node"] for row in cells(body.nodes)) == "embed"
    assert {row["node"] for row in cells(body.nodes)} == {"embed", "L0.mlp", "L1.mlp"}


def test_an_estimate_is_drawn_only_on_the_axis_that_it_is_of(study: Study) -> None:
    edges = study.tables["edges"]
    own = edges[edges["method"] == "eap"]
    names = {trace.name for trace in LeadingEdges(own, "EAP", True).figure().data}
    assert "estimated by the method" in names
    assert LeadingEdges(own, "EAP").figure().data[-1].x == tuple(own["effect"])
    names = {trace.name for trace in LeadingEdges(own, "EAP").figure().data}
    assert "estimated by the method" not in names


def test_curves_are_those_of_the_table_and_stay_in_the_frame(study: Study) -> None:
    curves = study.tables["curves"]
    display = EdgeCurves(curves, HELPFUL, {"eap": "EAP"}, frozenset({"random_edges"}))
    frame = display.frame()
    assert frame["method"].iloc[0] == "eap"
    assert len(frame) == (curves["order"] == HELPFUL).sum()
    wild = curves.assign(faithfulness=[-90.0, *curves["faithfulness"][1:]])
    low, high = EdgeCurves(wild).figure().layout.yaxis.range
    assert (low, high) == (-1.5, pytest.approx(1.12, abs=0.05))
    assert EdgeCurves(wild).frame()["faithfulness"].min() == -90


def test_without_ablation_heads_are_candidates(candidates: Study, tmp_path: Path) -> None:
    body = section(candidates, tmp_path / "run")
    assert body.candidates.startswith("Nothing was ablated: heads are candidates")
    assert (body.head_map, body.top_heads, body.faithfulness) == (None, None, None)
    assert (body.method_charts, body.method_sentence, body.truth_sentence) == ([], "", "")
    assert body.score_map is not None
    assert "matters" not in cells(body.heads)[0]
    scores = [float(str(row["Mean difference"])) for row in cells(body.heads)]
    assert scores == sorted(scores, reverse=True)
    assert body.edges.blocks == []  # of MLPs and the embedding nothing is known either
    assert "AUC" not in cells(body.methods)[0]
    assert body.methods is not None
    assert body.methods.note == NO_AREAS
    page = build_report(tmp_path / "run").read_text(encoding="utf-8")
    assert page.count("Nothing was ablated: heads are candidates") <= 2
    assert not re.search(r">\s*(nan|None)\s*<", page)


def test_a_run_of_before_edges_opens_and_says_what_it_lacks(study: Study, tmp_path: Path) -> None:
    methods = study.tables["methods"].drop(columns=ADDED["methods"].split())
    kept = ("heads", "faithfulness", "prompts")
    tables = {name: study.tables[name] for name in kept} | {"methods": methods}
    older = {name: value for name, value in study.record.summary.items() if name not in ("graph",)}
    body = section(Study(replace(study.record, summary=older), tables, {}), tmp_path / "run")
    assert body.edges.blocks == []
    assert body.methods is not None
    assert OLDER in body.methods.note
    titles = [column.title for column in body.methods.columns]
    for row in body.methods.rows:
        lacking = {title for title, cell in zip(titles, row, strict=True) if cell is ABSENT}
        assert lacking == {
            "level", "precision at k", "repo-F1", "forward passes", "backward passes",
            "peak memory (MB)", "above the best control",
        }  # fmt: skip
    page = build_report(tmp_path / "run").read_text(encoding="utf-8")
    assert "no method that scores edges was run" in page


def test_what_was_left_out_says_why(study: Study, tmp_path: Path) -> None:
    summary = {**study.record.summary, "skipped": {"acdc": "it <needs> more memory."}}
    found = replace(study, record=replace(study.record, summary=summary))
    section(found, tmp_path / "run")
    page = build_report(tmp_path / "run").read_text(encoding="utf-8")
    assert "<code>acdc</code>: it &lt;needs&gt; more memory." in page


def test_an_edge_that_nobody_cut_has_no_effect(study: Study, tmp_path: Path) -> None:
    missing = dict.fromkeys(("effect", "effect_low", "effect_high", "confirmed"), None)
    edges = pd.DataFrame(study.tables["edges"].assign(**missing))
    body = section(replace(study, tables={**study.tables, "edges": edges}), tmp_path / "run")
    assert body.edges.effects is None
    assert body.edges.sentence == ""
    assert {row["effect (logits)"] for row in cells(body.edges.table)} == {"not measured"}
