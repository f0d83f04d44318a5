"""Which effects count, and what a circuit is worth."""

from __future__ import annotations

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.circuits.ablation import head_effects, run_circuits
from needlepoint.evaluation.circuits.runs import run_heads
from needlepoint.evaluation.intervals import Interval
from needlepoint.evaluation.read_heads import pair_batch
from needlepoint.evaluation.truth import (
    FOLLOWED,
    causal_truth,
    drawn_sizes,
    faithfulness_frame,
    nested_circuits,
    random_orders,
)
from needlepoint.models.planted import planted_prompts


def effects_of(means: list[float], spread: list[float], n: int = 100) -> torch.Tensor:
    """Effects with exactly these means and standard deviations over pairs."""
    noise = torch.randn(n, len(means), generator=torch.Generator().manual_seed(0)).double()
    noise = (noise - noise.mean(0)) / noise.std(0)
    return (noise * torch.tensor(spread) + torch.tensor(means)).float()


def test_an_effect_counts_if_it_is_large_and_sure(generator) -> None:
    """Of a range of 5: from 0.1, and from 3 standard errors, which are a tenth of the spread."""
    means = [0.11, 0.09, -0.11, 0.4, 0.4, 0.0]
    spread = [0.01, 0.01, 0.01, 1.2, 1.5, 0.01]
    found = causal_truth(effects_of(means, spread), value_range=5.0, generator=generator)
    assert found.matters.tolist() == [True, False, True, True, False, False]
    assert found.ranking[0] == 3
    assert set(found.ranking[1:3].tolist()) == {0, 2}, "those that matter before larger ones"
    assert found.ranking[3:].tolist() == [4, 1, 5]
    torch.testing.assert_close(found.size, torch.tensor(means).abs().double(), atol=1e-6, rtol=0)
    assert found.effects.of(2).high < 0


def test_the_scale_may_be_negative(generator) -> None:
    effects = effects_of([1.0, 0.01], [0.1, 0.1])
    for sign in (1, -1):
        found = causal_truth(effects, value_range=sign * 5.0, generator=generator)
        assert found.matters.tolist() == [True, False]


def test_effects_of_noise_do_not_count(generator) -> None:
    noise = torch.randn(40, 300, generator=generator)
    found = causal_truth(noise, value_range=1.0, generator=generator)
    assert found.matters.sum() <= 5
    assert causal_truth(noise + 1, value_range=1.0, generator=generator).matters.sum() >= 295


def test_nested_circuits_hold_the_first_of_a_ranking() -> None:
    ranking = torch.tensor([3, 0, 2, 1])
    found = nested_circuits(ranking, [0, 1, 3, 4])
    members = [set(row.nonzero()[:, 0].tolist()) for row in found]
    assert members == [set(), {3}, {3, 0, 2}, {0, 1, 2, 3}]


def test_random_orders_give_all_heads_the_same_chance_at_every_size(generator) -> None:
    orders = random_orders(12, 2000, generator)
    assert torch.equal(orders.sort(1).values, torch.arange(12).expand(2000, 12))
    for size in (3, 7):
        found = torch.cat([nested_circuits(order, [size]) for order in orders])
        assert (found.double().mean(0) - size / 12).abs().max() < 0.05
        assert len({tuple(row) for row in found.tolist()}) > 150


def test_every_order_is_cut_at_the_size_of_the_circuit_and_a_few_at_all_sizes() -> None:
    cuts = drawn_sizes(40, 18, [1, 5, 18, 80])
    assert {draw for draw, n in cuts if n == 18} == set(range(40))
    for size in (1, 5, 80):
        assert [draw for draw, n in cuts if n == size] == list(range(FOLLOWED))
    assert len(cuts) == len(set(cuts))


def test_faithfulness_is_the_share_of_the_way_from_none_to_all(planted, generator) -> None:
    pairs = pair_batch(planted.model, planted_prompts(planted, n_pairs=10))
    circuits = torch.rand(5, 18, generator=generator) < 0.7
    found = run_heads(planted.model, pairs, circuits).faithfulness(generator)
    none, every = torch.zeros(1, 18).bool(), torch.ones(1, 18).bool()
    empty, full, *some = run_circuits(planted.model, pairs, torch.cat([none, every, circuits]))
    for estimate, metric in zip(found.estimate, some, strict=True):
        expected = (metric - empty).mean() / (full - empty).mean()
        assert float(estimate) == pytest.approx(expected.item(), abs=1e-4)
    ends = run_heads(planted.model, pairs, torch.cat([none, every])).faithfulness(generator)
    assert ends.of(0) == pytest.approx((0, 0, 0), abs=1e-5)
    assert ends.of(1) == pytest.approx((1, 1, 1), abs=1e-5)


def test_a_behaviour_that_is_not_there_has_no_faithfulness(planted, generator) -> None:
    pairs = pair_batch(planted.model, planted_prompts(planted, n_pairs=10))
    same = type(pairs)(pairs.corrupt, pairs.corrupt, pairs.answers)
    with pytest.raises(DataError, match="not told apart from 0"):
        run_heads(planted.model, same, torch.ones(1, 18).bool()).faithfulness(generator)


def test_few_pairs_are_enough_for_a_planted_truth(planted, generator) -> None:
    pairs = pair_batch(planted.model, planted_prompts(planted, n_pairs=8, seed=5))
    effects = head_effects(planted.model, pairs)
    found = causal_truth(effects, value_range=8.0, generator=generator)
    sites = planted.model.head_sites()
    assert {sites[i] for i in found.matters.nonzero()[:, 0].tolist()} == set(planted.heads)


def test_the_table_of_circuits() -> None:
    points = [("causal effect", 1, Interval(0.1, 0.2, 0.3)), ("other", 2, Interval(0.0, 1.0, 2.0))]
    drawn = [(draw, size, Interval(-1.0, 0.0, 1.0)) for draw, size in ((0, 2), (0, 7), (1, 7))]
    frame = faithfulness_frame(points, drawn)
    assert frame["size"].tolist() == [1, 2, 2, 7, 7]
    assert frame["kind"].tolist() == ["ranked"] * 2 + ["random"] * 3
    assert frame["ranked_by"].tolist() == ["causal effect", "other", *["random"] * 3]
    assert frame["draw"].tolist() == [0, 0, 0, 0, 1]
    assert frame[["low", "faithfulness", "high"]].iloc[0].tolist() == [0.1, 0.2, 0.3]
