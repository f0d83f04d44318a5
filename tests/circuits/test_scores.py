"""A contract over every registered head score, and what tells the scores from one another."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from sklearn.metrics import roc_auc_score

from needlepoint._core.errors import DataError, UnknownNameError
from needlepoint.circuits import scores
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.head_data import ENSEMBLE, HeadData
from needlepoint.circuits.scores import HEAD_SCORES

N_PAIRS, N_HEADS, D_HEAD, D_MODEL = 30, 24, 4, 10
PLANTED = torch.arange(N_HEADS) % 4 == 1

# The training examples of the dictionary and the folds of the probe are drawn by their place.
DRAWN_BY_PLACE = {
    "discrete_sae",
    "discrete_sae_edges",
    "untrained_codes",
    "kmeans_codes",
    "distinct_codes",
}
CALIBRATED = {name for name in HEAD_SCORES if HEAD_SCORES[name].test is not None}
"""Cross-fitted, so that pairs are dealt to folds by their place."""
DEPENDS_ON_PAIR_ORDER = DRAWN_BY_PLACE - {"untrained_codes"} | {"linear_probe"} | CALIBRATED
# Ties of pairs keep the order of heads, and vectors to train on are drawn by their place.
DEPENDS_ON_HEAD_ORDER = {"random", "discrete_sae_edges", "kmeans_codes", "calibrated_sae"}
SMALL = Autoencoder(n_codes=40, n_steps=150, n_train_examples=10, n_seeds=2)
"""A smaller ensemble than the default, so that the contract takes seconds."""
BLIND = {"output_norm", "distinct_codes", "layer_index", "random"}


@cache
def make(seed: int, size: float) -> HeadData:
    """Planted heads say many things on clean prompts and one thing on corrupt ones.

    The others say one of three things on both prompts of a pair. All add noise; with a `size`
    of 0 there is nothing else.
    """
    rng = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    words = draw(6, N_HEADS, D_HEAD)
    words /= words.norm(dim=-1, keepdim=True)
    heads = torch.arange(N_HEADS)
    n_words = torch.where(PLANTED, 5, 3)
    said = (torch.rand(N_PAIRS, N_HEADS, generator=rng) * n_words).long()
    corrupt = torch.where(PLANTED, 5, said)
    return HeadData(
        clean_z=size * words[said, heads] + draw(N_PAIRS, N_HEADS, D_HEAD),
        corrupt_z=size * words[corrupt, heads] + draw(N_PAIRS, N_HEADS, D_HEAD),
        W_O=draw(N_HEADS, D_HEAD, D_MODEL) / 2,
        layer_of=heads // 4,
        autoencoder=SMALL,
    )


def score(name: str, data: HeadData, seed: int = 0) -> torch.Tensor:
    part = HEAD_SCORES[name]
    return part.score(data, part.generator(seed))


def auc(name: str, size: float, n_draws: int = 3) -> float:
    areas = [roc_auc_score(PLANTED, score(name, make(seed, size), seed)) for seed in range(n_draws)]
    return sum(areas) / n_draws


every_score = pytest.mark.parametrize("name", list(HEAD_SCORES))


@pytest.fixture(scope="module")
def data() -> HeadData:
    return make(99, size=4.0)


@every_score
def test_one_finite_number_for_each_head(name, data):
    found = score(name, data)
    assert found.shape == (N_HEADS,)
    assert found.dtype == torch.float64
    assert torch.isfinite(found).all()


@every_score
def test_the_same_seed_gives_the_same_numbers(name, data):
    fresh = replace(data)  # an empty memo
    assert fresh.memo == {}
    assert torch.equal(score(name, data), score(name, fresh))


@every_score
def test_order_of_pairs(name, data):
    order = torch.randperm(N_PAIRS, generator=torch.Generator().manual_seed(4))
    one, two = score(name, data), score(name, data.take_pairs(order))
    if name in DEPENDS_ON_PAIR_ORDER:
        assert not torch.allclose(one, two)
    else:
        torch.testing.assert_close(one, two)


@every_score
def test_order_of_heads(name, data):
    order = torch.randperm(N_HEADS, generator=torch.Generator().manual_seed(4))
    one, two = score(name, data)[order], score(name, data.take_heads(order))
    if name in DEPENDS_ON_HEAD_ORDER:
        assert not torch.allclose(one, two)
    else:
        torch.testing.assert_close(one, two)


@every_score
def test_labels_play_a_part_only_where_it_is_said(name):
    """Exchange clean and corrupt in half of the pairs."""
    data = make(3, size=4.0)
    half = (torch.arange(N_PAIRS) % 2 == 0)[:, None, None]
    mixed = replace(
        data,
        clean_z=torch.where(half, data.clean_z, data.corrupt_z),
        corrupt_z=torch.where(half, data.corrupt_z, data.clean_z),
    )
    one, two = score(name, data), score(name, mixed)
    assert HEAD_SCORES[name].uses_labels == (name not in BLIND)
    if name in BLIND - DRAWN_BY_PLACE:
        torch.testing.assert_close(one, two)
    elif name == "distinct_codes":  # other training examples, but much the same order of heads
        assert torch.corrcoef(torch.stack([one, two]))[0, 1] > 0.5
    elif name.startswith("paired"):  # the pairing counts, not which of the two is clean
        torch.testing.assert_close(one, two)
    else:
        assert not torch.allclose(one, two)


@cache
def nothing(seed: int) -> HeadData:
    """Noise alone, and dictionaries that are trained on it for less long."""
    return replace(make(seed, size=0.0), autoencoder=replace(SMALL, n_steps=40))


@every_score
def test_nothing_is_found_where_there_is_nothing(name):
    """On average over draws AUC is one half, to two standard errors of a rank sum."""
    n_draws, n_true = 12, int(PLANTED.sum())
    found = [roc_auc_score(PLANTED, score(name, nothing(seed), seed)) for seed in range(n_draws)]
    error = ((N_HEADS + 1) / (12 * n_true * (N_HEADS - n_true) * n_draws)) ** 0.5
    assert abs(sum(found) / n_draws - 0.5) < 2 * error


@pytest.mark.parametrize("name", [name for name in HEAD_SCORES if not HEAD_SCORES[name].control])
def test_planted_heads_are_found(name):
    assert auc(name, size=8.0) > 0.9


@pytest.mark.parametrize("name", ["layer_index", "random"])
def test_controls_find_no_planted_head(name):
    assert abs(auc(name, size=8.0) - 0.5) < 0.2


def test_counting_codes_misses_a_head_that_says_two_things_among_heads_that_babble():
    """The published count rises with the number of codes in use; a class mean does not care."""
    noise = make(0, size=0.0)
    moved = replace(noise, clean_z=noise.clean_z + 6 * PLANTED[:, None])
    assert roc_auc_score(PLANTED, score("discrete_sae", moved)) < 0.3
    assert roc_auc_score(PLANTED, score("mean_difference", moved)) > 0.9


def test_scores_that_share_their_draws_train_once(data, monkeypatch):
    fitted = []
    fit_z = Autoencoder.fit_z
    monkeypatch.setattr(Autoencoder, "fit_z", lambda *args: fitted.append(1) or fit_z(*args))
    fresh = replace(data)
    for name in ("discrete_sae", "discrete_sae_edges", "distinct_codes"):
        score(name, fresh)
    assert len(fitted) == 1
    score("discrete_sae", fresh, seed=1)
    assert len(fitted) == 2


def test_remembered_codes_leave_the_generator_as_training_does(data):
    fresh, states = replace(data), []
    for _ in range(2):
        rng = torch.Generator().manual_seed(0)
        scores.codes_of(fresh, SMALL, rng)
        states.append(rng.get_state())
    assert torch.equal(*states)


def test_the_autoencoder_of_the_data_is_the_one_that_is_trained(data, monkeypatch):
    """By default an ensemble of the paper's settings; its seeds and steps are the data's."""
    assert HeadData(data.clean_z, data.corrupt_z, data.W_O, data.layer_of).autoencoder is ENSEMBLE
    assert replace(ENSEMBLE, n_seeds=1) == Autoencoder()
    trained = []
    fit_z = Autoencoder.fit_z
    monkeypatch.setattr(Autoencoder, "fit_z", lambda *args: trained.append(args[0]) or fit_z(*args))
    fresh = replace(data, autoencoder=replace(SMALL, n_seeds=3))
    for name in ("discrete_sae", "distinct_codes", "untrained_codes"):
        score(name, fresh)
    assert trained == [fresh.autoencoder, replace(fresh.autoencoder, n_steps=0)]


def test_silence_apart_is_the_same_training_and_one_more_code(data, monkeypatch):
    fitted = []
    fit_z = Autoencoder.fit_z
    monkeypatch.setattr(Autoencoder, "fit_z", lambda *args: fitted.append(1) or fit_z(*args))
    fresh = replace(data)
    part = HEAD_SCORES["discrete_sae"]
    paper = scores.codes_of(fresh, SMALL, part.generator(0))
    own = replace(SMALL, silent_code=True)
    apart = scores.codes_of(fresh, own, part.generator(0))
    silent = scores.reading_of(fresh, SMALL, part.generator(0)).silent
    assert len(fitted) == 1
    assert torch.equal(apart, torch.where(silent, SMALL.n_codes, paper))
    assert own.codebook == SMALL.codebook + 1
    changed = replace(fresh, autoencoder=own)
    assert score("discrete_sae", changed).shape == (N_HEADS,)
    assert score("discrete_sae_edges", changed).shape == (N_HEADS,)


def test_few_examples_are_all_trained_on(data):
    assert score("discrete_sae", data.take_pairs(torch.arange(3))).shape == (N_HEADS,)


@pytest.mark.parametrize(
    "name", ["discrete_sae", "untrained_codes", "kmeans_codes", "distinct_codes"]
)
def test_a_count_of_codes_is_the_mean_over_seeds(name, data):
    """Counts are whole numbers; means of three of them are thirds, and not all of them whole."""
    found = score(name, replace(data, autoencoder=replace(SMALL, n_seeds=3)))
    torch.testing.assert_close(3 * found, (3 * found).round())
    assert bool((found != found.round()).any())


def test_groups_change_the_folds_of_the_probe(data):
    grouped = replace(data, group_of=torch.arange(N_PAIRS) // 6)
    assert not torch.equal(score("linear_probe", data), score("linear_probe", grouped))


def test_every_score_says_what_it_is():
    for name in HEAD_SCORES:
        part = HEAD_SCORES[name]
        assert part.name == name
        assert part.label
        assert part.source
        assert part.description
        assert "\n" not in part.description
    assert "discrete_sae" in HEAD_SCORES
    assert [name for name in HEAD_SCORES if HEAD_SCORES[name].control] == [
        "untrained_codes",
        "kmeans_codes",
        "distinct_codes",
        "output_norm",
        "layer_index",
        "random",
    ]


def test_a_score_with_a_test_is_the_same_with_and_without_it(data):
    parts = [HEAD_SCORES[name] for name in HEAD_SCORES]
    assert [part.name for part in parts if part.test is not None] == [
        "calibrated_sae",
        "code_information",
        "code_variation",
        "calibrated_count",
        "code_mean_shift",
        "code_log_loss",
        "code_energy",
    ]
    for part in parts:
        both = part.score_and_test(data, part.generator(0))
        torch.testing.assert_close(both[0], part.score(data, part.generator(0)))
        assert (both[1] is None) == (part.test is None)
        if both[1] is not None:
            assert both[1].q.shape == both[0].shape


def test_unknown_score_names_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'discrete_sae'"):
        HEAD_SCORES["discret_sae"]


def test_a_score_that_is_not_finite_is_refused(data):
    broken = replace(
        HEAD_SCORES["random"], compute=lambda data, _: torch.tensor([0.0, float("nan")])
    )
    with pytest.raises(DataError, match="'random' of head 1 is not finite"):
        broken.score(data, torch.Generator())
