"""Circuits that grow along a ranking: a planted truth, the published areas, and the ends."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.circuits.ablation import from_clean
from needlepoint.circuits.methods import Found, Question
from needlepoint.evaluation.circuits.curves import (
    MIB_SHARES,
    chosen_sizes,
    judge_areas,
)
from needlepoint.evaluation.circuits.runs import CircuitRuns, run_units
from needlepoint.evaluation.circuits.units import Units, first_units, node_units
from needlepoint.models.planted import PlantedModel


def _runs_of(values: list[float], n_pairs: int = 12) -> CircuitRuns:
    """Runs in which faithfulness is as given, whatever the pairs."""
    gap = torch.rand(n_pairs, generator=torch.Generator().manual_seed(1)) + 1
    circuits = torch.tensor(values)[:, None] * gap
    return CircuitRuns(torch.zeros(n_pairs), gap, circuits, tuple(range(len(values))))


def grown(
    question: Question, units: Units, strength: torch.Tensor, shares: tuple[float, ...]
) -> tuple[CircuitRuns, list[int]]:
    """Circuits of the strongest units, and their sizes."""
    sizes = chosen_sizes(shares, units.n)
    return run_units(question, units, first_units(strength, sizes)), sizes


def test_the_golden_areas_of_the_reference(generator, monkeypatch, question, nodes) -> None:
    golden = _runs_of([0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.1, 1.05, 1])
    monkeypatch.setattr("needlepoint.evaluation.circuits.curves.run_units", lambda *_: golden)
    found = judge_areas(question, Found(torch.zeros(22), signed=False), nodes, generator=generator)
    assert found.cpr.estimate == pytest.approx(0.99875, abs=1e-6)
    assert found.cmd.estimate == pytest.approx(0.08025, abs=1e-6)
    ideal = _runs_of([1.0] * 10)
    monkeypatch.setattr("needlepoint.evaluation.circuits.curves.run_units", lambda *_: ideal)
    found = judge_areas(question, Found(torch.zeros(22), signed=False), nodes, generator=generator)
    assert found.cpr.estimate == pytest.approx(0.999)
    assert found.cmd == pytest.approx((0, 0, 0), abs=1e-6)


def test_the_planted_nodes_are_the_behaviour(question, nodes, head_names, generator) -> None:
    strength = nodes.mask(head_names).float()
    shares = (0.0, 1.01 / nodes.n, 2.01 / nodes.n, 1.0)
    found, sizes = grown(question, nodes, strength, shares)
    assert sizes == [0, 1, 2, nodes.n]
    values = found.faithfulness(generator).estimate.tolist()
    assert values == pytest.approx([0, 0, 1, 1], abs=0.02)
    assert found.n_edges[-1] == question.graph.n_edges


def test_four_planted_edges_are_the_behaviour(question, edges, edge_names, generator) -> None:
    strength = edges.mask(edge_names).float()
    shares = (3.01 / edges.n, 4.01 / edges.n, 1.0)
    found, _ = grown(question, edges, strength, shares)
    values = found.faithfulness(generator).estimate.tolist()
    assert values[1:] == pytest.approx([1, 1], abs=0.02)
    assert abs(values[0]) < 0.1, "one edge short, and nothing is left"
    assert found.n_edges[1] == 4


def test_areas_of_a_perfect_method_and_of_its_opposite(
    question, nodes, planted_scores, generator
) -> None:
    good = judge_areas(question, planted_scores, nodes, generator=generator)
    wrong = judge_areas(question, Found(-planted_scores.nodes), nodes, generator=generator)
    assert good.cpr.estimate > 0.9
    assert good.cmd.estimate < 0.1
    assert wrong.cpr.estimate < 0.6, "what helps most comes last"
    assert wrong.cmd.estimate == pytest.approx(good.cmd.estimate), "the size has no sign"
    assert good.largest_first.sizes == tuple(int(share * nodes.n) for share in MIB_SHARES)
    assert list(good.largest_first.frame().columns)[:3] == ["share", "size", "n_edges"]


def test_completeness_comes_with_the_areas_where_it_is_asked(
    question, nodes, planted_scores, generator
) -> None:
    alone = judge_areas(question, planted_scores, nodes, generator=generator)
    found = judge_areas(question, planted_scores, nodes, generator=generator, completeness=True)
    assert alone.complete is None
    complete = found.complete
    assert complete is not None
    assert found.largest_first.n_edges == alone.largest_first.n_edges
    values = [one.estimate for one in complete.completeness]
    sizes = complete.frame()["size"].tolist()
    assert values[sizes.index(0)] == pytest.approx(0, abs=1e-5)
    assert values[sizes.index(2)] == pytest.approx(1, abs=0.02), "both planted heads are gone"
    assert values[-1] == pytest.approx(1, abs=1e-5)
    assert 0 <= complete.distance.estimate < 0.1


def test_a_metric_to_be_low_turns_helping_round(
    question, nodes, planted_scores, planted: PlantedModel, generator
) -> None:
    divergence = Question(planted.model, from_clean(planted.model, question.pairs))
    helping = Found(-planted_scores.nodes)
    found = judge_areas(divergence, helping, nodes, generator=generator)
    assert found.cpr.estimate > 0.9


def test_intervals_are_over_pairs_and_hold_the_estimate(question, edges, generator) -> None:
    kept = torch.rand(4, edges.n, generator=generator) < 0.9
    runs = run_units(question, edges, kept)
    draws, intervals = runs.draws(generator), runs.faithfulness(generator)
    torch.testing.assert_close(draws[0], intervals.estimate)
    ratio = (runs.circuits - runs.empty).double().mean(1) / runs.gap.double().mean()
    torch.testing.assert_close(draws[0], ratio)
    assert bool((intervals.low <= intervals.estimate).all())


def test_heads_alone_with_every_mlp_kept(question, planted, head_names, generator) -> None:
    heads = node_units(question.graph, among=question.graph.is_head)
    kept = heads.mask(head_names)
    runs = run_units(question, heads, torch.stack([kept, ~kept]))
    assert runs.faithfulness(generator).estimate.tolist() == pytest.approx([1, 0], abs=0.02)


def test_a_behaviour_that_is_not_there_has_no_curve(question: Question, nodes: Units, generator):
    pairs = replace(question.pairs, corrupt=question.pairs.clean)
    same = Question(question.model, pairs)
    with pytest.raises(DataError, match="not told apart by these pairs"):
        judge_areas(same, Found(torch.rand(nodes.n + 1)), nodes, generator=generator)


def test_shares_must_increase_within_bounds() -> None:
    assert chosen_sizes((0.1, 1.0), 21) == [2, 21]
    for shares in ((0.5,), (0.5, 0.5), (0.5, 1.5)):
        with pytest.raises(DataError, match="in increasing order"):
            chosen_sizes(shares, 10)
    assert first_units(torch.ones(3), [1]).tolist() == [[True, False, False]]
