"""Codes of the calibrated mode: cross-fitted, scaled, of differences; rankings made of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from needlepoint._core.errors import DataError, UnknownNameError
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.calibrated.calibrate_heads import calibrate_heads, coded_heads
from needlepoint.circuits.calibrated.changes import ChangeSums, answer_turns
from needlepoint.circuits.calibrated.coding import SILENT, Coding, Scale
from needlepoint.circuits.calibrated.design import Design
from needlepoint.circuits.calibrated.paired_codes import paired_codes, paired_test
from needlepoint.circuits.calibrated.rankings import change_and_answer, consistent_change
from needlepoint.circuits.head_data import HeadData

N_PAIRS, N_HEADS, D_HEAD, D_MODEL = 24, 12, 4, 9
PLANTED = torch.arange(N_HEADS) % 4 == 1
SMALL = Autoencoder(n_codes=16, n_steps=60, n_train_examples=12, n_seeds=2)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(g, *shape):
    return torch.randn(*shape, generator=g, dtype=torch.float64)


def made(seed: int = 0, size: float = 4.0, signs: torch.Tensor | None = None) -> HeadData:
    """Planted heads move by one vector of their own from corrupt to clean; all vary by pair."""
    g = rng(seed)
    way = normal(g, N_HEADS, D_HEAD)
    way = size * way / way.norm(dim=-1, keepdim=True) * PLANTED[:, None]
    turn = torch.ones(N_PAIRS) if signs is None else signs
    base = 3 * normal(g, N_PAIRS, N_HEADS, D_HEAD)
    noise = normal(g, 2, N_PAIRS, N_HEADS, D_HEAD)
    moved = turn[:, None, None] * way
    return HeadData(
        base + noise[0] + moved,
        base + noise[1],
        normal(g, N_HEADS, D_HEAD, D_MODEL) / 2,
        torch.arange(N_HEADS) // 3,
        autoencoder=SMALL,
    )


def test_no_example_is_coded_by_a_dictionary_that_has_seen_its_group():
    data = replace(made(), group_of=torch.arange(N_PAIRS) // 4)
    design = Design.of_pairs(data)
    coded = coded_heads(data, design, rng())
    assert sorted(np.concatenate([one.rows for one in coded])) == list(range(2 * N_PAIRS))
    one, two = (set(design.block_of[part.rows]) for part in coded)
    assert not one & two
    changed = data.clean_z.clone()
    own = coded[0].rows[coded[0].rows < N_PAIRS]
    changed[own] += 5 * normal(rng(8), len(own), N_HEADS, D_HEAD)
    again = coded_heads(replace(data, clean_z=changed), design, rng())
    assert torch.equal(again[0].codes[:, len(own) :], coded[0].codes[:, len(own) :])
    assert not torch.equal(again[1].codes, coded[1].codes)


def test_silence_has_a_code_of_its_own():
    data = made()
    data = replace(data, autoencoder=replace(SMALL, n_steps=0, n_codes=2))
    (coded,) = coded_heads(data, Design.of_pairs(data), rng(), Coding(n_folds=1, standardise=False))
    settings = replace(data.autoencoder, n_train_examples=12)
    reading = settings.fit_z(data.z, data.W_O, rng()).read_z(data.z, data.W_O)
    assert torch.equal(coded.codes == SILENT, reading.silent)
    assert reading.silent.any()
    assert torch.equal(coded.codes[~reading.silent], reading.codes[~reading.silent] + 1)
    share = reading.silent.double().mean((0, 1))
    torch.testing.assert_close(coded.silent_share, share)


def test_scaling_brings_every_head_to_one_size():
    data = made()
    loud = data.W_O * torch.linspace(1, 50, N_HEADS, dtype=torch.float64)[:, None, None]
    outputs = torch.einsum("ehd,hdm->ehm", Scale.of(data.z, loud)(data.z), loud)
    torch.testing.assert_close(outputs.mean(0), torch.zeros_like(outputs[0]), atol=1e-9, rtol=0)
    size = outputs.square().sum(-1).mean(0)
    torch.testing.assert_close(size, torch.ones_like(size))


@pytest.mark.parametrize(
    "statistic", ["mutual_information", "total_variation", "mean_shift", "log_loss_gain"]
)
def test_planted_heads_are_found_and_others_are_not(statistic):
    found = calibrate_heads(made(size=12.0), rng(), statistic=statistic, n_draws=199)
    assert roc_auc_score(PLANTED, torch.nan_to_num(found.z)) > 0.9
    assert (found.p[~PLANTED] > 0.01).all()


def test_an_unknown_statistic_is_refused():
    with pytest.raises(UnknownNameError, match="code statistic"):
        calibrate_heads(made(), rng(), statistic="mutual", n_draws=1)


def test_mirrored_differences_have_mirrored_roles():
    data = made()
    every = np.arange(N_PAIRS)
    one = paired_codes(data, every, every, rng())
    two = paired_codes(data.swapped(), every, every, rng())
    assert one.codes.shape == (2, 2 * N_PAIRS, N_HEADS)
    assert (one.share >= 0).all()
    assert (one.share <= 1 + 1e-9).all()
    assert (one.energy[one.codes == SILENT] == 0).all()
    assert two.share.shape == one.share.shape


def test_paired_test_finds_what_moves_one_way():
    found = paired_test(made(size=6.0), rng(), n_draws=199)
    assert roc_auc_score(PLANTED, found.z) > 0.95
    assert (found.q[PLANTED] < 0.05).all()
    half = torch.where(torch.arange(N_PAIRS) % 2 == 0, 1.0, -1.0)
    mixed = paired_test(made(size=6.0, signs=half), rng(), n_draws=199)
    assert (mixed.q > 0.05).all()  # as far, but each way in half of the pairs


def test_paired_p_is_uniform_without_signal():
    p = torch.cat([paired_test(made(seed, 0.0), rng(seed), n_draws=99).p for seed in range(4)])
    assert 0.35 < p.mean() < 0.65
    assert (p < 0.05).double().mean() < 0.2


def test_consistent_change_is_unbiased_and_equals_brute_force():
    data = made(size=2.0)
    out = torch.einsum("phd,hdm->phm", data.clean_z - data.corrupt_z, data.W_O)
    inner = torch.einsum("phm,qhm->hpq", out, out)
    apart = inner.sum((1, 2)) - inner.diagonal(dim1=1, dim2=2).sum(1)
    sums = ChangeSums(data.W_O)
    sign = torch.where(torch.arange(N_PAIRS) % 3 == 0, -1.0, 1.0)
    size = torch.full((1, N_HEADS), 2.0, dtype=torch.float64)
    for row, change in enumerate(data.clean_z - data.corrupt_z):
        sums.add(change[None], size, sign[row])
    found = sums.finish(None)
    torch.testing.assert_close(found.consistent, apart / (N_PAIRS * (N_PAIRS - 1)) / 4)
    turned = torch.einsum("p,q,hpq->h", sign.double(), sign.double(), inner)
    turned = turned - inner.diagonal(dim1=1, dim2=2).sum(1)
    torch.testing.assert_close(found.turned, turned / (N_PAIRS * (N_PAIRS - 1)) / 4)
    torch.testing.assert_close(found.energy, inner.diagonal(dim1=1, dim2=2).mean(1) / 4)


def test_changes_of_random_sign_have_mean_0():
    draws = []
    for seed in range(40):
        data = made(seed, 0.0)
        sums = ChangeSums(data.W_O)
        for change in data.clean_z - data.corrupt_z:
            sums.add(change[None], torch.ones(1, N_HEADS, dtype=torch.float64), torch.tensor(1.0))
        draws.append(sums.finish(None).consistent)
    values = torch.stack(draws)
    assert (values.mean(0) / (values.std(0) / 40**0.5)).abs().max() < 4


def test_sums_merge_and_count_positions_from_the_end():
    data = made()
    g = rng(5)
    pairs = [normal(g, n, N_HEADS, D_HEAD) for n in (3, 5, 4)]
    whole, one, two = (ChangeSums(data.W_O) for _ in range(3))
    for place, change in enumerate(pairs):
        size = torch.ones(len(change), N_HEADS, dtype=torch.float64)
        for sums in (whole, one if place < 1 else two):
            sums.add(change, size, torch.tensor(1.0))
    one.merge(two)
    torch.testing.assert_close(one.finish(None).consistent, whole.finish(None).consistent)
    padded = ChangeSums(data.W_O)
    for change in pairs:
        front = torch.cat([torch.zeros(5 - len(change), N_HEADS, D_HEAD).double(), change])
        padded.add(front, torch.ones(5, N_HEADS, dtype=torch.float64), torch.tensor(1.0))
    torch.testing.assert_close(padded.finish(None).consistent, whole.finish(None).consistent)


def test_turned_sees_what_goes_each_way_with_the_answer():
    signs = torch.where(torch.arange(N_PAIRS) % 2 == 0, 1.0, -1.0)
    told = answer_turns(signs[:, None] * torch.ones(N_PAIRS, D_MODEL))
    torch.testing.assert_close(told * told[0], signs.double())
    data = made(size=3.0, signs=signs)
    sums = ChangeSums(data.W_O)
    ones = torch.ones(1, N_HEADS, dtype=torch.float64)
    for row, change in enumerate(data.clean_z - data.corrupt_z):
        sums.add(change[None], ones, told[row])
    found = sums.finish(None)
    assert roc_auc_score(PLANTED, found.turned) > 0.95
    assert roc_auc_score(PLANTED, consistent_change(replace(data, changes=found))) > 0.95
    assert (found.consistent[PLANTED] < found.turned[PLANTED] / 2).all()


def test_direct_effect_is_added_where_it_was_read():
    data = made(size=0.0)
    sums = ChangeSums(data.W_O)
    for change in data.clean_z - data.corrupt_z:
        sums.add(change[None], torch.ones(1, N_HEADS, dtype=torch.float64), torch.tensor(1.0))
    direct, answer = torch.zeros(N_PAIRS, N_HEADS), torch.linspace(6, 10, N_PAIRS)
    direct[:, PLANTED] = -2.0
    with_direct = replace(data, changes=sums.finish(direct, answer))
    without = replace(data, changes=sums.finish(None, answer))
    squares = change_and_answer(with_direct).square() - change_and_answer(without).square()
    torch.testing.assert_close(squares, PLANTED / 16.0, check_dtype=False)  # -2 logits of 8
    assert torch.equal(change_and_answer(without), consistent_change(without))
    torch.testing.assert_close(change_and_answer(data), change_and_answer(without))
    still = replace(data, changes=sums.finish(direct, 0 * answer))
    assert torch.equal(change_and_answer(still), change_and_answer(without))


def test_changes_stay_behind_when_pairs_are_taken_and_follow_heads():
    data = made()
    sums = ChangeSums(data.W_O)
    for change in data.clean_z - data.corrupt_z:
        sums.add(change[None], torch.ones(1, N_HEADS, dtype=torch.float64), torch.tensor(1.0))
    found = sums.finish(torch.ones(N_PAIRS, N_HEADS))
    data = replace(data, changes=found)
    assert data.take_pairs(torch.arange(4)).changes is None
    assert data.swapped().changes is None
    heads = torch.tensor([3, 1])
    taken = data.take_heads(heads).changes
    assert taken is not None
    assert torch.equal(taken.consistent, found.consistent[heads])


def test_guards_say_what_to_do():
    data = made()
    sums = ChangeSums(data.W_O)
    with pytest.raises(DataError, match="there is only 0 pair"):
        sums.finish(None)
    change, size = data.clean_z[0][None], torch.ones(1, N_HEADS, dtype=torch.float64)
    with pytest.raises(DataError, match="pair 1 has a change or a residual stream"):
        sums.add(change, size * 0, torch.tensor(1.0))
    with pytest.raises(DataError, match="n_folds is 0"):
        Coding(n_folds=0)
