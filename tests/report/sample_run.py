"""A synthetic run folder of realistic size, with everything a page must survive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from needlepoint._core.records import Record, RunFolder
from needlepoint.report.model_graph import ModelGraph

N_LAYERS, N_HEADS, D_MLP = 30, 9, 1536
KS = [1, 2, 4, 8, 16, 32, 64, 128, 256]
STRONG = {(23, 3): -2.31, (20, 0): -1.62, (16, 0): -1.18, (17, 4): -0.97, (29, 1): 0.84}
STRONG |= {(19, 2): -0.71, (25, 6): 0.38, (13, 5): -0.33}
FEATURES = ["C", "C++", "Go", "HTML", "Java", "JavaScript", "Python", "Rust", "<b>Shell</b> & co"]
NASTY = [
    "<script>alert('x')</script>",
    "</script><script>window.pwned=1</script>",
    '"quoted"',
    "<img src=x onerror=window.pwned=1>",
    "\u202eright to left\u202c",
    "\u05e9\u05dc\u05d5\u05dd",
    "\U0001f469\u200d\U0001f52c",
    "zero\u200bwidth",
    "line\u2028break",
    "<!--",
    "&amp;",
    "\x00",
    "{{ 7*7 }}",
    "%{y}",
]


def interval(estimate: float, half: float) -> dict[str, float]:
    return {"low": estimate - half, "estimate": estimate, "high": estimate + half}


def write_sample_run(path: Path) -> Path:
    """Write the run and return its folder; the same numbers every time."""
    run = RunFolder.create(path, kind="demo", config={"seed": 0, "task": "ioi", "n_pairs": 200})
    run.update(
        command=["needlepoint demo --out run", "needlepoint report run"],
        model={
            "name": "smollm2",
            "family": "llama",
            "n_layers": N_LAYERS,
            "n_heads": N_HEADS,
            "n_kv_heads": 3,
            "d_model": 576,
            "d_head": 64,
            "d_mlp": D_MLP,
            "dtype": "float32",
            "sha256": "3f2a" * 16,
            "licence": "Apache-2.0",
        },
    )
    random = np.random.default_rng(0)
    run.add(*circuit_cell(random), edge_arrays())
    run.add(*probe_cell(random))
    run.add(
        Record(
            "circuit.docstring",
            "circuit",
            "skipped",
            reason="the model does not do it: accuracy 0.07 on clean prompts, 0.50 needed.",
        )
    )
    run.add(
        Record(
            "probe.broken",
            "probe",
            "failed",
            reason='Traceback (most recent call last):\n  File "<b>x</b>", line 1\nValueError: no',
        )
    )
    run.finish()
    return path


def circuit_cell(random: np.random.Generator) -> tuple[Record, dict[str, pd.DataFrame]]:
    heads = head_table(random)
    summary: dict[str, Any] = {
        "question": "Which attention heads let smollm2 name the indirect object?",
        "answer": "Six of 270 heads, L23.H3 first, carry 0.78 (0.71 to 0.85) of the behaviour on "
        "their own; random sets of six carry 0.01 (\u22120.05 to 0.09).",
        "not_established": [
            "That these heads work the same way outside the fifteen templates used.",
            "What each head computes: only that replacing it changes the answer.",
            "That no other set of heads would do as well.",
        ],
        "task": {
            "name": "ioi",
            "description": "Two people are named, one acts again, and the model should name the "
            "other one: 'When Mary and John went to the shop, John gave a drink to' ... Mary.",
            "n_pairs": 200,
            "corruption": "the second mention is a third name, so neither answer is favoured",
            "first_token": "<|im_start|>",
        },
        "behaviour": {
            "accuracy_clean": interval(0.975, 0.02),
            "accuracy_corrupt": interval(0.51, 0.07),
            "logit_difference_clean": interval(4.61, 0.2),
            "logit_difference_corrupt": None,
            "logit_difference_corrupt_reason": "all corrupt answers are <equal>",
            "metric": "logit difference",
            "unit": "logits",
            "chance": 0.5,
            "verdict": "present",
        },
        "ablation": {
            "kind": "resample ablation",
            "metric": "logit difference",
            "unit": "logits",
            "seconds": 31.5,
        },
        "graph": {
            "n_layers": N_LAYERS,
            "n_heads": N_HEADS,
            "n_kv_heads": 3,
            "parallel": False,
            "coupled": False,
            "d_model": 576,
        },
        "truth": {"rule": "the interval excludes zero and the effect exceeds 0.3", "n_heads": 8},
        "circuit": {
            "size": 6,
            "ranked_by": "causal effect",
            "heads": list(heads.dropna().sort_values("effect", key=abs)["site"].tail(6)[::-1]),
            "stability": {
                "verdict": "fair",
                "jaccard": interval(0.62, 0.2),
                "chance": 0.05,
                "n_resamples": 200,
            },
            "faithfulness": interval(0.78, 0.07),
            "random_faithfulness": interval(0.01, 0.07),
            "n_random": 50,
        },
        "seconds": {"activations": 4.2, "scores": 12.9, "ablation": 31.5},
    }
    tables = {
        "heads": heads,
        "nodes": node_table(np.random.default_rng(1)),
        "edges": edge_table(),
        "methods": method_table(),
        "faithfulness": faithfulness_table(random),
        "completeness": completeness_table(np.random.default_rng(3)),
        "prompts": prompt_table(random),
        **view_tables(np.random.default_rng(2)),
    }
    record = Record(
        "circuit.ioi", "circuit", "done", seconds=61.0, config={"pairs": 200}, summary=summary
    )
    return record, tables


def head_table(random: np.random.Generator) -> pd.DataFrame:
    rows = []
    for layer in range(N_LAYERS):
        for head in range(N_HEADS):
            effect = STRONG.get((layer, head), float(random.normal(0, 0.03)))
            strong = abs(effect) > 0.3
            half = 0.12 if strong else 0.05
            rows.append(
                {
                    "layer": layer,
                    "head": head,
                    "site": f"L{layer}.H{head}.z",
                    "effect": effect,
                    "effect_low": effect - half,
                    "effect_high": effect + half,
                    "matters": strong,
                    "score.discrete_sae": abs(effect) * 0.4 + random.exponential(0.16),
                    "score.mean_difference": abs(effect) + random.exponential(0.06),
                    "score.linear_probe": min(1.0, 0.5 + abs(effect) / 3 + random.random() / 4),
                    "score.untrained": random.exponential(0.2),
                    "score.random": random.random(),
                }
            )
    heads = pd.DataFrame(rows)
    heads.loc[4, ["effect", "effect_low", "effect_high"]] = np.nan
    heads.loc[7, "score.linear_probe"] = np.nan
    return heads


def method_table() -> pd.DataFrame:
    rows = [
        ("discrete_sae", "discrete autoencoder", "Codes used on clean prompts only.", 0.86, 0.07),
        ("mean_difference", "norm of the mean difference", "Clean minus corrupt.", 0.95, 0.03),
        ("linear_probe", "linear probe", "Accuracy under cross-validation.", 0.88, 0.06),
        ("untrained", "untrained autoencoder", "The same, without training.", 0.61, 0.1),
        ("random", "random scores", "A coin for each head.", 0.47, 0.11),
    ]
    frame = pd.DataFrame(
        [
            {
                "method": method,
                "label": label,
                "description": text,
                "auc": auc,
                "auc_low": auc - half,
                "auc_high": min(1.0, auc + half),
                "average_precision": max(0.03, (auc - 0.5) * 1.7),
                "chance_precision": 8 / 270,
                "spearman": (auc - 0.5) * 1.5,
                "seconds": 10.3 * (1.3 - auc),
                "uses_labels": method != "random",
                "control": method in ("untrained", "random"),
            }
            for method, label, text, auc, half in rows
        ]
    )
    unjudged = {"method": "edge", "label": "edge score <i>", "description": "Has no value here."}
    extra = pd.DataFrame([{**unjudged, "uses_labels": False, "control": False}])
    return pd.concat([frame, extra.reindex(columns=frame.columns)], ignore_index=True)


def node_table(random: np.random.Generator) -> pd.DataFrame:
    """MLPs and the embedding; the heads have a table of their own."""
    names = [("embed", "embed", -1)]
    names += [(f"L{layer}.mlp", "mlp", layer) for layer in range(N_LAYERS)]
    rows = []
    for node, kind, layer in names:
        effect = -3.1 if node in ("embed", "L0.mlp") else float(random.normal(-0.05, 0.1))
        bounds = {"effect_low": effect - 0.1, "effect_high": effect + 0.1}
        rows.append(
            {"node": node, "kind": kind, "layer": layer, "index": 0, "effect": effect, **bounds}
        )
    return pd.DataFrame(rows)


EDGES = [
    ("L23.H3", "logits", -1.9),
    ("L20.H0", "L23.H3.q", -0.8),
    ("L16.H0", "L20.H0.q", -0.5),
    ("embed", "L16.K0", -0.4),
    ("embed", "L17.V1", -0.3),
    ("L17.H4", "L23.mlp", -0.2),
    ("L29.H1", "logits", 0.8),
    ("L0.mlp", "L16.H0.q", -0.1),
]


def edge_table() -> pd.DataFrame:
    rows = []
    for rank, (writer, reader, score) in enumerate(EDGES, 1):
        effect = {"effect": score * 1.1, "effect_low": score - 0.15, "effect_high": score + 0.15}
        rows.append(
            {"method": "eap", "rank": rank, "writer": writer, "reader": reader, "score": score}
            | {**effect, "confirmed": abs(score) > 0.15}
        )
    return pd.DataFrame(rows)


def edge_arrays() -> dict[str, np.ndarray]:
    """Scores of all edges: the listed ones, and many that are smaller."""
    graph = ModelGraph(N_LAYERS, N_HEADS, 3)
    scores = np.random.default_rng(3).normal(0, 0.01, (len(graph.writers), len(graph.readers)))
    scores = scores.astype(np.float32)
    for writer, reader, score in EDGES:
        scores[graph.writers.index(writer), graph.readers.index(reader)] = score
    return {"edges.eap": scores}


def view_tables(random: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Patterns of the strong heads on three pairs, with tokens that a page must survive."""
    words = ["<|im_start|>", "When", " Mary", " and", " John", " went", " to", " the", " shop", ","]
    words += [" John", " gave", " a", " drink", " to"]
    sites = [f"L{layer}.H{head}" for layer, head in STRONG]
    shown, attention, codes = [], [], []
    for pair in range(3):
        for side in ("clean", "corrupt"):
            tokens = [*words, *NASTY] if pair == 1 else words
            shown.append({"pair": pair, "side": side, "tokens": tokens})
            for site in sites:
                weights = [
                    random.dirichlet(np.ones(row + 1) * 0.3).round(3) for row in range(len(tokens))
                ]
                attention.append(
                    {"site": site, "pair": pair, "side": side, "weights": np.concatenate(weights)}
                    | {"codes": [int(code) for code in random.integers(-1, 40, len(tokens))]}
                )
    for site in sites:
        for code in (-1, 3, 17):
            corrupt = 0 if code == 17 else 40
            codes.append(
                {"site": site, "code": code, "n_clean": 60, "n_corrupt": corrupt}
                | {"unique": code == 17, "tokens": [" Mary", NASTY[0]], "counts": [9, 1]}
            )
    tables = {"shown_prompts": shown, "attention": attention, "codes": codes}
    return {name: pd.DataFrame(rows) for name, rows in tables.items()}


