"""`needlepoint neuron` on the neuron that our own study names for CSS: every part, and its role."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from needlepoint._core.records import Record, RunFolder

pytestmark = pytest.mark.journey

STUDY = Path(__file__).parents[2] / "benchmarks/records/neuron_study.programming_language.json"
FEATURE = "css"
NUMBERS = {"texts": 12, "tokens": 48, "examples": 16, "ablate-texts": 2, "random-neurons": 2}
"""Two matched random neurons and few texts: the parts are all there, the intervals are wide."""


@pytest.fixture(scope="module")
def named() -> dict[str, Any]:
    """What the study of all features found: its best neuron of one feature."""
    found = json.loads(STUDY.read_text(encoding="utf-8"))["features"]
    return next(dict(one) for one in found if one["feature"] == FEATURE)


@pytest.fixture(scope="module")
def dossier(
    command: str, named, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunFolder, Record, str]:
    """The run, its record, and what it printed. The feature is not told, only the collection."""
    out = tmp_path_factory.mktemp("neuron") / "run"
    asked = [command, "neuron", named["site"], "--features", "programming_language"]
    for name, number in NUMBERS.items():
        asked += [f"--{name}", str(number)]
    done = subprocess.run([*asked, "--out", str(out)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    run = RunFolder.open(out)
    (record,) = run.records()
    return run, record, done.stdout


@pytest.fixture(scope="module")
def neuron(dossier) -> dict[str, Any]:
    (found,) = dossier[1].summary["neurons"]
    return dict(found)


def table(dossier, name: str) -> pd.DataFrame:
    run, record, _ = dossier
    return run.table(record.cell, name)


def test_it_is_done_and_says_so_in_80_columns(dossier, named) -> None:
    run, record, shown = dossier
    assert run.header["status"] == "done"
    assert (record.cell, record.status) == (f"neuron.{named['site']}", "done")
    lines = shown.splitlines()
    assert lines[-1] == str(run.path / "report.html")
    assert max(map(len, lines[:-1])) <= 80
    assert record.summary["answer"] in " ".join(shown.split())


def test_every_part_of_a_dossier_is_there(dossier, neuron) -> None:
    histograms = table(dossier, "histograms")
    assert set(histograms["label"].dropna()) == {True, False}
    excerpts = table(dossier, "excerpts")
    assert {"top", "middle", "random"} <= set(excerpts["group"])
    assert (excerpts["tokens"].map(len) == excerpts["activations"].map(len)).all()
    assert neuron["ngrams"]["n_unrelated"] <= neuron["ngrams"]["n_drivers"]
    assert table(dossier, "ngrams")["drives"].sum() > 0
    strata = table(dossier, "strata")
    tenths = strata[strata["stratum"].str.startswith("decile")]
    assert len(tenths) == 10
    assert (tenths["precision_low"] <= tenths["precision"]).all()
    assert (tenths["precision"] <= tenths["precision_high"]).all()
    assert "false positive" in set(table(dossier, "mistakes")["kind"])
    assert set(table(dossier, "logits")["side"]) == {"promoted", "suppressed"}
    assert {"activation", "output"} == set(table(dossier, "similar")["by"])


def test_it_is_switched_off_in_three_ways_beside_random_neurons(dossier) -> None:
    ablation = table(dossier, "ablation")
    found = ablation[["mode", "texts", "neurons"]].drop_duplicates()
    assert len(found) == 3 * 2 * 2
    assert set(ablation["mode"]) == {"zero", "mean", "resample"}
    assert set(ablation["texts"]) == {"positive", "negative"}
    assert set(ablation["neurons"]) == {"found", "random"}
    assert set(ablation["n_random"].dropna()) == {2}


def test_norm_times_bias_is_given_or_explained(dossier) -> None:
    weights = dossier[1].summary["weights"]
    assert "gated MLP" in weights["norm_bias_reason"]


def test_of_ten_languages_the_one_of_the_study_is_told_best(neuron, named) -> None:
    assert neuron["feature"]["name"] == FEATURE
    assert neuron["feature"]["sign"] == named["sign"]


def test_what_excites_it_is_of_that_language_and_random_text_is_not(dossier, neuron) -> None:
    excerpts = table(dossier, "excerpts")
    of_language = excerpts["document"].str.endswith(".css")
    top = of_language[excerpts["group"] == "top"].head(3)
    elsewhere = of_language[excerpts["group"].isin(["random", "opposite"])]
    assert top.all()
    assert elsewhere.mean() < 0.5
    strata = table(dossier, "strata").set_index("stratum")["precision"]
    prevalence = neuron["feature"]["prevalence"]
    assert prevalence < 0.3
    assert strata["decile 10"] > 2 * prevalence
    assert strata["decile 10"] > strata["decile 5"]


def test_the_page_tells_it(dossier, named) -> None:
    run, record, _ = dossier
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert named["site"] in page
    assert record.summary["question"] in page
    for words in ("n-gram", "random neurons", "promote"):
        assert words in page
