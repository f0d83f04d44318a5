"""How well a score agrees with exact effects: of heads, of nodes or of edges."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.evaluation.circuits.ranking import RankingJudged, judge_ranking
from needlepoint.evaluation.metrics import spearman


@dataclass(frozen=True)
class EffectsJudged:
    """Agreement of a score with measured effects of the same units."""

    spearman: float | None
    """Rank correlation of the score's strength with the size of the effects."""
    spearman_signed: float | None
    """Rank correlation of signed scores with signed effects; None for scores without a sign."""
    spearman_reason: str
    ranking: RankingJudged
    """How well the score finds the units whose effect counts."""


def judge_effects(
    strength: Float[Tensor, " unit"],
    effects: Float[Tensor, " unit"],
    matters: Bool[Tensor, " unit"],
    *,
    signed: Float[Tensor, " unit"] | None = None,
) -> EffectsJudged:
    """Rank correlation with the size of exact effects, and AUC of finding those that count.

    The two say different things: over most units an effect is noise, and a good method need not
    rank noise; the AUC asks about the few that count only.

    Args:
        strength: Larger for better candidates. For edges, those that exist: `x[graph.edges]`.
        effects: Measured change of the metric with each unit ablated, mean over pairs.
        matters: Which effects count, by `causal_truth` for instance.
        signed: Estimates of the effects themselves, from methods that make such.

    Raises:
        DataError: If a value is NaN.
    """
    reasons, found = [], []
    for score, truth in ((strength, effects.abs()), (signed, effects)):
        value, reason = (None, "") if score is None else _spearman(score, truth)
        found.append(value)
        reasons.append(reason)
    return EffectsJudged(
        found[0], found[1], reasons[0] or reasons[1], judge_ranking(strength, matters)
    )


def _spearman(first: Tensor, second: Tensor) -> tuple[float | None, str]:
    if bool(first.isnan().any()) or bool(second.isnan().any()):
        raise DataError("a score or an effect is NaN: leave the unit out or measure it again.")
    for name, values in (("score", first), ("effect", second)):
        if values.min() == values.max():
            return None, f"the {name} is the same for every unit: it has no ranking"
    return spearman(first, second), ""
