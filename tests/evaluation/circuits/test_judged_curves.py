"""Curves along a ranking: a planted circuit is complete and minimal at its size, chance is not."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.evaluation.circuits.added_blocks import AddedBlocks
from needlepoint.evaluation.circuits.judged_curves import CurvesJudged, judge_curves
from needlepoint.evaluation.circuits.runs import CircuitRuns, RunOnce, run_heads, run_units
from needlepoint.evaluation.circuits.units import Units, first_units


def _judged(question, units: Units, strength, generator, **asked) -> CurvesJudged:
    run = RunOnce(partial(run_units, question, units))
    return judge_curves(run, strength, units.layer_of, generator=generator, **asked)


@pytest.fixture
def shares(nodes: Units) -> tuple[float, ...]:
    """None, the first planted head, both, half of all, all."""
    return (0.0, 1.01 / nodes.n, 2.01 / nodes.n, 0.5, 1.0)


@pytest.fixture
def judged(question, nodes, head_names, shares, generator) -> CurvesJudged:
    strength = nodes.mask(head_names).float() + nodes.mask(head_names[:1])
    return _judged(
        question, nodes, strength, generator, shares=shares, n_random=40, n_blocks=20, n_subsets=3
    )


def test_the_planted_circuit_is_faithful_and_complete_at_its_size(judged: CurvesJudged) -> None:
    faithful = [one.estimate for one in judged.faithful.faithfulness]
    complete = [one.estimate for one in judged.complete.completeness]
    assert faithful == pytest.approx([0, 0, 1, 1, 1], abs=0.02)
    assert complete == pytest.approx([0, 1, 1, 1, 1], abs=0.02), "one head gone is enough"


def test_random_circuits_of_its_size_are_neither(judged: CurvesJudged) -> None:
    for nulls in (judged.by_size, judged.by_layer):
        assert nulls[2].faithfulness.estimate == pytest.approx(0, abs=0.02)
        assert nulls[2].completeness.estimate == pytest.approx(0, abs=0.02)
        assert nulls[2].p_faithfulness < 0.15
    assert judged.by_size[2].p_completeness < 0.3
    whole = judged.by_layer[-1]
    assert whole.faithfulness == pytest.approx((1, 1, 1), abs=1e-6)
    assert whole.p_faithfulness == 1, "there is one circuit of everything"


def test_the_planted_circuit_is_minimal_and_what_comes_after_it_is_not(
    judged: CurvesJudged,
) -> None:
    minimal = judged.minimal
    assert minimal is not None
    assert minimal.change[2:4] == pytest.approx((1, 0), abs=0.02)
    assert minimal.p[2] <= 2 / 21
    assert minimal.p[3] > 0.5, "a block without a planted head moves no more than any other"
    assert minimal.random[2].estimate == pytest.approx(0, abs=0.02)
    assert minimal.p[0] != minimal.p[0], "nothing was added"
    assert minimal.p[4] != minimal.p[4], "nothing is left outside to compare with"
    assert minimal.added[2].estimate == pytest.approx(1, abs=0.02)


def test_a_wrong_ranking_adds_nothing_until_the_truth_comes(
    question, nodes, head_names, generator
) -> None:
    strength = -nodes.mask(head_names).float()
    found = _judged(
        question, nodes, strength, generator, shares=(0.3, 0.6, 1.0), n_random=20, n_blocks=20
    )
    assert found.minimal is not None
    assert found.minimal.change == pytest.approx((0, 0, 1), abs=0.02)
    assert all(one > 0.5 for one in found.minimal.p[:2])
    assert found.complete.completeness[1].estimate == pytest.approx(0, abs=0.02)


def test_the_ends_are_exact_for_heads(question, generator) -> None:
    run = RunOnce(partial(run_heads, question.model, question.pairs))
    layers = question.graph.layer_of[question.graph.is_head]
    strength = torch.rand(len(layers), generator=generator)
    found = judge_curves(
        run, strength, layers, generator=generator, shares=(0.0, 0.5, 1.0), n_random=20
    )
    for points in (found.faithful.faithfulness, found.complete.completeness):
        assert points[0] == pytest.approx((0, 0, 0), abs=1e-5)
        assert points[-1] == pytest.approx((1, 1, 1), abs=1e-5)
    assert found.minimal is None
    assert found.faithful.frame()["n_edges"].isna().all(), "no edge of these is cut"


def test_faithfulness_and_completeness_mirror_each_other(question, nodes, generator) -> None:
    """What the complement keeps is what the circuit lacks of completeness, and so back."""
    run = RunOnce(partial(run_units, question, nodes))
    strength, n = torch.rand(nodes.n, generator=generator), nodes.n
    shares = (0.5, 1.0)
    found = _judged(question, nodes, strength, generator, shares=shares, n_random=20)
    turned = first_units(-strength, [n - size for size in found.faithful.sizes])
    mirrored = run(turned).draws(torch.Generator().manual_seed(0))[0]
    complete = [one.estimate for one in found.complete.completeness]
    assert complete == pytest.approx((1 - mirrored).tolist(), abs=1e-6)


def test_rankings_judged_alike_meet_the_same_random_circuits(question, nodes) -> None:
    run, judged = RunOnce(partial(run_units, question, nodes)), []
    for seed in (1, 2):
        strength = torch.rand(nodes.n, generator=torch.Generator().manual_seed(seed))
        draws = torch.Generator().manual_seed(0)
        judged.append(
            judge_curves(
                run, strength, nodes.layer_of, generator=draws, shares=(0.3, 0.6), n_random=20
            )
        )
        first = run.n_run if seed == 1 else first
    one, other = (found.by_size for found in judged)
    assert [null.faithfulness for null in one] == [null.faithfulness for null in other]
    assert run.n_run - first <= 2 * 2 * 21, "the size-matched ones were not run again"


def test_no_circuit_is_run_twice(question, nodes, generator) -> None:
    asked: list[int] = []

    def counted(kept: torch.Tensor):
        asked.append(len(kept))
        return run_units(question, nodes, kept)

    run = RunOnce(counted)
    kept = torch.rand(3, nodes.n, generator=generator) < 0.5
    twice = run(torch.cat([kept, kept]))
    again = run(kept)
    plain = run_units(question, nodes, kept)
    assert asked == [3]
    torch.testing.assert_close(twice.circuits, plain.circuits.repeat(2, 1))
    torch.testing.assert_close(again.circuits, plain.circuits)
    assert again.n_edges == plain.n_edges
    assert twice.n_edges == plain.n_edges * 2


def test_blocks_are_drawn_outside_and_as_large(generator) -> None:
    nested = first_units(torch.rand(12, generator=generator), [0, 3, 5, 9, 12])
    added = AddedBlocks.drawn(nested, 6, 2, generator)
    assert added.defined == (False, True, True, False, False)
    base, own, *others = added.circuits[2].unbind(0)
    assert bool((own[0] == nested[2]).all())
    assert bool((base[1:] <= base[0]).all()), "parts are taken out"
    for other in others:
        assert int((other & ~base)[0].sum()) == 2
        assert not bool((other[0] & ~base[0] & nested[2]).any())


def test_what_cannot_be_judged_is_refused(question, nodes, generator) -> None:
    strength = torch.rand(nodes.n, generator=generator)
    for asked in ({"n_random": 5}, {"n_random": 20, "n_blocks": 3}):
        with pytest.raises(DataError, match="give at least 20 random"):
            _judged(question, nodes, strength, generator, **asked)
    with pytest.raises(DataError, match="in increasing order"):
        _judged(question, nodes, strength, generator, shares=(0.5, 0.2), n_random=20)


def test_random_curves_match_the_sizes_of_the_ranking(
    question, nodes, head_names, generator
) -> None:
    strength = nodes.mask(head_names).float()
    shares = (2.01 / nodes.n, 0.5, 1.0)
    frame = _judged(question, nodes, strength, generator, n_random=20, shares=shares).frame()
    assert frame["size"].tolist() == [2, int(0.5 * nodes.n), nodes.n]
    for match in ("size", "layer"):
        low, median, high = (
            frame[f"{match}_faithfulness_{end}"] for end in ("low", "median", "high")
        )
        assert median.iloc[[0, 2]].tolist() == pytest.approx([0, 1], abs=0.02)
        assert bool((low <= high).all())


N, STRENGTH = 12, torch.arange(12, 0, -1).float()


def stand_ins(kept: torch.Tensor) -> CircuitRuns:
    """The first two units each do the whole; the third takes half of it away."""
    value = (kept[:, 0] | kept[:, 1]).double() - 0.5 * kept[:, 2]
    edges = tuple(kept.sum(1).tolist())
    return CircuitRuns(torch.zeros(2), torch.ones(2), value[:, None].expand(-1, 2).float(), edges)


def test_the_change_is_the_largest_over_parts_whatever_its_sign(generator) -> None:
    found = judge_curves(
        RunOnce(stand_ins),
        STRENGTH,
        torch.zeros(N).long(),
        generator=generator,
        shares=(1 / N, 2 / N, 3 / N),
        n_random=20,
        n_blocks=20,
        n_subsets=8,
    )
    assert found.minimal is not None
    assert [one.estimate for one in found.minimal.added] == pytest.approx([1, 0, -0.5])
    assert found.minimal.change == pytest.approx((1, 1, 0.5)), "without its stand-in it counts"
    assert found.minimal.p[1:] == pytest.approx((1 / 21, 1 / 21)), "never 0"
    assert found.faithful.n_edges == (1, 2, 3)


def test_layers_are_matched_only_where_asked_and_against_their_own_size(generator) -> None:
    found = judge_curves(
        RunOnce(stand_ins),
        STRENGTH,
        (torch.arange(N) >= 6).long(),
        generator=generator,
        shares=(2 / N, 6 / N),
        layered=(6 / N,),
        n_random=20,
    )
    first, last = found.by_layer
    assert first is None
    assert last is not None
    assert last.faithfulness == pytest.approx((0.5, 0.5, 0.5)), "the layer is wholly inside"
    assert last.p_faithfulness == last.p_completeness == 1
    frame = found.frame()
    assert frame["layer_faithfulness_p"].isna().tolist() == [True, False]
    for name in ("faithfulness", "completeness"):
        p = [getattr(one, f"p_{name}") for one in found.by_size]
        assert frame[f"size_{name}_p"].tolist() == p
    assert frame["size_faithfulness_p"].tolist() != frame["size_completeness_p"].tolist()