def faithfulness_table(random: np.random.Generator) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for size in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32):
        value = 1.06 * (1 - np.exp(-size / 4.5))
        rows.append(
            {"size": size, "kind": "ranked", "draw": 0, "faithfulness": value}
            | {"low": value - 0.07, "high": value + 0.07}
        )
        for draw in range(50 if size == 6 else 5):
            value = random.normal(size / 270, 0.02 + size / 300)
            rows.append({"size": size, "kind": "random", "draw": draw, "faithfulness": value})
    return pd.DataFrame(rows)


def completeness_table(random: np.random.Generator) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for size in (1, 3, 6, 12):
        for kind, draws in (("ranked", 1), ("random", 6), ("layers matched", 6)):
            for draw in range(draws):
                value = 1 - 0.5**size if draws == 1 else random.uniform(0, 0.1 + size / 30)
                ranked_by = "causal effect" if draws == 1 else kind
                row = {"size": size, "kind": kind, "ranked_by": ranked_by, "draw": draw}
                row |= {"faithfulness": value / 2, "completeness": value}
                rows.append(row | {"low": value - 0.1, "high": value + 0.1})
    return pd.DataFrame(rows)


def prompt_table(random: np.random.Generator) -> pd.DataFrame:
    names = ["Mary", "John", "Alice", "Tom", "Emma", "Paul"]
    rows = []
    for place in range(12):
        right, wrong, third = (names[(place + shift) % len(names)] for shift in (0, 1, 2))
        start = f"When {right} and {wrong} went to the shop, "
        rows.append(
            {
                "clean": f"{start}{wrong} gave a drink to",
                "corrupt": f"{start}{third} gave a drink to" if place else NASTY[1],
                "answer": f" {right}",
                "wrong": f" {wrong}",
                "logit_difference_clean": float(random.normal(4.6, 1)),
                "logit_difference_corrupt": float(random.normal(0, 1)),
            }
        )
    return pd.DataFrame(rows)


