"""What the numbers say about each feature, in words, by rules that are written down here."""

from __future__ import annotations

from dataclasses import dataclass

from needlepoint.evaluation.false_discovery import LEVEL
from needlepoint.evaluation.held_out import Judged
from needlepoint.evaluation.intervals import Interval

HIGH = 0.9
FAIR = 0.7
NEAR = 0.05
"""F1 within which two probes count as equally good."""
NOT_PRESENT = "not present"
EXPLAINED = "explained by token identity"
ONE = "one neuron"
FEW = "a few neurons"
DISTRIBUTED = "distributed"
WEAK = "weak"


@dataclass(frozen=True)
class Verdict:
    """What is said about one feature, and why."""

    verdict: str
    carried_by: str
    """The verdict if token identity were left out of account: how many neurons it takes."""
    reason: str
    """One sentence with the figures that decided."""


def verdict(
    judged: Judged,
    q_value: float | None,
    *,
    q_best: float | None = None,
    within: bool = False,
) -> Verdict:
    """One of: not present, explained by token identity, weak, one neuron, a few, distributed.

    All figures are F1 on test rows. *One* is the neuron chosen alone, *few* the sparse probe,
    *dense* that on all neurons of a layer; the *best* of the three is the one with the highest
    validation F1. The first rule that holds decides.

    - Not present: neither one nor best has stood out. One has if it beats calling every row
      positive and its q-value (Benjamini-Hochberg over features) is at most 5 %. Best has if it
      beats that call and its calls agree with the labels of test rows beyond chance, with a q-value
      of at most 5 %. A null that shifts labels within documents has nothing to say on what
      documents have in common, so there it is also enough that the 95 % interval of the gain over
      that call, documents resampled, is above 0.
    - Explained by token identity: the better of the probes that see only which tokens a row is of
      (by validation F1) does as well as best: it is at most .05 below, and the interval of the
      difference is not above 0.
    - Weak: none of the three reaches .7.
    - One neuron: one has stood out and is at least .9, or within .05 of the better of the other
      two; a sparse probe that reads one neuron counts as one.
    - A few neurons: few is at least .9, or within .05 of dense.
    - Distributed: the rest.

    Without a p-value the scores decide: that of one, and the interval of the gain of best.

    Args:
        judged: All probes on test rows.
        q_value: That of the one neuron, from the null of the search; None if there is none.
        q_best: That of the best probe, from test rows; None if there is none.
        within: Whether these nulls move labels within documents only.
    """
    carried, why = _carried_by(judged, q_value, q_best, within)
    if carried == NOT_PRESENT:
        return Verdict(carried, carried, why)
    best, token = (judged.by_name[name].f1_point for name in (judged.best, judged.token))
    if token >= best - NEAR and not _above(judged.over_token, best - token):
        return Verdict(
            EXPLAINED,
            carried,
            f"which tokens there are ({judged.token}) gives F1 {token:.2f}, and the best probe of "
            f"neurons, {judged.best}, {best:.2f}{_range(judged.over_token)}.",
        )
    embedding = judged.by_name["embedding"].f1_point
    rivals = f"Token identity alone gives {token:.2f}, the embedding layer {embedding:.2f}."
    return Verdict(carried, carried, f"{why} {rivals}")


def _carried_by(
    judged: Judged, q_value: float | None, q_best: float | None, within: bool
) -> tuple[str, str]:
    """The verdict as far as neurons go, and why."""
    by_name = judged.by_name
    one, few, dense = (by_name[name].f1_point for name in ("one neuron", "sparse", "dense"))
    k, best = len(by_name["sparse"].neurons), by_name[judged.best].f1_point
    trivial = by_name["majority"].f1_point
    surprising = q_value is None or q_value <= LEVEL
    stands_out = one > trivial and (
        surprising or (within and _above(judged.one_over_majority, one - trivial))
    )
    gains = _above(judged.over_majority, best - trivial)
    agrees = gains if q_best is None else q_best <= LEVEL or (within and gains)
    if not stands_out and not (best > trivial and agrees):
        return NOT_PRESENT, _nothing(judged, q_value, trivial)
    some = f"the sparse probe {few:.2f}" if k == 1 else f"{k} neurons {few:.2f}"
    figures = f"one neuron gives F1 {one:.2f}, {some}, a whole layer {dense:.2f}."
    if not surprising and stands_out:
        figures += " Within documents it does not follow the labels beyond chance."
    if max(one, few, dense) < FAIR:
        return WEAK, figures
    alone = max(one, few) if k == 1 else one
    if stands_out and (alone >= HIGH or alone >= max(few, dense) - NEAR):
        return ONE, figures
    if k > 1 and (few >= HIGH or few >= dense - NEAR):
        return f"{FEW} (k = {k})", figures
    return DISTRIBUTED, figures


def _nothing(judged: Judged, q_value: float | None, trivial: float) -> str:
    one, best = (judged.by_name[name].f1_point for name in ("one neuron", judged.best))
    chance = "" if q_value is None else f" (q = {q_value:.2g})"
    return (
        f"the best neuron gives F1 {one:.2f}{chance} and the best probe {best:.2f}; calling "
        f"everything positive gives {trivial:.2f}."
    )


def _above(difference: Interval | None, estimate: float) -> bool:
    """Whether a difference is shown to be above 0; without an interval the estimate must do."""
    return estimate > 0 if difference is None else difference.low > 0


def _range(difference: Interval | None) -> str:
    if difference is None:
        return ""
    return f" (difference {difference.low:+.2f} to {difference.high:+.2f})"
