"""A planted circuit beside random ones, and a random one beside others: the null and the truth."""

from __future__ import annotations

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.evaluation.circuits.against_random import judge_circuit


def test_the_planted_circuit_stands_out(question, nodes, head_names, generator) -> None:
    found = judge_circuit(question, nodes, nodes.mask(head_names), generator=generator, n_random=60)
    assert found.size == 2
    assert found.faithfulness.estimate == pytest.approx(1, abs=0.02)
    assert found.completeness.estimate == pytest.approx(1, abs=0.02)
    for null in (found.by_size, found.by_layer):
        assert null.n == 60
        assert null.faithfulness.estimate == pytest.approx(0, abs=0.02)
    assert found.by_size.p_faithfulness < 0.1
    # To break the behaviour it is enough to hit one of the two heads, which random circuits may.
    assert found.by_layer.p_completeness > found.by_layer.p_faithfulness
    summary = found.summary()
    assert summary["by_layer"]["faithfulness"] == found.by_layer.faithfulness._asdict()


def test_half_a_circuit_is_not_faithful_but_its_loss_is_felt(
    question, nodes, head_names, generator
) -> None:
    kept = nodes.mask(head_names[:1])
    found = judge_circuit(question, nodes, kept, generator=generator, n_random=20)
    assert found.faithfulness.estimate == pytest.approx(0, abs=0.02)
    assert found.completeness.estimate == pytest.approx(1, abs=0.02)
    assert found.by_size.p_faithfulness == 1


def test_the_planted_edges_stand_out(question, edges, edge_names, generator) -> None:
    found = judge_circuit(question, edges, edges.mask(edge_names), generator=generator, n_random=20)
    assert (found.size, found.n_edges) == (4, 4)
    assert found.faithfulness.estimate == pytest.approx(1, abs=0.02)
    assert found.by_layer.p_faithfulness == pytest.approx(1 / 21)


def test_random_circuits_do_not_beat_random_circuits(question, nodes) -> None:
    rng = torch.Generator().manual_seed(1)
    p = []
    for _ in range(5):
        kept = torch.zeros(nodes.n, dtype=torch.bool)
        kept[torch.randperm(nodes.n, generator=rng)[:10]] = True
        found = judge_circuit(question, nodes, kept, generator=rng, n_random=20)
        p.append(found.by_size.p_faithfulness)
    assert sum(one > 0.2 for one in p) >= 3


def test_what_cannot_be_held_against_random_is_refused(question, nodes, generator) -> None:
    for kept in (torch.zeros(nodes.n), torch.ones(nodes.n)):
        with pytest.raises(DataError, match="only one that has some and not all"):
            judge_circuit(question, nodes, kept.bool(), generator=generator)
    some = torch.arange(nodes.n) < 3
    with pytest.raises(DataError, match="give at least 20 random circuits"):
        judge_circuit(question, nodes, some, generator=generator, n_random=5)
