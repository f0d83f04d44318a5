"""Pictures in a notebook: as images, so that nothing in them can run, and they last when saved."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, runtime_checkable

import pandas as pd

from needlepoint._core.errors import DataError
from needlepoint._core.records import Record, RunFolder
from needlepoint.report.display import Display
from needlepoint.report.figures.pictures import Picture, pictures
from needlepoint.report.figures.save import drawn_as, missing_numbers, require_matplotlib
from needlepoint.report.text import visible

MOST = 12
"""Pictures shown at once; a study of many features has hundreds."""


@runtime_checkable
class Found(Protocol):
    """What a study hands back: `needlepoint.Study`."""

    @property
    def record(self) -> Record:
        """How it ended, and what was found."""

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """Its tables by name."""


@dataclass(frozen=True)
class Shown:
    """Pictures with the words that belong to them; a notebook shows them when a cell ends in it."""

    html: str

    def _repr_html_(self) -> str:
        return self.html


def show(
    result: Found | RunFolder | Path | Display, only: str = "", *, width: float = 6.5
) -> Shown:
    """The pictures of a study, of a run folder, or one picture, to be seen in a notebook.

    They are drawn with matplotlib and stand there as images: no script comes with them, and a
    notebook that is saved shows them wherever it is opened.

    Args:
        result: A study, a run folder or its path, or a picture of `needlepoint.report.displays`.
        only: Part of the names of the pictures wanted, such as `faithful`; the first 12 unless
            given.
        width: Of each picture, in inches.

    Raises:
        SourceError: If matplotlib is not installed.
        DataError: If there is no picture, or none of such a name.

    Example:
        >>> import pandas as pd
        >>> from needlepoint.report.displays import PrecisionChart
        >>> methods = pd.DataFrame({"method": ["eap"], "label": ["EAP"], "auc": [0.9],
        ...     "average_precision": [0.8], "chance_precision": [0.1], "control": [False]})
        >>> "<img" in show(PrecisionChart(methods))._repr_html_()
        True
    """
    require_matplotlib()
    if isinstance(result, Display):
        return Shown(_html(Picture("picture", result), width))
    if isinstance(result, Found):
        with TemporaryDirectory() as folder:
            run = RunFolder.create(Path(folder) / "run", kind="study", config={})
            run.add(result.record, dict(result.tables))
            return _shown(run, only, width)
    return _shown(RunFolder.open(result) if isinstance(result, Path) else result, only, width)


def _shown(run: RunFolder, only: str, width: float) -> Shown:
    found = [picture for picture in pictures(run) if only in picture.name]
    if not found:
        raise DataError(f"there is no picture{f' with {only!r} in its name' if only else ''}.")
    parts = [_html(picture, width) for picture in found[:MOST]]
    if len(found) > MOST:
        more = ", ".join(escape(picture.name) for picture in found[MOST:])
        parts.append(f"<p>Not shown, name them with <code>only</code>: {more}</p>")
    return Shown("\n".join(parts))


def _html(picture: Picture, width: float) -> str:
    display = picture.display
    image = base64.b64encode(drawn_as(display, "svg", width)).decode()
    words = display.words
    said = [words.shows, words.read, words.limits, missing_numbers(display)]
    texts = "".join(f"<p>{_text(one)}</p>" for one in said if one)
    return (
        f'<figure style="margin:1em 0"><figcaption><b>{_text(display.title)}</b></figcaption>'
        f'<img style="max-width:100%;background:#fff" alt="{_text(display.alt())}" '
        f'src="data:image/svg+xml;base64,{image}">'
        f"<details><summary>How to read it</summary>{texts}</details></figure>"
    )


def _text(value: Any) -> str:
    return escape(visible(str(value)))
