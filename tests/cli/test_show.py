"""Tables in the terminal fit 80 columns and can be read in a file."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from needlepoint._core.records import Record, RunFolder
from needlepoint.cli.show import show_record


def feature(**values: object) -> dict[str, object]:
    usual = {
        "feature": "javascript",
        "site": "L23.N1455",
        "sign": -1,
        "f1_one": {"low": 0.61, "estimate": 0.78, "high": 0.95},
        "q_value": 0.005,
        "token_f1": {"low": 0.4, "estimate": 0.5, "high": 0.6},
        "verdict": "a few neurons (k = 256)",
    }
    return {**usual, **values}


def record(*features: dict[str, object]) -> Record:
    summary = {
        "question": "Which neurons know [red]it[/red]?",
        "answer": "These.",
        "features": list(features),
        "shuffled": {"found": False, "text": "On shuffled labels nothing was found."},
    }
    return Record("probe.mine", "probe", "done", summary=summary)


def shown(found: Record) -> list[str]:
    out = io.StringIO()
    show_record(Console(file=out, width=80), RunFolder(Path("none")), found)
    return out.getvalue().splitlines()


def test_a_feature_is_one_line_of_at_most_80_columns() -> None:
    lines = shown(record(feature()))
    assert max(map(len, lines)) <= 80
    (row,) = [line for line in lines if line.startswith("javascript")]
    words = "javascript -L23.N1455 0.78 0.61-0.95 0.005 0.50 256 neurons"
    assert " ".join(row.split()) == words


def test_a_long_name_is_folded_and_not_cut() -> None:
    name = "a_feature_with_a_name_that_goes_on_and_on"
    lines = shown(record(feature(feature=name), feature(sign=1)))
    assert max(map(len, lines)) <= 80
    start = next(place for place, line in enumerate(lines) if line.startswith("a_f"))
    stop = next(place for place, line in enumerate(lines) if line.startswith("javascript"))
    assert "".join(line.split()[0] for line in lines[start:stop]) == name


def test_a_missing_number_is_a_dash_and_never_zero() -> None:
    interval = {"low": None, "estimate": 0.5, "high": float("nan")}
    lines = shown(record(feature(f1_one=interval, q_value=None)))
    (row,) = [line for line in lines if line.startswith("javascript")]
    assert row.split()[2:5] == ["0.50", "---", "-"]


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("explained by token identity", "token identity"),
        ("a few neurons (k = 7)", "7 neurons"),
        ("not present", "not present"),
    ],
)
def test_verdicts_are_short(verdict: str, words: str) -> None:
    lines = shown(record(feature(verdict=verdict)))
    (row,) = [line for line in lines if line.startswith("javascript")]
    assert row.rstrip().endswith(words)


def test_brackets_in_a_question_are_text() -> None:
    assert "Which neurons know [red]it[/red]?" in shown(record(feature()))


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        ("skipped", "the model does not do it.", "skipped: the model does not do it."),
        ("failed", "Traceback:\n  x\nValueError: no", "failed: ValueError: no; its record has"),
    ],
)
def test_what_was_not_done_says_why(status, reason, words) -> None:
    lines = shown(Record("circuit.ioi", "circuit", status, reason))
    assert any(line.startswith(words) for line in lines)


def test_heads_are_ordered_by_the_size_of_their_effect(tmp_path: Path) -> None:
    heads = pd.DataFrame(
        {
            "site": ["L0.H0", "L0.H1", "L1.H0"],
            "effect": [0.1, -2.0, 1.0],
            "effect_low": [0.0, -3.0, 0.5],
            "effect_high": [0.2, -1.0, 1.5],
            "matters": [False, True, True],
        }
    )
    methods = pd.DataFrame(
        {
            "label": ["Random"],
            "auc": [None],
            "average_precision": [0.1],
            "seconds": [0.0],
            "control": [True],
        }
    )

    run = RunFolder.create(tmp_path / "run", kind="circuit", config={})
    summary = {"question": "Which?", "answer": "These."}
    kept = Record("circuit.x", "circuit", "done", summary=summary)
    found = run.add(kept, {"heads": heads, "methods": methods})
    out = io.StringIO()
    show_record(Console(file=out, width=80), run, found)
    rows = [line.split() for line in out.getvalue().splitlines()]
    order = [row for row in rows if row and row[0].startswith("L")]
    assert [row[0] for row in order] == ["L0.H1", "L1.H0", "L0.H0"]
    assert [row[-1] for row in order] == ["yes", "yes", "no"]
    assert ["*", "Random", "-", "0.10", "-", "0.0"] in rows
