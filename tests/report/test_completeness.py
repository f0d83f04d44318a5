"""What the page says of completeness: both kinds of chance, and a sentence where none was asked."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from needlepoint._core.records import RunFolder
from needlepoint.report import build_report
from needlepoint.report.circuit_section import CircuitSection, circuit_section
from needlepoint.report.completeness import Completeness
from needlepoint.report.completeness_words import completeness_sentences, minimality_table
from needlepoint.report.tables import CellTables

KINDS = {"ranked": 1, "random": 6, "layers matched": 6}


def interval(middle: float) -> dict[str, float]:
    return {"low": middle - 0.1, "estimate": middle, "high": middle + 0.1}


@pytest.fixture
def runs() -> pd.DataFrame:
    """A ranking that is complete from 3 heads on, random heads that never are."""
    rows = []
    for size in (1, 3, 10):
        for kind, draws in KINDS.items():
            for draw in range(draws):
                value = float(size >= 3) if kind == "ranked" else 0.01 * size + 0.02 * draw
                row = {"size": size, "kind": kind, "draw": draw, "completeness": value}
                named = "causal effect" if kind == "ranked" else kind
                row |= {"ranked_by": named, "faithfulness": value / 2}
                row |= {"faithfulness_low": value / 2 - 0.1, "faithfulness_high": value / 2 + 0.1}
                rows.append(row | {"low": value - 0.1, "high": value + 0.1})
    return pd.DataFrame(rows)


@pytest.fixture
def circuit() -> dict[str, object]:
    null = {"n": 6, "faithfulness": interval(0.1), "completeness": interval(0.3)}
    null |= {"p_faithfulness": 0.14, "p_completeness": 0.43}
    minimality = {"n_tried": 3, "n_needed": 2, "n_outside": 20, "threshold": 0.05}
    judged = {"completeness": interval(0.9), "by_size": null, "by_layer": null}
    return {"size": 3, "judged": judged | {"minimality": minimality}}


def test_random_heads_of_both_kinds_are_drawn_and_summed_up(runs: pd.DataFrame) -> None:
    shown = Completeness(runs)
    frame = shown.frame()
    assert frame["kind"].value_counts().to_dict() == dict.fromkeys(KINDS, 3)
    middle = frame[(frame["kind"] == "layers matched") & (frame["size"] == 3)].iloc[0]
    drawn = runs[(runs["kind"] == "layers matched") & (runs["size"] == 3)]["completeness"]
    assert middle["completeness"] == pytest.approx(drawn.median())
    assert (middle["low"], middle["high"]) == pytest.approx((drawn.min(), drawn.max()))
    assert len(shown.figure().data) == len(KINDS)
    assert "causal effect 3 heads 1.0" in shown.alt()
    assert "least to greatest of 6" in shown.words.read


def test_faithfulness_stands_beside_the_same_circuits(runs: pd.DataFrame) -> None:
    shown = Completeness(runs, "faithfulness")
    frame = shown.frame().set_index(["kind", "size"])
    assert frame.loc[("ranked", 10), "faithfulness"] == 0.5
    assert (frame.loc[("ranked", 10), "low"], frame.loc[("ranked", 10), "high"]) == (0.4, 0.6)
    assert shown.title != Completeness(runs).title
    shown.figure()


def test_the_sentences_have_both_nulls_and_what_is_needed(circuit) -> None:
    first, chance, second = completeness_sentences(circuit)
    assert first.startswith("Completeness of the 3 heads: 0.90 (0.80 to 1.00).")
    assert "6 draws of as many random heads, as many in each layer, have" in chance
    assert chance.count("p 0.430") == 2
    assert "Of 3 heads" in second
    assert " 2 change" in second


def test_what_was_not_asked_for_is_said_and_old_runs_say_nothing() -> None:
    words = "completeness was not asked for; --completeness runs it"
    assert completeness_sentences({"judged": None, "judged_reason": words}) == [
        "Completeness was not asked for; --completeness runs it."
    ]
    assert completeness_sentences({"size": 3}) == []
    assert completeness_sentences({}) == []


def test_a_circuit_of_all_heads_has_no_minimality(circuit) -> None:
    judged = {**circuit["judged"], "minimality": None, "minimality_reason": "it is of all heads"}
    *_, second = completeness_sentences({**circuit, "judged": judged})
    assert second == "Minimality is not defined: it is of all heads."
    assert minimality_table("a", pd.DataFrame(columns=["unit", "minimal"])) is None


def test_the_table_names_what_is_not_shown_to_be_needed() -> None:
    needed = pd.DataFrame(
        {"unit": ["L1.H2", "L0.H1"], "change": [0.5, 0.01], "p": [0.05, 0.6]}
        | {"minimal": [True, False], "helps": [False, float("nan")]}
    )
    table = minimality_table("a", needed)
    assert table is not None
    assert [row[2].text for row in table.rows] == ["0.050", "0.600"]
    assert [row[3].text for row in table.rows] == ["yes", "not shown"]
    assert [row[4].text for row in table.rows] == ["hinders", "not recorded"]


@pytest.fixture
def section(sample: ModuleType, runs: pd.DataFrame, circuit, tmp_path: Path) -> CircuitSection:
    """The sample run, with completeness asked for."""
    record, tables = sample.circuit_cell(np.random.default_rng(0))
    record.summary["circuit"] |= {"judged": circuit["judged"]}
    needed = pd.DataFrame({"unit": ["L1.H2"], "change": [0.5], "p": [0.05], "minimal": [True]})
    needed = needed.assign(helps=True)
    runs = runs.drop(columns=["faithfulness_low", "faithfulness_high"])
    run = RunFolder.create(tmp_path / "run", kind="circuit", config={})
    run.add(record, {**tables, "completeness": runs, "minimality": needed}, {})
    (kept,) = run.records()
    return circuit_section("a", kept.summary, CellTables(run, kept))


def test_the_section_has_the_picture_the_sentences_and_the_table(section: CircuitSection) -> None:
    assert section.completeness is not None
    assert [name for name, _ in section.completeness.choices] == ["completeness", "faithfulness"]
    assert section.minimality in section.blocks
    assert section.completeness in section.blocks
    assert len(section.completeness_sentences) == 3


@pytest.mark.usefixtures("section")
def test_the_page_shows_them(tmp_path: Path) -> None:
    page = build_report(tmp_path / "run").read_text(encoding="utf-8")
    assert "Completeness of the 6 heads: 0.90" in page
    assert ">helps<" in page
    assert "The circuit with one head less" in page
