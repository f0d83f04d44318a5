"""Records of many rows, a line for each row, so that they are small and a change to one is seen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from needlepoint._core.files import write_text
from needlepoint._core.records import jsonable

DIGITS = 5
"""Digits that are kept of a number."""


def write_compact(path: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """Write a record as JSON, and return it as it will be read."""
    write_text(path, _compact(jsonable(record)) + "\n")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _compact(record: Mapping[str, Any]) -> str:
    lines = []
    for key, value in record.items():
        value = _rounded(value)
        if isinstance(value, list) and value:
            rows = ",\n  ".join(json.dumps(row, separators=(",", ":")) for row in value)
            lines.append(f'"{key}": [\n  {rows}\n]')
        else:
            lines.append(f'"{key}": {json.dumps(value)}')
    return "{\n" + ",\n".join(lines) + "\n}"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    return value