def probe_cell(random: np.random.Generator) -> tuple[Record, dict[str, pd.DataFrame]]:
    features = [feature_summary(place, name) for place, name in enumerate(FEATURES)]
    summary: dict[str, Any] = {
        "question": "Which neurons of smollm2 know what programming language a text is in?",
        "answer": "For 7 of 9 languages one neuron suffices; the best, for HTML, reaches a test "
        "F1 of 0.95 (0.92 to 0.98), against 0.21 on shuffled labels.",
        "not_established": [
            "That a neuron responds to the language and not to its punctuation.",
            "That the neurons are used for nothing else.",
        ],
        "collection": {
            "name": "programming_language",
            "description": "Windows of real source files, labelled by programming language.",
            "source": "files of open-source packages",
            "licence": "various open-source licences",
            "n_examples": 5400,
            "n_documents": 1260,
            "n_features": 9,
            "aggregation": "mean over positions",
            "confounds": ["file header comments", "indentation", "share of punctuation"],
            "sha256": "ab" * 32,
            "split": {"train": 3240, "validation": 1080, "test": 1080},
        },
        "settings": {"k": KS},
        "features": features,
        "cautions": ["L4.N37 is the best neuron of two features: it does not tell them apart."],
        "shuffled": {
            "found": 0,
            "text": "the best neuron reached F1 0.21, below the bar of 0.35.",
        },
        "seconds": {"activations": 48.0, "fits": 21.7},
    }
    tables = {
        "curve": curve_table(random, features),
        "tests": test_table(features),
        "tests_by_k": by_k_table(features),
        "neurons": neuron_table(features),
        "equivalent": tie_table(features),
        "null": null_table(random, features),
        "certificates": certificate_table(features),
        "depth": depth_table(random, features),
        "ablation": ablation_table(random, features),
        "excerpts": excerpt_table(random, features),
        "histograms": histogram_table(random, features),
    }
    record = Record(
        "probe.programming_language",
        "probe",
        "done",
        seconds=88.0,
        config={"k_max": 256},
        summary=summary,
    )
    return record, tables


