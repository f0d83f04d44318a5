"""Cards of single neurons: how each responds, what switching it off does, what excites it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from needlepoint.report.blocks import FigureBlock, Numbers
from needlepoint.report.excerpts import Excerpts
from needlepoint.report.neuron_charts import AblationChart, ActivationHistogram
from needlepoint.report.tables import CellTables
from needlepoint.report.text import UNDEFINED, interval, missing, number


@dataclass(frozen=True)
class NeuronCard:
    """One neuron: how it responds, and to which texts."""

    site: str
    facts: str
    histogram: FigureBlock | None
    excerpts: Excerpts | None
    numbers: Numbers | None


@dataclass(frozen=True)
class FeatureCard:
    """One feature: its leading neurons, and what switching them off does."""

    name: str
    verdict: str
    headline: str
    ablation: FigureBlock | None
    neurons: list[NeuronCard]

    @property
    def blocks(self) -> list[FigureBlock | Numbers]:
        """All pieces that give up numbers."""
        parts: list[FigureBlock | Numbers | None] = [self.ablation]
        for card in self.neurons:
            parts += [card.histogram, card.numbers]
        return [part for part in parts if part is not None]


def feature_cards(
    name: str, features: list[Mapping[str, Any]], tables: CellTables
) -> list[FeatureCard]:
    """One card for each feature, in the order given."""
    ablation, neurons = tables.frame("ablation"), tables.frame("neurons")
    histograms, excerpts = tables.frame("histograms"), tables.frame("excerpts")
    cards = []
    for place, feature in enumerate(features):
        which, id = str(feature["feature"]), f"{name}-f{place}"
        chart = AblationChart(ablation, which)
        cards.append(
            FeatureCard(
                name=which,
                verdict=str(feature.get("verdict") or "no verdict"),
                headline=_headline(feature),
                ablation=FigureBlock(f"{id}-off", [(which, chart)]) if len(chart.frame()) else None,
                neurons=_neuron_cards(id, feature, neurons, histograms, excerpts),
            )
        )
    return cards


def _neuron_cards(
    id: str,
    feature: Mapping[str, Any],
    neurons: pd.DataFrame,
    histograms: pd.DataFrame,
    excerpts: pd.DataFrame,
) -> list[NeuronCard]:
    which = str(feature["feature"])
    known = [*histograms[histograms["feature"] == which]["site"]]
    known += [*excerpts[excerpts["feature"] == which]["site"]]
    first = [feature.get("site")] if feature.get("site") in known else []
    cards = []
    for place, site in enumerate(dict.fromkeys([*first, *known])):
        rows = neurons[(neurons["feature"] == which) & (neurons["site"] == site)]
        facts = rows.to_dict("records")[0] if len(rows) else {}
        drawn = ActivationHistogram(histograms, which, site, facts.get("threshold"))
        texts = Excerpts(excerpts, which, site)
        has_texts = len(texts.rows()) > 0
        cards.append(
            NeuronCard(
                site=str(site),
                facts=_facts({str(key): value for key, value in facts.items()}),
                histogram=FigureBlock(f"{id}-h{place}", [(str(site), drawn)])
                if len(drawn.frame())
                else None,
                excerpts=texts if has_texts else None,
                numbers=Numbers(f"{id}-x{place}", texts) if has_texts else None,
            )
        )
    return cards


def _headline(feature: Mapping[str, Any]) -> str:
    if not feature.get("site"):
        return "no neuron is named"
    f1 = interval(feature.get("f1_one"), reason=feature.get("f1_one_reason"))
    return f"{feature['site']}, test F1 {f1}"


def _facts(row: Mapping[str, Any]) -> str:
    if not row:
        return ""
    direction = "higher" if sign(row["sign"]) == "+" else "lower"
    return (
        f"The neuron is {direction} on texts with the feature. Class means differ by "
        f"{number(row['mean_difference'], 3, signed=True)} "
        f"({number(row['mean_difference_std'], 2, signed=True)} standard deviations); "
        f"validation F1 {number(row['f1_validation'])} when cut at {number(row['threshold'], 3)}."
    )


def sign(value: Any) -> str:
    """Whether a neuron is higher or lower on texts with the feature."""
    if missing(value):
        return UNDEFINED
    if isinstance(value, str):
        return {"-": "\u2212", "negative": "\u2212", "positive": "+"}.get(value, value)
    return "+" if value > 0 else "\u2212"
