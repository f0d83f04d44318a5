"""The summary of a study of neurons: one entry for each feature, and the answer in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from needlepoint.evaluation.equivalence import EquivalenceSet
from needlepoint.evaluation.false_discovery import LEVEL, q_values
from needlepoint.evaluation.held_out import Judged
from needlepoint.evaluation.intervals import Interval
from needlepoint.evaluation.label_nulls import WORDS
from needlepoint.evaluation.read_neurons import NeuronData
from needlepoint.evaluation.search_neurons import NeuronSearch, Search
from needlepoint.evaluation.sparse_null import SparseNull
from needlepoint.evaluation.tested import Tested
from needlepoint.evaluation.verdicts import EXPLAINED, NOT_PRESENT, ONE, verdict

SHOWN = 10
"""Tied neurons that the summary names; the table has more, and all are counted."""
FEW_DOCUMENTS = "fewer than two test documents with the feature, or without it"


def feature_summaries(
    data: NeuronData,
    found: Search,
    judged: Sequence[Judged],
    ties: Sequence[EquivalenceSet],
    nulls: Sequence[SparseNull],
) -> list[dict[str, Any]]:
    """What the record says about each feature."""
    n_features = len(judged)
    q_of = q_values([found.p_value(feature) for feature in range(n_features)])
    q_best = q_values([one.p_best for one in judged])
    return [
        {
            **_verdict(data, found, feature, judged[feature], q_of[feature], q_best[feature]),
            **_chosen(found, feature, judged[feature]),
            **_scores(judged[feature]),
            **_null(found, feature, q_of[feature]),
            **_sparse_null(nulls[feature]),
            **_ties(found, feature, ties[feature]),
        }
        for feature in range(n_features)
    ]


def find_answer(model: str, features: Sequence[Mapping[str, Any]], ablated: pd.DataFrame) -> str:
    """The answer to the question of the collection, with its uncertainty, in a few sentences."""
    present = [one for one in features if one["verdict"] != NOT_PRESENT]
    if not present:
        return f"No neuron of {model} tells any of the {len(features)} features from chance."
    single = [one for one in present if one["carried_by"] == ONE]
    best = max(single or present, key=lambda one: one["f1_one"]["estimate"])
    f1 = best["f1_one"]
    known = f1["low"] is not None
    interval = f" (95% interval {f1['low']:.2f} to {f1['high']:.2f})" if known else ""
    parts = [
        f"A single neuron of {model} is enough for {len(single)} of {len(features)} features; the "
        f"surest, {best['site']}, tells {best['feature']}: F1 {f1['estimate']:.2f}{interval} on "
        f"unseen documents, where calling every text positive gives {best['baseline_f1']:.2f}"
    ]
    return ". ".join([*parts, *_token_sentence(present), *_ablation_sentence(ablated)]) + "."


def shuffled_summary(wrong: NeuronSearch, n_features: int, permutations: int) -> dict[str, Any]:
    """What the same search finds when labels mean nothing."""
    p_values = [wrong.smallest_p(feature) for feature in range(n_features)]
    known = [p for p in p_values if p is not None]
    if not known:
        reason = "no feature's labels can be moved so that a p-value exists"
        text = (
            "On shuffled labels no p-value exists, as labels cannot be moved. Compare the test F1 "
            "of the shuffled labels with the majority call."
        )
        return {"found": None, "found_reason": reason, "text": text}
    q_of = [q for q in q_values(p_values) if q is not None]
    found = sum(q <= LEVEL for q in q_of)
    what = "nothing was found" if found == 0 else f"{found} of {n_features} were 'found'"
    return {
        "found": found,
        "smallest_p": min(known),
        "smallest_q": min(q_of),
        "text": f"On shuffled labels {what}: of all neurons and all {n_features} features the "
        f"smallest p was {min(known):.3f} ({permutations} permutations), q {min(q_of):.3f}; q up "
        f"to {LEVEL} would have counted.",
    }


def _verdict(
    data: NeuronData,
    found: Search,
    feature: int,
    judged: Judged,
    q: float | None,
    q_best: float | None,
) -> dict[str, Any]:
    within = found.nulls[feature].scheme == "shift"
    said = verdict(judged, q, q_best=q_best, within=within)
    return {
        "feature": data.collection.features[feature],
        "verdict": said.verdict,
        "carried_by": said.carried_by,
        "reason": said.reason,
        "n_positive": int(data.labels[data.of(feature).rows, feature].sum()),
    }


def _chosen(found: Search, feature: int, judged: Judged) -> dict[str, Any]:
    choice, by_name = found.choices[feature], judged.by_name
    return {
        "site": f"L{choice.neuron.layer}.N{choice.neuron.neuron}",
        "sign": choice.neuron.sign,
        "k_best": choice.sparse.k,
        "layer_best": choice.sparse.layer,
        "optimism": choice.neuron.f1_validation - by_name["one neuron"].f1_point,
        "optimism_best": choice.sparse.f1_validation - by_name["sparse"].f1_point,
    }


def _scores(judged: Judged) -> dict[str, Any]:
    by_name = judged.by_name
    return {
        "f1_one": _interval(by_name["one neuron"], "f1"),
        "mcc_one": _interval(by_name["one neuron"], "mcc"),
        "auc_one": _interval(by_name["one neuron"], "auc"),
        "f1_best": _interval(by_name["sparse"], "f1"),
        "f1_dense": by_name["dense"].f1_point,
        "baseline_f1": by_name["majority"].f1_point,
        "token_f1": _interval(by_name[judged.token], "f1"),
        "token_probe": judged.token,
        "over_token": _difference(judged.over_token),
        "embedding_f1": by_name["embedding"].f1_point,
        "random_f1": by_name["random neurons"].f1_point,
        "random_basis_f1": by_name["random basis"].f1_point,
        "null_f1": by_name["shuffled labels"].f1_point,
    }


def _null(found: Search, feature: int, q: float | None) -> dict[str, Any]:
    null, neuron, p = found.nulls[feature], found.neurons[feature], found.p_value(feature)
    if null.observed is None or null.scheme is None:
        none = {"p_value": None, "q_value": None, "observed": None, "null_scheme": None}
        reasons = dict.fromkeys(("p_value_reason", "q_value_reason"), null.reason)
        return {**none, **reasons, "observed_reason": null.reason}
    return {
        "p_value": p,
        "q_value": q,
        "observed": float(null.observed[neuron.layer][neuron.neuron]),
        "null_scheme": WORDS[null.scheme],
    }


def _sparse_null(null: SparseNull) -> dict[str, Any]:
    """The p-value of the best sparse probe, which is of the whole search."""
    if null.p_value is None:
        return {"p_sparse": None, "p_sparse_reason": null.reason}
    return {"p_sparse": null.p_value}


def _ties(found: Search, feature: int, ties: EquivalenceSet) -> dict[str, Any]:
    perfect = sum(int((layer.f1_validation[feature] == 1).sum()) for layer in found.layers)
    summary: dict[str, Any] = {
        "saturated": perfect > 1,
        "n_perfect": perfect,
        "n_equivalent": ties.n_tied,
        "n_equivalent_all": ties.n_all,
        "n_duplicates": ties.n_duplicates,
        "equivalent": [f"L{one.layer}.N{one.neuron}" for one in (ties.tied or ())[:SHOWN]],
    }
    if ties.tied is None:
        summary["n_equivalent_reason"] = FEW_DOCUMENTS.replace("test", "validation")
        summary["n_duplicates_reason"] = summary["n_equivalent_reason"]
        summary["n_equivalent_all_reason"] = summary["n_equivalent_reason"]
    return summary


def _interval(tested: Tested, name: str) -> dict[str, float | str | None]:
    estimate = getattr(tested.scores, name)
    if name in tested.intervals:
        return dict(tested.intervals[name]._asdict())
    why = FEW_DOCUMENTS if not tested.intervals else "not defined on every resample of documents"
    return {"low": None, "estimate": estimate, "high": None, "low_reason": why}


def _difference(found: Interval | None) -> dict[str, float | str | None]:
    if found is None:
        return {"low": None, "estimate": None, "high": None, "low_reason": FEW_DOCUMENTS}
    return dict(found._asdict())


def _token_sentence(present: Sequence[Mapping[str, Any]]) -> list[str]:
    """How many features the tokens alone tell as well."""
    explained = [one for one in present if one["verdict"] == EXPLAINED]
    if not explained:
        return []
    return [
        f"For {len(explained)} of the {len(present)} features that are present, which tokens a "
        "text has tells as much as the neurons do"
    ]


def _ablation_sentence(ablated: pd.DataFrame) -> list[str]:
    """What switching the neurons off does, over all features that were tried."""
    zero = ablated[(ablated["mode"] == "mean") & (ablated["texts"] == "positive")]
    found, drawn = (zero[zero["neurons"] == name] for name in ("found", "random"))
    if found.empty or drawn.empty:
        return []
    worse = int((found["low"] > 0).sum())
    return [
        f"Setting the neuron to its mean raises the loss on its own texts for {worse} of "
        f"{len(found)} tried, by {found['loss_increase'].mean():+.4f} nats per token on average "
        f"({drawn['loss_increase'].mean():+.4f} for random neurons that write as much)"
    ]
