"""Scores on resamples at once: those of the pairs drawn, each as often, with codes as they were."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.calibrated.change_rows import ChangeRows
from needlepoint.circuits.calibrated.changes import ChangeSums
from needlepoint.circuits.calibrated.stability import drawn_counts
from needlepoint.circuits.codes import codes_unique_to_clean, distinct_codes
from needlepoint.circuits.head_data import HeadData
from needlepoint.circuits.resampled import RESAMPLED, n_drawn_from
from needlepoint.circuits.scores import HEAD_SCORES, codes_of

PAIRS, HEADS, WIDTH, POSITIONS = 12, 9, 4, 3
SETTINGS = Autoencoder(n_codes=12, n_steps=20, n_train_examples=24, n_seeds=2)
MOMENTS = ("mean_difference", "effect_size", "paired_difference", "output_norm")
CODES = ("discrete_sae", "untrained_codes", "distinct_codes")
CHANGES = ("consistent_change", "change_and_answer")


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def heads(n_pairs: int = PAIRS) -> HeadData:
    clean, corrupt = torch.randn(2, n_pairs, HEADS, WIDTH, generator=rng())
    clean[:, 2] += 4  # one head that differs in every pair
    weights = torch.randn(HEADS, WIDTH, 10, generator=rng(1))
    return HeadData(clean, corrupt, weights, torch.arange(HEADS) // 3, autoencoder=SETTINGS)


def with_changes(data: HeadData, kept: int, whose: torch.Tensor | None = None) -> HeadData:
    """Changes at three positions of some pairs, in the order given and as often as given."""
    moved = torch.randn(data.n_pairs, POSITIONS, HEADS, WIDTH, generator=rng(2))
    moved[:, :, 2] += 2
    moved = moved.bfloat16().float()  # what is kept of it
    signs = torch.randn(data.n_pairs, generator=rng(3)).sign()
    direct = torch.randn(data.n_pairs, HEADS, generator=rng(4)) + 1
    answer = torch.rand(data.n_pairs, generator=rng(5)) + 2
    whose = torch.arange(data.n_pairs) if whose is None else whose
    sums = ChangeSums(data.W_O)
    for pair in whose.tolist():
        sums.add(moved[pair], torch.ones(POSITIONS, HEADS), signs[pair])
    rows = ChangeRows(
        moved[:kept].flatten(0, 1).bfloat16(),
        torch.arange(kept).repeat_interleave(POSITIONS),
        torch.arange(POSITIONS).flip(0).repeat(kept),
        signs[:kept],
        data.W_O,
    )
    return replace(data, changes=sums.finish(direct[whose], answer[whose], rows))


def resampled(name: str, data: HeadData, counts: torch.Tensor) -> torch.Tensor:
    return RESAMPLED[name](data, counts, HEAD_SCORES[name].generator(0, task="toy"))


@pytest.mark.parametrize("name", list(RESAMPLED))
def test_every_pair_once_is_the_score_itself(name: str) -> None:
    for data in (heads(), with_changes(heads(), PAIRS)):
        score = HEAD_SCORES[name].score(data, HEAD_SCORES[name].generator(0, task="toy"))
        once = resampled(name, data, torch.ones(1, PAIRS, dtype=torch.int64))[0]
        torch.testing.assert_close(once, score, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", MOMENTS)
def test_a_pair_drawn_twice_counts_twice(name: str) -> None:
    data = heads()
    counts = drawn_counts(PAIRS, 5, rng(7))
    found = resampled(name, data, counts)
    for row, drawn in zip(found, counts, strict=True):
        again = data.take_pairs(torch.arange(PAIRS).repeat_interleave(drawn))
        torch.testing.assert_close(row, HEAD_SCORES[name].score(again, rng()))
    assert not torch.equal(found[0], found[1])


@pytest.mark.parametrize("name", CODES)
def test_codes_are_counted_on_the_pairs_drawn_and_stay_as_they_were(name: str) -> None:
    data, counts = heads(), drawn_counts(PAIRS, 5, rng(7))
    found = resampled(name, data, counts)
    settings = replace(SETTINGS, n_steps=0) if name == "untrained_codes" else SETTINGS
    codes = codes_of(data, settings, HEAD_SCORES[name].generator(0, task="toy"))
    for row, drawn in zip(found, counts, strict=True):
        kept = (drawn > 0).repeat(2)
        if name == "distinct_codes":
            wanted = [distinct_codes(seed[kept], n_codes=12) for seed in codes]
        else:
            clean = data.is_clean[kept]
            wanted = [codes_unique_to_clean(seed[kept], clean, n_codes=12) for seed in codes]
        torch.testing.assert_close(row, torch.stack(wanted).double().mean(0))


@pytest.mark.parametrize("name", CHANGES)
def test_changes_of_some_of_the_pairs_are_the_score_of_these(name: str) -> None:
    """Each once or not at all: a pair drawn twice is not held against its own copy."""
    whole = with_changes(heads(), PAIRS)
    some = torch.tensor([0, 2, 3, 7, 8, 11])
    counts = torch.zeros(1, PAIRS, dtype=torch.int64)
    counts[0, some] = 1
    wanted = HEAD_SCORES[name].score(with_changes(heads(), PAIRS, some), rng())
    found = resampled(name, whole, counts)[0]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    doubled = resampled(name, whole, 2 * counts)[0]
    torch.testing.assert_close(doubled, wanted, rtol=1e-4, atol=1e-4)


def test_resamples_are_of_the_pairs_whose_changes_were_kept() -> None:
    data = with_changes(heads(), 7)
    assert [n_drawn_from(name, data) for name in (*CHANGES, "calibrated_sae")] == [7, 7, 7]
    assert n_drawn_from("mean_difference", data) == PAIRS
    counts = drawn_counts(7, 3, rng())
    assert all(resampled(name, data, counts).shape == (3, HEADS) for name in CHANGES)


def test_the_calibrated_test_says_what_its_statistic_is_on_resamples() -> None:
    """Of the head that changes in every pair it is far above that of the others each time."""
    data = with_changes(heads(40), 40)
    part = HEAD_SCORES["calibrated_sae"]
    score, test = part.score_and_test(data, part.generator(0, task="toy"))
    assert test is not None
    assert test.again is not None
    assert test.again.shape == (100, HEADS)
    others = torch.arange(HEADS) != 2
    assert (test.again[:, 2] > test.again[:, others].amax(1)).all()
    assert int(score.argmax()) == 2
    middle = test.again.median(0).values
    assert float(middle[2] / test.observed[2]) == pytest.approx(1, abs=0.2)
