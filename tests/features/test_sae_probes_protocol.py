"""The benchmark's rows: its own draw to the number, sizes, regimes and folds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import LabelEncoder

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.features.sae_probes_protocol import (
    PENALTIES,
    Regime,
    draw_rows,
    flipped_shares,
    imbalanced,
    noisy,
    normal,
    scarce,
    set_labels,
    shares,
    training_sizes,
    validation_splits,
)

LABELS = np.arange(300) < 170


def test_the_draw_is_the_benchmarks_own() -> None:
    """Numbers printed by `get_train_test_indices` of sae-probes 0.4.2 for these labels, seed 42."""
    drawn = draw_rows(LABELS, Regime("small", 20, 10), seed=42)
    assert drawn.train.tolist() == [
        *(204, 51, 139, 163, 30, 105, 278, 203, 184, 119),
        *(211, 218, 183, 270, 60, 144, 190, 166, 179, 29),
    ]
    assert drawn.test.tolist() == [123, 230, 75, 32, 266, 214, 243, 62, 57, 175]
    assert draw_rows(LABELS, imbalanced(LABELS, 0.2)).test[:5].tolist() == [
        *(199, 290, 257, 226, 170)
    ]


@given(n=st.integers(250, 1500), seed=st.integers(0, 99), share=st.sampled_from(shares()))
def test_parts_never_share_a_row_and_have_their_share_of_positives(
    n: int, seed: int, share: float
) -> None:
    labels = np.arange(2 * (n // 2)) % 2 == 0
    for regime in (normal(labels), imbalanced(labels, share)):
        drawn = draw_rows(labels, regime, seed=seed)
        assert len(set(drawn.train) | set(drawn.test)) == regime.n_train + regime.n_test
        assert len(drawn.train) == regime.n_train
        assert (drawn.train_labels == labels[drawn.train]).all()
        assert (drawn.test_labels == labels[drawn.test]).all()
        assert drawn.train_labels.sum() == np.ceil(regime.positive_share * regime.n_train)


@pytest.mark.parametrize(
    ("n", "n_train", "n_test"), [(5000, 1024, 3975), (728, 628, 99), (1124, 1024, 99)]
)
def test_the_normal_regime_has_the_benchmarks_sizes(n: int, n_train: int, n_test: int) -> None:
    regime = normal(np.arange(n) % 2 == 0)
    assert (regime.n_train, regime.n_test) == (n_train, n_test)
    capped = regime.capped(128, 64)
    assert (capped.n_train, capped.n_test) == (128, 64)


def test_grids_are_the_benchmarks() -> None:
    assert training_sizes()[:6] == [2, 3, 4, 5, 7, 10]
    assert training_sizes()[-1] == 1024
    assert (len(shares()), shares()[0], shares()[-1]) == (19, 0.05, 0.95)
    assert flipped_shares()[:3] == [0.0, 0.05, 0.1]
    assert len(PENALTIES) == 10
    assert PENALTIES[[0, -1]] == pytest.approx([1e5, 1e-5])


@pytest.mark.parametrize("flipped", flipped_shares())
def test_noise_turns_so_many_training_labels_and_no_test_label(flipped: float) -> None:
    regime = noisy(LABELS, flipped)
    drawn = draw_rows(LABELS, regime.capped(100, 50))
    assert (drawn.train_labels != LABELS[drawn.train]).sum() == int(100 * flipped)
    assert (drawn.test_labels == LABELS[drawn.test]).all()


@pytest.mark.parametrize(
    "targets",
    [[1, 0, 0, 1], [True, False, True], ["male", "female"], ["not_bigram", "bigram"], list("BAB")],
)
def test_labels_are_those_of_scikit_learns_encoder(targets: list[object]) -> None:
    table = pd.DataFrame({"target": targets})
    expected = LabelEncoder().fit_transform(table["target"].to_numpy())
    assert (set_labels(table) == (expected == 1)).all()


@pytest.mark.parametrize(("n", "folds"), [(2, 0), (3, 0), (13, 6), (127, 6), (128, 1), (1024, 1)])
def test_validation_is_by_folds_until_there_are_rows_enough(n: int, folds: int) -> None:
    found = validation_splits(np.arange(n) % 2 == 0)
    assert len(found) == folds
    for fitted, held in found:
        assert sorted([*fitted, *held]) == list(range(n))


def test_few_rows_are_left_out_two_at_a_time_where_they_differ() -> None:
    labels = np.array([True, True, True, False])
    held = [tuple(held.tolist()) for _, held in validation_splits(labels)]
    assert held == [(0, 3), (1, 3), (2, 3)]
    assert len(validation_splits(np.arange(128) % 2 == 0)[0][1]) == 25
    assert len(validation_splits(np.arange(1024) % 2 == 0)[0][1]) == 100


def test_every_guard_says_what_to_give() -> None:
    small = np.arange(90) % 2 == 0
    with pytest.raises(DataError, match=r"a set of 90 rows is too small"):
        normal(small)
    with pytest.raises(DataError, match=r"give from 2 to 200"):
        scarce(LABELS, 201)
    with pytest.raises(DataError, match=r"must be from 0\.05 to 0\.95"):
        imbalanced(LABELS, 0.99)
    with pytest.raises(DataError, match=r"too small for unequal classes"):
        imbalanced(small, 0.5)
    with pytest.raises(DataError, match=r"must be from 0 to 0\.5"):
        noisy(LABELS, 0.6)
    with pytest.raises(DataError, match=r"takes 200 rows of a class that has 170"):
        draw_rows(LABELS, Regime("large", 300, 100))
    with pytest.raises(DataError, match=r"has 3 different targets"):
        set_labels(pd.DataFrame({"target": [1, 2, 3]}))
    with pytest.raises(OneClassError, match="of one class"):
        validation_splits(np.ones(8, dtype=bool))
