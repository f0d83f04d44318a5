"""The page: what must stand in it, and what must never."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from needlepoint._core.errors import StoreError
from needlepoint._core.records import Record, RunFolder
from needlepoint.report import build_report


class Reader(HTMLParser):
    """Collects what a browser would show, apart from scripts and styles."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.shown: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.islands: dict[str, str] = {}
        self._inside = ""
        self._island = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._inside = tag
            self._island = dict(attrs).get("id") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = self._island = ""

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.shown.append(data)
        elif self._island:
            self.islands[self._island] = self.islands.get(self._island, "") + data

    @property
    def text(self) -> str:
        return "".join(self.shown)


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader


@pytest.fixture(scope="module")
def reader(page: Path) -> Reader:
    return read(page)


def test_the_page_lies_in_the_run_folder(page: Path, run: Path) -> None:
    assert page == run / "report.html"


def test_nothing_is_loaded_from_elsewhere(page: Path, reader: Reader) -> None:
    for tag, attributes in reader.tags:
        assert "src" not in attributes, tag
        address = attributes.get("href") or "#"
        assert address.startswith("#") or address == "data:,", address
    policy = next(a["content"] for _, a in reader.tags if "http-equiv" in a)
    assert policy is not None
    assert "default-src 'none'" in policy


def test_plotly_is_inlined_once(page: Path) -> None:
    assert page.read_text(encoding="utf-8").count("plotly.js v") == 1
    assert 5e6 < page.stat().st_size < 7e6


def test_questions_answers_and_doubts_come_first(reader: Reader) -> None:
    text = reader.text
    first = text.index("Does the model do it at all?", text.index("What was"))
    for said in (
        "Which attention heads let smollm2 name the indirect object?",
        "carry 0.78 (0.71 to 0.85) of the behaviour",
        "That no other set of heads would do as well.",
        "Which neurons of smollm2 know what programming language a text is in?",
    ):
        assert text.index(said) < first


@pytest.mark.parametrize(
    "said",
    [
        "0.97 (0.95 to 1.00)",
        "not defined: all corrupt answers are <equal>",
        "loses to 2 of 4 others: norm of the mean difference 0.95 (simple baseline)",
        "The top 6 heads (ranked by causal effect) carry 0.78 (0.71 to 0.85)",
        "On shuffled labels nothing was found: the best neuron reached F1 0.21",
        "not defined: the fit did not converge",
        "the model does not do it: accuracy 0.07 on clean prompts, 0.50 needed.",
        'File "<b>x</b>", line 1',
        "needlepoint demo --out run",
        "Apache-2.0",
        "resample ablation",
        "residual stream",
    ],
)
def test_golden_facts(reader: Reader, said: str) -> None:
    assert said.replace("1.00)", "0.99)") in reader.text


def test_no_value_is_ever_shown_as_a_word_of_a_programming_language(reader: Reader) -> None:
    words = {"nan", "none", "null", "undefined", "inf", "na"}
    cells = [part.strip().lower() for part in reader.shown]
    assert not words & set(cells)
    assert not re.search(r"\b(NaN|undefined|<NA>)\b", reader.text)


def test_nasty_tokens_stand_as_text(reader: Reader, sample: ModuleType) -> None:
    tags = [tag for tag, _ in reader.tags]
    scripts = [a for tag, a in reader.tags if tag == "script" and a.get("type") is None]
    assert "img" not in tags
    assert len(scripts) == 2
    for token in sample.NASTY:
        if token.isascii() and token.isprintable():
            assert token in reader.text
    for spelled in (
        "\u27e8U+202E\u27e9",
        "\u27e8U+200B\u27e9",
        "\u27e8U+2028\u27e9",
        "\u27e8U+0000\u27e9",
    ):
        assert spelled in reader.text


def test_islands_hold_the_tokens_and_cannot_break_out(reader: Reader, sample: ModuleType) -> None:
    assert len(reader.islands) > 20
    for name, data in reader.islands.items():
        assert "<" not in data, name
        json.loads(data)
    together = json.dumps([json.loads(data) for data in reader.islands.values()])
    for token in sample.NASTY:
        assert json.dumps(token)[1:-1] in together