def feature_summary(place: int, name: str) -> dict[str, Any]:
    f1 = 0.95 - 0.07 * place
    found = f1 > 0.5
    feature: dict[str, Any] = {
        "feature": name,
        "verdict": "one neuron" if found else "not present",
        "carried_by": "one neuron" if found else "not present",
        "reason": f"one neuron gives F1 {f1:.2f}.",
        "n_positive": 600 - 7 * place,
        "site": f"L{4 + 3 * place}.N{37 + 113 * place}",
        "sign": 1 if place % 3 else -1,
        "k_best": 2 ** (place % 6),
        "f1_one": interval(f1, 0.03),
        "f1_best": interval(min(0.98, f1 + 0.06), 0.02),
        "f1_dense": min(0.99, f1 + 0.09),
        "baseline_f1": 0.2,
        "null_f1": 0.21,
        "token_f1": interval(0.4, 0.05),
        "embedding_f1": 0.45,
        "random_basis_f1": 0.3,
        "optimism": 0.02,
        "p_value": 0.0002 if found else 0.31,
        "q_value": 0.0004 if found else 0.31,
        "observed": 3.2 if found else 1.2,
        "null_scheme": "documents swap labels",
        "saturated": False,
        "n_equivalent": place,
        "n_duplicates": 0,
        "equivalent": [f"L1.N{n}" for n in range(place)],
    }
    if place == len(FEATURES) - 1:
        feature |= {"f1_best": None, "f1_best_reason": "the fit did not converge", "k_best": None}
    return feature


