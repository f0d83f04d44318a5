"""Minimality: the planted heads are needed, distractors that were put in are not."""

from __future__ import annotations

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.evaluation.circuits.minimality import minimality


def test_only_the_planted_heads_are_needed(question, nodes, head_names, generator) -> None:
    spare = next(name for name in nodes.names if name.startswith("L1.H") and name not in head_names)
    kept = nodes.mask([*head_names, spare, "L2.mlp"])
    found = minimality(question, nodes, kept, generator=generator, n_subsets=4, n_outside=8)
    needed = set(found.changes.loc[found.changes["minimal"], "unit"])
    assert needed == set(head_names)
    assert found.changes["change"].tolist()[:2] == pytest.approx([1, 1], abs=0.02)
    assert found.threshold == pytest.approx(0, abs=0.02)
    assert found.share_minimal == 0.5
    assert len(found.outside) == 8
    assert found.changes["p"].iloc[0] == pytest.approx(1 / 9)
    assert found.n_untried == 0


def test_a_stand_in_is_found_needed_once_the_other_is_gone(monkeypatch, question, nodes) -> None:
    """Two units that each do the whole: neither matters with the other there."""
    names = ["L0.H0", "L0.H1"]
    pair = nodes.mask(names)

    class Runs:
        def __init__(self, kept: torch.Tensor) -> None:
            self.value = (kept & pair).any(1).double()

        def draws(self, _: torch.Generator) -> torch.Tensor:
            return self.value[None]

    monkeypatch.setattr(
        "needlepoint.evaluation.circuits.minimality.run_units", lambda q, u, kept: Runs(kept)
    )
    rng = torch.Generator().manual_seed(0)
    alone = minimality(question, nodes, pair, generator=rng, n_subsets=0, n_outside=4)
    found = minimality(question, nodes, pair, generator=rng, n_subsets=20, n_outside=4)
    assert alone.changes["change"].tolist() == [0, 0]
    assert found.changes["change"].tolist() == [1, 1]


def test_a_large_circuit_is_tried_in_part(question, nodes, generator) -> None:
    kept = torch.arange(nodes.n) < 9
    found = minimality(
        question, nodes, kept, generator=generator, n_subsets=0, n_outside=3, at_most=4
    )
    assert len(found.changes) == 4
    assert found.n_untried == 5


def test_everything_and_nothing_are_refused(question, nodes, generator) -> None:
    for kept in (torch.zeros(nodes.n), torch.ones(nodes.n)):
        with pytest.raises(DataError, match="only one that has some and not all"):
            minimality(question, nodes, kept.bool(), generator=generator)
