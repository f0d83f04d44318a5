"""What people paste, as the files that studies read."""

from __future__ import annotations

import csv
import io
import json

from needlepoint._core.errors import DataError

PAIR = ("clean", "corrupt", "answer", "wrong")


def labelled_csv(positive: str, negative: str, table: str) -> str:
    r"""A CSV table of labelled text, from two boxes with one text a line, or as it was pasted.

    Raises:
        DataError: If a box is empty, or both boxes and a table were filled.

    Example:
        >>> print(labelled_csv("bonjour\nmerci", "hello", "").replace(chr(13), ""))
        text,label
        bonjour,yes
        merci,yes
        hello,no
        <BLANKLINE>
    """
    boxes = [[line for line in box.splitlines() if line.strip()] for box in (positive, negative)]
    if table.strip():
        if any(boxes):
            raise DataError("fill the two boxes or paste a table, not both.")
        return table.strip() + "\n"
    for name, box in zip(("with the feature", "without it"), boxes, strict=True):
        if not box:
            raise DataError(f"there are no texts {name}; write one on each line.")
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("text", "label"))
    for label, box in zip(("yes", "no"), boxes, strict=True):
        writer.writerows((text, label) for text in box)
    return out.getvalue()


def pair_lines(table: str) -> str:
    r"""Prompt pairs as JSON lines, from JSON lines or from CSV with a line of names.

    Several right or wrong answers of one pair are apart by `|`, in CSV.

    Raises:
        DataError: If nothing was pasted, or a column is missing.

    Example:
        >>> pair_lines("clean,corrupt,answer,wrong\na b,a c, d, e")
        '{"clean": "a b", "corrupt": "a c", "answer": " d", "wrong": " e"}\n'
    """
    if not table.strip():
        raise DataError("there are no pairs; paste JSON lines, or CSV with a line of names.")
    if table.lstrip().startswith("{"):
        return table.strip() + "\n"
    first = table.lstrip("\n").split("\n", 1)[0]
    delimiter = "\t" if "\t" in first else ","
    try:
        rows = list(csv.DictReader(io.StringIO(table.lstrip("\n")), delimiter=delimiter))
    except csv.Error as error:
        raise DataError(f"the pairs are not a CSV table ({error}).") from error
    missing = [name for name in PAIR if not rows or name not in rows[0]]
    if missing:
        raise DataError(
            f"the pairs have no column {missing[0]!r}; the first line must name {', '.join(PAIR)}."
        )
    return "".join(json.dumps(_pair(row), ensure_ascii=False) + "\n" for row in rows)


def _pair(row: dict[str, str | None]) -> dict[str, str | list[str]]:
    found: dict[str, str | list[str]] = {name: row[name] or "" for name in PAIR}
    for name in ("answer", "wrong"):
        several = (row[name] or "").split("|")
        found[name] = several if len(several) > 1 else several[0]
    return found
