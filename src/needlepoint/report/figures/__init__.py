"""The pictures of a page as figures for a paper, each with its numbers: from records alone.

`matplotlib` is needed to draw them, and is imported nowhere else: `pip install
'needlepoint[figures]'`.
"""

from __future__ import annotations

from needlepoint.report.figures.notebook import Shown, show
from needlepoint.report.figures.pictures import Picture, pictures
from needlepoint.report.figures.save import FORMATS, Saved, save_figures

__all__ = ["FORMATS", "Picture", "Saved", "Shown", "pictures", "save_figures", "show"]
