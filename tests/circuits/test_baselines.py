"""Baselines equal their definitions on the wide outputs, and the probe equals scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from needlepoint._core.errors import DataError
from needlepoint.circuits import baselines
from needlepoint.circuits.head_data import HeadData


@pytest.fixture(scope="module")
def data() -> HeadData:
    rng = torch.Generator().manual_seed(0)
    shift = torch.linspace(0, 1, 5, dtype=torch.float64)[:, None]
    return HeadData(
        clean_z=torch.randn(30, 5, 3, generator=rng, dtype=torch.float64) + shift,
        corrupt_z=torch.randn(30, 5, 3, generator=rng, dtype=torch.float64),
        W_O=torch.randn(5, 3, 11, generator=rng, dtype=torch.float64),
        layer_of=torch.arange(5),
    )


def wide(data):
    return data.outputs[:30].numpy(), data.outputs[30:].numpy()


def test_norms_equal_their_definitions_on_wide_outputs(data):
    clean, corrupt = wide(data)
    norm = np.linalg.norm
    expected = {
        "mean_difference": norm(clean.mean(0) - corrupt.mean(0), axis=-1),
        "paired_difference": norm(clean - corrupt, axis=-1).mean(0),
        "output_norm": norm(np.concatenate([clean, corrupt]), axis=-1).mean(0),
        "paired_singular_value": [
            np.linalg.svd((clean - corrupt)[:, head])[1][0] / 30**0.5 for head in range(5)
        ],
    }
    for name, values in expected.items():
        found = getattr(baselines, name)(data.clean, data.corrupt)
        np.testing.assert_allclose(found.numpy(), values, rtol=1e-9, err_msg=name)


def test_effect_size_does_not_depend_on_scale_and_mean_difference_does(data):
    one = baselines.effect_size(data.clean, data.corrupt)
    torch.testing.assert_close(baselines.effect_size(3 * data.clean, 3 * data.corrupt), one)
    difference = baselines.mean_difference(data.clean, data.corrupt)
    thrice = baselines.mean_difference(3 * data.clean, 3 * data.corrupt)
    torch.testing.assert_close(thrice, 3 * difference)


def test_effect_size_is_finite_where_heads_never_vary():
    still = torch.ones(4, 2, 3, dtype=torch.float64)
    still[:, 1] = 0
    assert baselines.effect_size(still, still).tolist() == [0, 0]
    moved = baselines.effect_size(still, -still)
    assert 1e5 < moved[0] < float("inf")
    assert moved[1] == 0


def test_effect_size_does_not_see_what_rounding_moves() -> None:
    still = torch.ones(8, 2, 3, dtype=torch.float64)
    rounded = still * (1 + 1e-7)
    rounded[:, 1] += torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    found = baselines.effect_size(still, rounded)
    assert found[0] < 0.02 < found[1]


def test_pairing_sees_what_class_means_cannot():
    sign = torch.tensor([1.0, -1.0] * 10, dtype=torch.float64)[:, None, None]
    clean = sign * torch.ones(20, 1, 2, dtype=torch.float64)
    assert baselines.mean_difference(clean, -clean).item() == pytest.approx(0)
    assert baselines.paired_singular_value(clean, -clean).item() == pytest.approx(8**0.5)


def test_probe_equals_scikit_learn_on_wide_outputs(data):
    fold_of = torch.arange(30) % 4
    found = baselines.linear_probe_accuracy(data.clean, data.corrupt, fold_of=fold_of)
    X = data.outputs.numpy()
    y = np.repeat([1.0, -1.0], 30)
    folds = np.tile(fold_of.numpy(), 2)
    for head in range(5):
        right = 0
        for fold in range(4):
            train, held = folds != fold, folds == fold
            inside = X[train, head]
            narrow = 3  # coordinates per head: the share of variance is per coordinate
            spread = ((inside - inside.mean(0)) ** 2).sum() / narrow
            model = Ridge(alpha=baselines.RIDGE * spread).fit(inside, y[train])
            right += (np.sign(model.predict(X[held, head])) == y[held]).sum()
        assert found[head].item() == pytest.approx(right / 60), head
    assert found[4] > 0.6


def test_probe_is_at_chance_without_signal_and_perfect_with_much():
    rng = torch.Generator().manual_seed(1)
    noise = torch.randn(2, 100, 40, 4, generator=rng, dtype=torch.float64)
    fold_of = torch.arange(100) % 5
    null = baselines.linear_probe_accuracy(noise[0], noise[1], fold_of=fold_of)
    assert abs(null.mean() - 0.5) < 0.03
    clear = baselines.linear_probe_accuracy(noise[0] + 8, noise[1], fold_of=fold_of)
    assert clear.min() > 0.99


def test_probe_cannot_cheat_by_remembering_groups():
    """Each group has its own place; a split through groups would be above chance."""
    rng = torch.Generator().manual_seed(2)
    place = 5 * torch.randn(2, 12, 20, 30, generator=rng, dtype=torch.float64)
    clean, corrupt = (part.repeat_interleave(5, dim=0) for part in place)
    groups = torch.arange(60) // 5
    kept = baselines.grouped_folds(groups, n_folds=4, generator=rng)
    torn = torch.arange(60) % 5
    together = baselines.linear_probe_accuracy(clean, corrupt, fold_of=kept)
    apart = baselines.linear_probe_accuracy(clean, corrupt, fold_of=torn)
    assert together.mean() < 0.6
    assert apart.mean() > 0.9


def test_probe_of_a_head_that_writes_nothing_or_a_constant_is_one_half():
    nothing = torch.zeros(20, 2, 3)
    nothing[:, 1] = 0.7
    accuracy = baselines.linear_probe_accuracy(nothing, nothing, fold_of=torch.arange(20) % 5)
    assert accuracy.tolist() == [0.5, 0.5]


def test_folds_keep_groups_whole_and_are_nearly_equal():
    groups = torch.arange(53) % 17
    folds = baselines.grouped_folds(groups, n_folds=5, generator=torch.Generator().manual_seed(0))
    for group in range(17):
        assert len(folds[groups == group].unique()) == 1
    sizes = [len(groups[folds == fold].unique()) for fold in range(5)]
    assert sorted(sizes) == [3, 3, 3, 4, 4]


def test_one_fold_is_refused(data):
    with pytest.raises(DataError, match="at least two groups"):
        baselines.linear_probe_accuracy(
            data.clean, data.corrupt, fold_of=torch.zeros(30, dtype=torch.long)
        )
