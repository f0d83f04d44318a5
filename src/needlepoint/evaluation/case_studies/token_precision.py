"""How well single tokens of other texts are told: the compound against everything else."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint.evaluation.case_studies.firing_tokens import Tokens
from needlepoint.evaluation.case_studies.scored import columns
from needlepoint.evaluation.clustered import Resamples
from needlepoint.evaluation.intervals import Interval, percentile_interval
from needlepoint.probing.scores import average_precision

N_RESAMPLES = 1000
NAMES = ("ap", "gap")
EMPTY: dict[str, float | None] = {
    **{f"{name}{end}": None for name in NAMES for end in ("", "_low", "_high")},
    "gap_p": None,
}


def precision_columns(
    tokens: Tokens,
    values: Mapping[str, Float[Tensor, " example"]],
    total: str,
    resampled: tuple[str, ...],
    generator: torch.Generator,
) -> dict[str, dict[str, float | None]]:
    """Average precision of some values over all tokens, and how far the sum is ahead of each.

    No cut is needed: tokens are ranked, and those that end the compound should come first. Chance
    is their share of the tokens. Intervals resample texts whole, those with the compound and
    those without it apart. `gap_p` is twice the share of resamples in which the gap is on the
    other side of 0 or at it, themselves and the data counted: approximate, unlike a p-value by
    swaps, and never below `2 / (N_RESAMPLES + 1)`.

    Args:
        tokens: The tokens and which of them end the compound.
        values: Of each probe by name, high where the compound is thought to end.
        total: Name of the sum.
        resampled: Names of the probes that have intervals, which take time; the sum among them.
        generator: Source of the resamples.

    Returns:
        For each name the columns `ap, ap_low, ap_high, gap, gap_low, gap_high, gap_p`; missing
        where no token ends the compound, or the texts are too few for intervals.
    """
    if not bool(tokens.target.any()) or bool(tokens.target.all()):
        return {name: dict(EMPTY) for name in values}
    every = torch.stack([one.double() for one in values.values()], dim=1)
    truth = tokens.target[:, None].expand_as(every).contiguous()
    scores = dict(zip(values, average_precision(every, truth).tolist(), strict=True))
    resamples = Resamples.draw(tokens.text, tokens.target, generator, n_resamples=N_RESAMPLES)
    drawn = (
        {}
        if resamples is None
        else {name: resamples.rank_scores(values[name])["average_precision"] for name in resampled}
    )
    return {
        name: _columns(score, scores[total], drawn.get(name), drawn.get(total), name == total)
        for name, score in scores.items()
    }


def _columns(
    score: float, total: float, drawn: Tensor | None, of_total: Tensor | None, is_total: bool
) -> dict[str, float | None]:
    found = dict(EMPTY) | {"ap": score} | ({} if is_total else {"gap": total - score})
    if drawn is None or of_total is None:
        return found
    found |= columns("ap", percentile_interval(drawn, score))
    if is_total:
        return found
    gaps = of_total - drawn
    gap: Interval = percentile_interval(gaps, total - score)
    return {**found, **columns("gap", gap), "gap_p": _two_sided(gaps)}


def _two_sided(gaps: Float[Tensor, " resample"]) -> float:
    """Twice the smaller share of resamples at or beyond 0, the data counted as one more."""
    least = min(int((gaps <= 0).sum()), int((gaps >= 0).sum()))
    return min(1.0, 2 * (1 + least) / (1 + len(gaps)))
