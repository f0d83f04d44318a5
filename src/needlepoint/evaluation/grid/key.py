"""The key of a cell: the hash of all that its result depends on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from needlepoint.evaluation.grid.cells import Cell
from needlepoint.evaluation.grid.inputs import Inputs


def cell_key(cell: Cell, inputs: Inputs, dtype: str) -> str:
    """Hash of a cell's settings, weights, data, precision and the version of needlepoint.

    Of a file its name and content count, not where it lies. The machine, its threads and the
    executor do not count: they may move the last digits, and `verify` says how many.

    Example:
        >>> from needlepoint.evaluation.grid.cells import cells_of
        >>> from needlepoint.evaluation.grid.config import GridConfig
        >>> cells = cells_of(GridConfig(tasks=("ioi",), repeats=2))
        >>> len({cell_key(cell, Inputs(), "float32") for cell in cells})
        2
    """
    config: dict[str, Any] = asdict(cell.config)
    for name in ("task", "features", "source"):
        if config.get(name) in inputs.data:
            config[name] = [Path(config[name]).name, inputs.data[config[name]].sha256]
    model = inputs.models.get(cell.model)
    what = {
        "kind": cell.kind,
        "config": config,
        "model": model.sha256 if model else "",
        "dtype": dtype,
        "version": inputs.version,
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
