"""Every picture of a run written as a figure, its numbers as CSV beside it, and the captions."""

from __future__ import annotations

import io
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from needlepoint._core.errors import DataError, SourceError
from needlepoint._core.files import atomic_path, storage_errors, write_text
from needlepoint._core.progress import Bar
from needlepoint._core.records import RunFolder
from needlepoint.report.display import Display
from needlepoint.report.figures.pictures import Picture, pictures

FORMATS = ("pdf", "png", "svg")
_DATED = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}
"""No time of writing in the files: the same numbers give the same bytes."""


@dataclass(frozen=True)
class Saved:
    """What was written."""

    folder: Path
    figures: tuple[Path, ...]
    numbers: tuple[Path, ...]
    """The CSV files, in the order of the figures."""
    captions: Path


def save_figures(
    run: Path,
    out: Path | None = None,
    *,
    kind: str = "pdf",
    width: float = 5.5,
    only: str = "",
) -> Saved:
    """Write every picture of a run's page as a figure for a paper.

    From the records alone, without a model. Beside each figure is a CSV file of exactly the
    numbers drawn, and `captions.md` says of each what it shows, how to read it and what it
    cannot tell. Files of the same names are replaced.

    Args:
        run: A run folder.
        out: Where to; the folder `figures` of the run unless given.
        kind: `pdf` (letters stay letters), `svg`, or `png` with 300 dots to the inch.
        width: Of each figure, in inches: 5.5 is a page of one column, 3.25 a column of two.
        only: Part of the names of the figures that are wanted; all unless given.

    Raises:
        SourceError: If matplotlib is not installed.
        DataError: If the format is not known, the width is not between 2 and 20 inches, or the
            run has no picture, or none of such a name.
        StoreError: If the folder holds no run, or a record or table is damaged.
    """
    _check(kind, width)
    found = pictures(RunFolder.open(run))
    if not found:
        raise DataError(f"{run} has no picture: none of its cells is done.")
    found = [picture for picture in found if only in picture.name]
    if not found:
        raise DataError(
            f"no figure of {run} has {only!r} in its name; leave out --only to see all."
        )
    folder = out or run / "figures"
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with Bar("drawing figures", total=len(found)) as bar:
            written = []
            for picture in found:
                written.append(_save(picture, folder, kind, width))
                bar.advance()
    captions = folder / "captions.md"
    write_text(captions, _captions(found, kind))
    figures, numbers = zip(*written, strict=True)
    return Saved(folder, figures, numbers, captions)


def require_matplotlib() -> None:
    """Say how to get matplotlib where there is none.

    Raises:
        SourceError: If it is not installed.
    """
    if find_spec("matplotlib") is None:
        raise SourceError(
            "figures are drawn with matplotlib, which is not installed; run pip install "
            "'needlepoint[figures]'."
        )


def _check(kind: str, width: float) -> None:
    require_matplotlib()
    if kind not in FORMATS:
        raise DataError(f"{kind!r} is no format of figures; take one of {', '.join(FORMATS)}.")
    if not 2 <= width <= 20:
        raise DataError(f"a figure cannot be {width:g} inches wide; take 2 to 20, such as 3.25.")


def _save(picture: Picture, folder: Path, kind: str, width: float) -> tuple[Path, Path]:
    figure, numbers = folder / f"{picture.name}.{kind}", folder / f"{picture.name}.csv"
    with atomic_path(figure) as part:
        part.write_bytes(drawn_as(picture.display, kind, width))
    write_text(numbers, picture.display.frame().to_csv(index=False, lineterminator="\n"))
    return figure, numbers


def drawn_as(display: Display, kind: str, width: float) -> bytes:
    """One picture as the bytes of a PDF, SVG or PNG file; the same numbers give the same bytes."""
    from needlepoint.report.figures.draw import draw
    from needlepoint.report.figures.style import printed

    buffer = io.BytesIO()
    with printed():
        draw(display, width).savefig(buffer, format=kind, metadata=_DATED[kind])
    return buffer.getvalue()


def _captions(found: list[Picture], kind: str) -> str:
    parts = ["# Captions", ""]
    for picture in found:
        words, without = picture.display.words, missing_numbers(picture.display)
        parts += [f"## {picture.name}.{kind}", "", f"**{picture.display.title}.** {words.shows}"]
        parts += ["", words.read, "", f"What it cannot tell: {words.limits}", ""]
        parts += [without, ""] if without else []
    return "\n".join(parts)


def missing_numbers(display: Display) -> str:
    """Which columns of a picture's numbers have rows without a value; empty if none has.

    These rows are in the CSV file with an empty field, and have no mark in the figure: in a map
    their cells are hatched.
    """
    frame = display.frame()
    counts = {str(name): int(frame[name].isna().sum()) for name in frame.columns}
    listed = [f"`{name}` in {count}" for name, count in counts.items() if count]
    if not listed:
        return ""
    return f"No value, and so no mark, of {len(frame)} rows: {', '.join(listed)}."