def curve_table(random: np.random.Generator, features: list[dict[str, Any]]) -> pd.DataFrame:
    rows = []
    for place, feature in enumerate(features):
        best = 4 + 3 * place
        for layer in range(N_LAYERS):
            start = 0.25 + (feature["f1_one"]["estimate"] - 0.25) * np.exp(-abs(layer - best) / 7)
            for step, k in enumerate(KS):
                f1 = start + (0.97 - start) * (1 - np.exp(-step / 3)) + random.normal(0, 0.008)
                rows.append(
                    {
                        "feature": feature["feature"],
                        "layer": layer,
                        "k": k,
                        "f1_validation": float(min(f1, 1)),
                        "auc_validation": float(min(f1 + 0.02, 1)),
                        "selected": layer == best and k == feature["k_best"],
                    }
                )
    return pd.DataFrame(rows)


def test_table(features: list[dict[str, Any]]) -> pd.DataFrame:
    rows = []
    for place, feature in enumerate(features):
        best = feature["f1_best"] or {"low": None, "estimate": None, "high": None}
        one = feature["f1_one"]
        k_best = feature["k_best"] or 1
        sparse = " ".join(f"L{4 + 3 * place}.N{n}" for n in range(k_best))
        entries: list[tuple[str, int | None, str | None, dict[str, Any]]] = [
            ("one neuron", 1, feature["site"], one),
            ("sparse", k_best, sparse, best),
            ("dense", D_MLP, None, interval(feature["f1_dense"], 0.01)),
            ("random basis", 1, None, interval(0.3, 0.04)),
            ("random neurons", k_best, None, interval(0.25, 0.04)),
            ("embedding", 576, None, interval(0.45, 0.04)),
            ("both tokens", None, None, interval(0.4, 0.05)),
            ("shuffled labels", 1, None, interval(0.21, 0.02)),
            ("majority", None, None, interval(0.2, 0.01)),
        ]
        for probe, k, sites, f1 in entries:
            rows.append(
                {
                    "feature": feature["feature"],
                    "probe": probe,
                    "layer": 4 + 3 * place if k else None,
                    "k": k,
                    "sites": sites,
                    "f1": f1["estimate"],
                    "f1_low": f1["low"],
                    "f1_high": f1["high"],
                    "precision": f1["estimate"],
                    "recall": f1["estimate"],
                    "mcc": f1["estimate"],
                    "mcc_low": f1["low"],
                    "mcc_high": f1["high"],
                    "balanced_accuracy": f1["estimate"],
                    "auc": None if probe == "majority" else f1["estimate"],
                    "auc_low": None if probe == "majority" else f1["low"],
                    "auc_high": None if probe == "majority" else f1["high"],
                    "average_precision": None if probe == "majority" else f1["estimate"],
                    "f1_at_prevalence": f1["estimate"],
                    "f1_zero": None if probe == "majority" else f1["estimate"],
                    "f1_validation": f1["estimate"],
                }
            )
    return pd.DataFrame(rows)


