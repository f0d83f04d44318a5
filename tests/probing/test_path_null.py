"""Probes of several neurons against probes selected for permuted labels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.probing.path_null import HeldOut, HighestF1, MovedLabels, PathNull, path_null
from needlepoint.probing.permutations import label_sources
from needlepoint.probing.probe import Path
from needlepoint.probing.scores import roc_auc
from needlepoint.probing.selectors import SELECTORS
from needlepoint.probing.sweep import adaptive_thresholding


def generator(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def data(
    seed: int, shift: float = 0.0, n_documents: int = 40, rows: int = 3, d: int = 30
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows that share much with their document; neurons 2 and 5 carry the feature together."""
    rng = generator(seed)
    groups = torch.arange(n_documents).repeat_interleave(rows)
    label = torch.arange(n_documents) % 2 == 0
    acts = torch.randn(n_documents, d, generator=rng)[groups]
    acts += 0.3 * torch.randn(len(groups), d, generator=rng)
    labels = label[groups][:, None]
    acts[:, [2, 5]] += shift * labels
    return acts, labels, groups


def test_labels_that_mean_nothing_are_found_at_the_level_although_the_fit_looks_good() -> None:
    found, aucs = [], []
    for seed in range(60):
        acts, labels, groups = data(seed, n_documents=24, d=16)
        null = path_null(
            acts, labels, groups=groups, n_permutations=19, generator=generator(seed), ks=(1, 2, 4)
        )
        found.append(torch.cat([null.p_value[0], null.p_value_of_any[0].min()[None]]) <= 0.05)
        aucs.append(null.observed[0, 2])
    rates = torch.stack(found).double().mean(0)
    assert (rates < 0.13).all()  # 60 tests at 0.05: three standard errors
    assert torch.stack(aucs).mean() > 0.75


def test_a_planted_pair_is_found_in_sample_and_held_out() -> None:
    acts, labels, groups = data(1, shift=3.0)
    other = HeldOut(*data(2, shift=3.0))
    for held_out in (None, other):
        null = path_null(
            acts,
            labels,
            groups=groups,
            n_permutations=39,
            generator=generator(),
            ks=(1, 2),
            held_out=held_out,
        )
        assert null.p_value[0].tolist() == [1 / 40, 1 / 40]
        assert null.p_value_of_any[0, 1] == 1 / 40
    assert null.null.mean() == pytest.approx(0.5, abs=0.05)  # held out, so nothing flatters it


def test_each_null_score_is_that_of_a_probe_selected_for_the_permuted_labels() -> None:
    acts, labels, groups = data(4)
    labels = torch.cat([labels, labels[torch.randperm(40, generator=generator())[groups] * 3]], 1)
    null = path_null(
        acts, labels, groups=groups, n_permutations=3, generator=generator(), ks=(1, 3), l2=0.1
    )
    moved = label_sources(
        labels, groups, scheme="documents", n_permutations=3, generator=generator()
    )
    for found, source in zip(null.null, moved, strict=True):
        path = adaptive_thresholding(acts, labels[source], ks=(1, 3), l2=0.1)
        for feature in range(2):
            odds = path.log_odds(acts)[:, feature]
            auc = roc_auc(odds, labels[source][:, feature, None].expand(-1, 2))
            torch.testing.assert_close(found[feature], auc)


def test_another_selector_is_run_again_under_every_permutation() -> None:
    acts, labels, groups = data(6, shift=2.0)
    seen = []

    def forward(acts: Tensor, labels: Tensor) -> Path:
        seen.append(labels.shape[1])
        return SELECTORS["forward"].select(acts, labels, ks=(1, 2), l2=0.01)

    null = path_null(
        acts, labels, groups=groups, n_permutations=19, generator=generator(), fit=forward
    )
    assert sum(seen) == 20
    assert null.ks == (1, 2)
    assert null.p_value[0].tolist() == [1 / 20, 1 / 20]


def test_labels_that_vary_within_documents_are_shifted() -> None:
    acts, _, groups = data(7, n_documents=8, rows=20)
    labels = torch.rand(160, 1, generator=generator()) < 0.4
    options = {"groups": groups, "n_permutations": 19, "ks": (1, 2), "scheme": "shift"}
    nothing = path_null(acts, labels, generator=generator(), **options)
    acts[:, [2, 5]] += 2 * labels
    planted = path_null(acts, labels, generator=generator(), **options)
    assert nothing.p_value.min() > 0.05
    assert planted.p_value[0].tolist() == [1 / 20, 1 / 20]


