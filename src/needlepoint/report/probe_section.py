"""What the page shows for one collection of features: verdicts, curves, depth, neurons."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from needlepoint.report.blocks import (
    ABSENT,
    Cell,
    Column,
    FigureBlock,
    Numbers,
    TableBlock,
    Tile,
    interval_cell,
    number_cell,
    sort_key,
    summary_cell,
    text_cell,
)
from needlepoint.report.by_k_table import by_k_table
from needlepoint.report.certificate_table import NOT_APPLICABLE, certificate_table
from needlepoint.report.feature_charts import DepthProfile, FeatureTable, sorted_features
from needlepoint.report.kcurves import KCurves
from needlepoint.report.layer_profile import LayerProfile
from needlepoint.report.neuron_cards import FeatureCard, feature_cards, sign
from needlepoint.report.sentences import shuffled_sentence, sparse_null_sentence
from needlepoint.report.tables import CellTables
from needlepoint.report.text import missing, number, p_value

OLDER = (
    "An earlier version, which made this run, did not measure what is marked 'not recorded'; "
    "run it again to have that too."
)
_MORE = ("average_precision", "f1_at_prevalence", "f1_zero", "f1_validation")
_BASELINES = ("f1_dense", "embedding_f1", "random_basis_f1", "baseline_f1", "null_f1")


@dataclass(frozen=True)
class ProbeSection:
    """Everything the template `probe.html` needs."""

    id: str
    summary: Mapping[str, Any]
    tiles: list[Tile]
    overview: FigureBlock | None
    features: TableBlock | None
    cautions: list[str]
    shuffled: str
    kcurves: FigureBlock | None
    by_k: TableBlock | None
    sparse_null: str
    """Whether luck could have found the few neurons together; empty for older runs."""
    depth: FigureBlock | None
    layers: FigureBlock | None
    cards: list[FeatureCard]
    ties: TableBlock | None
    certificates: TableBlock | None
    tests: TableBlock | None

    @property
    def blocks(self) -> list[FigureBlock | TableBlock | Numbers]:
        """All pieces that give up numbers."""
        single = [self.overview, self.features, self.kcurves, self.depth, self.layers]
        single += [self.by_k, self.ties, self.certificates, self.tests]
        parts: list[FigureBlock | TableBlock | Numbers] = [p for p in single if p is not None]
        return parts + [block for card in self.cards for block in card.blocks]


def probe_section(name: str, summary: Mapping[str, Any], tables: CellTables) -> ProbeSection:
    """Lay out one `probe` record.

    Args:
        name: An identifier that is safe in HTML, unique in the page.
        summary: The record's summary.
        tables: Its tables; those that are missing or empty leave their places empty.
    """
    features = sorted_features(summary.get("features") or [])
    names = [str(feature["feature"]) for feature in features]
    settings = summary.get("settings") or {}
    curve, tests, depth = (tables.frame(which) for which in ("curve", "tests", "depth"))
    by_k = tables.frame("tests_by_k")
    curves = [
        (feature, KCurves(curve, tests, feature, by_k))
        for feature in names
        if curve[curve["feature"] == feature]["f1_validation"].notna().any()
    ]
    layers = [
        (str(feature["feature"]), LayerProfile(depth, feature))
        for feature in features
        if depth[depth["feature"] == feature["feature"]]["f1_validation"].notna().any()
    ]
    overview, profile = FeatureTable(features), DepthProfile(depth)
    return ProbeSection(
        id=name,
        summary=summary,
        tiles=_tiles(summary),
        overview=FigureBlock(f"{name}-overview", [(overview.title, overview)]) if names else None,
        features=_features_table(name, features),
        cautions=[str(caution) for caution in summary.get("cautions") or []],
        shuffled=shuffled_sentence(summary.get("shuffled")),
        kcurves=FigureBlock(f"{name}-kcurves", curves, menu="feature") if curves else None,
        by_k=by_k_table(name, by_k),
        sparse_null=sparse_null_sentence(features, settings),
        depth=FigureBlock(f"{name}-profile", [(profile.title, profile)]) if len(depth) else None,
        layers=FigureBlock(f"{name}-layers", layers, menu="feature") if layers else None,
        cards=feature_cards(name, features, tables, sparse_null=bool(settings.get("sparse_null"))),
        ties=_ties_table(name, tables.frame("equivalent")),
        certificates=certificate_table(
            name, tables.frame("certificates"), tables.absent("certificates")
        ),
        tests=_tests_table(name, tests, tables.absent("tests")),
    )


def _tiles(summary: Mapping[str, Any]) -> list[Tile]:
    found = summary.get("collection") or {}
    split = found.get("split") or {}
    parts = ", ".join(f"{number(split[part])} {part}" for part in split)
    return [
        Tile("features", number(found.get("n_features"))),
        Tile("texts", number(found.get("n_examples")), parts),
        Tile("documents", number(found.get("n_documents")), "never split between the sets"),
        Tile("positions", str(found.get("aggregation") or "not defined"), "made one row per text"),
    ]


def _features_table(name: str, features: list[Mapping[str, Any]]) -> TableBlock | None:
    if not features:
        return None
    columns = [
        Column("feature"),
        Column("verdict"),
        Column("best neuron"),
        Column("sign", help="+ higher on texts with the feature, \u2212 lower"),
        Column("test F1, one neuron", numeric=True),
        Column("tokens", numeric=True, help="test F1 of which tokens there are, without the model"),
        Column("q", numeric=True, help="share of false ones expected among features up to here"),
        Column("test F1, best few", numeric=True),
        Column("best k", numeric=True, help="neurons in the best sparse probe"),
        Column("all neurons", numeric=True, help="test F1 of a probe on a whole layer"),
        Column("embedding", numeric=True, help="test F1 of a probe on what enters the first layer"),
        Column("random basis", numeric=True, help="test F1 of the best random direction"),
        Column("all positive", numeric=True, help="F1 of calling everything positive"),
        Column("shuffled labels", numeric=True, help="F1 of the same search on shuffled labels"),
        Column("optimism", numeric=True, help="F1 of the neuron on validation less that on test"),
        Column(
            "equals",
            numeric=True,
            help="neurons that validation texts do not tell from it, of all neurons",
        ),
        Column("positive texts", numeric=True),
    ]
    rows = [
        [
            text_cell(feature["feature"]),
            text_cell(feature.get("verdict"), chip=True),
            text_cell(feature.get("site")),
            text_cell(sign(feature.get("sign"))),
            summary_cell(feature, "f1_one"),
            _kept(feature, "token_f1", _estimate_cell(feature, "token_f1")),
            _kept(feature, "q_value", _p_cell(feature.get("q_value"))),
            summary_cell(feature, "f1_best"),
            number_cell(feature.get("k_best")),
            *[_kept(feature, key, summary_cell(feature, key)) for key in _BASELINES],
            _kept(feature, "optimism", number_cell(feature.get("optimism"), signed=True)),
            _kept(feature, "n_equivalent", _equals_cell(feature)),
            number_cell(feature.get("n_positive")),
        ]
        for feature in features
    ]
    note = OLDER if any(ABSENT in row for row in rows) else ""
    frame = pd.json_normalize([dict(feature) for feature in features])
    caption = "Features and verdicts"
    code = frozenset({2, 3})
    return TableBlock(f"{name}-featuretable", caption, columns, rows, frame, 30, code, note)


def _kept(feature: Mapping[str, Any], name: str, cell: Cell) -> Cell:
    """The cell, or that an earlier version kept no such entry."""
    return cell if name in feature else ABSENT


def _equals_cell(feature: Mapping[str, Any]) -> Cell:
    """Neurons that tie, of all; at least these where only those of the shortlist were counted."""
    count = feature.get("n_equivalent")
    if missing(count) or "n_equivalent_all" in feature:
        return number_cell(feature.get("n_equivalent_all"))
    return Cell(f"at least {number(count)}", sort_key(count))


def _estimate_cell(feature: Mapping[str, Any], name: str) -> Cell:
    """The estimate of an interval alone, for a table that has many columns."""
    value = feature.get(name)
    return number_cell(value.get("estimate") if isinstance(value, Mapping) else value)


def _p_cell(value: Any) -> Cell:
    return Cell(p_value(value), sort_key(value))


def _tests_table(name: str, tests: pd.DataFrame, absent: Collection[str]) -> TableBlock | None:
    """Scores of all probes; `absent` are columns that the run is too old to have."""
    if tests.empty:
        return None
    columns = [
        Column("feature"),
        Column("probe"),
        Column("layer", numeric=True),
        Column("k", numeric=True),
        Column("test F1", numeric=True),
        Column("precision", numeric=True),
        Column("recall", numeric=True),
        Column("MCC", numeric=True, help="correlation of calls and labels"),
        Column(
            "balanced accuracy", numeric=True, help="mean of the shares of each class called right"
        ),
        Column("AUC", numeric=True),
        Column("average precision", numeric=True),
        Column("F1 restated", numeric=True, help="F1 at the stated share of positives"),
        Column("F1 at 0", numeric=True, help="F1 when log-odds are cut at 0, as in the paper"),
        Column("validation F1", numeric=True),
        Column("neurons"),
    ]
    rows = [
        [
            text_cell(row["feature"]),
            text_cell(row["probe"]),
            _whole_cell(row["layer"]),
            _whole_cell(row["k"]),
            interval_cell(row, "f1"),
            *[number_cell(row[key]) for key in ("precision", "recall")],
            ABSENT if "mcc" in absent else interval_cell(row, "mcc"),
            ABSENT if "balanced_accuracy" in absent else number_cell(row["balanced_accuracy"]),
            number_cell(row["auc"]) if "auc_low" in absent else interval_cell(row, "auc"),
            *[ABSENT if key in absent else number_cell(row[key]) for key in _MORE],
            _sites_cell(row["sites"]),
        ]
        for row in tests.to_dict("records")
    ]
    caption, code, note = "Every test result", frozenset({14}), OLDER if absent else ""
    return TableBlock(f"{name}-testtable", caption, columns, rows, tests, 10, code, note)


def _ties_table(name: str, ties: pd.DataFrame) -> TableBlock | None:
    if ties.empty:
        return None
    columns = [
        Column("feature"),
        Column("neuron"),
        Column("sign", help="+ higher on texts with the feature, \u2212 lower"),
        Column("validation F1", numeric=True),
        Column("the named neuron's, less this", numeric=True),
        Column("correlation", numeric=True, help="with the named neuron, on validation texts"),
    ]
    rows = [
        [
            text_cell(row["feature"]),
            text_cell(row["site"]),
            text_cell(sign(row["sign"])),
            number_cell(row["f1_validation"]),
            interval_cell(
                {"d": row["difference"], "d_low": row["low"], "d_high": row["high"]}, "d"
            ),
            number_cell(row["correlation"], signed=True),
        ]
        for row in ties.to_dict("records")
    ]
    caption = (
        "Neurons that validation texts do not tell from the one named: the first of those that "
        "could have been named, the 30 of each layer that are best on training texts"
    )
    return TableBlock(f"{name}-tietable", caption, columns, rows, ties, 8, frozenset({1, 2}))


def _whole_cell(value: Any) -> Cell:
    return NOT_APPLICABLE if missing(value) else number_cell(int(value))


def _sites_cell(sites: Any) -> Cell:
    """The first few of a long list of neurons; all of them are in the download."""
    names = [] if missing(sites) else str(sites).split()
    if not names:
        return NOT_APPLICABLE
    more = f" and {len(names) - 4:,} more" if len(names) > 4 else ""
    return text_cell(" ".join(names[:4]) + more)
