"""The command `needlepoint figures`: the pictures of a run for a paper."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from needlepoint._core.progress import progress_bars
from needlepoint.report.figures import save_figures


def make_figures(run: Path, out: Path | None, *, kind: str, width: float, only: str) -> None:
    """Write the figures and say where they are."""
    with progress_bars():
        saved = save_figures(run, out, kind=kind, width=width, only=only)
    text = (
        f"{len(saved.figures)} figures, each with its numbers as CSV, and captions.md: "
        f"{saved.folder}"
    )
    Console().print(text, soft_wrap=True, markup=False, highlight=False)
