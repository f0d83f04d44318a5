"""What the numbers of several compounds say, in words, by rules that are written down here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from needlepoint.evaluation.case_studies.configs import CompoundsConfig
from needlepoint.evaluation.case_studies.scored import known
from needlepoint.evaluation.case_studies.superposition_words import NOT_ESTABLISHED
from needlepoint.evaluation.false_discovery import LEVEL
from needlepoint.evaluation.study import Clock

OF_SEVERAL = (
    "Most compounds are told nearly without error by one neuron on these windows, so that no sum "
    "could be ahead by much: that it is not ahead there shows no lack of superposition.",
    "Benjamini-Hochberg takes the compounds as independent or positively dependent. They share "
    "the model, its layers and most of the other texts.",
    "The sum was sought among more candidates than the single neuron, and reads more neurons.",
    "Both measures have nearly the same positive windows, the second more text without the "
    "compound: they are not two independent tests.",
    "Counts of layers and of verdicts are of 95 % intervals one at a time, not adjusted: without "
    "any difference one layer in forty would be clearly ahead, and one clearly behind.",
)
"""What a table over compounds leaves open, beside what each study does."""
MEASURES = {
    "windows": ("gap", "q_value", "F1 on test windows"),
    "tokens": ("ap_gap", "ap_q", "average precision over all tokens of these and other windows"),
}
"""How the sum is compared with the best neuron: column of the gap, of its q-value, in words."""


def compounds_summary(
    model: str,
    frame: pd.DataFrame,
    summaries: Sequence[Mapping[str, Any]],
    layers: Sequence[int],
    left_out: Mapping[str, str],
    config: CompoundsConfig,
    clock: Clock,
) -> dict[str, Any]:
    """What the record says: question, answer, counts over the compounds."""
    summary: dict[str, Any] = {
        "layers": list(layers),
        "k": config.k,
        "n_words": len(frame),
        "left_out": [{"word": word, "reason": reason} for word, reason in left_out.items()],
        "verdicts": {str(one): int(n) for one, n in frame["verdict"].value_counts().items()},
        "level": LEVEL,
        "ahead": {name: count_ahead(frame, *columns) for name, columns in MEASURES.items()},
        "basis": {
            "gap": known(frame["basis_gap"].mean()),
            "clear": int(frame["basis_clear"].sum()),
            "reversed": int(frame["basis_reversed"].sum()),
            "n": len(frame) * len(layers),
        },
        "pruned": {
            "first": known(frame["pruned_first"].mean()),
            "last": known(frame["pruned_last"].mean()),
            "rounds": int(frame["pruned_rounds"].min()),
            "lost": int((frame["pruned_change_high"] < 0).sum()),
        },
        "collection": {
            key: summaries[0]["collection"][key] for key in ("description", "confounds", "source")
        },
    }
    return {
        "question": f"For how many compounds do {config.k} neurons of early layers together mean "
        "what no single neuron does?",
        "answer": answer(model, frame, summary),
        "not_established": [*OF_SEVERAL, *NOT_ESTABLISHED],
        **summary,
        "seconds": clock.seconds,
    }


def count_ahead(frame: pd.DataFrame, gap: str, q_value: str, label: str) -> dict[str, Any]:
    """For how many compounds the sum or the best neuron is ahead, of those with a q-value.

    Example:
        >>> frame = pd.DataFrame({"gap": [0.2, -0.3, 0.1], "q": [0.01, 0.04, 0.2]})
        >>> count_ahead(frame, "gap", "q", "F1")
        {'measure': 'F1', 'n': 3, 'sum': 1, 'neuron': 1, 'mean_gap': 0.0}
    """
    tried = frame.dropna(subset=[q_value])
    found = tried[tried[q_value] <= LEVEL]
    return {
        "measure": label,
        "n": len(tried),
        "sum": int((found[gap] > 0).sum()),
        "neuron": int((found[gap] < 0).sum()),
        "mean_gap": None if tried.empty else round(float(tried[gap].mean()), 12),
    }


def answer(model: str, frame: pd.DataFrame, summary: Mapping[str, Any]) -> str:
    """The answer with its uncertainty, in a few sentences."""
    n, ahead, basis = len(frame), summary["ahead"], summary["basis"]
    sentences = [
        f"Of {n} compounds the sum of {summary['k']} neurons of {model} is a case of superposition "
        f"by its rule for {summary['verdicts'].get('sum of polysemantic neurons', 0)}, one neuron "
        f"is enough for {summary['verdicts'].get('one neuron is enough', 0)}, and no sum was found "
        f"for {summary['verdicts'].get('no sum found', 0)}",
        *(_ahead(one) for one in ahead.values() if one["n"]),
    ]
    if basis["gap"] is not None:
        sentences.append(
            f"The best neuron is ahead of the mean best direction of random bases by "
            f"{basis['gap']:+.2f} F1 on average: clearly in {basis['clear']} of {basis['n']} "
            f"layers of all compounds, clearly behind in {basis['reversed']}"
        )
    pruned = summary["pruned"]
    sentences.append(
        f"When the best neuron has been taken away {pruned['rounds']} times, the mean test F1 of "
        f"a probe goes from {pruned['first']:.2f} to {pruned['last']:.2f}, and clearly falls for "
        f"{pruned['lost']}"
    )
    return ". ".join(sentences) + "."


def _ahead(found: Mapping[str, Any]) -> str:
    return (
        f"By {found['measure']} the sum is ahead of the best single neuron for {found['sum']} of "
        f"{found['n']} and behind for {found['neuron']} (Benjamini-Hochberg, {LEVEL:.0%}), on "
        f"average by {found['mean_gap']:+.2f}"
    )
