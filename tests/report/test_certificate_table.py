"""Certified probes on a page: what is missing says why, also of runs that tested none."""

from __future__ import annotations

from types import ModuleType

import pandas as pd

from needlepoint.report.blocks import ABSENT
from needlepoint.report.certificate_table import (
    OLDER,
    certificate_notes,
    certificate_table,
)
from needlepoint.report.neuron_cards import feature_notes
from needlepoint.report.sentences import sparse_null_sentence
from needlepoint.report.tables import ADDED

LATER = ADDED["certificates"].split()


def rows_of(table) -> list[dict]:
    titles = [column.title for column in table.columns]
    return [dict(zip(titles, row, strict=True)) for row in table.rows]


def test_every_probe_has_its_proof_its_test_and_the_sweep_beside_it(sample: ModuleType) -> None:
    found = sample.certificate_table([{"feature": "python"}])
    one, two, three = rows_of(certificate_table("s0", found))
    assert two["status"].text == "exact"
    assert (one["chosen"].text, two["chosen"].text) == ("no", "yes")
    assert two["test F1"].text == "0.78 (0.70 to 0.85)"
    assert two["difference"].text == "0.02 (\u22120.03 to 0.06)"
    for title in ("objective", "gap", "test F1", "quick search", "MCC", "AUC"):
        assert three[title].text == "not defined: the time had been spent", title


def test_a_run_that_tested_none_says_so(sample: ModuleType) -> None:
    frame = sample.certificate_table([{"feature": "python"}])[:2].drop(columns=LATER)
    old = frame.assign(**dict.fromkeys(LATER, float("nan")))
    table = certificate_table("s0", old, LATER)
    assert table.note == OLDER
    (row, _) = rows_of(table)
    assert all(row[title] is ABSENT for title in ("chosen", "test F1", "quick search", "AUC"))
    assert row["gap"].text == "0.0200"
    assert certificate_notes(old) == [
        "Certificates: the best probes of layer 4 on training texts were sought for 2 sizes and "
        "ridges; 1 is proved to be the best."
    ]
    (late,) = certificate_notes(old.assign(status=["exact", "not tried"]))
    assert late.endswith("1 is proved to be the best, 1 not tried for lack of time.")
    assert certificate_table("s0", pd.DataFrame()) is None
    assert certificate_notes(pd.DataFrame()) == []


def test_luck_of_the_whole_search_is_told_or_why_not() -> None:
    assert sparse_null_sentence([{"f1_best": None}], {}) == "", "runs of earlier versions"
    silent = sparse_null_sentence([{"p_sparse": None, "p_sparse_reason": "r"}], {"sparse_null": 0})
    assert "was not asked" in silent
    assert "single neurons" in silent
    none = sparse_null_sentence([{"p_sparse": None}], {"sparse_null": 19})
    assert "For 0 of 0 features" not in none
    assert any("p 0.050" in note for note in feature_notes({"p_sparse": 0.05}))
    assert feature_notes({"p_sparse": None, "p_sparse_reason": "labels cannot be moved"}) == [
        "No p-value of the few neurons together: labels cannot be moved."
    ]
    assert feature_notes({"p_sparse_reason": "none were asked for"}, sparse_null=False) == []


def test_ties_are_told_of_those_that_could_be_named_and_of_all() -> None:
    (first, rest) = feature_notes({"n_equivalent": 0, "n_equivalent_all": 7})
    assert first == "Validation texts tell it from every other neuron that could be named."
    assert rest.endswith("of all neurons it is 7 that validation texts do not tell from it.")
    assert len(feature_notes({"n_equivalent": 3, "n_equivalent_all": 3})) == 1
