"""`needlepoint demo` as a stranger runs it: real model, real answers, a page that opens."""

from __future__ import annotations

import csv
import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from needlepoint._core.records import RunFolder
from needlepoint.testing.browser import Opened, open_page

pytestmark = pytest.mark.journey

MEASURED = {"L23.H3", "L20.H0", "L16.H0", "L17.H4", "L29.H1", "L19.H2"}
"""The heads that an independent measurement of this model found among the strongest."""


@pytest.fixture(scope="module")
def demo(command: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, str]:
    """The run of one demo, and what it printed."""
    out = tmp_path_factory.mktemp("journey") / "demo"
    one_thread = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in one_thread}
    done = subprocess.run(
        [command, "demo", "--out", str(out)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return RunFolder.open(out), done.stdout


@pytest.fixture(scope="module")
def circuit(demo) -> dict[str, Any]:
    return dict(demo[0].records()[0].summary)


@pytest.fixture(scope="module")
def probe(demo) -> dict[str, Any]:
    return dict(demo[0].records()[1].summary)


@pytest.fixture(scope="module")
def opened(demo) -> Iterator[Opened]:
    with open_page(demo[0].path / "report.html") as page:
        yield page


def test_both_studies_are_done(demo) -> None:
    run, _ = demo
    assert run.header["status"] == "done"
    assert [(record.cell, record.status) for record in run.records()] == [
        ("circuit.ioi", "done"),
        ("probe.programming_language", "done"),
    ]
    assert run.header["command"] == "needlepoint demo"
    assert run.header["model"]["name"] == "SmolLM2-135M-Instruct"
    assert run.header["model"]["licence"] == "Apache-2.0"


def test_the_terminal_tells_it_in_80_columns(demo, circuit, probe) -> None:
    run, shown = demo
    lines = shown.splitlines()
    assert lines[-1] == str(run.path / "report.html")
    assert max(map(len, lines[:-1])) <= 80
    text = " ".join(shown.split())
    assert circuit["answer"] in text
    assert probe["answer"] in text
    assert "\n\n\n" not in shown


def test_the_behaviour_is_really_there(circuit) -> None:
    behaviour = circuit["behaviour"]
    assert behaviour["logit_difference_clean"]["low"] > 2.5
    corrupt = behaviour["logit_difference_corrupt"]
    assert corrupt["low"] < 0.5
    assert corrupt["high"] > -0.5
    assert behaviour["accuracy_clean"]["estimate"] > 0.9


def test_the_heads_that_matter_come_out_on_top(demo, circuit) -> None:
    heads = demo[0].table("circuit.ioi", "heads").set_index("site")
    assert len(heads) == 30 * 9
    strongest = set(heads["effect"].abs().nlargest(10).index)
    assert strongest >= MEASURED
    assert heads.loc[sorted(MEASURED), "matters"].all()
    assert set(circuit["circuit"]["heads"]) >= MEASURED
    assert (heads["effect_low"] <= heads["effect"]).all()
    assert (heads["effect"] <= heads["effect_high"]).all()


def test_the_circuit_beats_random_ones_which_do_nothing(circuit) -> None:
    found, chance = circuit["circuit"]["faithfulness"], circuit["circuit"]["random_faithfulness"]
    assert abs(chance["estimate"]) < 0.1
    assert found["estimate"] > chance["high"]
    assert found["low"] > chance["estimate"]


def test_every_score_is_judged_and_controls_are_marked(demo) -> None:
    methods = demo[0].table("circuit.ioi", "methods").set_index("method")
    assert {"discrete_sae", "mean_difference", "eap", "random"} <= set(methods.index)
    assert methods["average_precision"].between(0, 1).all()
    assert methods.loc["random", "control"]
    assert 0.25 < methods.loc["random", "auc"] < 0.75


def test_a_neuron_tells_a_feature_as_surely_as_can_be_said(probe) -> None:
    single = [one for one in probe["features"] if one["carried_by"] == "one neuron"]
    assert single
    floor = 1 / (probe["settings"]["permutations"] + 1)
    assert min(one["p_value"] for one in single) == pytest.approx(floor)
    assert max(one["f1_one"]["estimate"] for one in single) > 0.8


def test_on_shuffled_labels_nothing_is_found(probe) -> None:
    assert not probe["shuffled"]["found"]
    assert probe["shuffled"]["text"].startswith("On shuffled labels nothing was found")


def test_ablation_is_held_against_random_neurons(demo) -> None:
    ablation = demo[0].table("probe.programming_language", "ablation")
    assert set(ablation["neurons"]) == {"found", "random"}
    assert set(ablation["mode"]) == {"zero", "mean"}


def draw(opened: Opened, ending: str) -> str:
    """The id of a figure, once it is drawn."""
    figure = opened.page.locator(f"[data-figure$='{ending}']").first
    name = figure.get_attribute("data-figure")
    assert name is not None
    opened.page.locator(f"#{name}-plot").scroll_into_view_if_needed()
    opened.wait_until(f"document.getElementById('{name}-plot').data")
    return name


@pytest.mark.usefixtures("chromium")
def test_the_page_shows_the_answers_and_is_quiet(opened, circuit, probe) -> None:
    text = " ".join(opened.page.inner_text("main").replace("\u2212", "-").split())
    for answer in (circuit["answer"], probe["answer"], probe["shuffled"]["text"]):
        assert answer.replace("\u2212", "-") in text
    for left_open in [*circuit["not_established"], *probe["not_established"]]:
        assert left_open in text
    assert opened.errors == []
    assert opened.foreign_requests == []


@pytest.mark.usefixtures("chromium")
@pytest.mark.parametrize("ending", ["-map", "-scores"])
def test_both_maps_of_heads_are_drawn(opened, ending) -> None:
    name = draw(opened, ending)
    shape = opened.page.evaluate(
        f"(z => [z.length, z[0].length])(document.getElementById('{name}-plot').data[0].z)"
    )
    assert shape == [30, 9]
    assert opened.errors == []


@pytest.mark.usefixtures("chromium")
def test_the_menu_gives_the_numbers(opened, demo) -> None:
    box = opened.page.locator(f"#{draw(opened, '-map')}")
    opened.unfold(box.locator(".numbers").first)
    with opened.page.expect_download() as waiting:
        box.get_by_role("button", name="CSV", exact=True).click()
    text = Path(waiting.value.path()).read_text(encoding="utf-8")
    rows = {row["site"]: float(row["effect"]) for row in csv.DictReader(io.StringIO(text))}
    heads = demo[0].table("circuit.ioi", "heads").set_index("site")["effect"]
    pd.testing.assert_series_equal(
        pd.Series(rows).sort_index(),
        heads.sort_index(),
        check_names=False,
        rtol=1e-4,
        check_dtype=False,
    )
