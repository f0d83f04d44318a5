"""Config files are read as they are meant, or refused in one sentence, whatever is in them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from needlepoint._core.errors import NeedlepointError
from needlepoint.evaluation.configs import HeadsConfig
from needlepoint.evaluation.grid.config import GridConfig
from needlepoint.evaluation.grid.plain_file import LARGEST
from needlepoint.evaluation.grid.read_config import config_of, json_schema, read_config, values_of

DOCS = Path(__file__).parents[3] / "docs"
GRID = GridConfig(
    models=("smollm2",), tasks=("ioi", "agreement"), repeats=3, heads=HeadsConfig(edges=4)
)
SAME = {
    "toml": 'tasks = ["ioi", "agreement"]\nrepeats = 3\n[heads]\nedges = 4\n',
    "yaml": "tasks: [ioi, agreement]\nrepeats: 3\nheads:\n  edges: 4\n",
    "json": '{"tasks": ["ioi", "agreement"], "repeats": 3, "heads": {"edges": 4}}',
}
HEAVY = {"suppress_health_check": [HealthCheck.function_scoped_fixture], "deadline": None}


def refusal(path: Path, content: str | bytes) -> str:
    """The one sentence with which a file is refused, within two seconds of work.

    Seconds of the processor, as those of the clock pass while other tests have it.
    """
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    start = time.process_time()
    with pytest.raises(NeedlepointError) as caught:
        read_config(path)
    assert time.process_time() - start < 2
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    assert text.isprintable()
    assert text.endswith((".", "?"))
    return text


@pytest.mark.parametrize("kind", SAME)
def test_three_ways_to_write_one_grid(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"grid.{kind}"
    path.write_text(SAME[kind])
    assert read_config(path) == GRID


def test_a_config_comes_back_from_its_values() -> None:
    assert config_of(json.loads(json.dumps(values_of(GRID)))) == GRID


def test_the_schema_in_the_docs_is_the_one_in_force() -> None:
    kept = json.loads((DOCS / "grid.schema.json").read_text(encoding="utf-8"))
    assert kept == json_schema(), "run: needlepoint schema > docs/grid.schema.json"


def test_the_schema_describes_every_setting_and_none_that_cannot_be_given() -> None:
    schema = json_schema()
    parts = [schema, *schema["$defs"].values()]
    assert all(one["description"] for part in parts for one in part["properties"].values())
    assert all(part["additionalProperties"] is False for part in parts)
    assert "task" not in schema["$defs"]["HeadsConfig"]["properties"]
    assert "seed" not in schema["$defs"]["NeuronsConfig"]["properties"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"taks": ["ioi"]}, ["unknown setting 'taks'", "did you mean 'tasks'"]),
        ({"heads": {"score_pars": 9}}, ["unknown setting of heads", "did you mean 'score_pairs'"]),
        ({"repeats": "3"}, ["repeats is '3' (a text); it must be a whole number, without quotes"]),
        ({"repeats": 3.0}, ["repeats is 3.0 (a number); it must be a whole number"]),
        ({"repeats": True}, ["repeats is true or false; it must be a whole number"]),
        ({"repeats": -1}, ["repeats is -1; it must be at least 1"]),
        ({"tasks": "ioi"}, ["tasks is 'ioi' (a text); it must be a list, as in [...]"]),
        ({"tasks": ["ioi", 3]}, ["item 2 of tasks is 3 (a number); it must be a text, in quotes"]),
        ({"tasks": []}, ["there is nothing to ask"]),
        ({"heads": 3}, ["heads is 3 (a number); it must be a table of settings"]),
        ({"heads": {"task": "ioi"}}, ["heads.task comes from tasks of the grid; leave it out"]),
        ({"heads": {"score_pairs": 2}}, ["score_pairs is 2; it must be at least 8"]),
        ({"neurons": {"prevalence": "x"}}, ["neurons.prevalence is 'x'", "a number"]),
        ({"seed": None}, ["seed is nothing; it must be a whole number"]),
    ],
)
def test_wrong_values_are_named_with_their_place(tmp_path: Path, content, words) -> None:
    text = refusal(tmp_path / "grid.json", json.dumps({"tasks": ["ioi"], **content}))
    for word in words:
        assert word in text


BOMB = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [*{old}, *{old}, *{old}, *{old}]\n" for old, new in pairwise("abcdefghij")
)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("g.txt", "", "its name must end in .toml, .yaml, .yml, .json"),
        ("g.toml", b"tasks = ['\xff']\n", "line 1 of"),
        ("g.toml", b"a = 1\n\nb = '\xe9'", "is not UTF-8; save the file as UTF-8"),
        ("g.toml", "tasks = [", "cannot be read as TOML"),
        ("g.toml", "seed = 2026-01-01", "put it in quotes"),
        ("g.toml", "x = " + "[" * 5000, "is nested too deeply"),
        ("g.toml", "a." * 3000 + "b = 1", "g.toml"),
        ("g.toml", "a." * 60_000 + "b = 1", "a key has more than 1000 parts (line 1)"),
        ("g.json", "[" * 50_000, "is nested too deeply"),
        ("g.json", '{"tasks": ["ioi"], "tasks": ["x"]}', "'tasks' stands twice"),
        ("g.json", '{"tasks": ["\\ud800"]}', "a value cannot be read"),
        ("g.json", '{"tasks": ["ioi"], "seed": ' + "9" * 5000 + "}", "cannot be read as JSON"),
        ("g.json", '{"tasks": ["ioi"], "seed": NaN}', "seed is nan"),
        ("g.json", "[1]", "a config is a table of settings, not a list"),
        ("g.yaml", "", "a config is a table of settings, not nothing"),
        ("g.yaml", BOMB, "anchors and aliases are not read"),
        ("g.yaml", "a: {<<: {b: 1}}", "unknown setting 'a'"),
        ("g.yaml", "tasks: !!python/object/apply:os.system [ls]", "tags are not read"),
        ("g.yaml", "tasks: [ioi]\ntasks: [x]", "'tasks' stands twice"),
        ("g.yaml", "? [1]\n: 2", "is not a text; put it in quotes"),
        ("g.yaml", "1: 2", "the key 1 is not a text"),
        ("g.yaml", "[" * 50_000, "is nested too deeply"),
        ("g.yaml", "- " * 20_000, "is nested too deeply"),
        ("g.yaml", "a: b: c", "cannot be read as YAML"),
        ("g.yaml", "tasks: [ioi]\nrepeats: 1000000000000", "100,000 are the most"),
        ("g.toml", "#" * (LARGEST + 1), "has more than 128 kB"),
    ],
)
def test_files_that_are_no_config(tmp_path: Path, name: str, content, words: str) -> None:
    assert words in refusal(tmp_path / name, content)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NeedlepointError, match="is not a file; check the path of the config"):
        read_config(tmp_path / "none.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(NeedlepointError, match="is not a file"):
        read_config(tmp_path / "folder.toml")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def said(read: Callable[[], GridConfig]) -> str:
    """The sentence of a refusal; empty if a grid was read. Anything else is raised."""
    try:
        read()
    except NeedlepointError as error:
        return str(error)
    return ""


NAMES = st.sampled_from([*values_of(GRID), "task", "", "\x00", "heads.edges"])


@settings(max_examples=150, **HEAVY)
@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_any_values_are_a_grid_or_one_sentence(values) -> None:
    assert said(lambda: config_of(values)).isprintable()


@settings(max_examples=150, **HEAVY)
@given(st.sampled_from(sorted(SAME)), st.binary(max_size=60), st.data())
def test_any_bytes_are_a_grid_or_one_sentence(
    tmp_path: Path, kind: str, noise: bytes, data
) -> None:
    whole = SAME[kind].encode()
    place = data.draw(st.integers(0, len(whole)))
    cut = data.draw(st.integers(0, 12))
    path = tmp_path / f"grid.{kind}"
    path.write_bytes(whole[:place] + noise + whole[place + cut :])
    assert "\n" not in said(lambda: read_config(path))
