"""A file of pairs is read as written, and each thing wrong with it is said with its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from needlepoint._core.errors import DataError, UnknownNameError
from needlepoint.tasks import TASKS, from_file, load_task
from needlepoint.tasks.ioi import make

ROW = {"clean": "It is cold", "corrupt": "It is big", "answer": " hot", "wrong": " small"}
SECOND = {**ROW, "clean": "It is hot", "answer": " cold"}


@pytest.fixture
def write(tmp_path):
    def write(*lines: object) -> Path:
        path = tmp_path / "pairs.jsonl"
        text = (line if isinstance(line, str) else json.dumps(line) for line in lines)
        path.write_text("\n".join(text) + "\n", encoding="utf-8")
        return path

    return write


def test_a_good_file_is_read_as_written(write, encoder):
    prompts = from_file(write({**ROW, "note": "ignored", "n": 3}, "", SECOND), encoder)
    assert prompts.task == "pairs"
    assert [pair.answer for pair in prompts.pairs] == [" hot", " cold"]
    assert prompts.question.endswith("?")
    assert prompts.positions == {}


def test_several_right_or_wrong_tokens_are_a_list(write, encoder):
    prompts = from_file(write({**ROW, "wrong": [" small", " cold"]}, SECOND), encoder)
    assert prompts.pairs[0].wrong == (" small", " cold")
    assert prompts.pairs[0].answer == " hot"
    assert [len(ids) for ids in prompts.wrong_ids] == [2, 1]
    alone = from_file(write({**ROW, "wrong": [" small"]}, SECOND), encoder)
    assert alone.sha256 == from_file(write(ROW, SECOND), encoder).sha256


def test_line_ends_and_a_byte_order_mark_do_not_matter(write, encoder):
    path = write(ROW, SECOND)
    plain = from_file(path, encoder).sha256
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert from_file(path, encoder).sha256 == plain


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("{not json", r"line 2 of .*pairs\.jsonl is not JSON \(.*\); write one JSON object a line"),
        ([1, 2], r"line 2 of .* is a list, not an object; write \{\.\.\.\} with clean, corrupt"),
        (
            {"clean": "a", "corrupt": "b", "answer": " hot"},
            r"line 2 of .* has no 'wrong'; needed are .*, there are: clean, corrupt, answer\.$",
        ),
        ({**ROW, "answer": 7}, r"line 2 of .*: answer is a number; write it as a text in quotes"),
        ({**ROW, "wrong": None}, r"line 2 of .*: wrong is null"),
        ({**ROW, "wrong": []}, r"pair 2 \(line 2 of .*\): wrong is empty"),
        ({**ROW, "wrong": [" small", 7]}, r"line 2 of .*: item 2 of wrong is a number; write it"),
        ({**ROW, "wrong": [" small", " hot"]}, r"answer and wrong are both ' hot'"),
        ({**ROW, "clean": ["It"]}, r"line 2 of .*: clean is a list; write it as a text in quotes"),
        ({**ROW, "clean": " "}, r"pair 2 \(line 2 of .*\): clean is empty"),
        ({**ROW, "clean": "It is cold cold"}, r"pair 2 \(line 2 of .*\): clean has \d tokens, cor"),
        (
            {**ROW, "answer": " hot cold"},
            r"pair 2 \(line 2 of .*\): answer ' hot cold' is 2 tokens",
        ),
        ({**ROW, "answer": "cold"}, r"with a leading space, ' cold', it is one: write it so\.$"),
        ({**ROW, "answer": " small"}, r"answer and wrong are both ' small'"),
    ],
)
def test_a_bad_line_is_named(write, encoder, bad, message):
    with pytest.raises(DataError, match=message):
        from_file(write(ROW, bad), encoder)


def test_bad_files_are_named(write, encoder, tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.jsonl does not exist; check the path"):
        from_file(tmp_path / "nowhere.jsonl", encoder)
    with pytest.raises(DataError, match="is not a file; give a JSONL file"):
        from_file(tmp_path, encoder)
    with pytest.raises(DataError, match="has no lines"):
        from_file(write("", "  "), encoder)
    with pytest.raises(DataError, match=r"pairs\.jsonl has 1 pair; at least 2 are needed"):
        from_file(write(ROW), encoder)
    path = write(ROW, SECOND)
    path.write_bytes(path.read_bytes() + b'{"clean": "\xff"}\n')
    with pytest.raises(DataError, match=r"line 3 of .* is not UTF-8; save the file as UTF-8"):
        from_file(path, encoder)


def test_load_task_takes_names_and_paths(write, encoder):
    assert next(iter(TASKS)) == "ioi"
    assert load_task("ioi", encoder, n_pairs=4, seed=3) == make(encoder, n_pairs=4, seed=3)
    assert load_task("ioi", encoder).n_pairs == 200
    path = write(ROW, SECOND, {**ROW, "clean": "It is small"})
    assert load_task(path, encoder).n_pairs == 3
    assert load_task(str(path), encoder, n_pairs=2).n_pairs == 2


def test_load_task_refuses_what_is_neither(encoder, tmp_path):
    with pytest.raises(UnknownNameError, match=r"unknown task 'iio': did you mean 'ioi'\?"):
        load_task("iio", encoder)
    with pytest.raises(DataError, match=r"missing\.jsonl does not exist"):
        load_task(tmp_path / "missing.jsonl", encoder)
    with pytest.raises(DataError, match="n_pairs is 0"):
        load_task("ioi", encoder, n_pairs=0)
