"""Styles and scripts of the explorer's pages: packaged, and served by name from a fixed list."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files

from plotly.offline import get_plotlyjs

from needlepoint._core.errors import UnknownNameError
from needlepoint.report import theme

_OWN = (
    "explorer.css",
    "common.js",
    "tokens.js",
    "pattern.js",
    "live_state.js",
    "live.js",
    "runs.js",
    "search.js",
    "compare.js",
    "studies.js",
    "pins.js",
)
_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}


@lru_cache(maxsize=32)
def asset(name: str) -> tuple[str, str]:
    """The text of an asset, and its media type.

    Raises:
        UnknownNameError: If it is none of ours.
    """
    if name in _OWN:
        text = _packaged("needlepoint.explorer.server", "static", name)
    elif name == "report.css":
        text = _packaged("needlepoint.report", "templates", "style.css")
    elif name == "plotly.js":
        text = get_plotlyjs()
    elif name == "colours.js":
        text = f"export const DARK = {json.dumps(theme.DARK)};\n"
    else:
        raise UnknownNameError(f"there is no asset {name[:60]!r}.")
    return text, _TYPES[name.rpartition(".")[2]]


def _packaged(package: str, folder: str, name: str) -> str:
    return files(package).joinpath(folder, name).read_text(encoding="utf-8")
