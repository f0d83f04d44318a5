"""What the page says of stability, and of what was published: every figure, and why one lacks."""

from __future__ import annotations

import pandas as pd
import pytest

from needlepoint.report.blocks import TableBlock
from needlepoint.report.literature_table import (
    WEIGHTS,
    literature_sentences,
    literature_table,
)
from needlepoint.report.stability_table import stability_table, stays_of, stays_sentence

METHODS = pd.DataFrame({"method": ["eap", "probe", "size"], "label": ["EAP", "Probe", "Size"]})
SLOW = "it takes as long as the method: --stability 10 runs it"


def row(method: str, units: str = "heads", **figures: object) -> dict[str, object]:
    none = dict.fromkeys(("how", "n_pairs", "n_resamples", "jaccard", "low", "high", "chance"))
    found = {"method": method, "units": units, "k": 8, **none, "verdict": None, "reason": ""}
    return {**found, **figures}


MEASURED = {
    "how": "halves",
    "n_pairs": 40,
    "n_resamples": 10,
    "jaccard": 0.8,
    "low": 0.6,
    "high": 1.0,
    "chance": 0.05,
    "verdict": "stable",
}
STABLE = pd.DataFrame(
    [
        row("size", reason="it does not depend on the prompts"),
        row("eap", **MEASURED),
        row("eap", "edges", **{**MEASURED, "jaccard": 0.3, "low": 0.1, "verdict": "unstable"}),
        row("probe", reason=SLOW),
    ]
)


def cells(block: TableBlock | None) -> list[dict[str, str]]:
    assert block is not None
    titles = [column.title for column in block.columns]
    assert all(len(row) == len(titles) for row in block.rows)
    return [dict(zip(titles, [cell.text for cell in row], strict=True)) for row in block.rows]


def test_the_table_of_stability_has_the_surest_first_and_reasons_last() -> None:
    rows = cells(stability_table("s0", STABLE, METHODS))
    assert [(one["method"], one["of its first"]) for one in rows[:2]] == [
        ("EAP", "8 heads"),
        ("EAP", "8 edges"),
    ]
    assert rows[0]["in common"] == "0.80 (0.60 to 1.00)"
    assert (rows[0]["by chance"], rows[0]["verdict"]) == ("0.05", "stable")
    assert rows[0]["compared"] == "one half against the other"
    assert (rows[0]["pairs"], rows[0]["repeats"]) == ("40", "10")
    lacking = {one["method"]: one for one in rows[2:]}
    assert lacking["Probe"]["in common"] == "not measured"
    assert lacking["Probe"]["why not"] == SLOW
    assert lacking["Size"]["why not"] == "it does not depend on the prompts"


def test_what_seeds_have_in_common_stands_beside_and_older_runs_lack_it() -> None:
    none = {"n_seeds": None, "seed_jaccard": None, "seed_low": None, "seed_high": None}
    same = {"n_seeds": 3, "seed_jaccard": 0.5, "seed_low": 0.4, "seed_high": 0.6}
    rows = [
        row("eap", **MEASURED, **none, seed_verdict=None, seed_reason="nothing is drawn"),
        row("probe", reason=SLOW, **same, seed_verdict="fair", seed_reason=""),
    ]
    rows[1]["chance"] = 0.05
    block = stability_table("s0", pd.DataFrame(rows), METHODS)
    eap, probe = cells(block)
    assert (eap["over seeds"], eap["verdict over seeds"]) == ("not measured", "not measured")
    assert eap["why not"] == "over seeds: nothing is drawn"
    assert (probe["over seeds"], probe["verdict over seeds"]) == ("0.50 (0.40 to 0.60)", "fair")
    assert (probe["in common"], probe["by chance"], probe["why not"]) == (
        "not measured",
        "0.05",
        SLOW,
    )
    assert block is not None
    assert "the score is their mean" in block.note
    older = stability_table("s0", STABLE, METHODS)
    assert older is not None
    assert older.note == ""
    assert all(one["over seeds"] == "not measured" for one in cells(older))


def test_the_sentence_names_each_verdict_and_what_was_not_run() -> None:
    sentence = stays_sentence(STABLE, METHODS)
    assert "among the first 8 both times" in sentence
    assert "(0.05 by chance). Stable: EAP." in sentence
    assert "Unstable" not in sentence, "edges are no heads"
    assert "Not measured for a slower one; --stability 10 runs such" in sentence
    assert stays_of(STABLE) == {"eap": 0.8}
    unknown = STABLE[STABLE["method"] == "size"]
    assert stays_sentence(unknown, METHODS) == ""


def test_an_older_run_has_neither_table() -> None:
    assert stability_table("s0", pd.DataFrame(), METHODS) is None
    assert literature_table("s0", pd.DataFrame()) is None
    assert literature_sentences({}) == []


@pytest.mark.parametrize("reason", ["", "it has another shape"])
def test_lists_come_with_their_source_and_disputes(reason: str) -> None:
    one = {"variant": "wang", "model": "gpt2", "source": "Wang et al. 2022", "n_heads": 26}
    summary = {"literature": [{**one, "disputes": ["One head is disputed."]}]}
    found = literature_sentences({**summary, **({"literature_reason": reason} if reason else {})})
    assert found[0] == "List 'wang', 26 heads of gpt2: Wang et al. 2022. One head is disputed."
    assert found[1:] == ([reason] if reason else [])


def test_methods_are_listed_under_the_names_of_their_measures() -> None:
    judged = {
        "variant": "wang",
        "units": "heads",
        "method": "eap",
        "label": "EAP",
        "n_units": 144,
        "n_true": 26,
        "auc": 0.7,
        "auc_low": 0.6,
        "auc_high": 0.8,
        "average_precision": 0.4,
        "average_precision_low": 0.2,
        "average_precision_high": 0.6,
        "chance_precision": 26 / 144,
        "precision_at_k": 0.45,
        "f1": 0.35,
        "repo_f1": 0.66,
        "reason": "",
    }
    undefined = dict.fromkeys(("auc", "auc_low", "auc_high", "average_precision", "f1"))
    unknown = {"average_precision_low": None, "average_precision_high": None}
    frame = pd.DataFrame([judged, {**judged, **undefined, **unknown, "variant": "paper"}])
    block = literature_table("s0", frame)
    rows = cells(block)
    assert rows[0] == {
        "list": "wang",
        "units": "heads",
        "method": "EAP",
        "AUC": "0.70 (0.60 to 0.80)",
        "average precision": "0.40 (0.20 to 0.60)",
        "by chance": "0.18",
        "F1": "0.35",
        "precision at k": "0.45",
        "repo-F1": "0.66",
    }
    assert rows[1]["AUC"] == rows[1]["F1"] == "not defined"
    assert block is not None
    assert block.menu == ["wang", "paper"]
    assert block.note == WEIGHTS
