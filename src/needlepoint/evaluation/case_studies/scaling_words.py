"""What the numbers of several models say, in words, by rules that are written down here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from needlepoint.evaluation.case_studies.configs import ScalingConfig
from needlepoint.evaluation.case_studies.published_scaling import DIFFERENCES, SOURCE
from needlepoint.evaluation.case_studies.scaled_models import Scale
from needlepoint.evaluation.case_studies.scored import interval, said
from needlepoint.evaluation.study import Clock

NOT_ESTABLISHED = (
    "Models differ in more than their size: data, tokens, depth and width. A difference between "
    "two of them is not an effect of scale.",
    "With searches of equal size a larger model keeps a smaller share of its neurons, so that a "
    "feature with one neuron of its own is found less often. Without, it has more to choose from. "
    "Neither alone is fair, so both are given.",
    "Intervals are over documents: other features, or models trained again, are not in them.",
    "Tokenizers cut the same documents into other tokens and rows.",
)


def scaling_summary(
    scales: Sequence[Scale],
    tables: Mapping[str, pd.DataFrame],
    groups: Sequence[str],
    config: ScalingConfig,
    clock: Clock,
) -> dict[str, Any]:
    """What the record says: question, answer, models, means, differences."""
    scores = tables["model_scores"]
    means = [_mean(row) for row in tables["model_means"].to_dict("records")]
    sparsity = [
        {
            "model": str(model),
            "collection": str(collection),
            "median_k": float(rows["k"].median()),
            "median_k_matched": float(rows["k_matched"].median()),
            "one_neuron": int((rows["k"] == 1).sum()),
            "median_depth": float(rows["depth"].median()),
        }
        for (model, collection), rows in scores.groupby(["model", "collection"], sort=False)
    ]
    return {
        "question": "Do larger models give more features a neuron of their own?",
        "answer": answer(scales, tables["model_differences"], means, sparsity),
        "not_established": list(NOT_ESTABLISHED),
        "models": [asdict(one) for one in scales],
        "collections": sorted(set(scores["collection"])),
        "n_features": len(scores[["collection", "feature"]].drop_duplicates()),
        "candidates": min(one.neurons for one in scales),
        "means": means,
        "sparsity": sparsity,
        "published": {"source": SOURCE, "groups": list(groups), "differences": list(DIFFERENCES)},
        "seconds": clock.seconds,
    }


def answer(
    scales: Sequence[Scale],
    gaps: pd.DataFrame,
    means: Sequence[Mapping[str, Any]],
    sparsity: Sequence[Mapping[str, Any]],
) -> str:
    """The answer with its uncertainty: the smallest trained model against the largest.

    A model is compared with an untrained one only where there is no other.
    """
    small, large = compared(scales)
    if small is large:
        return _of_one(small.model, means, sparsity)
    found = [
        _of_collection(str(name), small.model, large.model, gaps, means, sparsity)
        for name in dict.fromkeys(one["collection"] for one in means)
    ]
    control = (
        []
        if small.trained and large.trained
        else ["One trained model cannot say; here is its control."]
    )
    return " ".join([*control, *found, *sizes_disagree(small, large)])


def compared(scales: Sequence[Scale]) -> tuple[Scale, Scale]:
    """The trained models with the fewest and the most neurons.

    One is untrained only where there is no second trained one.
    """
    trained = [one for one in scales if one.trained]
    order = sorted(trained if len(trained) > 1 else scales, key=lambda one: one.size)
    return order[0], order[-1]


def sizes_disagree(small: Scale, large: Scale) -> list[str]:
    """A sentence if the model with more neurons has fewer parameters; otherwise none.

    Example:
        >>> small = Scale("wide", "Wide", 268_000_000, 36_864, 18, 640, 2048, True)
        >>> large = Scale("deep", "Deep", 134_000_000, 46_080, 30, 576, 1536, True)
        >>> sizes_disagree(small, large)
        ['deep is the larger by neurons (46,080 against 36,864) but the smaller by parameters \
(134M against 268M).']
    """
    if large.parameters >= small.parameters:
        return []
    return [
        f"{large.model} is the larger by neurons ({large.neurons:,} against {small.neurons:,}) but "
        f"the smaller by parameters ({large.parameters / 1e6:.0f}M against "
        f"{small.parameters / 1e6:.0f}M)."
    ]


def _of_collection(
    collection: str,
    small: str,
    large: str,
    gaps: pd.DataFrame,
    means: Sequence[Mapping[str, Any]],
    sparsity: Sequence[Mapping[str, Any]],
) -> str:
    best, matched = (
        _difference(gaps, collection, small, large, name) for name in ("best", "matched")
    )
    before, after = (_f1(means, collection, name, "best") for name in (small, large))
    few, many = (_median_k(sparsity, collection, name) for name in (small, large))
    return (
        f"On {collection.replace('_', ' ')} the mean F1 of the best neuron is {said(before)} in "
        f"{small} and {said(after)} in {large}, a difference of {_signed(best)}, with searches of "
        f"equal size {_signed(matched)}: {_shown(matched, small, large)}; the median sparse probe "
        f"reads {few:g} and {many:g} neurons."
    )


def _shown(gap: Mapping[str, float | None], small: str, large: str) -> str:
    """What the interval of a difference shows.

    Example:
        >>> _shown({"low": -0.01, "estimate": 0.06, "high": 0.12}, "a", "b")
        'no difference is shown'
        >>> _shown({"low": 0.01, "estimate": 0.06, "high": 0.12}, "a", "b")
        'higher in b'
    """
    low, high = gap["low"], gap["high"]
    if low is None or high is None:
        return "without an interval nothing is shown"
    if low <= 0 <= high:
        return "no difference is shown"
    return f"higher in {large if low > 0 else small}"


def _of_one(
    model: str, means: Sequence[Mapping[str, Any]], sparsity: Sequence[Mapping[str, Any]]
) -> str:
    parts = [
        f"{collection.replace('_', ' ')} {said(_f1(means, collection, model, 'best'))}, "
        f"median k {_median_k(sparsity, collection, model):g}"
        for collection in dict.fromkeys(str(one["collection"]) for one in means)
    ]
    return (
        f"One model cannot say. In {model} the mean F1 of the best neuron is: {'; '.join(parts)}. "
        "Name a second model, or 'untrained:' before the name of this one."
    )


def _mean(row: Mapping[Any, Any]) -> dict[str, Any]:
    kept = {name: row[name] for name in ("model", "collection", "measure", "n_features")}
    return {**kept, "f1": interval(row, "f1")}


def _f1(
    means: Sequence[Mapping[str, Any]], collection: str, model: str, measure: str
) -> dict[str, float | None]:
    wanted = (collection, model, measure)
    found: dict[str, float | None] = next(
        one["f1"] for one in means if (one["collection"], one["model"], one["measure"]) == wanted
    )
    return found


def _difference(
    gaps: pd.DataFrame, collection: str, small: str, large: str, measure: str
) -> dict[str, float | None]:
    wanted = {
        "collection": collection,
        "larger": large,
        "smaller": small,
        "measure": measure,
        "feature": "mean",
    }
    rows = gaps
    for name, value in wanted.items():
        rows = rows[rows[name] == value]
    return interval(rows.iloc[0].to_dict(), "difference")


def _median_k(sparsity: Sequence[Mapping[str, Any]], collection: str, model: str) -> float:
    return float(
        next(
            one["median_k"]
            for one in sparsity
            if (one["collection"], one["model"]) == (collection, model)
        )
    )


def _signed(found: Mapping[str, float | None]) -> str:
    text = f"{found['estimate']:+.2f}"
    if found["low"] is None or found["high"] is None:
        return text
    return f"{text} ({found['low']:+.2f} to {found['high']:+.2f})"
