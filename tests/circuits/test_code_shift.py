"""Codes of changes at single positions: planted heads, chance, and the sums by brute force."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.calibrated.change_rows import ChangeRows, RowKeeper
from needlepoint.circuits.calibrated.code_shift import (
    SILENT,
    agreement,
    code_shift,
    direction_codes,
    direction_dictionary,
    shift_within,
    signed_shift,
)
from needlepoint.circuits.calibrated.sign_flips import change_test
from needlepoint.circuits.head_data import HeadData
from needlepoint.circuits.scores import HEAD_SCORES

N_PAIRS, N_PLACES, N_HEADS, D_HEAD, D_MODEL = 20, 3, 12, 4, 9
PLANTED = torch.arange(N_HEADS) % 4 == 1
SMALL = Autoencoder(n_codes=24, n_steps=60, n_seeds=2)
FOLDS = torch.arange(N_PAIRS) % 2


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(seed: int = 0, size: float = 3.0, signs: torch.Tensor | None = None) -> ChangeRows:
    """Planted heads move by a vector of their own at each place; all vary by pair."""
    g = rng(seed)
    way = torch.randn(N_PLACES, N_HEADS, D_HEAD, generator=g)
    way = size * way / way.norm(dim=-1, keepdim=True) * PLANTED[:, None]
    turn = torch.ones(N_PAIRS) if signs is None else signs
    place = torch.arange(N_PLACES).repeat(N_PAIRS)
    pair = torch.arange(N_PAIRS).repeat_interleave(N_PLACES)
    noise = torch.randn(len(pair), N_HEADS, D_HEAD, generator=g)
    weights = torch.randn(N_HEADS, D_HEAD, D_MODEL, generator=g) / 2
    return ChangeRows(noise + turn[pair, None, None] * way[place], pair, place, turn, weights)


def shift(rows: ChangeRows, seed: int = 0) -> torch.Tensor:
    return code_shift(rows, FOLDS, SMALL, rng(seed))[:, 0]


def test_planted_heads_are_found_each_way_the_answers_turn_them() -> None:
    found = shift(made())
    assert roc_auc_score(PLANTED, found) == 1
    half = torch.where(torch.arange(N_PAIRS) % 4 < 2, 1.0, -1.0)
    assert roc_auc_score(PLANTED, shift(made(signs=half))) == 1
    unknown = replace(made(signs=half), sign=torch.ones(N_PAIRS))
    assert (shift(unknown)[PLANTED] < found[PLANTED] / 2).all()


def test_changes_of_random_sign_come_to_nothing() -> None:
    draws = []
    for seed in range(40):
        rows = made(seed, size=0.0)
        found = shift(rows, seed)
        written = torch.einsum("rhd,hdm->rhm", rows.z, rows.W_O)
        draws.append(found / written.square().sum((0, 2)) * N_PAIRS)
    mean, error = torch.stack(draws).mean(), torch.stack(draws).std() / (40 * N_HEADS) ** 0.5
    assert abs(mean) < 4 * error
    assert error < 0.01


def test_sums_are_those_of_brute_force() -> None:
    rows = made(seed=2)
    dictionary = direction_dictionary(rows, SMALL, rng())
    assert dictionary is not None
    one, two = direction_codes(rows, dictionary)
    assert one.shape == two.shape == (2, N_PAIRS * N_PLACES, N_HEADS)
    assert ((one != two) | (one == SILENT)).all()
    written = torch.einsum("rhd,hdm->rhm", rows.z, rows.W_O).double()
    inner = torch.einsum("rhm,shm->hrs", written, written)
    signs = rows.sign[rows.pair]
    other = (rows.pair[:, None] != rows.pair) & (rows.place[:, None] == rows.place)
    wanted = torch.zeros(N_HEADS).double()
    for said in ((a, b) for seed in zip(one, two, strict=True) for a in seed for b in seed):
        here, there = (codes.T for codes in said)
        same = (here[:, :, None] == there[:, None]) & (here[:, :, None] != SILENT) & other
        wanted += (inner * same * (1 + signs[:, None] * signs)).sum((1, 2))
    wanted /= 4 * N_PAIRS * (N_PAIRS - 1)  # two seeds, and a change and its mirror
    torch.testing.assert_close(shift_within(rows, one, two), wanted, rtol=1e-4, atol=1e-9)


def test_one_code_for_all_is_the_consistent_change() -> None:
    rows = made(seed=3)
    code = torch.zeros(1, len(rows.pair), N_HEADS, dtype=torch.long)
    written = torch.einsum("rhd,hdm->rhm", rows.z, rows.W_O).double()
    sums = torch.stack([written[rows.place == place].sum(0) for place in range(N_PLACES)])
    apart = sums.square().sum((0, 2)) - written.square().sum((0, 2))
    wanted = 2 * apart / (N_PAIRS * (N_PAIRS - 1))  # all signs are 1: turned is the same again
    torch.testing.assert_close(shift_within(rows, code, code + 1), wanted, rtol=1e-4, atol=1e-9)
    silent = torch.full_like(code, SILENT)
    assert (shift_within(rows, silent, silent) == 0).all()


def test_codes_name_directions_whatever_the_size() -> None:
    rows = made(seed=4)
    larger = replace(rows, z=4 * rows.z)
    torch.testing.assert_close(shift(larger), 16 * shift(rows), rtol=1e-4, atol=1e-6)


def test_pairs_turned_round_need_not_be_coded_again() -> None:
    rows = made(seed=7, signs=torch.where(torch.arange(N_PAIRS) % 3 == 0, 0.5, -0.5))
    dictionary = direction_dictionary(rows, SMALL, rng())
    assert dictionary is not None
    signs = 1 - 2 * torch.randint(2, (N_PAIRS, 4), generator=rng()).double()
    found = signed_shift(agreement(rows, *direction_codes(rows, dictionary)), rows.sign, signs)
    for one, sign in zip(found.T, signs.T, strict=True):
        turned = replace(rows, z=rows.z * sign[rows.pair][:, None, None].float())
        wanted = shift_within(turned, *direction_codes(turned, dictionary))
        torch.testing.assert_close(one, wanted, rtol=1e-4, atol=1e-9)


def data_of(seed: int, size: float) -> HeadData:
    """Planted heads write one vector more on clean prompts; all differ from pair to pair."""
    g = rng(seed)
    way = torch.randn(N_HEADS, D_HEAD, generator=g)
    way = size * way / way.norm(dim=-1, keepdim=True) * PLANTED[:, None]
    clean, corrupt = torch.randn(2, 30, N_HEADS, D_HEAD, generator=g)
    weights = torch.randn(N_HEADS, D_HEAD, D_MODEL, generator=g) / 2
    layers = torch.arange(N_HEADS) // 4
    return HeadData(clean + way, corrupt, weights, layers, autoencoder=SMALL)


def test_the_p_of_the_score_finds_what_is_planted_and_is_uniform_where_nothing_is() -> None:
    found = change_test(data_of(0, size=4.0), rng(), n_draws=999)
    assert not found.exact
    assert torch.equal(found.found(), PLANTED)
    torch.testing.assert_close(
        found.observed.clamp(min=0).sqrt(),
        HEAD_SCORES["calibrated_sae"].score(data_of(0, 4.0), rng()),
    )
    nothing = [change_test(data_of(seed, 0.0), rng(seed), n_draws=99).p for seed in range(25)]
    p = torch.cat(nothing)
    assert binomtest(int((p <= 0.1).sum()), len(p), 0.1).pvalue > 1e-3
    assert binomtest(int((p <= 0.5).sum()), len(p), 0.5).pvalue > 1e-3


def test_no_change_at_all_scores_0() -> None:
    still = replace(made(), z=torch.zeros(N_PAIRS * N_PLACES, N_HEADS, D_HEAD))
    assert direction_dictionary(still, SMALL, rng()) is None
    assert (shift(still) == 0).all()


def test_a_fold_is_coded_by_what_others_taught() -> None:
    """Turn the pairs of one fold about: the codes the other fold taught cannot know."""
    rows = made(seed=5)
    known = rows.take_pairs((FOLDS == 0).nonzero().flatten())
    assert known.n_pairs == N_PAIRS // 2
    assert torch.equal(known.pair.unique(), torch.arange(N_PAIRS // 2))
    changed = replace(rows, z=torch.where((rows.pair % 2 == 1)[:, None, None], -5.0, 1.0) * rows.z)
    again = changed.take_pairs((FOLDS == 0).nonzero().flatten())
    one, two = (direction_dictionary(part, SMALL, rng()) for part in (known, again))
    assert one is not None
    assert two is not None
    assert torch.equal(one.encoder, two.encoder)


def test_heads_taken_are_heads_read() -> None:
    rows = made(seed=6)
    heads = torch.tensor([5, 1])
    dictionary = direction_dictionary(rows, SMALL, rng())
    assert dictionary is not None
    whole = direction_codes(rows, dictionary)
    part = direction_codes(rows.take_heads(heads), dictionary)
    assert all(torch.equal(a[:, :, heads], b) for a, b in zip(whole, part, strict=True))


def test_the_keeper_keeps_the_first_pairs_that_there_is_room_for() -> None:
    weights, lengths = torch.ones(2, 3, 4), [2, 3, 2, 5]
    for most, kept in ((7 * 12, 3), (7 * 12 - 1, 2), (2 * 12, 0)):
        keeper = RowKeeper(weights, lengths, most_bytes=most)
        for pair in (2, 0, 3, 1):
            full = torch.full((lengths[pair], 2, 3), float(pair))
            keeper.add(pair, full, torch.full((lengths[pair], 2), 2.0))
        rows = keeper.finish(torch.ones(4))
        if not kept:
            assert rows is None
            continue
        assert rows is not None
        assert rows.n_pairs == kept
        assert rows.pair.tolist() == [0, 0, 1, 1, 1, 2, 2][: len(rows.pair)]
        assert rows.place.tolist() == [1, 0, 2, 1, 0, 1, 0][: len(rows.pair)]
        assert rows.z[:, 0, 0].tolist() == pytest.approx((rows.pair / 2).tolist())
