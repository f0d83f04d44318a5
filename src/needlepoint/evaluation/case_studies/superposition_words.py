"""What the numbers of a compound word say, in words, by rules that are written down here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from needlepoint.evaluation.case_studies.neuron_sums import SignedSum
from needlepoint.evaluation.case_studies.scored import interval, known, said
from needlepoint.evaluation.case_studies.sum_tests import RandomSums
from needlepoint.evaluation.study import Clock
from needlepoint.features.collection import Collection
from needlepoint.models.model import Model

NOT_ESTABLISHED = (
    "The negatives end in one of the two words. That a sum tells these apart does not show that "
    "it tells the compound from everything else; what else fires is in the tables, on windows of "
    "other compounds only.",
    "That neurons answer to several things was read off windows like these, not off all text. "
    "Two things a neuron fires on may have something in common that was not thought of.",
    "Nothing was switched off: that the sum can be read does not show that the model reads it.",
    "Random bases are compared at the same layer and search; another basis than the neurons' may "
    "suit the feature better than both.",
)


def superposition_summary(
    model: Model,
    windows: Collection,
    found: SignedSum,
    tests: pd.DataFrame,
    random: RandomSums,
    shuffled: RandomSums,
    units: pd.DataFrame,
    pruned: pd.DataFrame,
    firing: pd.DataFrame,
    clock: Clock,
) -> dict[str, Any]:
    """What the record says: question, answer, verdict and the main numbers."""
    word = windows.features[0].replace("-", " ")
    numbers = sum_numbers(found, tests, random, shuffled)
    numbers |= {
        "basis": basis_summary(units),
        "pruning": pruning_summary(pruned),
        "firing": firing_summary(firing),
    }
    numbers["verdict"] = verdict(numbers)
    return {
        "question": f"Do {len(found.neurons)} neurons of early layers that each mean several "
        f"things together mean {word!r}?",
        "answer": answer(model.name, word, numbers),
        "not_established": list(NOT_ESTABLISHED),
        "word": windows.features[0],
        "collection": {
            **asdict(windows.card),
            "n_examples": len(windows.rows),
            "n_positive": int(windows.labels.sum()),
            "n_documents": len(set(windows.documents)),
            "sha256": windows.sha256,
        },
        **numbers,
        "seconds": clock.seconds,
    }


def sum_numbers(
    found: SignedSum, tests: pd.DataFrame, random: RandomSums, shuffled: RandomSums
) -> dict[str, Any]:
    """The sum and its rivals on test rows."""
    rows: dict[str, dict[Any, Any]] = {
        str(row["probe"]): row for row in tests.iloc[::-1].to_dict("records")
    }
    best = best_summand(tests)
    return {
        "sum": {
            "layer": found.layer,
            "sites": list(found.sites),
            "signs": found.signs.tolist(),
            "f1": interval(rows["sum"], "f1"),
            "auc": interval(rows["sum"], "auc"),
            "f1_validation": found.f1_validation,
        },
        "best_summand": {
            "site": best["sites"],
            "f1": interval(best, "f1"),
            "gap": interval(best, "gap"),
        },
        "best_neuron": {
            "site": rows["best neuron"]["sites"],
            "f1": interval(rows["best neuron"], "f1"),
            "gap": interval(rows["best neuron"], "gap"),
            "p_value": known(rows["best neuron"]["gap_p"]),
        },
        "fitted": {"f1": interval(rows["fitted probe"], "f1")},
        "last_token": {"f1": interval(rows["last token"], "f1")},
        "random_sums": control(random, rows["sum"]["auc"]),
        "shuffled": control(shuffled, rows["sum"]["auc"]),
    }


def verdict(numbers: Mapping[str, Any]) -> str:
    """One of: sum of polysemantic neurons, one neuron is enough, no sum found.

    No sum found: the AUC of the sum is not above 95 % of the searches on shuffled labels, or its
    F1 is no better than that of the last token. One neuron is enough: the interval of the sum's
    gain over the best of its neurons, or over the best neuron of the layers searched, reaches 0.
    """
    total = numbers["sum"]["f1"]["estimate"]
    if numbers["shuffled"]["p_value"] > 0.05 or total <= numbers["last_token"]["f1"]["estimate"]:
        return "no sum found"
    lows = [numbers[name]["gap"]["low"] for name in ("best_summand", "best_neuron")]
    if any(low is None or low <= 0 for low in lows):
        return "one neuron is enough"
    return "sum of polysemantic neurons"


def answer(model: str, word: str, numbers: Mapping[str, Any]) -> str:
    """The answer with its uncertainty, in a few sentences."""
    total, best, alone = numbers["sum"], numbers["best_neuron"], numbers["best_summand"]
    random, basis, firing = numbers["random_sums"], numbers["basis"], numbers["firing"]
    head = {
        "sum of polysemantic neurons": "Yes",
        "one neuron is enough": "A sum does it, but one neuron does as well",
        "no sum found": "No such sum was found",
    }[numbers["verdict"]]
    sentences = [
        f"{head}: on windows not used to choose it, the sum of {', '.join(total['sites'])} of "
        f"{model} tells {word!r} from its words apart with F1 {said(total['f1'])}; of "
        f"these neurons the one that validation prefers, {alone['site']}, alone has "
        f"{said(alone['f1'])}, of all in the layers searched, {best['site']}, "
        f"{said(best['f1'])}, and the last token {said(numbers['last_token']['f1'])}",
        f"Sums of as many random neurons of that layer have a median F1 of {said(random['f1'])}",
    ]
    if firing["median_pairs"] is not None:
        sentences.append(
            f"On other texts a neuron of the sum fires on {firing['median_pairs']:.0f} different "
            f"pairs of tokens besides the compound (median), the sum on {firing['sum_pairs']}, the "
            f"best neuron on {firing['best_neuron_pairs']}"
        )
    if basis["gap"] is not None:
        sentences.append(
            f"The best neuron is ahead of the mean best direction of random bases by "
            f"{basis['gap']:+.2f} F1 on average over {basis['n_layers']} layers: clearly ahead in "
            f"{basis['clear']}, clearly behind in {basis['reversed']}"
        )
    return ". ".join(sentences) + "."


def best_summand(tests: pd.DataFrame) -> dict[Any, Any]:
    """The neuron of the sum with the highest validation F1."""
    rows = tests[tests["probe"] == "summand"]
    best: dict[Any, Any] = rows.iloc[int(rows["f1_validation"].astype(float).argmax())].to_dict()
    return best


def control(found: RandomSums, auc: float) -> dict[str, Any]:
    """Median and 2.5 % and 97.5 % points of a control, and its share that does as well, by AUC."""
    f1, every = pd.Series(found.f1), pd.Series(found.auc)
    return {
        "n": len(f1),
        "f1": dict(zip(("low", "estimate", "high"), f1.quantile([0.025, 0.5, 0.975]), strict=True)),
        "auc": dict(
            zip(("low", "estimate", "high"), every.quantile([0.025, 0.5, 0.975]), strict=True)
        ),
        "p_value": (1 + int((every >= auc).sum())) / (1 + len(every)),
    }


def basis_summary(units: pd.DataFrame) -> dict[str, Any]:
    """Mean gap between neurons and random directions over layers, and in how many it is clear."""
    gaps = units[units["basis"] == "gap"]
    return {
        "n_layers": len(gaps),
        "gap": float(gaps["f1"].mean()) if len(gaps) else None,
        "clear": int((gaps["low"] > 0).sum()),
        "reversed": int((gaps["high"] < 0).sum()),
    }


def pruning_summary(pruned: pd.DataFrame) -> dict[str, Any]:
    """Test F1 before and after the last round."""
    last = pruned.iloc[-1].to_dict()
    return {
        "rounds": int(last["round"]),
        "f1_first": float(pruned["f1"].iloc[0]),
        "f1_last": float(last["f1"]),
        "change": interval(last, "change"),
    }


def firing_summary(firing: pd.DataFrame) -> dict[str, Any]:
    """Different pairs of tokens that the neurons and the sum fire on, the compound left out."""
    total = firing[firing["site"] == "sum"]
    best = firing[firing["site"].str.endswith("best neuron")]
    alone = firing.drop([*total.index, *best.index])
    return {
        "tokens": int(total["tokens"].iloc[0]),
        "median_pairs": float(alone["pairs"].median()),
        "sum_pairs": int(total["pairs"].iloc[0]),
        "best_neuron_pairs": int(best["pairs"].iloc[0]),
        "median_precision": known(alone["precision"].median()),
        "sum_precision": known(total["precision"].iloc[0]),
        "sum_ap": interval(total.iloc[0].to_dict(), "ap"),
        "best_neuron_ap": interval(best.iloc[0].to_dict(), "ap"),
        "ap_gap": interval(best.iloc[0].to_dict(), "gap"),
        "ap_p_value": known(best["gap_p"].iloc[0]),
    }
