"""A head that differs by rounding alone tells nothing; one that differs by more is still found."""

from __future__ import annotations

import pytest
import torch

from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.calibrated import coding, rounding
from needlepoint.circuits.calibrated.calibrate_heads import calibrate_heads
from needlepoint.circuits.calibrated.change_rows import RowKeeper
from needlepoint.circuits.calibrated.design import Design
from needlepoint.circuits.calibrated.paired_codes import paired_test
from needlepoint.circuits.calibrated.rankings import consistent_change, rows_of
from needlepoint.circuits.calibrated.rounding import settled
from needlepoint.circuits.calibrated.sign_flips import change_test
from needlepoint.circuits.head_data import HeadData

N_PAIRS, D_HEAD = 24, 6
STILL, VARIED, SMALL, NOISE = range(4)
"""Heads: one that writes a constant and one that writes what the pair has, both with corrupt
prompts that differ in the last digits, always the same way; one that differs by a thousandth, the
same way; one whose two sides are independent."""
STATISTICS = (
    "mutual_information", "g_statistic", "total_variation", "unique_codes", "mean_shift",
    "log_loss_gain",
)  # fmt: skip


@pytest.fixture
def data() -> HeadData:
    rng = torch.Generator().manual_seed(0)
    clean = torch.randn(N_PAIRS, 4, D_HEAD, generator=rng)
    clean[:, STILL] = clean[0, STILL]
    clean[:, SMALL] = clean[0, SMALL]
    corrupt = clean.clone()
    corrupt[:, : VARIED + 1] *= 1 + 3e-7
    corrupt[:, SMALL] *= 1 + 1e-3
    corrupt[:, NOISE] = torch.randn(N_PAIRS, D_HEAD, generator=rng)
    W_O = torch.randn(4, D_HEAD, 12, generator=rng)
    settings = Autoencoder(n_seeds=2, n_codes=16, n_steps=60)
    return HeadData(clean, corrupt, W_O, torch.zeros(4).long(), autoencoder=settings)


@pytest.fixture
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is taken for rounding."""
    for module in (rounding, coding):
        monkeypatch.setattr(module, "STILL", -1.0)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_codes_of_a_head_that_differs_by_rounding_have_nothing_to_test(
    data: HeadData, statistic: str
) -> None:
    found = calibrate_heads(data, seeded(), statistic=statistic, n_draws=200)
    assert found.z[:SMALL].isnan().all()
    assert (found.p[:SMALL] == 1).all()


def test_a_head_that_differs_by_a_thousandth_is_found_and_one_of_noise_is_not(
    data: HeadData,
) -> None:
    found = calibrate_heads(data, seeded(), n_draws=200).found().tolist()
    assert found == [False, False, True, False]


@pytest.mark.usefixtures("as_it_was")
def test_the_head_would_be_found_if_rounding_counted(data: HeadData) -> None:
    found = calibrate_heads(data, seeded(), n_draws=200)
    assert found.z[STILL] > 4
    assert found.found()[STILL]


@pytest.mark.parametrize("of_changes", [paired_test, change_test])
def test_changes_by_rounding_have_nothing_to_test_either(data: HeadData, of_changes) -> None:
    found = of_changes(data, seeded(), n_draws=200)
    assert (found.observed[:SMALL] == 0).all()
    assert found.z[:SMALL].isnan().all()
    assert (found.p[:SMALL] == 1).all()
    assert found.found()[SMALL]


@pytest.mark.usefixtures("as_it_was")
def test_changes_by_rounding_would_be_found_if_they_counted(data: HeadData) -> None:
    assert change_test(data, seeded(), n_draws=200).found()[STILL]


def test_classes_without_pairs_are_not_told_apart_by_rounding(data: HeadData) -> None:
    design = Design(data.is_clean.long())
    found = calibrate_heads(data, seeded(), design=design, n_draws=200)
    assert found.p[STILL] == 1
    assert found.found()[SMALL]


def test_only_what_is_rounding_is_made_equal(data: HeadData) -> None:
    same = settled(data)
    assert torch.equal(same.clean_z, data.clean_z)
    assert torch.equal(same.corrupt_z[:, SMALL:], data.corrupt_z[:, SMALL:])
    assert torch.equal(same.corrupt_z[:, :SMALL], data.clean_z[:, :SMALL])
    assert settled(data) is same
    assert settled(same) is same
    assert (rows_of(data).z[:, :SMALL] == 0).all()
    assert (consistent_change(data)[:SMALL] == 0).all()


def test_changes_at_positions_that_are_rounding_of_the_stream_are_none() -> None:
    keeper = RowKeeper(torch.eye(2)[None], lengths=[2, 2])
    change = torch.tensor([[[3e-7, 0.0]], [[1e-3, 0.0]]])
    for pair in range(2):
        keeper.add(pair, change, torch.ones(2, 1))
    rows = keeper.finish(torch.ones(2))
    assert rows is not None
    assert (rows.z[:, 0, 0] > 0).tolist() == [False, True, False, True]