test_table.__test__ = False  # type: ignore[attr-defined]


def by_k_table(features: list[dict[str, Any]]) -> pd.DataFrame:
    """Test results of every k: F1 climbs from that of the one neuron to that of all."""
    rows = []
    for place, feature in enumerate(features):
        low, high = feature["f1_one"]["estimate"], feature["f1_dense"]
        for step, k in enumerate([*KS, D_MLP]):
            f1 = high - (high - low) * 0.6**step
            ends = {"f1_low": f1 - 0.03, "f1_high": f1 + 0.03}
            zero = {"f1_zero": f1 - 0.1, "f1_zero_low": f1 - 0.14, "f1_zero_high": f1 - 0.06}
            scores = dict.fromkeys(
                ("recall", "balanced_accuracy", "auc", "average_precision", "f1_validation"), f1
            )
            scores |= dict.fromkeys(
                ("precision_zero", "recall_zero", "mcc_zero", "balanced_accuracy_zero"), f1 - 0.1
            )
            rows.append(
                {"feature": feature["feature"], "layer": 4 + 3 * place, "k": k, "sites": ""}
                | {"f1": f1, **ends, "precision": None if k == 2 else f1}
                | {"mcc": f1, "mcc_low": f1 - 0.05, "mcc_high": f1 + 0.05, **zero, **scores}
            )
    return pd.DataFrame(rows)


def neuron_table(features: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "feature": feature["feature"],
                "layer": 4 + 3 * place,
                "neuron": 37 + 113 * place,
                "site": feature["site"],
                "sign": feature["sign"],
                "mean_difference": 0.8 * feature["sign"],
                "mean_difference_std": 1.9 * feature["sign"],
                "logistic_weight": 2.1,
                "logistic_bias": -0.3,
                "logistic_loss": 0.2,
                "threshold": 0.55 * feature["sign"],
                "f1_train": 0.9,
                "f1_validation": 0.88,
                "rank": 1,
            }
            for place, feature in enumerate(features)
        ]
    )


def tie_table(features: list[dict[str, Any]]) -> pd.DataFrame:
    columns = "feature rank site sign f1_validation difference low high correlation"
    rows = [
        (feature["feature"], rank, site, 1, 0.9, 0.01, -0.02, 0.04, 0.3)
        for feature in features
        for rank, site in enumerate(feature["equivalent"])
    ]
    return pd.DataFrame(rows, columns=columns.split())


def null_table(random: np.random.Generator, features: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "feature": feature["feature"],
                "scheme": "documents",
                "draw": draw,
                "largest": float(random.normal(1.2, 0.1)),
            }
            for feature in features
            for draw in range(60)
        ]
    )


def certificate_table(features: list[dict[str, Any]]) -> pd.DataFrame:
    common = {
        "feature": features[0]["feature"], "layer": 4, "gamma": 0.02, "ridge": 1,
        "objective": 0.5, "bound": 0.49, "gap": 0.02, "status": "gap 2 %", "seconds": 60.0,
        "overlap": 1, "chosen": False, "f1_validation": 0.8, "f1": 0.78, "f1_low": 0.7,
        "f1_high": 0.85, "mcc": 0.6, "auc": 0.9, "sweep_f1": 0.76, "difference": 0.02,
        "difference_low": -0.03, "difference_high": 0.06, "reason": "",
    }  # fmt: skip
    none = dict.fromkeys(
        ("objective", "bound", "gap", "seconds", "overlap", "f1_validation", "f1", "f1_low",
         "f1_high", "mcc", "auc", "sweep_f1", "difference", "difference_low", "difference_high")
    )  # fmt: skip
    spent = {"k": 3, "status": "not tried", "reason": "the time had been spent", **none}
    rows = [
        common | {"k": 1},
        common | {"k": 2, "chosen": True, "gap": 0.0, "status": "exact"},
        common | spent,
    ]
    return pd.DataFrame(rows)


