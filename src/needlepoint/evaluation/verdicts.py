"""What the numbers say about each feature, in words, by rules that are written down here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from needlepoint.evaluation.held_out import Tested
from needlepoint.evaluation.read_neurons import NeuronData
from needlepoint.evaluation.search_neurons import NeuronSearch, Search

LEVEL = 0.05
HIGH = 0.9
FAIR = 0.7
NEAR = 0.05
"""F1 within which two probes count as equally good."""


def feature_summary(
    data: NeuronData, found: Search, feature: int, tested: Sequence[Tested]
) -> dict[str, Any]:
    """What the record says about one feature."""
    by_name = {one.probe: one for one in tested}
    choice = found.choices[feature]
    p_value = found.p_value(feature)
    perfect = sum(int((layer.f1_validation[feature] == 1).sum()) for layer in found.layers)
    summary: dict[str, Any] = {
        "feature": data.collection.features[feature],
        "verdict": verdict(by_name, p_value, len(data.collection.features)),
        "n_positive": int(data.labels[data.of(feature).rows, feature].sum()),
        "site": f"L{choice.neuron.layer}.N{choice.neuron.neuron}",
        "sign": choice.neuron.sign,
        "k_best": choice.sparse.k,
        "layer_best": choice.sparse.layer,
        "f1_one": _interval(by_name["one neuron"]),
        "f1_best": _interval(by_name["sparse"]),
        "f1_dense": by_name["dense"].f1_point,
        "baseline_f1": by_name["majority"].f1_point,
        "null_f1": by_name["shuffled labels"].f1_point,
        "optimism": choice.neuron.f1_validation - by_name["one neuron"].f1_point,
        "p_value": p_value,
        "saturated": perfect > 1,
        "n_perfect": perfect,
    }
    if p_value is None:
        summary["p_value_reason"] = "labels vary within documents, which cannot swap them"
    return summary


def verdict(by_name: Mapping[str, Tested], p_value: float | None, n_features: int) -> str:
    """One of: not found, weak, one neuron, a few neurons, distributed.

    Not found: the neuron does not stand out from the largest of all neurons under shuffled labels
    at 5 %, corrected for the number of features (Bonferroni), or does not beat calling every text
    positive. Weak: neither it nor the sparse nor the dense probe reaches a test F1 of .7. One
    neuron: its test F1 is at least .9, or within .05 of the better of the other two; a sparse probe
    that reads one neuron counts as one. A few: the sparse probe's is at least .9 or within .05 of
    the dense probe's. Distributed: the rest.
    """
    one, sparse, dense = (by_name[name].f1_point for name in ("one neuron", "sparse", "dense"))
    k = len(by_name["sparse"].neurons)
    trivial = by_name["majority"].f1_point
    if (p_value is not None and p_value * n_features > LEVEL) or one <= trivial:
        return "not found"
    if max(one, sparse, dense) < FAIR:
        return "weak"
    alone = max(one, sparse) if k == 1 else one
    if alone >= HIGH or alone >= max(sparse, dense) - NEAR:
        return "one neuron"
    if sparse >= HIGH or sparse >= dense - NEAR:
        return f"a few neurons (k = {k})"
    return "distributed"


def find_answer(model: str, features: Sequence[Mapping[str, Any]], ablated: pd.DataFrame) -> str:
    """The answer to the question of the collection, with its uncertainty, in a few sentences."""
    single = [one for one in features if one["verdict"] == "one neuron"]
    missing = [one for one in features if one["verdict"] == "not found"]
    if len(missing) == len(features):
        return f"No neuron of {model} tells any of the {len(features)} features from chance."
    best = max(features, key=lambda one: one["f1_one"]["estimate"])
    f1 = best["f1_one"]
    known = f1["low"] is not None
    interval = f" (95% interval {f1['low']:.2f} to {f1['high']:.2f})" if known else ""
    parts = [
        f"A single neuron of {model} is enough for {len(single)} of {len(features)} features; the "
        f"surest, {best['site']}, tells {best['feature']}: F1 {f1['estimate']:.2f}{interval} on "
        f"unseen documents, where calling every text positive gives {best['baseline_f1']:.2f}"
    ]
    return ". ".join([*parts, *_ablation_sentence(ablated)]) + "."


def shuffled_summary(wrong: NeuronSearch, n_features: int, permutations: int) -> dict[str, Any]:
    """What the same search finds when documents have been given one another's labels."""
    p_values = [wrong.smallest_p(feature) for feature in range(n_features)]
    known = [p for p in p_values if p is not None]
    if not known:
        text = (
            "On shuffled labels no p-value exists: labels vary within documents, so documents "
            "cannot swap them. Compare the test F1 of the shuffled labels with the majority call."
        )
        return {"found": None, "found_reason": "labels vary within documents", "text": text}
    found = sum(p * n_features <= LEVEL for p in known)
    what = "nothing was found" if found == 0 else f"{found} of {n_features} were 'found'"
    return {
        "found": found,
        "smallest_p": min(known),
        "text": f"On shuffled labels {what}: of all neurons and all {n_features} features the "
        f"smallest p was {min(known):.3f} ({permutations} permutations); below "
        f"{LEVEL / n_features:.4f} would have counted.",
    }


def _interval(tested: Tested) -> dict[str, float | str | None]:
    if tested.f1 is not None:
        return dict(tested.f1._asdict())
    why = "fewer than two test documents with the feature, or without it"
    return {"low": None, "estimate": tested.f1_point, "high": None, "low_reason": why}


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
