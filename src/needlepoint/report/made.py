"""How a page's numbers came about: model, settings, versions, machine, times, commands."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from needlepoint._core.records import Record
from needlepoint.report.text import UNDEFINED, missing, number

_MODEL = {
    "name": "model",
    "family": "family",
    "n_layers": "layers",
    "n_heads": "attention heads in each layer",
    "n_kv_heads": "key-value heads in each layer",
    "d_model": "width of the residual stream",
    "d_head": "width of a head",
    "d_mlp": "neurons in each layer",
    "dtype": "precision",
    "licence": "licence",
    "sha256": "content hash (SHA-256)",
}


@dataclass(frozen=True)
class Facts:
    """A titled list of names and values."""

    title: str
    rows: list[tuple[str, str]]


def commands(header: Mapping[str, Any]) -> list[str]:
    """The exact commands that made the run, if it recorded them.

    They are looked for as `command` or `commands`, in `run.json` or in its `config`; a list of
    words is joined as a shell would need it.
    """
    config = header.get("config")
    places = [header, config if isinstance(config, Mapping) else {}]
    for place in places:
        for key in ("commands", "command"):
            found = place.get(key)
            if isinstance(found, str):
                return [found]
            if isinstance(found, Sequence) and found:
                return [str(line) for line in found]
    return []


def facts(header: Mapping[str, Any], records: Sequence[Record]) -> list[Facts]:
    """Lists for the section "How this was made", in the order of reading."""
    model = header.get("model") or {}
    known = [(words, _shown(model[key])) for key, words in _MODEL.items() if key in model]
    extra = [(key, _shown(value)) for key, value in model.items() if key not in _MODEL]
    run = [(key, _shown(header[key])) for key in ("status", "started", "ended") if key in header]
    run += [(f"{record.cell}, seconds", number(float(record.seconds), 1)) for record in records]
    lists = [
        Facts("Model", known + extra),
        Facts("Run", run),
        Facts("Machine", _rows(header.get("machine"))),
        Facts("Versions", _rows(header.get("versions"))),
        Facts("Configuration", _rows(header.get("config"))),
    ]
    for record in records:
        lists.append(Facts(f"Settings of {record.cell}", _rows(record.config)))
        lists.append(Facts(f"Seconds of {record.cell}", _rows(record.summary.get("seconds"))))
    return [entry for entry in lists if entry.rows]


def _rows(values: Any) -> list[tuple[str, str]]:
    if not isinstance(values, Mapping):
        return []
    return [(str(key), _shown(value)) for key, value in values.items()]


def _shown(value: Any) -> str:
    if missing(value):
        return UNDEFINED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}".replace("-", "\u2212")
    if isinstance(value, (Mapping, list, tuple)):
        return json.dumps(value, ensure_ascii=False).replace("null", UNDEFINED)
    return str(value)
