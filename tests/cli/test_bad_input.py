"""Wrong input ends in one sentence with the fix, status 2, and nothing left behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("nothing_left")

PAIR = {"clean": "A then B", "corrupt": "C then D", "answer": "x", "wrong": "y"}


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """Where the user's files are."""
    folder = tmp_path / "given"
    folder.mkdir()
    return folder


def without(name: str) -> str:
    return json.dumps({key: value for key, value in PAIR.items() if key != name})


def changed(**values: object) -> str:
    return json.dumps({**PAIR, **values})


GOOD = json.dumps(PAIR)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (without("wrong"), ["line 2 of", "has no 'wrong'", "clean, corrupt, answer, wrong"]),
        ("{clean: 1}", ["line 2 of", "is not JSON", "write one JSON object a line"]),
        ('["A", "B"]', ["line 2 of", "is a list, not an object"]),
        (changed(clean="  "), ["pair 2 (line 2 of", "clean is empty; give a prompt"]),
        (changed(answer=""), ["pair 2 (line 2 of", "answer is empty; give the text"]),
        (changed(wrong=3), ["line 2 of", "wrong is a number; write it as a text"]),
        (changed(wrong="x"), ["answer and wrong are both 'x'; give two different tokens"]),
    ],
)
@pytest.mark.usefixtures("no_load")
def test_a_task_file_that_no_model_could_use(cli, given, line, words) -> None:
    path = given / "pairs.jsonl"
    path.write_text(f"{GOOD}\n{line}\n{GOOD}\n")
    sentence = cli("circuit", "--task", path).sentence
    for word in words:
        assert word in sentence


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (changed(corrupt="C th D"), ["pair 2 (line 2", "8 tokens, corrupt 6; make them equal"]),
        (changed(answer="xyz"), ["answer 'xyz' is 3 tokens ('x' + 'y' + 'z'), not one"]),
    ],
)
def test_a_task_file_that_this_model_cannot_use(cli, given, tiny_folder, line, words) -> None:
    path = given / "pairs.jsonl"
    path.write_text(f"{GOOD}\n{line}\n{GOOD}\n")
    arguments = ("circuit", "--task", path, "--model", tiny_folder, "--dtype", "float32")
    sentence = cli(*arguments).sentence
    for word in words:
        assert word in sentence


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "text,label\none,yes\ntwo,yes\n", ["'label' is yes in all 2 rows"]),
        ("a.csv", "text,label\none,c\ntwo,c\n", ["'label' is 'c' in all 2 rows"]),
        ("a.csv", "words,label\none,yes\ntwo,no\n", ["no column 'text'", "are: words, label"]),
        ("a.csv", "text,kind\none,yes\ntwo,no\n", ["no column 'label'", "are: text, kind"]),
        ("a.csv", "text,label\none,yes\n ,no\n", ["row 2 of", "empty text; fill it or leave it"]),
        ("a.csv", "text,label\none,yes\ntwo,\n", ["row 2 of", "has no 'label'; give it a label"]),
        ("a.csv", "text,label\none,yes\na,b,c,d\n", ["is not a CSV table"]),
        ("a.csv", "", ["is not a CSV table"]),
        ("a.csv", "text,label\n", ["has no rows; write one for each text"]),
        ("a.jsonl", '{"text": "one"\n', ["line 1 of", "is not JSON"]),
        (
            "a.jsonl",
            '{"text": "one two", "spans": [[4, 99, "noun"]]}\n',
            ["row 1 of", "'noun'", "99"],
        ),
        ("a.jsonl", '{"text": "one", "spans": [[1, 2]]}\n', ["is not a span; write [start, end"]),
        ("a.jsonl", '{"text": "one", "spans": []}\n', ["no labelled span in any text"]),
        ("a.parquet", "PAR1 nonsense", ["damaged or not Parquet"]),
        ("a.txt", "text", ["is not a .csv, .jsonl, .parquet file; convert it"]),
    ],
)
@pytest.mark.usefixtures("no_load")
def test_a_feature_file_that_no_model_could_use(cli, given, name, content, words) -> None:
    path = given / name
    path.write_text(content)
    sentence = cli("probe", "--features", path).sentence
    for word in words:
        assert word in sentence


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["circuit", "--task", "iio"], ["unknown task 'iio': did you mean 'ioi'? Known: "]),
        (["circuit", "--task", "none.jsonl"], ["none.jsonl does not exist; check the path."]),
        (["circuit", "--methods", "random", "discret_sae"], ["did you mean 'discrete_sae'?"]),
        (["circuit", "--methods", "eapp"], ["unknown method 'eapp'", "did you mean 'eap'?"]),
        (["probe", "--features", "programming"], ["did you mean 'programming_language'?"]),
        (["probe", "--features", "none.csv"], ["none.csv does not exist; check the path."]),
        (["probe", "--ranking", "acu"], ["unknown ranking 'acu': did you mean 'auc'? Known: "]),
        (["probe", "--deletion", "wold"], ["unknown deletion 'wold': did you mean 'wald'?"]),
        (
            ["probe", "--method", "forward", "--ranking", "auc"],
            ["ranking is auc, but forward starts from no ranking; use it with adaptive_"],
        ),
        (["report", "nowhere"], ["nowhere is not a run folder: it has no run.json."]),
    ],
)
@pytest.mark.usefixtures("no_load")
def test_a_name_that_is_not_known(cli, arguments, words) -> None:
    sentence = cli(*arguments).sentence
    for word in words:
        assert word in sentence


