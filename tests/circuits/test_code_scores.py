"""Statistics of codes as scores: equal to the tests they come from, fair to heads of many codes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sklearn.metrics import roc_auc_score

from needlepoint._core.errors import DataError
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.calibrated.calibrate_heads import calibrate_heads
from needlepoint.circuits.calibrated.code_scores import code_test, deviation
from needlepoint.circuits.calibrated.paired_codes import paired_test
from needlepoint.circuits.head_data import HeadData
from needlepoint.circuits.scores import HEAD_SCORES

N_HEADS, D_HEAD, D_MODEL = 16, 4, 10
TALKATIVE = torch.arange(N_HEADS) % 2 == 1
SMALL = Autoencoder(n_codes=30, n_steps=100, n_train_examples=12, n_seeds=2)
STATISTICS = {
    "code_information": "mutual_information",
    "code_variation": "total_variation",
    "calibrated_count": "unique_codes",
    "code_mean_shift": "mean_shift",
    "code_log_loss": "log_loss_gain",
}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def said(seed: int = 0, n_pairs: int = 24) -> HeadData:
    """Half of the heads say one of twelve words, the others one of two; none knows the label."""
    g = rng(seed)
    words = 6 * torch.randn(12, N_HEADS, D_HEAD, generator=g)
    n_words = torch.where(TALKATIVE, 12, 2)
    said = (torch.rand(2, n_pairs, N_HEADS, generator=g) * n_words).long()
    z = words[said, torch.arange(N_HEADS)] + 0.1 * torch.randn(
        2, n_pairs, N_HEADS, D_HEAD, generator=g
    )
    weights = torch.randn(N_HEADS, D_HEAD, D_MODEL, generator=g)
    return HeadData(*z, weights, torch.arange(N_HEADS) // 4, autoencoder=SMALL)


@pytest.mark.parametrize("name", STATISTICS)
def test_a_score_is_what_the_test_of_that_statistic_says(name: str) -> None:
    data, part = said(), HEAD_SCORES[name]
    found = calibrate_heads(said(), part.generator(0), statistic=STATISTICS[name])
    scores, test = part.score_and_test(data, part.generator(0))
    assert test is not None
    assert torch.equal(test.p, found.p)
    assert torch.equal(test.observed, found.observed)
    wanted = found.observed if name == "code_log_loss" else found.z.nan_to_num(0)
    torch.testing.assert_close(scores, wanted)


def test_the_energy_of_codes_is_that_of_the_paired_test() -> None:
    part = HEAD_SCORES["code_energy"]
    found = paired_test(said(), part.generator(0))
    assert torch.equal(part.score(said(), part.generator(0)), found.observed)
    assert (found.observed >= 0).all()


def test_statistics_share_their_dictionaries(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = []
    fit_z = Autoencoder.fit_z
    monkeypatch.setattr(Autoencoder, "fit_z", lambda *args: fitted.append(1) or fit_z(*args))
    data = said()
    for name in STATISTICS:
        part = HEAD_SCORES[name]
        part.score_and_test(data, part.generator(0))
    assert len(fitted) == 2, "one for each half of the pairs"
    part.score(data, part.generator(1))
    assert len(fitted) == 4


def test_remembered_codes_leave_the_generator_as_making_them_does() -> None:
    data, states = said(), []
    for _ in range(2):
        draws = rng()
        code_test("unique_codes", n_draws=5)(data, draws)
        states.append(draws.get_state())
    assert torch.equal(*states)


def test_a_head_gains_nothing_by_having_many_codes() -> None:
    """The counts themselves do rise with them, though no head knows the label."""
    counts, calibrated = [], []
    for seed in range(4):
        found = code_test("unique_codes", n_draws=200)(said(seed), rng(seed))
        counts.append(roc_auc_score(TALKATIVE, found.observed))
        calibrated.append(roc_auc_score(TALKATIVE, deviation(found)))
    assert min(counts) > 0.9
    assert abs(sum(calibrated) / 4 - 0.5) < 0.2


def test_few_pairs_are_held_out_in_fewer_folds_and_one_alone_is_refused() -> None:
    part = HEAD_SCORES["code_log_loss"]
    few = said().take_pairs(torch.arange(6))
    assert part.score(few, part.generator(0)).shape == (N_HEADS,)
    with pytest.raises(DataError, match="1 groups cannot be dealt to 1 folds"):
        part.score(few.take_pairs(torch.arange(2)), part.generator(0))


def test_a_head_that_says_one_thing_scores_what_chance_gives() -> None:
    data = said()
    silent = data.clean_z.clone()
    silent[:, 0] = 1.0
    data = replace(data, clean_z=silent, corrupt_z=torch.where(silent == 1, 1.0, data.corrupt_z))
    for name in STATISTICS:
        part = HEAD_SCORES[name]
        scores, test = part.score_and_test(data, part.generator(0))
        assert test is not None
        assert scores[0] == 0
        assert test.p[0] == 1
