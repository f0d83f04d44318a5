"""A behaviour is there if the right answer wins, and the corruption takes that away."""

from __future__ import annotations

import pytest
import torch

from needlepoint._core.errors import BehaviourAbsentError, DataError
from needlepoint.circuits.metric import Answered
from needlepoint.evaluation.behaviour import measure_behaviour, require_behaviour

N = 60


def noise(seed: int) -> torch.Tensor:
    """Of mean 0."""
    drawn = 0.5 * torch.randn(N, generator=torch.Generator().manual_seed(seed))
    return drawn - drawn.mean()


def measured(clean: torch.Tensor, corrupt: torch.Tensor, **settings):
    """Of pairs with one right and one wrong token: right is where the metric is above 0."""
    answered = (Answered(values, values > 0) for values in (clean, corrupt))
    rng = torch.Generator().manual_seed(0)
    return measure_behaviour(*answered, generator=rng, **settings)


def test_figures_are_those_of_the_pairs() -> None:
    clean, corrupt = noise(0) + 1, noise(1)
    found = measured(clean, corrupt)
    assert found.accuracy_clean.estimate == pytest.approx((clean > 0).float().mean().item())
    assert found.accuracy_corrupt.estimate == pytest.approx((corrupt > 0).float().mean().item())
    assert found.metric_clean.estimate == pytest.approx(clean.mean().item())
    assert found.gap.estimate == pytest.approx((clean - corrupt).mean().item(), abs=1e-6)
    assert found.gap.low < found.gap.estimate < found.gap.high
    assert f"{found.accuracy_clean.estimate:.0%} of clean prompts" in found.verdict
    assert f"{found.metric_corrupt.low:+.2f} to" in found.verdict


def test_a_tie_is_not_a_right_answer() -> None:
    assert measured(torch.zeros(N), noise(0)).accuracy_clean.estimate == 0


def test_it_is_present_only_if_all_three_hold() -> None:
    assert measured(noise(0) + 1, noise(1)).present
    assert not measured(noise(0), noise(1) - 1).present, "the right answer does not win"
    assert not measured(noise(0) + 1, noise(1) + 1).present, "the corruption takes nothing away"
    few_large = torch.full((N,), -0.01)
    few_large[: N // 3] = 9.0
    rare = measured(few_large, noise(1) - 3)
    assert rare.metric_clean.low > 0
    assert rare.gap.low > 0
    assert not rare.present, "right on a third of the prompts only"


def test_pairs_are_compared_with_their_own_counterpart() -> None:
    """Prompts differ far more than the corruption takes away, yet it is seen pair by pair."""
    level = 40 * noise(2).abs()
    found = measured(level + 1 + 0.1 * noise(0), level + 0.1 * noise(1))
    assert found.gap.low > 0.9
    assert found.metric_clean.low < found.metric_corrupt.high


def test_accuracy_is_not_read_off_the_metric() -> None:
    """With several wrong answers the mean can be beaten where the best is not."""
    clean = Answered(noise(0) + 3, torch.arange(N) % 10 < 3)
    corrupt = Answered(noise(1), torch.zeros(N).bool())
    found = measure_behaviour(clean, corrupt, generator=torch.Generator().manual_seed(0))
    assert found.accuracy_clean.estimate == pytest.approx(0.3)
    assert found.metric_clean.low > 2.5
    assert found.shortfalls == ("right on 30% of clean prompts, and 60% are needed",)


def test_what_chance_gives_is_no_behaviour() -> None:
    mostly_right = torch.where(torch.arange(N) % 4 < 3, 1.0, -0.5)
    corrupt = noise(1) - 1
    assert measured(mostly_right, corrupt).present
    assert measured(mostly_right, corrupt, chance=0.04).present
    by_chance = measured(mostly_right, corrupt, chance=0.7)
    assert not by_chance.present
    assert by_chance.needed == pytest.approx(0.8)
    assert by_chance.shortfalls == ("right on 75% of clean prompts, and 80% are needed",)


def test_figures_are_named_by_their_metric() -> None:
    logits = measured(noise(0) + 1, noise(1))
    probability = measured(noise(0) / 10 + 0.5, noise(1) / 10, metric="probability difference")
    assert "logits (95% interval" in logits.verdict
    assert "of probability (95% interval" in probability.verdict
    assert "logit" not in probability.verdict
    kept = probability.summary()
    assert (kept["metric"], kept["unit"]) == ("probability difference", "probability")
    assert kept["probability_difference_clean"] == probability.metric_clean._asdict()
    assert not [key for key in kept if "logit" in key]
    kept = logits.summary()
    assert (kept["metric"], kept["unit"]) == ("logit difference", "logits")
    assert kept["logit_difference_corrupt"] == logits.metric_corrupt._asdict()
    absent = measured(-noise(0).abs(), noise(1), metric="probability difference")
    with pytest.raises(BehaviourAbsentError, match="with probability differences above 0"):
        require_behaviour(absent, model="tiny", task="toy")


def test_each_lack_is_named() -> None:
    assert measured(noise(0) + 1, noise(1)).shortfalls == ()
    found = measured(noise(0), noise(1) + 1).shortfalls
    assert "the logit difference on clean prompts is not told apart from 0" in found
    assert found[-1] == "the corruption does not lower the logit difference"


def test_absence_is_an_error_with_the_figures() -> None:
    absent = measured(noise(0) - 1, noise(1))
    with pytest.raises(BehaviourAbsentError) as caught:
        require_behaviour(absent, model="tiny", task="toy")
    assert str(caught.value).startswith("tiny does not do toy well enough to look for its circuit:")
    assert absent.verdict in str(caught.value)
    assert "at least 60%" in str(caught.value)
    require_behaviour(measured(noise(0) + 1, noise(1)), model="tiny", task="toy")


def test_one_pair_has_no_spread() -> None:
    with pytest.raises(DataError, match="only 1 example"):
        measured(torch.ones(1), torch.zeros(1))