NUMBERS = [
    ("circuit", "--score-pairs", 7),
    ("circuit", "--ablate-pairs", 1),
    ("circuit", "--holdout-pairs", 1),
    ("circuit", "--random-circuits", 0),
    ("circuit", "--sae-seeds", 0),
    ("circuit", "--edges", 0),
    ("circuit", "--curve-pairs", 1),
    ("circuit", "--stability", 1),
    ("probe", "--examples", 0),
    ("probe", "--tokens", -5),
    ("probe", "--max-k", 0),
    ("probe", "--permutations", 0),
    ("probe", "--ablate-features", -1),
    ("probe", "--ablate-texts", 1),
    ("probe", "--random-neurons", 0),
    ("probe", "--cards", -1),
    ("probe", "--sparse-null", -1),
]


@pytest.mark.parametrize(("command", "option", "value"), NUMBERS)
@pytest.mark.usefixtures("no_load")
def test_a_number_that_is_too_small(cli, command, option, value) -> None:
    name = option.removeprefix("--").replace("-", "_")
    found = cli(command, option, value).sentence
    assert found.startswith(f"{name} is {value}; it must be at least ")
    least = int(found.rstrip(".").rpartition(" ")[2])
    assert least > value
    assert "must be at least" not in cli(command, option, least, "--out", "/dev/null").sentence


@pytest.mark.usefixtures("no_load")
def test_a_folder_in_use(cli, given) -> None:
    (given / "thesis.txt").write_text("years of work")
    for command in ("demo", "circuit", "probe"):
        sentence = cli(command, "--out", given).sentence
        assert "is not empty; choose another folder with --out" in sentence
    assert [path.name for path in given.iterdir()] == ["thesis.txt"]


def test_a_model_that_cannot_be_had(cli, given) -> None:
    sentence = cli("circuit", "--model", "nobody/nothing").sentence
    assert sentence.startswith("no model 'nobody/nothing': it is neither smollm2, gemma3-270m, nor")
    assert "has no config.json" in cli("probe", "--model", given).sentence
    (given / "config.json").write_text("{}")
    assert "no weights; give a folder with safetensors" in cli("demo", "--model", given).sentence
    assert "there is no file none.gguf" in cli("models", "--check", "none.gguf").sentence
    (given / "bad.gguf").write_bytes(b"GGUF nonsense")
    bad = cli("models", "--check", given / "bad.gguf")
    assert bad.status == 2
    note, line = bad.err.splitlines()
    assert note.startswith("Converting bad.gguf")
    assert "is not a GGUF model that transformers can read" in line


def test_a_precision_that_is_not_one(cli) -> None:
    assert cli("circuit", "--dtype", "int8").sentence == (
        "dtype 'int8' is not one of auto, float32, bfloat16, float16."
    )


@pytest.fixture
def pairs_of_bytes(given: Path) -> Path:
    path = given / "pairs.jsonl"
    letters = "abcdefghijklmnopqrst"
    lines = [changed(clean=f"{one} then {one}", corrupt="A then B") for one in letters]
    path.write_text("\n".join(lines))
    return path


def test_a_behaviour_that_is_not_there(cli, tiny_folder, pairs_of_bytes) -> None:
    arguments = ("--task", pairs_of_bytes, "--model", tiny_folder, "--dtype", "float32")
    sentence = cli("circuit", *arguments, "--sae-seeds", 1).sentence
    assert "tiny does not do pairs well enough to look for its circuit" in sentence
    assert "of clean prompts, by" in sentence
    assert "Needed: right on at least 60% of clean prompts" in sentence


def test_a_tokenizer_without_the_words_of_a_task(cli, tiny_folder) -> None:
    sentence = cli("circuit", "--model", tiny_folder, "--dtype", "float32").sentence
    assert "names" in sentence
    assert "one token" in sentence


def test_a_site_that_the_model_does_not_have(planted) -> None:
    import needlepoint

    with pytest.raises(
        needlepoint.NeedlepointError, match=r"'L3\.H7' is not a site; write one like"
    ):
        needlepoint.Site.parse("L3.H7")
    with (
        pytest.raises(needlepoint.NeedlepointError, match="planted has layers 0 to 2"),
        needlepoint.record(planted.model, ["L3.mlp.neurons"]),
    ):
        pass
