"""The picture of a comparison: each unit once, by its value in either run."""

from __future__ import annotations

from typing import Any

from needlepoint._core.records import jsonable
from needlepoint.explorer.run_folders.compare import Comparison
from needlepoint.report import theme
from needlepoint.report.display import rounded
from needlepoint.report.text import label, number

HEIGHT = 420


def scatter(found: Comparison, first: str, second: str) -> dict[str, Any]:
    """A plotly figure in the light colours, as plain JSON, with the words for those who cannot see.

    Args:
        found: The comparison.
        first: Name of the run on the horizontal axis.
        second: Name of the run on the vertical axis.
    """
    rows = found.rows.dropna(subset=["first", "second"])
    marked = (rows["note_first"] + rows["note_second"]).str.contains("matters|chosen")
    figure = theme.new_figure(HEIGHT)
    ends = [0.0, 0.0]
    if len(rows):
        values = rows[["first", "second"]].to_numpy()
        ends = [float(values.min()), float(values.max())]
    line = {"color": theme.MUTED, "width": 1.2, "dash": "dash"}
    figure.add_scatter(x=ends, y=ends, mode="lines", line=line, hoverinfo="skip", name="equal")
    names = (("others", ~marked, theme.GREY), ("matters or chosen in either", marked, theme.BLUE))
    for name, which, colour in names:
        some = rows[which]
        texts = [
            label(f"{row.site} {row.subject}: {number(row.first)} and {number(row.second)}")
            for row in some.itertuples()
        ]
        figure.add_scatter(
            x=some["first"].tolist(),
            y=some["second"].tolist(),
            mode="markers",
            marker={"color": colour, "size": 8, "opacity": 0.8},
            text=texts,
            hoverinfo="text",
            name=name,
        )
    figure.update_layout(showlegend=True)
    figure.update_xaxes(title_text=label(f"{first}: {found.label}"))
    figure.update_yaxes(title_text=label(f"{second}: {found.label}"))
    made: dict[str, Any] = rounded(jsonable(figure.to_plotly_json()))
    made["layout"].pop("template", None)
    return made


def in_words(found: Comparison) -> str:
    """What the picture shows, in a sentence.

    The rank correlation is of the units that both runs have a number for.
    """
    count = len(found.rows.dropna(subset=["first", "second"]))
    if found.correlation is None:
        return f"{count} units in both runs; no rank correlation, as {found.correlation_reason}."
    return f"{count} units in both runs, with a rank correlation of {number(found.correlation)}."
