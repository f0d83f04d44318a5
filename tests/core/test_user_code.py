"""A user's own file is run, or what is wrong with it is one sentence."""

from __future__ import annotations

import pytest

from needlepoint._core.errors import DataError
from needlepoint._core.user_code import object_of_file


def test_the_object_is_what_the_file_defines(tmp_path) -> None:
    path = tmp_path / "own.py"
    path.write_text("import math\nSPEC = {'pi': math.pi}\n")
    assert object_of_file(path, "SPEC", dict)["pi"] > 3


def test_a_dataclass_with_written_annotations_can_be_defined(tmp_path) -> None:
    path = tmp_path / "own.py"
    path.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass A:\n    x: int = 1\nSPEC = A()\n"
    )
    assert object_of_file(path, "SPEC", object).x == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", r"own\.py has no SPEC; define a dict under that name\."),
        ("SPEC = 3\n", r"own\.py: SPEC is of type int; it must be a dict\."),
        ("x = 1\nx = = 2\n", r"own\.py, line 2: invalid syntax\."),
        ("x = 1\n\nimport nothing_of_the_kind\n", r"own\.py, line 3: ModuleNotFoundError: No mod"),
        ("def f():\n    return 1 / 0\n\nf()\n", r"own\.py, line 2: ZeroDivisionError: division"),
        ("import sys\nsys.exit(0)\n", r"own\.py, line 2: SystemExit: 0\.$"),
        ("raise ValueError('one\\ntwo')\n", r"own\.py, line 1: ValueError: one\.$"),
    ],
)
def test_what_is_wrong_is_one_sentence_with_the_line(tmp_path, text: str, message: str) -> None:
    path = tmp_path / "own.py"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        object_of_file(path, "SPEC", dict)


def test_a_file_that_is_not_there(tmp_path) -> None:
    with pytest.raises(DataError, match=r"gone\.py is not a file; check the path"):
        object_of_file(tmp_path / "gone.py", "SPEC", dict)
