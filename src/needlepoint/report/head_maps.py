"""Pictures of attention heads: the map of layer by head, and the strongest heads in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from needlepoint.report import theme
from needlepoint.report.display import Display, Words
from needlepoint.report.measured import LOGITS, Measured
from needlepoint.report.text import label, number

EFFECT = "effect"
_SHAPE = (
    "Each cell is one attention head: its layer from bottom to top, its number from left to right."
)


@dataclass(frozen=True)
class HeadMap(Display):
    """Every head of the model as one cell, coloured by its causal effect or by a score."""

    heads: pd.DataFrame
    """The table `heads` of a circuit record."""

    quantity: str = EFFECT
    """The column that is drawn: `effect`, or `score.METHOD`."""

    name: str = "causal effect"
    description: str = ""
    n_labels: int = 8
    """How many of the strongest effects are written into their cells."""

    measured: Measured = LOGITS
    """What the effects are changes of."""

    @property
    def title(self) -> str:
        """What the map is called."""
        return "Causal effect of each head" if self._causal else f"Score: {self.name}"

    @property
    def words(self) -> Words:
        """The explanation under the map."""
        if self._causal and not self.measured.directed:
            return Words(
                f"{_SHAPE} The colour is how far the model's prediction moves when only that "
                "head's output is replaced by what it would have been on the corrupt prompt.",
                "The stronger the colour, the further the prediction moves from the clean one. The "
                f"strongest effects ({self.measured.metric} in {self.measured.unit}) are written "
                "into their cells.",
                "It is not told whether the prediction moves towards the right answer or away. "
                "Heads that stand in for each other can both look idle.",
            )
        if self._causal:
            return Words(
                f"{_SHAPE} The colour is how much the model's preference for the right answer "
                "changes when only that head's output is replaced by what it would have been on "
                "the corrupt prompt.",
                "Blue heads help: without them the preference for the right answer falls. Orange "
                "heads work against it. Pale heads do nothing on their own. The strongest effects "
                f"on the {self.measured.metric} ({self.measured.unit}) are written into their "
                "cells.",
                "Heads are replaced one at a time, so heads that stand in for each other can both "
                "look idle. The map says that a head matters, not what it computes.",
            )
        if self.heads["effect"].isna().all():
            return Words(
                f"{_SHAPE} The colour is the score that a method gives the head.",
                "Strongly coloured cells are the method's candidates. Scores of different methods "
                "have different units; compare patterns, not values.",
                "No head was ablated here, so it is not known which of the candidates matter.",
            )
        return Words(
            f"{_SHAPE} The colour is the score that a method gives the head without looking at "
            "the causal effect.",
            "If the method works, the strongly coloured cells here are the strongly coloured "
            "cells of the causal map. Scores of different methods have different units; compare "
            "patterns, not values.",
            "A high score is a prediction that a head matters. It is not evidence that it does.",
        )

    @property
    def _causal(self) -> bool:
        return self.quantity == EFFECT

    def frame(self) -> pd.DataFrame:
        """One row for each head: `layer, head, site` and the quantity with its interval."""
        columns = ["layer", "head", "site", self.quantity]
        if self._causal:
            columns += ["effect_low", "effect_high", "matters"]
        return self.heads[columns].reset_index(drop=True)

    def figure(self) -> Any:
        """A heat map; diverging around zero where the quantity takes both signs."""
        grid = self.heads.pivot(index="layer", columns="head", values=self.quantity)
        texts = self.heads.assign(text=[self._hover(row) for row in _rows(self.heads)])
        hover = texts.pivot(index="layer", columns="head", values="text")
        figure = theme.new_figure(height=max(220, 90 + 15 * len(grid)))
        figure.add_heatmap(
            x=[int(head) for head in grid.columns],
            y=[int(layer) for layer in grid.index],
            z=grid.astype(object).where(grid.notna(), None).to_numpy().tolist(),
            hovertext=hover.fillna("").to_numpy().tolist(),
            hoverinfo="text",
            xgap=1,
            ygap=1,
            colorbar=theme.colour_bar(self.measured.unit if self._causal else "score"),
            **self._colours(),
        )
        figure.update_xaxes(title_text="head", showgrid=False, dtick=_step(grid.shape[1], 16))
        figure.update_yaxes(title_text="layer", showgrid=False, dtick=_step(len(grid), 12))
        if self._causal:
            self._write_effects(figure)
        return figure

    def _colours(self) -> dict[str, Any]:
        values = self.heads[self.quantity].dropna()
        low = float(values.min()) if len(values) else 0.0
        high = float(values.max()) if len(values) else 1.0
        if (self._causal and self.measured.directed) or low < 0:
            most = max(abs(low), abs(high)) or 1.0
            return {"colorscale": theme.DIVERGING, "zmin": -most, "zmax": most, "zmid": 0}
        return {"colorscale": theme.SEQUENTIAL, "zmin": min(low, 0), "zmax": high or 1.0}

    def _hover(self, row: dict[str, Any]) -> str:
        lines = [f"<b>{label(row['site'])}</b>"]
        if self._causal:
            lines.append(
                f"effect {self.measured.amount(row['effect'])} "
                f"({number(row['effect_low'], signed=True)} to "
                f"{number(row['effect_high'], signed=True)})"
            )
            lines.append("matters" if row["matters"] else "not among the heads that matter")
        else:
            lines.append(f"{label(self.name)}: {number(row[self.quantity], 3)}")
        return "<br>".join(lines)

    def _write_effects(self, figure: Any) -> None:
        strongest = strongest_heads(self.heads, self.n_labels)
        most = float(strongest["effect"].abs().max()) if len(strongest) else 0.0
        for row in _rows(strongest):
            strong = abs(row["effect"]) > 0.55 * most
            figure.add_annotation(
                x=row["head"],
                y=row["layer"],
                text=number(row["effect"], self.measured.digits),
                showarrow=False,
                font={"size": 10, "color": theme.ON_STRONG if strong else theme.INK},
            )

    def alt(self) -> str:
        """Size of the map, and its strongest cells."""
        n_layers, n_heads = self.heads["layer"].nunique(), self.heads["head"].nunique()
        ranked = self.heads.dropna(subset=[self.quantity])
        ranked = ranked.reindex(ranked[self.quantity].abs().sort_values(ascending=False).index)
        top = ", ".join(
            f"{row['site']} {number(row[self.quantity])}" for row in _rows(ranked.head(5))
        )
        return f"Heat map of {self.title}, {n_layers} layers by {n_heads} heads. Largest: {top}."


@dataclass(frozen=True)
class TopHeads(Display):
    """The heads with the largest causal effects, each with its interval."""

    heads: pd.DataFrame
    measured: Measured = LOGITS
    n: int = 12
    title = "The strongest heads, with their uncertainty"

    @property
    def words(self) -> Words:
        """The explanation under the plot."""
        reading = (
            "Left of zero, the head helps the model to the right answer. A bar that does not reach "
            "zero belongs to a head whose effect is larger than chance differences between prompts."
        )
        if not self.measured.directed:
            reading = (
                "The further to the right, the further the prediction moves from the clean one "
                "without the head, towards the right answer or away from it."
            )
        return Words(
            "The heads with the largest causal effects. The dot is the mean change over prompt "
            "pairs; the bar is its interval.",
            reading,
            "The intervals describe other prompts of the same kind. They do not describe other "
            "wordings, other tasks or other models.",
        )

    def frame(self) -> pd.DataFrame:
        """`site, layer, head, effect, effect_low, effect_high, matters`, strongest first."""
        columns = ["site", "layer", "head", "effect", "effect_low", "effect_high", "matters"]
        return strongest_heads(self.heads, self.n)[columns].reset_index(drop=True)

    def figure(self) -> Any:
        """A forest plot: one row for each head."""
        rows = _rows(self.frame())
        figure = theme.new_figure(height=80 + 25 * len(rows))
        colours = [theme.BLUE if row["effect"] < 0 else theme.ORANGE for row in rows]
        names = [label(row["site"]) for row in rows]
        for row, name, colour in zip(rows, names, colours, strict=True):
            figure.add_scatter(
                x=[row["effect_low"], row["effect_high"]],
                y=[name, name],
                mode="lines",
                line={"color": colour, "width": 2.5},
                hoverinfo="skip",
            )
        figure.add_scatter(
            x=[row["effect"] for row in rows],
            y=names,
            mode="markers",
            marker={"color": colours, "size": 9},
            hovertext=[
                f"<b>{name}</b><br>{self.measured.amount(row['effect'])} "
                f"({number(row['effect_low'], signed=True)} to "
                f"{number(row['effect_high'], signed=True)})"
                for row, name in zip(rows, names, strict=True)
            ],
            hoverinfo="text",
        )
        figure.add_vline(x=0, line={"color": theme.MUTED, "width": 1})
        figure.update_yaxes(autorange="reversed", showgrid=False)
        measured = self.measured
        figure.update_xaxes(title_text=f"effect on the {measured.metric} ({measured.unit})")
        return figure

    def alt(self) -> str:
        """The heads in order with their effects."""
        named = ", ".join(
            f"{row['site']} {number(row['effect'])} ({number(row['effect_low'])} to "
            f"{number(row['effect_high'])})"
            for row in _rows(self.frame())[:6]
        )
        return f"Dot plot of the strongest heads: {named}."


def strongest_heads(heads: pd.DataFrame, n: int) -> pd.DataFrame:
    """The `n` heads with the largest absolute effect, largest first; undefined ones left out."""
    known = heads.dropna(subset=["effect"])
    return known.reindex(known["effect"].abs().sort_values(ascending=False).index).head(n)


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): row[key] for key in row} for row in frame.to_dict("records")]


def _step(n: int, most: int) -> int:
    return next(step for step in (1, 2, 5, 10, 20, 50, 100) if n / step <= most or step == 100)
