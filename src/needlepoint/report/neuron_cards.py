"""Cards of single neurons: how each responds, what switching it off does, what excites it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from needlepoint.report.blocks import FigureBlock, Numbers
from needlepoint.report.certificate_table import certificate_notes
from needlepoint.report.excerpts import Excerpts
from needlepoint.report.neuron_charts import AblationChart, ActivationHistogram
from needlepoint.report.null_chart import NullHistogram
from needlepoint.report.tables import CellTables
from needlepoint.report.text import UNDEFINED, interval, missing, number, p_value


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
    notes: list[str]
    """Sentences on the verdict, on chance, and on neurons that do as well."""
    null: FigureBlock | None
    ablation: FigureBlock | None
    neurons: list[NeuronCard]

    @property
    def blocks(self) -> list[FigureBlock | Numbers]:
        """All pieces that give up numbers."""
        parts: list[FigureBlock | Numbers | None] = [self.null, self.ablation]
        for card in self.neurons:
            parts += [card.histogram, card.numbers]
        return [part for part in parts if part is not None]


def feature_cards(
    name: str, features: list[Mapping[str, Any]], tables: CellTables, *, sparse_null: bool
) -> list[FeatureCard]:
    """One card for each feature, in the order given.

    Args:
        name: An identifier of the section.
        features: What the summary says of each.
        tables: The tables of the record.
        sparse_null: Whether p-values of the few neurons together were asked for.
    """
    ablation, neurons, histograms, excerpts, nulls, proofs = (
        _by_feature(tables.frame(table))
        for table in ("ablation", "neurons", "histograms", "excerpts", "null", "certificates")
    )
    cards = []
    for place, feature in enumerate(features):
        which, id = str(feature["feature"]), f"{name}-f{place}"
        chart, null = AblationChart(ablation(which), which), NullHistogram(nulls(which), feature)
        cards.append(
            FeatureCard(
                name=which,
                verdict=str(feature.get("verdict") or "no verdict"),
                headline=_headline(feature),
                notes=[
                    *feature_notes(feature, sparse_null=sparse_null),
                    *certificate_notes(proofs(which)),
                ],
                null=FigureBlock(f"{id}-null", [(which, null)]) if len(null.frame()) else None,
                ablation=FigureBlock(f"{id}-off", [(which, chart)]) if len(chart.frame()) else None,
                neurons=_neuron_cards(
                    id, feature, neurons(which), histograms(which), excerpts(which)
                ),
            )
        )
    return cards


def _by_feature(frame: pd.DataFrame) -> Callable[[str], pd.DataFrame]:
    """The rows of each feature, found once for all of them."""
    groups = {str(name): part for name, part in frame.groupby("feature", sort=False)}
    nothing = frame.head(0)
    return lambda name: groups.get(name, nothing)


def feature_notes(feature: Mapping[str, Any], *, sparse_null: bool = True) -> list[str]:
    """What the record says about one feature beside its scores, in sentences.

    Example:
        >>> feature_notes({"reason": "one neuron gives F1 0.90.", "n_equivalent": 2,
        ...     "n_duplicates": 0, "equivalent": ["L1.N2", "L0.N7"]})
        ['One neuron gives F1 0.90.', 'Validation texts do not tell 2 other neurons from it \
(L1.N2, L0.N7).']
        >>> print(feature_notes({"n_equivalent": 2, "n_equivalent_all": 31})[1])
        Only the 30 best of each layer on training texts could be named; of all neurons it is 31 \
that validation texts do not tell from it.
    """
    notes = []
    if reason := str(feature.get("reason") or ""):
        notes.append(reason[0].upper() + reason[1:])
    if not missing(feature.get("q_value")):
        notes.append(
            f"Against all neurons of all layers p {p_value(feature.get('p_value'))} "
            f"({feature.get('null_scheme')}); over the features q {p_value(feature['q_value'])}."
        )
    elif feature.get("p_value_reason"):
        notes.append(f"No p-value: {feature['p_value_reason']}.")
    if not missing(feature.get("p_sparse")):
        notes.append(
            "Against the whole search for few neurons, done again with moved labels: p "
            f"{p_value(feature['p_sparse'])}."
        )
    elif sparse_null and feature.get("p_sparse_reason"):
        notes.append(f"No p-value of the few neurons together: {feature['p_sparse_reason']}.")
    if not missing(feature.get("optimism")):
        notes.append(
            "Its F1 on validation texts, where it was chosen, less that on test texts (optimism): "
            f"{number(feature['optimism'], signed=True)}."
        )
    return [*notes, *_ties(feature)]


def _ties(feature: Mapping[str, Any]) -> list[str]:
    count = feature.get("n_equivalent")
    if count is None or missing(count):
        return []
    everywhere, rest = feature.get("n_equivalent_all") or 0, []
    if everywhere > count:
        rest = [
            "Only the 30 best of each layer on training texts could be named; of all neurons it "
            f"is {number(everywhere)} that validation texts do not tell from it."
        ]
    if not count:
        return ["Validation texts tell it from every other neuron that could be named.", *rest]
    named = list(feature.get("equivalent") or [])
    listed = f" ({', '.join(named[:5])}{', ...' if count > 5 else ''})" if named else ""
    others = "1 other neuron" if count == 1 else f"{number(count)} other neurons"
    text = f"Validation texts do not tell {others} from it{listed}"
    if copies := feature.get("n_duplicates"):
        text += f"; {number(copies)} of them, correlated by 0.95 or more, are copies of it"
    return [f"{text}.", *rest]


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
