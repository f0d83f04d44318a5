"""A task of the user's own: one prompt pair for each line of a JSONL file."""

from __future__ import annotations

import json
import re
from pathlib import Path

from needlepoint._core.errors import DataError
from needlepoint._core.text import Encoder
from needlepoint.tasks.pairs import Pair, Prompts, pair_prompts

COLUMNS = ("clean", "corrupt", "answer", "wrong")


def from_file(path: str | Path, encoder: Encoder) -> Prompts:
    """Prompt pairs from a JSONL file with `clean`, `corrupt`, `answer` and `wrong`.

    A line reads `{"clean": "The opposite of hot is", "corrupt": "The opposite of big is",
    "answer": " cold", "wrong": " small"}`. Answers are the exact text of the next token: where
    the token has a leading space, write it. Where several tokens are right, or wrong, give a list
    of texts: `"wrong": [" small", " tiny"]`. Blank lines and further columns are ignored.

    Raises:
        DataError: If the file cannot be read, a line is not a JSON object with these four
            columns, or a pair cannot be used (see `pair_prompts`). The message names the line.
    """
    path = Path(path)
    pairs, lines = [], []
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip():
            pairs.append(_pair(line, f"line {number} of {path}"))
            lines.append(number)
    if not pairs:
        raise DataError(f"{path} has no lines; write one JSON object for each prompt pair.")
    return pair_prompts(
        pairs,
        encoder,
        task=task_name(path),
        description=f"Prompt pairs from {path.name}.",
        question=f"Which attention heads let the model tell the answers of {path.name} apart?",
        corruption="from file",
        lines=lines,
        source=str(path),
    )


def task_name(path: Path) -> str:
    """A name for the task, from the file's own and safe as part of a file name.

    Example:
        >>> task_name(Path("data/my task (2).jsonl"))
        'my_task_2'
    """
    return re.sub(r"[^A-Za-z0-9_.\-]+", "_", path.stem).strip("_.-") or "task"


def read_lines(path: Path) -> list[str]:
    """Lines of a UTF-8 text file, ended by a line feed alone or after a carriage return.

    Raises:
        DataError: If it is missing, a folder, unreadable, or not UTF-8.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist; check the path.")
    if not path.is_file():
        raise DataError(f"{path} is not a file; give a JSONL file.")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error
    try:
        return content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"line {line} of {path} is not UTF-8; save the file as UTF-8.") from error


def _pair(line: str, where: str) -> Pair:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is not JSON ({error}); write one JSON object a line.") from error
    if not isinstance(row, dict):
        raise DataError(f"{where} is {_kind(row)}, not an object; write {{...}} with {_names()}.")
    for name in COLUMNS:
        if name not in row:
            there = ", ".join(map(str, row)) or "none"
            raise DataError(f"{where} has no {name!r}; needed are {_names()}, there are: {there}.")
    clean, corrupt = (_text(row[name], name, where) for name in ("clean", "corrupt"))
    answer, wrong = (_answer(row[name], name, where) for name in ("answer", "wrong"))
    return Pair(clean, corrupt, answer, wrong)


def _text(value: object, name: str, where: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{where}: {name} is {_kind(value)}; write it as a text in quotes.")
    return value


def _answer(value: object, name: str, where: str) -> str | tuple[str, ...]:
    """One text, or the texts of a list."""
    if isinstance(value, list):
        return tuple(_text(item, f"item {i} of {name}", where) for i, item in enumerate(value, 1))
    return _text(value, name, where)


def _names() -> str:
    return ", ".join(COLUMNS)


def _kind(value: object) -> str:
    """What JSON calls the type of a value."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return "null" if value is None else names.get(type(value), "a number")
