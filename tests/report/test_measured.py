"""A page names the metric that was measured and its unit, and no other."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from needlepoint._core.errors import StoreError
from needlepoint._core.records import Record, RunFolder
from needlepoint.circuits import metric
from needlepoint.cli.main import run as command
from needlepoint.report import build_report, measured
from needlepoint.report.blocks import PanelBlock
from needlepoint.report.circuit_section import circuit_section
from needlepoint.report.measured import Measured
from needlepoint.report.tables import CellTables

PROBABILITY = Measured("probability difference", "probability")
DISTANCE = Measured("KL divergence", "nats")


def test_a_record_says_what_was_measured() -> None:
    named = {"metric": "probability difference", "unit": "probability"}
    assert Measured.of({"behaviour": named}) == PROBABILITY
    assert Measured.of({"behaviour": {}, "ablation": named}) == PROBABILITY


def test_the_page_knows_every_metric_of_a_study() -> None:
    assert measured.UNITS == {**metric.UNITS, metric.KL: "nats"}


def test_a_metric_that_is_not_known_is_said(sample, tmp_path: Path, capsys) -> None:
    """And so is a part that the model does not have: in a sentence, with exit status 2."""
    run = RunFolder.open(sample.write_sample_run(tmp_path / "run"))
    record = next(record for record in run.records() if record.cell == "circuit.ioi")
    tables = {name: run.table(record.cell, name) for name in record.tables}
    edges = tables["edges"].assign(writer=["L99.H0", *tables["edges"]["writer"][1:]])
    nodes = tables["nodes"].assign(node=["head 1", *tables["nodes"]["node"][1:]])
    behaviour = record.summary["behaviour"] | {"metric": "joy"}
    joyful = replace(record, summary=record.summary | {"behaviour": behaviour})
    strange = {
        "the writer 'L99.H0', which a model of 30 layers": (record, tables | {"edges": edges}),
        "names the node 'head 1'": (record, tables | {"nodes": nodes}),
        "the metric 'joy', which this version does not know": (joyful, tables),
    }
    for place, (message, (changed, its)) in enumerate(strange.items()):
        folder = RunFolder.create(tmp_path / str(place), kind="circuit", config={})
        folder.add(replace(changed, tables=(), arrays=()), its)
        folder.finish()
        with pytest.raises(StoreError, match=re.escape(message)):
            build_report(folder.path)
        assert command(["report", str(folder.path)]) == 2
        assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("summary", [{}, {"behaviour": None, "ablation": {"kind": "resample"}}])
def test_a_record_that_does_not_is_of_logits(summary) -> None:
    assert Measured.of(summary) == Measured("logit difference", "logits")


def test_amounts_have_units_and_a_missing_one_is_said() -> None:
    assert Measured().amount(-0.5) == "\u22120.50 logits"
    assert PROBABILITY.amount(-0.5) == "\u22120.50 of probability"
    assert Measured().amount(None).startswith("not defined")


def of_probability(run: RunFolder, record: Record) -> Record:
    """The sample's circuit as one whose metric is the probability difference."""
    behaviour = {
        key.replace("logit_", "probability_"): value
        for key, value in record.summary["behaviour"].items()
    }
    behaviour |= {"metric": PROBABILITY.metric, "unit": PROBABILITY.unit}
    ablation = record.summary["ablation"] | {"metric": PROBABILITY.metric, "unit": PROBABILITY.unit}
    summary = {**record.summary, "behaviour": behaviour, "ablation": ablation}
    tables = {name: run.table(record.cell, name) for name in record.tables}
    columns = {name: name.replace("logit_", "probability_") for name in tables["prompts"].columns}
    tables["prompts"] = tables["prompts"].rename(columns=columns)
    return run.add(replace(record, cell="circuit.years", summary=summary, tables=()), tables)


def test_effects_can_be_of_another_metric_than_the_prompts(sample, tmp_path: Path) -> None:
    run = RunFolder.open(sample.write_sample_run(tmp_path / "run"))
    record = next(record for record in run.records() if record.cell == "circuit.ioi")
    ablation = record.summary["ablation"] | {"metric": DISTANCE.metric, "unit": DISTANCE.unit}
    summary = {**record.summary, "ablation": ablation}
    assert Measured.of_effects(summary) == DISTANCE
    assert Measured.of(summary) == Measured()
    assert DISTANCE.amount(0.5) == "+0.50 nats"
    section = circuit_section("a", summary, CellTables(run, record))
    after = said(section)
    for words in ("logit difference, clean", "effect (nats)", "KL divergence", " nats"):
        assert words in after
    heads = said(replace(section, tiles=[], prompts=None, faithfulness=None))
    assert "logit" not in heads
    for words in ("head helps", "heads help", "Orange heads", "preference for the right"):
        assert words not in heads


def said(value: object) -> str:
    """All words of a section but the node `logits`: its pieces, the explanations, the figures."""
    parts = []
    for block in value.blocks:
        parts += [str(block.display.words)] if isinstance(block, PanelBlock) else []
        for _, display in getattr(block, "choices", []):
            parts += [str(display.words), str(display.figure().to_json())]
        parts += map(str, getattr(block, "columns", []))
    return re.sub(r"(\u2192|\\u2192) logits", "", " ".join([*parts, *map(str, value.tiles)]))


def test_no_word_of_logits_stands_on_a_page_of_probabilities(sample, tmp_path: Path) -> None:
    run = RunFolder.open(sample.write_sample_run(tmp_path / "run"))
    logits = next(record for record in run.records() if record.cell == "circuit.ioi")
    probability = of_probability(run, logits)
    before = said(circuit_section("a", logits.summary, CellTables(run, logits)))
    assert "logit difference" in before
    after = said(circuit_section("a", probability.summary, CellTables(run, probability)))
    assert "logit" not in after
    for words in ("probability difference, clean", "effect (probability)", "of probability"):
        assert words in after


def test_a_table_without_the_metric_that_is_named_is_refused(sample, tmp_path: Path) -> None:
    from needlepoint._core.errors import StoreError

    run = RunFolder.create(tmp_path / "run", kind="circuit", config={})
    row = {"clean": "a", "corrupt": "b", "answer": "c", "wrong": "d", "logit_difference_clean": 1.0}
    record = run.add(Record("circuit.x", "circuit", "done"), {"prompts": pd.DataFrame([row])})
    with pytest.raises(StoreError, match="has no column 'logit_difference_corrupt'"):
        circuit_section("a", {}, CellTables(run, record))
