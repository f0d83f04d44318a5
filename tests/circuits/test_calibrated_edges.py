"""Directed edges from codes, and the stability of rankings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score

from needlepoint._core.errors import DataError
from needlepoint.circuits.calibrated.bins import pool_codes
from needlepoint.circuits.calibrated.design import Design
from needlepoint.circuits.calibrated.edges import code_edges
from needlepoint.circuits.calibrated.pair_information import JointCodes
from needlepoint.circuits.calibrated.stability import drawn_counts, seed_stability

E, H = 160, 8
LAYERS = torch.arange(H) // 2


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def design() -> Design:
    return Design(torch.arange(E) % 2, pair_of=torch.arange(E) // 2)


def codes(seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 5, (E, H), generator=rng(seed))


def test_pair_information_equals_the_definition():
    bins, labels = pool_codes(codes(), 4), design().labels.numpy()
    joint = JointCodes(bins, LAYERS)
    within = joint.within(labels)
    for one in range(H):
        for two in range(H):
            later = LAYERS[one] < LAYERS[two]
            for label in (0, 1):
                rows = labels == label
                wanted = mutual_info_score(bins[rows, one], bins[rows, two]) if later else 0
                assert within[label, one, two] == pytest.approx(wanted, abs=1e-9)
            wanted = mutual_info_score(bins[:, one], bins[:, two]) if later else 0
            assert joint.overall[one, two] == pytest.approx(wanted, abs=1e-9)


def test_blocks_do_not_change_the_result(monkeypatch):
    wide = torch.cat([codes(1), codes(2)], 1)
    layers = torch.arange(16) // 3
    whole = JointCodes(wide, layers).overall
    monkeypatch.setattr("needlepoint.circuits.calibrated.pair_information.BLOCK", 3)
    np.testing.assert_allclose(JointCodes(wide, layers).overall, whole)


def test_pooling_keeps_frequent_codes_and_knows_no_label():
    found = pool_codes(torch.tensor([[9, 1], [9, 2], [9, 3], [4, 4], [4, 5], [-7, 6]]), 3)
    assert found[:, 0].tolist() == [0, 0, 0, 1, 1, 2]
    assert found[:, 1].max() == 2
    with pytest.raises(DataError, match="n_bins is 17"):
        pool_codes(codes(), 17)


def test_a_copied_code_is_an_edge_from_earlier_to_later_only():
    said = codes()
    said[:, 6] = said[:, 1]
    found = code_edges(said, design(), LAYERS, rng(), n_draws=60)
    assert found.status == "candidate"
    assert found.ranked("coupling")[0] == (1, 6)
    assert found.coupling.q[1, 6] < 0.5
    assert found.coupling.z[1, 6] > 10
    assert torch.equal(torch.isnan(found.coupling.p), ~found.allowed)
    assert torch.isnan(found.coupling.p[6, 1])
    p = found.coupling.p[found.allowed]
    assert 0.3 < p.mean() < 0.7


def test_a_code_copied_under_one_label_is_told_by_difference_and_interaction():
    said, labels = codes(3), design().labels
    said[:, 5] = torch.where(labels == 1, said[:, 0], said[:, 5])
    found = code_edges(said, design(), LAYERS, rng(), n_draws=60)
    assert found.ranked("difference")[0] == (0, 5)
    assert found.ranked("interaction")[0] == (0, 5)
    assert found.difference.observed[0, 5] > 0.5
    swapped = Design(1 - labels, pair_of=torch.arange(E) // 2)
    again = code_edges(said, swapped, LAYERS, rng(), n_draws=60)
    torch.testing.assert_close(again.difference.observed[0, 5], -found.difference.observed[0, 5])


def test_two_heads_that_both_tell_the_label_are_redundant():
    said, labels = codes(4), design().labels
    said[:, 0] = said[:, 7] = labels
    found = code_edges(said, design(), LAYERS, rng(), n_draws=60)
    assert found.interaction.z[0, 7] < -5
    assert found.interaction.observed[0, 7] == pytest.approx(-np.log(2))


def test_heads_keep_their_numbers():
    said = codes()
    said[:, 6] = said[:, 1]
    heads = torch.tensor([1, 2, 6])
    found = code_edges(said, design(), LAYERS, rng(), heads=heads, n_draws=40)
    assert found.coupling.p.shape == (3, 3)
    assert found.ranked("coupling")[0] == (1, 6)


def test_edge_guards_say_what_to_do():
    with pytest.raises(DataError, match="all heads asked for are in one layer"):
        code_edges(codes(), design(), LAYERS, rng(), heads=torch.tensor([0, 1]))
    three = Design(torch.arange(E) % 3)
    with pytest.raises(DataError, match="edges need labels 0 and 1"):
        code_edges(codes(), three, LAYERS, rng())


def test_seed_stability_shares_ties():
    found = seed_stability(torch.tensor([[2.0, 2.0, 2.0, 1.0], [5.0, 1.0, 2.0, 3.0]]), k=2)
    assert found.share_in_top.tolist() == pytest.approx([(2 / 3 + 1) / 2, 1 / 3, 1 / 3, 0.5])
    assert found.mean_rank.tolist() == [1.5, 3.0, 2.5, 3.0]
    assert found.share_in_top.sum() == pytest.approx(2)
    with pytest.raises(DataError, match="k is 5"):
        seed_stability(torch.zeros(2, 4), k=5)


def test_pairs_are_drawn_with_replacement_and_groups_whole():
    counts = drawn_counts(E, 50, rng())
    assert counts.shape == (50, E)
    assert (counts.sum(1) == E).all()
    assert float((counts == 0).double().mean()) == pytest.approx(np.exp(-1), abs=0.02)
    groups = torch.arange(E) // 20
    grouped = drawn_counts(E, 50, rng(), groups)
    assert (grouped.sum(1) == E).all()
    for one in range(8):
        assert all(len(row.unique()) == 1 for row in grouped[:, groups == one])
    assert not torch.equal(grouped[0], counts[0])