def test_p_values_at_one_k_and_at_any() -> None:
    observed = torch.tensor([[0.9, 0.6]]).double()
    null = torch.tensor([[[0.5, 0.9]], [[0.6, 0.5]], [[0.7, 0.8]]]).double()
    found = PathNull((1, 2), observed, null)
    assert found.p_value.tolist() == [[0.25, 0.75]]
    every = torch.cat([observed[None], null])[:, 0]
    scores = (every - every.mean(0)) / every.std(0, correction=0)
    largest = scores[1:].amax(1)  # 1.26, -0.51, 0.63; observed 1.52, -0.63
    assert found.p_value_of_any.tolist() == [[0.25, 1.0]]
    assert (largest < scores[0, 0]).all()
    assert (largest > scores[0, 1]).all()


def test_sizes_at_which_all_draws_agree_say_nothing() -> None:
    found = PathNull((1, 2), torch.tensor([[0.9, 1.0]]), torch.tensor([[[0.5, 1.0]], [[0.6, 1.0]]]))
    assert found.p_value.tolist() == [[pytest.approx(1 / 3), 1.0]]
    assert found.p_value_of_any[0, 0].item() == pytest.approx(1 / 3)


def test_guards() -> None:
    acts, labels, groups = data(5)
    options = {"groups": groups, "n_permutations": 2, "generator": generator()}
    with pytest.raises(DataError, match="30 neurons to train on and 29"):
        path_null(acts, labels, held_out=HeldOut(acts[:, 1:], labels, groups), **options)
    both = labels.repeat(1, 2)
    with pytest.raises(DataError, match="1 features to train on and 2 held out"):
        path_null(acts, labels, held_out=HeldOut(acts, both, groups), **options)
    with pytest.raises(DataError, match="NaN"):
        path_null(acts / 0, labels, **options)


def searched(seed: int, shift: float, *, moves: int = 19, layers: int = 2) -> HighestF1:
    """The whole search on some layers, of which the last may carry the feature in two neurons."""
    parts = [data(seed + 1000 * part, n_documents=24, rows=1, d=6) for part in (1, 2)]
    moved = MovedLabels.of(
        *parts[0][1:],
        *parts[1][1:],
        scheme="documents",
        n_permutations=moves,
        generator=generator(seed),
    )
    found = HighestF1(moved, ks=(1, 2), start=None)
    for layer in range(layers):
        acts = [
            data(seed + 1000 * part + 50 * layer, n_documents=24, rows=1, d=6)[0] for part in (1, 2)
        ]
        if layer == layers - 1:
            for some, (_, labels, _) in zip(acts, parts, strict=True):
                some[:, [2, 5]] += shift * labels
        found.add(*acts)
    return found


def test_p_of_the_whole_search_is_even_where_labels_mean_nothing() -> None:
    p = torch.cat([searched(seed, 0.0).p_value for seed in range(40)])
    assert set(p.mul(20).round().long().tolist()) <= set(range(1, 21))
    for level in (0.1, 0.25, 0.5, 0.75):
        spread = (level * (1 - level) / len(p)) ** 0.5
        assert (p <= level + 1e-9).double().mean() < level + 3 * spread, level
    assert p.mean() < 0.65, "not so careful that nothing could be found"


def test_p_of_the_whole_search_is_the_lowest_where_neurons_were_planted() -> None:
    found = searched(3, 2.5)
    assert found.p_value.tolist() == [1 / 20]
    assert found.observed > found.null.max()
    assert found.null.shape == (19, 1)


def test_the_search_is_repeated_in_every_layer_and_size() -> None:
    one, both = searched(5, 0.0, layers=1), searched(5, 0.0)
    assert (both.null >= one.null).all()
    assert (both.null > one.null).any()


def test_moved_labels_keep_documents_on_their_side_and_count_of_each_class() -> None:
    _, labels, groups = data(1)
    moved = MovedLabels.of(
        labels, groups, labels[:60], groups[:60] + 100, scheme="documents", n_permutations=9,
        generator=generator(),
    )  # fmt: skip
    assert moved.train.shape == (120, 10)
    assert torch.equal(moved.train[:, :1], labels)
    assert (moved.train.sum(0) == labels.sum()).all()
    assert (moved.validation.sum(0) == labels[:60].sum()).all()
    mixed = torch.rand(120, 1, generator=generator()) < 0.5
    shifted = MovedLabels.of(
        mixed, groups, mixed[:60], groups[:60] + 100, scheme="shift", n_permutations=9,
        generator=generator(),
    )  # fmt: skip
    for part, group in ((shifted.train, groups), (shifted.validation, groups[:60])):
        in_documents = torch.zeros(40, 10, dtype=torch.long).index_add(0, group, part.long())
        assert (in_documents == in_documents[:, :1]).all()
    with pytest.raises(DataError, match="shift"):
        MovedLabels.of(
            labels, groups, mixed[:60], groups[:60], scheme="documents", n_permutations=9,
            generator=generator(),
        )  # fmt: skip
