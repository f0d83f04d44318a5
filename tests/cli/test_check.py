"""`needlepoint check` says what is wrong with a file, and nothing where nothing is."""

from __future__ import annotations

import json

import pytest

TASK = """
from needlepoint.tasks import Pair, Task, pair_prompts


def make(encoder, *, n_pairs, seed=0, corruption="other"):
    letters = "abcdefghijklmnopqrstuvwxyz"
    pairs = [
        Pair(f"{seed % 10}{i:03}{letters[i % 11]}", f"{seed % 10}{i:03}{letters[i % 11 + 11]}",
             letters[i % 11 + 1], letters[i % 11 + 12])
        for i in range(n_pairs)
    ]
    return pair_prompts(pairs, encoder, task="next", description="Letters.",
                        question="Which letter?", corruption=corruption)


TASK = Task("next", "Next letter", "Letters.", "own", make, {"other": "Another letter."})
"""


@pytest.fixture
def check(cli, tiny_folder, no_load):
    return lambda path, *more: cli("check", path, "--model", tiny_folder, *more)


def test_a_sound_task_of_a_python_file(check, place) -> None:
    (place / "mine.py").write_text(TASK)
    done = check("mine.py")
    assert (done.status, done.out, done.err) == (
        0,
        "mine.py: nothing is wrong with the task next.\n",
        "",
    )


def test_faults_are_a_sentence_each(check, place) -> None:
    text = TASK.replace('"Another letter."', '""').replace("seed % 10", "0")
    (place / "mine.py").write_text(text.replace('"Which letter?"', '"Which"'))
    done = check("mine.py")
    assert done.status == 2
    assert done.err == ""
    lines = [line for line in done.out.splitlines() if line.startswith("FAULT  ")]
    assert len(lines) == 3
    assert "corruption 'other' is not described" in done.out
    assert "does not end in a question mark" in done.out
    assert "another seed gives the same pairs" in done.out
    assert done.out.splitlines()[-1] == "mine.py: 3 faults."


def test_a_file_of_pairs_and_tables_of_texts(check, place, induction, labelled) -> None:
    pairs = [
        {"clean": f"{i} ab", "corrupt": f"{i} cd", "answer": "x", "wrong": "y"} for i in range(8)
    ]
    (place / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    assert check("pairs.jsonl").out == "pairs.jsonl: nothing is wrong with the task pairs.\n"
    (place / "few.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs[:7]))
    few = check("few.jsonl")
    assert few.status == 2
    assert "few has 7 pairs; at least 8 are needed" in " ".join(few.out.split())
    pairs[1]["corrupt"] = "longer"
    (place / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    done = check("pairs.jsonl")
    assert done.status == 2
    assert "pair 2 (line 2 of pairs.jsonl): clean has 4 tokens, corrupt 6" in " ".join(
        done.out.split()
    )
    done = check(labelled)
    assert done.status == 0
    assert " ".join(done.out.split()).endswith("nothing is wrong with the collection digits.")


def test_a_table_with_too_few_documents(check, place) -> None:
    rows = ["text,label"] + [f"word{i} and others,{'yes' if i < 2 else 'no'}" for i in range(9)]
    (place / "few.csv").write_text("\n".join(rows) + "\n")
    done = check("few.csv")
    assert done.status == 2
    assert "feature 'label' has 2 documents" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("own.py", "x = 1\n", "own.py has neither a TASK nor a SPEC; define"),
        ("own.py", "import nothing_such\nSPEC = 1\n", "own.py, line 1: ModuleNotFoundError"),
        ("own.py", "SPEC = 1\n", "own.py: SPEC is of type int; it must be a CollectionSpec."),
        ("own.txt", "x", "own.txt is of no kind that can be checked; its name must end in .csv"),
    ],
)
def test_files_that_cannot_be_looked_at(check, place, name, text, message) -> None:
    (place / name).write_text(text)
    assert check(name).sentence.startswith(message)


def test_a_file_that_is_not_there(check) -> None:
    assert check("gone.csv").sentence == "gone.csv is not a file; check the path."


def test_studies_refuse_a_python_file_that_fails_before_a_model_is_loaded(
    cli, place, no_load, nothing_left_but_own
) -> None:
    (place / "own.py").write_text("x = 1\n")
    for command in (("circuit", "--task"), ("probe", "--features")):
        name = "TASK" if command[0] == "circuit" else "SPEC"
        assert f"own.py has no {name}; define a" in cli(*command, "own.py").sentence


@pytest.fixture
def nothing_left_but_own(place):
    yield
    assert [path.name for path in place.iterdir()] == ["own.py"]