def depth_table(random: np.random.Generator, features: list[dict[str, Any]]) -> pd.DataFrame:
    rows = []
    for place, feature in enumerate(features):
        top = feature["f1_one"]["estimate"]
        for layer in range(N_LAYERS):
            f1 = 0.25 + (top - 0.25) * np.exp(-abs(layer - 4 - 3 * place) / 9)
            rows.append(
                {
                    "feature": feature["feature"],
                    "layer": layer,
                    "site": f"L{layer}.N{int(random.integers(D_MLP))}",
                    "f1_validation": float(f1 + random.normal(0, 0.01)),
                }
            )
    return pd.DataFrame(rows)


def ablation_table(random: np.random.Generator, features: list[dict[str, Any]]) -> pd.DataFrame:
    rows = []
    for feature in features:
        for mode in ("zero", "mean"):
            for texts in ("positive", "negative"):
                for neurons in ("found", "random"):
                    found = neurons == "found" and texts == "positive"
                    rise = (0.031 if found else 0.001) + float(random.normal(0, 0.0008))
                    rows.append(
                        {
                            "feature": feature["feature"],
                            "sites": feature["site"],
                            "neurons": neurons,
                            "mode": mode,
                            "texts": texts,
                            "loss_increase": rise,
                            "low": rise - 0.004,
                            "high": rise + 0.004,
                            "n_random": 20,
                            "p_value": 0.048 if found else None,
                        }
                    )
    return pd.DataFrame(rows)


CODE = {
    "C": '#include <stdio.h>\nint main(void) {\n\tprintf("hi\\n");\n\treturn 0;\n}\n',
    "HTML": '<!DOCTYPE html>\n<html>\n<body onload="go()">\n<p>hi</p>\n</body>\n</html>\n',
    "Python": "def greet(name: str) -> str:\n    print(f'hi {name}')\n\n\nclass A(B):\n    pass\n",
}


def pieces(text: str) -> list[str]:
    cut: list[str] = []
    for character in text:
        if cut and (cut[-1] + character).strip().isalnum() and cut[-1] != "\n":
            cut[-1] += character
        else:
            cut.append(character)
    return cut


def excerpt_table(random: np.random.Generator, features: list[dict[str, Any]]) -> pd.DataFrame:
    rows = []
    for place, feature in enumerate(features):
        for rank in range(4):
            text = list(CODE.values())[(place + rank) % len(CODE)] * 2
            tokens = pieces(text) if (place, rank) != (0, 1) else [*NASTY, *pieces(text)]
            values = random.exponential(0.25, len(tokens)) * (random.random(len(tokens)) < 0.4)
            values[:: 7 + rank] += 2.2
            if feature["sign"] < 0:
                values = -values * (random.random(len(tokens)) < 0.8) + 0.1
            rows.append(
                {
                    "feature": feature["feature"],
                    "site": feature["site"],
                    "rank": rank + 1,
                    "document": f"package/file_{place}_{rank}.txt" if rank else NASTY[3],
                    "label": rank != 2,
                    "tokens": tokens,
                    "activations": [float(value) for value in values],
                }
            )
    return pd.DataFrame(rows)


def histogram_table(random: np.random.Generator, features: list[dict[str, Any]]) -> pd.DataFrame:
    rows = []
    for place, feature in enumerate(features):
        gap = (2.4 - 0.2 * place) * feature["sign"]
        edges = np.linspace(-3.5, 5.0, 41) * feature["sign"]
        edges = np.sort(edges)
        for label, centre, n in ((False, 0.0, 4800), (True, gap, 600)):
            counts, _ = np.histogram(random.normal(centre, 0.7, n), edges)
            for left, right, count in zip(edges[:-1], edges[1:], counts, strict=True):
                rows.append(
                    {
                        "feature": feature["feature"],
                        "site": feature["site"],
                        "label": label,
                        "bin_left": float(left),
                        "bin_right": float(right),
                        "count": int(count),
                    }
                )
    return pd.DataFrame(rows)
