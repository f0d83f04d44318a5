"""What the numbers say, put into words by rule: no sentence here is written before the run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from needlepoint.report.method_charts import sorted_methods
from needlepoint.report.text import interval, missing, number, p_value, undefined

_DISCRETE = re.compile(r"discrete|dsae|codes?\b", re.IGNORECASE)
_SIMPLE = re.compile(r"difference|effect_size|probe|norm|random|frequency", re.IGNORECASE)


def faithfulness_sentence(circuit: Mapping[str, Any]) -> str:
    """The faithfulness of the reported circuit against random ones, with what follows from it.

    Example:
        >>> faithfulness_sentence({"size": 3, "ranked_by": "effect", "n_random": 40,
        ...     "faithfulness": {"low": 0.6, "estimate": 0.7, "high": 0.8},
        ...     "random_faithfulness": {"low": 0.0, "estimate": 0.1, "high": 0.2}})
        'The top 3 heads (ranked by effect) carry 0.70 (0.60 to 0.80) of the behaviour on their \
own; 40 random sets of 3 heads carry 0.10 (0.00 to 0.20). The interval lies above the \
random range.'
    """
    own, random = circuit.get("faithfulness"), circuit.get("random_faithfulness")
    size = number(circuit.get("size"))
    if not _has(own):
        reason = undefined(circuit.get("faithfulness_reason"))
        return f"The faithfulness of the top {size} heads is {reason}."
    text = (
        f"The top {size} heads (ranked by {circuit.get('ranked_by')}) carry {interval(own)} of "
        "the behaviour on their own"
    )
    if not _has(random):
        reason = undefined(circuit.get("random_faithfulness_reason"))
        return f"{text}; the comparison with random sets is {reason}."
    text += (
        f"; {number(circuit.get('n_random'))} random sets of {size} heads carry {interval(random)}."
    )
    return f"{text} {_against_random(own, random)}"


def sparse_null_sentence(features: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]) -> str:
    """Whether luck could have found the few neurons together; empty for runs that did not ask.

    Example:
        >>> sparse_null_sentence([{"p_sparse": 0.05}, {"p_sparse": 0.4}], {"sparse_null": 19})
        'The whole search for few neurons, over all layers and sizes, was done again with labels \
moved 19 times. For 1 of 2 features its best validation F1 never came up to that with the true \
labels: p 0.050, the lowest there can be with so many moves.'
    """
    if not any("p_sparse" in feature for feature in features):
        return ""
    moves = settings.get("sparse_null")
    if not moves:
        return (
            "Whether luck could have found the few neurons together was not asked: it takes as "
            "many searches of all layers and sizes as there are moves of the labels (--sparse-null "
            "19 makes 19). The p-values here are of single neurons, of which all were compared."
        )
    known = [feature["p_sparse"] for feature in features if not missing(feature["p_sparse"])]
    if not known:
        return "No feature's labels can be moved so that a p-value of few neurons together exists."
    lowest = 1 / (1 + moves)
    never = sum(p <= lowest * (1 + 1e-9) for p in known)
    return (
        "The whole search for few neurons, over all layers and sizes, was done again with labels "
        f"moved {number(moves)} times. For {never} of {len(known)} features its best validation F1 "
        f"never came up to that with the true labels: p {p_value(lowest)}, the lowest there can be "
        "with so many moves."
    )


def unmeasured_sentence(summary: Mapping[str, Any], runs: pd.DataFrame) -> str:
    """Why no faithfulness of heads is known, and what to do; empty if one is.

    Args:
        summary: Of a circuit record.
        runs: Its table `faithfulness`.

    Example:
        >>> unmeasured_sentence({"truth": None}, pd.DataFrame())
        'Faithfulness was not measured: no head was ablated, so there is no circuit to run. Run \
the study again with --ablate-pairs 60 to measure it.'
    """
    if len(runs) and runs.loc[runs["kind"] == "ranked", "faithfulness"].notna().any():
        return ""
    reason = (summary.get("circuit") or {}).get("faithfulness_reason")
    if reason:
        return f"Faithfulness is {undefined(reason)}."
    if len(runs):
        return (
            "Faithfulness is not defined: the fresh prompt pairs do not tell the whole model from "
            "one with all heads ablated. Run the study again with more of them, such as "
            "--holdout-pairs 80, or take a task that the model does better."
        )
    if summary.get("truth") is None:
        return (
            "Faithfulness was not measured: no head was ablated, so there is no circuit to run. "
            "Run the study again with --ablate-pairs 60 to measure it."
        )
    return (
        "Faithfulness was not measured: this run has no circuits of heads. Run the study again "
        "with --holdout-pairs 40 to measure it."
    )


_STABLE = {
    "stable": "Stable: other prompts of this kind would name most of these heads again.",
    "fair": "Fairly stable: other prompts of this kind would name many of these heads again.",
    "unstable": "Unstable: other prompts of this kind would name quite different heads.",
}


def stability_sentence(circuit: Mapping[str, Any]) -> str:
    """Whether other prompts would name the same heads; empty for a record that does not say.

    Example:
        >>> stability_sentence({"size": 3, "stability": {"verdict": "stable", "chance": 0.1,
        ...     "n_resamples": 200, "jaccard": {"low": 0.5, "estimate": 0.9, "high": 1.0}}})
        'Stable: other prompts of this kind would name most of these heads again. With the prompt \
pairs drawn anew 200 times from those at hand, the heads that matter share 0.90 (0.50 to 1.00) \
with these 3; sets of 3 drawn at random share 0.10 (1: the same heads).'
    """
    found = circuit.get("stability")
    if not isinstance(found, Mapping):
        return ""
    verdict, size = str(found.get("verdict")), number(circuit.get("size"))
    return (
        f"{_STABLE.get(verdict, verdict)} With the prompt pairs drawn anew "
        f"{number(found.get('n_resamples'))} times from those at hand, the heads that matter share "
        f"{interval(found.get('jaccard'))} with these {size}; sets of {size} drawn at random share "
        f"{number(found.get('chance'))} (1: the same heads)."
    )


def chance_sentences(summary: Mapping[str, Any]) -> list[str]:
    """How many heads a score finds beyond chance, and what that does not say.

    Example:
        >>> part = {"method": "Codes", "n_found": 3, "n_heads": 9, "level": 0.05}
        >>> chance_sentences({"tests": [part | {"n_draws": 1000, "exact": False}]})[0][:75]
        'Codes: 3 of 9 heads score more than exchanging clean and corrupt within pai'
    """
    return [
        f"{part['method']}: {part['n_found']} of {part['n_heads']} heads score more than "
        "exchanging clean and corrupt within pairs would give (q at most "
        f"{number(part['level'], digits=2)}, "
        f"{'all ' * part['exact']}{part['n_draws']:,} {'random ' * (not part['exact'])}exchanges). "
        "That they tell the prompts apart does not say that they matter."
        for part in summary.get("tests") or []
    ]


def truth_sentence(summary: Mapping[str, Any]) -> str:
    """By what rule a head counts as mattering, and how many do."""
    truth = summary.get("truth") or {}
    rule = truth.get("rule") or undefined()
    return (
        f"{number(truth.get('n_heads'))} heads count as mattering; the rule: "
        f"{str(rule).strip().rstrip('.')}."
    )


def candidates_sentence(summary: Mapping[str, Any]) -> str:
    """Why heads are candidates only, if nothing was ablated; empty if something was.

    Example:
        >>> candidates_sentence({"truth": None, "truth_reason": "Nothing was ablated."})
        'Nothing was ablated.'
    """
    if summary.get("truth") is not None:
        return ""
    return str(summary.get("truth_reason") or "")


def _against_random(own: Any, random: Any) -> str:
    if missing(own.get("low")) or missing(random.get("high")):
        return "Without intervals the two cannot be told apart."
    if own["low"] > random["high"]:
        return "The interval lies above the random range."
    return (
        "The interval reaches into the random range: the circuit is not shown to be better than "
        "an arbitrary set of heads."
    )


def method_sentence(methods: pd.DataFrame) -> str:
    """Whether the method under test, the discrete autoencoder, beats the rest by its AUC.

    Example:
        >>> rows = [("discrete_sae", "Discrete SAE", 0.7, 0.6, 0.8, False),
        ...         ("mean_difference", "Mean difference", 0.9, 0.85, 0.95, False)]
        >>> columns = ["method", "label", "auc", "auc_low", "auc_high", "control"]
        >>> method_sentence(pd.DataFrame(rows, columns=columns))
        'The method under test, Discrete SAE (AUC 0.70), loses to 1 of 1 others: \
Mean difference 0.90 (simple baseline). Its interval and that of the best other do not overlap.'
    """
    known = sorted_methods(methods.dropna(subset=["auc"]), "auc")
    if known.empty:
        return "No method could be judged: no AUC is defined."
    is_discrete = known["method"].str.contains(_DISCRETE) & ~known["control"].astype(bool)
    ours, others = known[is_discrete], known[~is_discrete]
    if ours.empty or others.empty:
        best = known.iloc[0]
        return f"The best score is {best['label']} with an AUC of {number(best['auc'])}."
    return _comparison(_rows(ours)[0], _rows(others))


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def _comparison(ours: dict[str, Any], others: list[dict[str, Any]]) -> str:
    name = f"The method under test, {ours['label']} (AUC {number(ours['auc'])}),"
    better = [other for other in others if other["auc"] >= ours["auc"]]
    if better:
        listed = ", ".join(
            f"{other['label']} {number(other['auc'])}{_role(other)}" for other in better[:4]
        )
        more = f" and {len(better) - 4} more" if len(better) > 4 else ""
        verb = "loses to" if better[0]["auc"] > ours["auc"] else "does no better than"
        text = f"{name} {verb} {len(better)} of {len(others)} others: {listed}{more}."
    else:
        next_best = others[0]
        text = (
            f"{name} does better than all {len(others)} others, baselines and controls included; "
            f"the next best is {next_best['label']}, {number(next_best['auc'])}"
            f"{_role(next_best)}."
        )
    return f"{text} {_overlap(ours, others[0])}"


def _role(method: dict[str, Any]) -> str:
    if method["control"]:
        return " (control)"
    return " (simple baseline)" if _SIMPLE.search(str(method["method"])) else ""


def _overlap(one: dict[str, Any], other: dict[str, Any]) -> str:
    bounds = [one["auc_low"], one["auc_high"], other["auc_low"], other["auc_high"]]
    if any(missing(bound) for bound in bounds):
        return "Intervals are missing, so the order may be chance."
    if bounds[0] <= bounds[3] and bounds[2] <= bounds[1]:
        return (
            "Its interval and that of the best other overlap, so the order of the two may be "
            "chance."
        )
    return "Its interval and that of the best other do not overlap."


def shuffled_sentence(shuffled: Mapping[str, Any] | None) -> str:
    """What the same search found on shuffled labels: the control that should find nothing.

    Example:
        >>> shuffled_sentence({"found": 0, "text": "best F1 0.31, threshold 0.5"})
        'On shuffled labels nothing was found: best F1 0.31, threshold 0.5'
    """
    if not shuffled or missing(shuffled.get("found")):
        return f"The control on shuffled labels is {undefined((shuffled or {}).get('reason'))}."
    text = str(shuffled.get("text") or "").strip()
    found = shuffled["found"]
    if text.lower().startswith("on shuffled labels"):
        return text
    if not found:
        opening = "On shuffled labels nothing was found"
    elif found is True:
        opening = "Warning: on shuffled labels something was found, so the search finds too much"
    else:
        opening = (
            f"Warning: on shuffled labels {number(found)} was found, so the search finds too much"
        )
    return f"{opening}: {text}" if text else f"{opening}."


def _has(value: Any) -> bool:
    return isinstance(value, Mapping) and not missing(value.get("estimate"))
