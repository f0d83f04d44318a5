"""What the page shows of a neuron's dossier: one screen for each neuron."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from needlepoint.report.blocks import (
    Cell,
    Column,
    FigureBlock,
    Numbers,
    TableBlock,
    Tile,
    number_cell,
    text_cell,
)
from needlepoint.report.display import Words
from needlepoint.report.dossier_charts import DrivingGrams, LogitEffect, Response, Strata
from needlepoint.report.excerpts import Excerpts
from needlepoint.report.neuron_charts import AblationChart
from needlepoint.report.tables import CellTables
from needlepoint.report.text import missing, number, undefined

GROUPS = {
    "top": "strongest",
    "middle": "half as strong",
    "random": "at random",
    "opposite": "furthest the other way",
}
STATISTICS = {
    "input_norm": "length of what it reads",
    "up_norm": "length of what it reads, second factor",
    "output_norm": "length of what it writes",
    "cosine": "cosine between reading and writing",
    "up_cosine": "cosine between second factor and writing",
    "bias": "bias, with the shift of the norm",
    "norm_bias": "input norm times bias",
}


@dataclass(frozen=True)
class GroupedExcerpts(Excerpts):
    """Excerpts of one neuron in kinds: strongest, middling, random, opposite."""

    words = Words(
        "Stretches of text around the tokens on which the neuron is strongest, about half as "
        "strong, drawn at random, and furthest the other way. Each token is shaded by the "
        "activation at it; point at a token for the number, the one that was chosen is underlined.",
        "Say what the strongest have in common, then see whether the middling ones have it too. "
        "If they do not, the neuron means more than one thing, or something broader.",
        "No document comes twice in a kind. A pattern seen here is a guess until it is tested.",
    )

    @property
    def title(self) -> str:
        """What the picture is called."""
        return f"What {self.site} fires on"

    def kinds(self) -> list[tuple[str, list[tuple[Any, int, str]]]]:
        """For each kind its title and excerpts, each with the place of its token and its label."""
        order = self._chosen().to_dict("records")
        pairs = list(zip(order, self.rows(), strict=True))
        return [
            (
                title,
                [
                    (text, int(row["place"]), str(row["known"]))
                    for row, text in pairs
                    if row["group"] == group
                ],
            )
            for group, title in GROUPS.items()
        ]

    def _chosen(self) -> pd.DataFrame:
        chosen = self.excerpts[self.excerpts["site"] == self.site]
        order = {group: place for place, group in enumerate(GROUPS)}
        place = chosen["group"].map(order) * 1000 + chosen["rank"]
        return chosen.assign(place_in_page=place).sort_values("place_in_page")


@dataclass(frozen=True)
class NeuronDossier:
    """One neuron as the template shows it."""

    id: str
    site: str
    tiles: list[Tile]
    response: FigureBlock
    strata: FigureBlock
    excerpts: GroupedExcerpts
    numbers: Numbers
    grams: FigureBlock | None
    gram_sentence: str
    gram_table: TableBlock
    mistakes: TableBlock | None
    ablation: FigureBlock | None
    logits: FigureBlock
    similar: TableBlock
    weights: TableBlock

    @property
    def blocks(self) -> list[FigureBlock | TableBlock | Numbers]:
        """All pieces that give up numbers."""
        parts: list[FigureBlock | TableBlock | Numbers | None] = [self.response, self.strata]
        parts += [self.numbers, self.grams, self.gram_table, self.mistakes, self.ablation]
        parts += [self.logits, self.similar, self.weights]
        return [part for part in parts if part is not None]


@dataclass(frozen=True)
class NeuronSection:
    """Everything the template `neuron.html` needs."""

    id: str
    summary: Mapping[str, Any]
    neurons: list[NeuronDossier]

    @property
    def blocks(self) -> list[FigureBlock | TableBlock | Numbers]:
        """All pieces that give up numbers."""
        return [block for neuron in self.neurons for block in neuron.blocks]


def neuron_section(name: str, summary: Mapping[str, Any], tables: CellTables) -> NeuronSection:
    """Lay out one `neuron` record.

    Args:
        name: An identifier that is safe in HTML, unique in the page.
        summary: The record's summary.
        tables: Its tables.
    """
    excerpts = tables.frame("excerpts", "group", "place")
    shown = {"feature": excerpts["feature"].fillna(""), "known": _known(excerpts["label"])}
    labels = excerpts["label"].astype("boolean").fillna(False)
    frames = {
        "excerpts": excerpts.assign(**shown, label=labels),
        "ablation": tables.frame("ablation", "positions"),
        "histograms": tables.frame("histograms", "unit"),
        **{which: tables.frame(which) for which in ("ngrams", "strata", "mistakes")},
        **{which: tables.frame(which) for which in ("logits", "similar")},
    }
    neurons = [
        _dossier(f"{name}-n{place}", neuron, summary, frames)
        for place, neuron in enumerate(summary.get("neurons") or [])
    ]
    return NeuronSection(name, summary, neurons)


def _known(labels: pd.Series[Any]) -> pd.Series[Any]:
    """Each label in words; empty where it is not known."""
    return labels.map(lambda one: "" if missing(one) else "with" if one else "without")


def _dossier(
    id: str,
    neuron: Mapping[str, Any],
    summary: Mapping[str, Any],
    frames: Mapping[str, pd.DataFrame],
) -> NeuronDossier:
    site, cut = str(neuron["site"]), neuron["firing"].get("cut")
    own = {
        name: frame[frame["sites" if name == "ablation" else "site"] == site]
        for name, frame in frames.items()
    }
    feature = neuron.get("feature") or {}
    texts = GroupedExcerpts(own["excerpts"], "", site)
    grams = DrivingGrams(own["ngrams"], site, cut)
    responses = [
        (
            f"by {unit}",
            Response(own["histograms"][own["histograms"]["unit"] == unit], site, unit, cut),
        )
        for unit in own["histograms"]["unit"].unique()
    ]
    strata = Strata(own["strata"], site, feature.get("prevalence"))
    logits = LogitEffect(own["logits"], site)
    return NeuronDossier(
        id=id,
        site=site,
        tiles=_tiles(neuron, own["strata"], summary.get("weights") or {}),
        response=FigureBlock(f"{id}-response", responses, menu="one value for each"),
        strata=FigureBlock(f"{id}-strata", [(strata.title, strata)]),
        excerpts=texts,
        numbers=Numbers(f"{id}-texts", texts),
        grams=FigureBlock(f"{id}-grams", [(grams.title, grams)]) if len(grams.frame()) else None,
        gram_sentence=gram_sentence(neuron["ngrams"]),
        gram_table=_gram_table(id, own["ngrams"], int(neuron["firing"]["sign"])),
        mistakes=_mistakes(id, own["mistakes"]),
        ablation=_ablation(id, own["ablation"]),
        logits=FigureBlock(f"{id}-logits", [(logits.title, logits)]),
        similar=_similar(id, own["similar"]),
        weights=_weights(id, neuron["weights"], summary.get("weights") or {}),
    )


def _tiles(
    neuron: Mapping[str, Any], strata: pd.DataFrame, weights: Mapping[str, Any]
) -> list[Tile]:
    firing, grams, feature = neuron["firing"], neuron["ngrams"], neuron.get("feature")
    cut = number(firing.get("cut")) if not missing(firing.get("cut")) else "never"
    side = "at or above" if firing["sign"] > 0 else "at or below"
    explained = (grams.get("explained") or {}).get("token")
    token = undefined(grams.get("explained_reason")) if missing(explained) else number(explained)
    tiles = [
        Tile("fires on", f"{firing['share']:.2%} of tokens", f"{side} {cut}"),
        Tile("full strength", number(firing["strongest"]), f"median {number(firing['median'])}"),
        Tile(
            "unrelated n-grams",
            number(grams["n_unrelated"]),
            f"of {number(grams['n_drivers'])} that drive it",
        ),
        Tile("the token explains", token, "of the variance, in other documents; 1 is all"),
    ]
    if feature:
        top = strata[strata["stratum"] == "decile 10"].to_dict("records")[0]
        low, high = number(top["precision_low"]), number(top["precision_high"])
        tiles.append(
            Tile(
                f"{feature['name']} in the strongest tenth",
                number(top["precision"]),
                f"{low} to {high}; {number(feature['prevalence'])} of all tokens",
            )
        )
    own = neuron["weights"]
    if weights.get("norm_bias_reason"):
        place = f"percentile {own['output_norm_percentile']:.0f} of its layer"
        return [*tiles, Tile("length of what it writes", number(own["output_norm"]), place)]
    place = f"percentile {own['norm_bias_percentile']:.0f} of its layer"
    return [*tiles, Tile("input norm times bias", number(own["norm_bias"]), place)]


def gram_sentence(grams: Mapping[str, Any]) -> str:
    """What the n-grams come to, with what could not be told.

    Example:
        >>> gram_sentence({"n_firing": 40, "n_told": 30, "by_length": {"1": 20, "2": 6, "3": 0,
        ...     "4": 0}, "n_longer": 4, "n_drivers": 9, "n_unrelated": 5, "n_documents": 12})
        'It fires on 40 tokens of 12 documents. For 30 it can be told what drives it: in 20 the \
token alone is enough, in 6 it takes 1 to 3 tokens before it as well, in 4 even these are not \
enough. The 9 n-grams that drive it fall into 5 unrelated groups.'
    """
    firing, told = number(grams["n_firing"]), number(grams["n_told"])
    opening = f"It fires on {firing} tokens of {number(grams['n_documents'])} documents."
    if not grams["n_told"]:
        return f"{opening} None of them was seen twice, so nothing can be told; read more texts."
    lengths = grams["by_length"]
    longer = sum(count for n, count in lengths.items() if n != "1")
    return (
        f"{opening} For {told} it can be told what drives it: in {number(lengths['1'])} the token "
        f"alone is enough, in {number(longer)} it takes 1 to 3 tokens before it as well, in "
        f"{number(grams['n_longer'])} even these are not enough. The {number(grams['n_drivers'])} "
        f"n-grams that drive it fall into {number(grams['n_unrelated'])} unrelated groups."
    )


def _gram_table(id: str, grams: pd.DataFrame, sign: int) -> TableBlock:
    """The n-grams, those that drive the neuron first, the strongest of them first."""
    columns = [
        Column("tokens before"),
        Column("token"),
        Column("times", numeric=True),
        Column("documents", numeric=True),
        Column("mean", numeric=True, help="mean activation, with its interval over documents"),
        Column("largest", numeric=True),
        Column("token anywhere", numeric=True, help="mean of the last token whatever precedes"),
        Column("drives it", help="shortest n-gram that is enough, seen twice or more"),
        Column("group", numeric=True, help="n-grams of one group are spelled alike"),
    ]
    ranked = grams.assign(size=(sign * grams["mean"]))
    ranked = ranked.sort_values(["drives", "size"], ascending=[False, False]).drop(columns="size")
    rows = [
        [
            text_cell(_line(row["before"]) if row["n"] > 1 else "(anything)"),
            text_cell(_line(row["token"])),
            number_cell(int(row["count"])),
            number_cell(int(row["documents"])),
            _mean_cell(row),
            number_cell(row["maximum"]),
            number_cell(row["token_mean"]),
            Cell("yes" if row["drives"] else "no", float(bool(row["drives"]))),
            Cell("none", None) if missing(row["group"]) else number_cell(int(row["group"]) + 1),
        ]
        for row in ranked.to_dict("records")
    ]
    caption = "N-grams by the token that fires and those before it"
    return TableBlock(f"{id}-gramtable", caption, columns, rows, ranked, 8, frozenset({0, 1}))


def _mean_cell(row: dict[Any, Any]) -> Cell:
    text = number(row["mean"])
    if not missing(row["low"]):
        text += f" ({number(row['low'])} to {number(row['high'])})"
    return Cell(text, float(row["mean"]))


def _mistakes(id: str, mistakes: pd.DataFrame) -> TableBlock | None:
    if mistakes.empty:
        return None
    columns = [
        Column("mistake"),
        Column("before", wide=True),
        Column("token"),
        Column("after"),
        Column("activation", numeric=True),
        Column("document"),
    ]
    rows = [
        [
            text_cell(row["kind"], chip=True),
            text_cell(_line(str(row["before"])[-60:])),
            text_cell(_line(row["token"])),
            text_cell(_line(str(row["after"])[:20])),
            number_cell(row["activation"]),
            text_cell(row["document"]),
        ]
        for row in mistakes.sort_values(["rank", "kind"]).to_dict("records")
    ]
    caption = "Where neuron and label disagree most"
    return TableBlock(f"{id}-mistakes", caption, columns, rows, mistakes, 8, frozenset({1, 2, 3}))


def _ablation(id: str, ablation: pd.DataFrame) -> FigureBlock | None:
    """The ablation by kind of position; both are one table of the record."""
    choices = []
    for positions, words in (("all", "all tokens"), ("after firing", "tokens after it fires")):
        part = ablation[ablation["positions"] == positions]
        if len(part):
            chart = SwitchedOff(part.assign(feature=words), words)
            choices.append((words, chart))
    return FigureBlock(f"{id}-off", choices, menu="loss of") if choices else None


@dataclass(frozen=True)
class SwitchedOff(AblationChart):
    """How much worse the model predicts text when one neuron is switched off."""

    words = Words(
        "The rise of the model's prediction loss (nats per token) when the neuron is switched "
        "off: set to zero, held at its mean, or given its value from another place. Grey is the "
        "mean of random neurons of the layer that write as much and are active as often.",
        "Texts with the feature are those around labelled tokens, or around the neuron's "
        "strongest activations if there are no labels; the others are those without. If the model "
        "uses the neuron, blue is off 0 on the former and further than grey.",
        "No rise does not prove that the neuron is unused: others may take over. Intervals are "
        "over contexts, each of another document; effects smaller than their width do not show.",
    )

    @property
    def title(self) -> str:
        """What the picture is called."""
        return f"What switching it off does: {self.feature}"


def _similar(id: str, similar: pd.DataFrame) -> TableBlock:
    columns = [
        Column("neuron"),
        Column("alike in"),
        Column("value", numeric=True, help="correlation of activations, or cosine of weights"),
        Column("weaker half", numeric=True, help="the correlation on either half of the documents"),
    ]
    alike = {"activation": "when it is active", "output": "what it writes"}
    rows = [
        [
            text_cell(row["other"]),
            text_cell(alike.get(row["by"], row["by"])),
            number_cell(row["value"], signed=True),
            Cell("does not apply")
            if missing(row["lower_half"])
            else number_cell(row["lower_half"], signed=True),
        ]
        for row in similar.to_dict("records")
    ]
    caption = "Most similar neurons"
    return TableBlock(f"{id}-similar", caption, columns, rows, similar, 16, frozenset({0}))


def _weights(id: str, weights: Mapping[str, Any], common: Mapping[str, Any]) -> TableBlock:
    columns = [
        Column("of its weights"),
        Column("value", numeric=True),
        Column("percentile in its layer", numeric=True),
    ]
    reason = common.get("norm_bias_reason")
    rows, records = [], []
    for name, words in STATISTICS.items():
        value, place = weights.get(name), weights.get(f"{name}_percentile")
        if missing(value) and name != "norm_bias":
            continue
        shown = Cell(undefined(reason)) if missing(value) else number_cell(value)
        ranked = Cell("does not apply") if missing(place) else number_cell(float(place or 0), 0)
        rows.append([text_cell(words), shown, ranked])
        records.append({"statistic": name, "value": value, "percentile": place})
    caption = "Weights, the norm before the MLP folded in"
    return TableBlock(f"{id}-weights", caption, columns, rows, pd.DataFrame(records), 8)


def _line(text: Any) -> str:
    """Text on one line; a space is shown where it is all there is."""
    shown = str(text).replace("\n", "\u21b5").replace("\t", "\u21e5")
    return shown if shown.strip() else shown.replace(" ", "\u2423") or "\u2205"