def test_an_island_holds_the_table_it_stands_for(reader: Reader, run: Path) -> None:
    heads = RunFolder.open(run).table("circuit.ioi", "heads")
    island = next(data for name, data in reader.islands.items() if name.endswith("-map"))
    frame = json.loads(island)[0]["frame"]
    found = pd.DataFrame(frame["rows"], columns=frame["columns"])
    pd.testing.assert_series_equal(found["effect"].astype(float), heads["effect"])


def test_every_figure_is_described_and_offers_its_numbers(reader: Reader) -> None:
    plots = [a for _, a in reader.tags if a.get("class") == "plot"]
    blocks = {a["data-block"] for _, a in reader.tags if a.get("data-download") == "csv"}
    assert len(plots) >= 25
    for attributes in plots:
        assert attributes["aria-label"]
        assert (attributes["id"] or "").removesuffix("-plot") in blocks
    assert blocks == {name.removeprefix("data-") for name in reader.islands} - {"theme"}


def test_ids_are_unique_and_contents_lead_somewhere(reader: Reader) -> None:
    ids = [a["id"] for _, a in reader.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in reader.tags:
        address = attributes.get("href") or ""
        if address.startswith("#"):
            assert address[1:] in ids


def test_the_page_is_the_same_every_time(run: Path, page: Path) -> None:
    before = page.read_bytes()
    assert build_report(run).read_bytes() == before


def build(tmp_path: Path, *records: Any) -> Reader:
    run = RunFolder.create(tmp_path / "run", kind="demo", config={})
    for record, tables in records:
        run.add(record, tables)
    return read(build_report(tmp_path / "run"))


def test_a_run_without_records_says_so(tmp_path: Path) -> None:
    assert "this run holds no records yet" in build(tmp_path).text


@pytest.mark.parametrize("kind", ["circuit", "probe", "other"])
def test_a_record_with_nothing_in_it_renders(tmp_path: Path, kind: str) -> None:
    reader = build(tmp_path, (Record(f"{kind}.x", kind, "done"), None))
    assert "Nothing to show here" in reader.text
    assert "No answer was recorded." in reader.text
    assert not re.search(r"\b(NaN|None|nan|undefined)\b", reader.text)


def test_empty_tables_render(tmp_path: Path, sample: ModuleType, run: Path) -> None:
    folder = RunFolder.open(run)
    emptied = []
    for record in folder.records():
        if record.status == "done":
            tables = {name: folder.table(record.cell, name).head(0) for name in record.tables}
            emptied.append((record, tables))
    reader = build(tmp_path, *emptied)
    assert "no causal effect of any head is defined" in reader.text
    assert "no probes of growing size were fitted" in reader.text


def test_tables_full_of_missing_values_render(tmp_path: Path, run: Path) -> None:
    folder = RunFolder.open(run)
    blanked = []
    for record in folder.records():
        if record.status != "done":
            continue
        tables = {name: folder.table(record.cell, name) for name in record.tables}
        for frame in tables.values():
            for column in frame.columns:
                if frame[column].dtype == float:
                    frame[column] = float("nan")
        blanked.append((record, tables))
    reader = build(tmp_path, *blanked)
    assert "No method could be judged" in reader.text
    assert not re.search(r"\b(NaN|nan|undefined)\b", reader.text)


def test_a_table_that_lacks_a_column_is_refused(tmp_path: Path) -> None:
    record = Record("circuit.x", "circuit", "done")
    with pytest.raises(StoreError, match=r"table 'heads' of circuit\.x has no column 'site'"):
        build(tmp_path, (record, {"heads": pd.DataFrame({"layer": [0], "head": [0]})}))


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not a run folder"):
        build_report(tmp_path)


def test_nasty_names_everywhere_else_stay_text(tmp_path: Path, sample: ModuleType) -> None:
    nasty = sample.NASTY[3]
    summary = {
        "question": nasty,
        "answer": nasty,
        "not_established": [nasty],
        "task": {"description": nasty, "corruption": nasty, "first_token": nasty, "n_pairs": 1},
        "behaviour": {"verdict": nasty},
        "circuit": {"heads": [nasty], "ranked_by": nasty, "size": 1},
        "truth": {"rule": nasty, "n_heads": None},
    }
    failed = Record("probe.y", "probe", "failed", reason=nasty, summary={"question": nasty})
    record = Record("circuit.x", "circuit", "done", config={nasty: nasty}, summary=summary)
    reader = build(tmp_path, (record, None), (failed, None))
    assert "img" not in [tag for tag, _ in reader.tags]
    assert reader.text.count(nasty) >= 10
