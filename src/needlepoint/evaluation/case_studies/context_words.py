"""What the numbers of context neurons say, in words, by rules that are written down here."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pandas as pd

from needlepoint.evaluation.case_studies.scored import interval, said
from needlepoint.evaluation.false_discovery import LEVEL
from needlepoint.evaluation.read_neurons import NeuronData
from needlepoint.evaluation.study import Clock
from needlepoint.models.model import Model

NOT_ESTABLISHED = (
    "The mean over a text adds up many tokens: a neuron that hardly differs on one token can tell "
    "every text. An F1 of 1 on means does not make it a detector of the class.",
    "Where many neurons do as well, the one named was put first by chance.",
    "A neuron that tells a class may answer to its letters, or to a few frequent words.",
    "A rise of the loss says that the neuron matters for predicting such text, not that it stands "
    "for the class; that other texts are not hurt was seen on a few texts of each class only.",
)

FEW = 20
"""Test texts of a class below which the record says that they are few."""


def context_summary(
    model: Model,
    data: NeuronData,
    neurons: pd.DataFrame,
    values: pd.DataFrame,
    increases: pd.DataFrame,
    clock: Clock,
) -> dict[str, Any]:
    """What the record says: question, answer, and one entry for each class."""
    collection = data.collection
    classes = [_class(row, values, increases) for row in neurons.to_dict("records")]
    return {
        "question": "Is there a neuron that is active throughout texts of one kind, "
        f"for each of {len(classes)} kinds in {collection.card.title}?",
        "answer": answer(model.name, classes),
        "not_established": [*_few_texts(data), *NOT_ESTABLISHED],
        "collection": {
            **asdict(collection.card),
            "n_examples": len(collection.rows),
            "n_documents": len(set(collection.documents)),
            "n_features": len(classes),
            "sha256": collection.sha256,
            "split": data.split.sizes,
        },
        "classes": classes,
        "seconds": clock.seconds,
    }


def verdict(one: dict[str, Any], n_classes: int) -> str:
    """One of: not found, context neuron, marks the text, tells the text only by its mean.

    Not found: the neuron does not stand out from the largest of all neurons under shuffled labels
    at 5 %, corrected for the number of classes, or the interval of its F1 does not lie above what
    calling all texts positive gives.
    Otherwise by the AUC of a single token: context neuron from .9, marks the text from .75.
    """
    p_value, f1 = one["p_value"], one["f1"]
    least = f1["estimate"] if f1["low"] is None else f1["low"]
    if (p_value is not None and p_value * n_classes > LEVEL) or least <= one["baseline_f1"]:
        return "not found"
    if one["token_auc"]["estimate"] >= 0.9:
        return "context neuron"
    if one["token_auc"]["estimate"] >= 0.75:
        return "marks the text"
    return "tells the text only by its mean"


def answer(model: str, classes: list[dict[str, Any]]) -> str:
    """The answer with its uncertainty, in a few sentences."""
    n = len(classes)
    found = [one for one in classes if verdict(one, n) != "not found"]
    if not found:
        return f"No neuron of {model} tells any of the {n} kinds of text from chance."
    high = sum(one["f1"]["estimate"] >= 0.9 for one in found)
    strong = sum(one["verdict"] == "context neuron" for one in found)
    best = max(found, key=lambda one: one["token_auc"]["estimate"])
    sentences = [
        f"For {len(found)} of {n} kinds of text a single neuron of {model} stands out from "
        f"shuffled labels; its mean over a text has a test F1 of .9 or more for "
        f"{_count(high)}, and its value on one token an AUC of .9 or more for {_count(strong)}",
        f"The surest is {best['site']} for {best['feature']}: F1 {said(best['f1'])} by text, "
        f"{said(best['token_f1'])} by token, AUC {said(best['token_auc'])} by token",
    ]
    return ". ".join([*sentences, *_tied_sentence(classes), *_ablation_sentence(classes)]) + "."


def _count(n: int) -> str:
    """A number of kinds of text, in a sentence.

    Example:
        >>> _count(0), _count(3)
        ('none of them', '3 of them')
    """
    return f"{n or 'none'} of them"


def _few_texts(data: NeuronData) -> list[str]:
    """Say so if a class has so few test texts that one more or less moves its F1 by a lot."""
    counts = [
        int(data.labels[data.of(feature).test, feature].sum())
        for feature in range(data.labels.shape[1])
    ]
    if min(counts) >= FEW:
        return []
    least, most = min(counts), max(counts)
    texts = f"{least}" if least == most else f"{least} to {most}"
    return [
        f"Each class has only {texts} test texts, so one text more or less moves its F1 by a lot: "
        "--examples asks for more."
    ]


def _tied_sentence(classes: list[dict[str, Any]]) -> list[str]:
    tied = [one for one in classes if one["n_perfect"] > 1]
    if not tied:
        return []
    most = max(tied, key=lambda one: one["n_perfect"])
    return [
        f"For {len(tied)} {'kind' if len(tied) == 1 else 'kinds'} several neurons have an F1 of 1 "
        f"on validation texts (up to {most['n_perfect']}, for {most['feature']}), so that being "
        "perfect names none of them"
    ]


def _ablation_sentence(classes: list[dict[str, Any]]) -> list[str]:
    tried = [one for one in classes if one["own"] is not None]
    if not tried:
        return []
    worse = [one for one in tried if one["gap"]["low"] is not None and one["gap"]["low"] > 0]
    own = sum(one["own"]["estimate"] for one in tried) / len(tried)
    rest = [one["others"] for one in tried if one["others"] is not None]
    random = sum(one["random"]["estimate"] for one in tried) / len(tried)
    other = f", on texts of other kinds by {sum(rest) / len(rest):+.4f}" if rest else ""
    return [
        f"Setting a neuron to its mean changes the loss on its own texts by {own:+.4f} nats per "
        f"token on average{other} ({random:+.4f} on its own texts for random neurons that write as "
        f"much); {len(worse) or 'none'} of {len(tried)} tried clearly hurt their own texts more "
        "than random neurons do"
    ]


def _class(row: dict[Any, Any], values: pd.DataFrame, increases: pd.DataFrame) -> dict[str, Any]:
    feature = str(row["feature"])
    found: dict[str, Any] = {
        "feature": feature,
        "site": row["site"],
        "sign": int(row["sign"]),
        "f1": interval(row, "f1"),
        "auc": interval(row, "auc")["estimate"],
        "baseline_f1": row["baseline_f1"],
        "p_value": interval(row, "p_value")["estimate"],
        "n_perfect": int(row["n_perfect"]),
        "saturated": int(row["n_perfect"]) > 1,
        "token_f1": interval(row, "token_f1"),
        "token_auc": interval(row, "token_auc"),
        **_medians(values[values["feature"] == feature], feature),
        **_own_texts(increases[increases["feature"] == feature]),
    }
    if found["p_value"] is None:
        found["p_value_reason"] = "labels vary within documents, which cannot swap them"
    found["verdict"] = verdict(found, len(values["feature"].unique()))
    return found


def _medians(values: pd.DataFrame, feature: str) -> dict[str, float | None]:
    own, rest = values[values["texts"] == feature], values[values["texts"] != feature]
    return {
        "median_own": float(own["p50"].iloc[0]) if len(own) else None,
        "median_highest_other": float(rest["p50"].max()) if len(rest) else None,
    }


def _own_texts(increases: pd.DataFrame) -> dict[str, Any]:
    """Increases of the loss on texts of the class, and their mean over the other classes."""
    own, rest = increases[increases["own"]], increases[~increases["own"].astype(bool)]
    if own.empty:
        reason = {"own_reason": "this neuron was not switched off"}
        return {"own": None, "random": None, "gap": None, "others": None, **reason}
    row = own.iloc[0].to_dict()
    return {
        "own": interval(row, "mean"),
        "random": interval(row, "random"),
        "gap": interval(row, "gap"),
        "others": float(rest["mean"].mean()) if len(rest) else None,
    }
