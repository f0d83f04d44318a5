"""Scores against exact effects: signs, sizes and what does not exist."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import spearmanr

from needlepoint._core.errors import DataError
from needlepoint.evaluation.circuits.effects import judge_effects

EFFECTS = torch.tensor([-3.0, 0.01, 2.0, -0.02, 0.0, 0.5])
MATTERS = torch.tensor([1, 0, 1, 0, 0, 1]).bool()


def test_the_effects_themselves_agree_wholly() -> None:
    found = judge_effects(EFFECTS.abs(), EFFECTS, MATTERS, signed=EFFECTS)
    assert found.spearman == pytest.approx(1)
    assert found.spearman_signed == pytest.approx(1)
    assert found.ranking.auc.estimate == 1


def test_signs_and_sizes_are_judged_apart() -> None:
    found = judge_effects(EFFECTS.abs(), EFFECTS, MATTERS, signed=-EFFECTS)
    assert found.spearman == pytest.approx(1)
    assert found.spearman_signed == pytest.approx(-1)
    score = torch.tensor([0.3, 0.1, 0.9, 0.2, 0.8, 0.4])
    found = judge_effects(score, EFFECTS, MATTERS)
    assert found.spearman == pytest.approx(spearmanr(score, EFFECTS.abs()).statistic)
    assert found.spearman_signed is None


def test_a_constant_score_has_no_rank_correlation_and_a_chance_area() -> None:
    found = judge_effects(torch.ones(6), EFFECTS, MATTERS)
    assert found.spearman is None
    assert found.spearman_reason == "the score is the same for every unit: it has no ranking"
    assert found.ranking.auc.estimate == 0.5
    still = judge_effects(EFFECTS, torch.zeros(6), torch.zeros(6).bool())
    assert "the effect is the same" in still.spearman_reason
    assert still.ranking.auc is None


def test_missing_values_are_refused() -> None:
    with pytest.raises(DataError, match="is NaN"):
        judge_effects(torch.full((6,), float("nan")), EFFECTS, MATTERS)
