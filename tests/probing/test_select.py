import dataclasses

import pytest
import torch
from torch import Tensor

from needlepoint._core.errors import DataError, OneClassError, UnknownNameError
from needlepoint.probing.ranking_methods import RANKINGS, rank
from needlepoint.probing.scores import confusion, roc_auc
from needlepoint.probing.select import LayerProbes, choose, choose_sizes, probe_layer
from needlepoint.probing.selectors import RANKING
from needlepoint.probing.sweep import adaptive_thresholding
from needlepoint.probing.threshold import f1_at

KS = (1, 2, 4, 8)


def data(n: int, *, seed: int, carries: bool = True) -> tuple[Tensor, Tensor]:
    """Thirty neurons; if the layer carries it, neuron 5 (negative) and 6 carry feature 0."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.rand(n, 2, generator=generator) < torch.tensor([0.3, 0.5])
    acts = torch.randn(n, 30, generator=generator)
    if carries:
        acts[:, 5] -= 3.0 * labels[:, 0]
        acts[:, 6] += 2.0 * labels[:, 0]
    return acts, labels


def layer(*, carries: bool = True, **options: object) -> LayerProbes:
    train, validation = data(300, seed=0, carries=carries), data(150, seed=1, carries=carries)
    return probe_layer(*train, *validation, ks=KS, **options)


def test_every_figure_is_that_of_the_part_it_names() -> None:
    acts, labels = data(150, seed=1)
    found = layer()
    cuts = found.threshold
    torch.testing.assert_close(
        found.f1_validation, f1_at(acts, cuts.threshold, cuts.sign, labels), rtol=0, atol=0
    )
    odds = found.path.log_odds(acts)
    for place, _ in enumerate(KS):
        called = odds[:, :, place] > found.cut[:, place]
        counts = confusion(called, labels)
        torch.testing.assert_close(found.f1_validation_k[:, place], counts.f1)
        auc = roc_auc(odds[:, :, place], labels)
        torch.testing.assert_close(found.auc_validation_k[:, place], auc)


def test_one_penalty_for_all_k_is_chosen_by_validation_auc() -> None:
    train, validation = data(300, seed=0), data(150, seed=1)
    found = layer(l2_grid=(1.0, 0.01))
    means = []
    for l2 in (1.0, 0.01):
        odds = adaptive_thresholding(*train, l2=l2, ks=KS).log_odds(validation[0])
        scores = [roc_auc(odds[:, :, place], validation[1]) for place in range(4)]
        means.append(torch.stack(scores).mean(0))
    expected = torch.where(means[0] >= means[1] - 1e-12, 1.0, 0.01).double()
    torch.testing.assert_close(found.l2, expected)


def test_the_carrying_layer_neuron_and_sign_are_chosen() -> None:
    layers = [layer(carries=False), layer(), layer(carries=False)]
    choice = choose(layers)[0]
    assert (choice.neuron.layer, choice.neuron.neuron, choice.neuron.sign) == (1, 5, -1)
    assert choice.sparse.layer == 1
    assert {5} <= set(choice.sparse.probe.support.tolist()) <= set(range(30))
    acts, labels = data(500, seed=2)
    called = choice.sparse.probe(acts) > choice.sparse.cut
    assert confusion(called[:, None], labels[:, :1]).f1.item() > 0.85
    null = choose(layers)[1].sparse
    called = null.probe(acts) > null.cut
    assert confusion(called[:, None], labels[:, 1:]).balanced_accuracy.item() < 0.6


def edited(**fields: list[float]) -> LayerProbes:
    """A layer whose validation curve of feature 0 is given."""
    found = layer()
    for name, values in fields.items():
        table = getattr(found, name).clone()
        table[0] = torch.tensor(values)
        found = dataclasses.replace(found, **{name: table})
    return found


def test_the_smallest_k_within_reach_of_the_best_is_kept() -> None:
    curve = edited(f1_validation_k=[0.7, 0.8, 0.89, 0.9], f1_error_k=[0.0, 0.0, 0.0, 0.02])
    assert choose([curve])[0].sparse.k == 4
    assert choose([curve], tolerance=0.0)[0].sparse.k == 8
    assert choose([curve], tolerance=0.15)[0].sparse.k == 2
    assert choose([curve])[0].sparse.f1_highest == pytest.approx(0.9)


def test_layers_compete_at_the_k_that_is_kept() -> None:
    first = edited(f1_validation_k=[0.7, 0.7, 0.7, 0.9])
    second = edited(f1_validation_k=[0.88, 0.8, 0.7, 0.7])
    third = edited(f1_validation_k=[0.89, 0.8, 0.7, 0.7])
    kept = choose([first, second, third], tolerance=0.05)[0].sparse
    assert (kept.layer, kept.k) == (2, 1)


def test_each_size_has_the_layer_that_is_best_for_it() -> None:
    first = edited(f1_validation_k=[0.7, 0.9, 0.7, 0.9], auc_validation_k=[0.8, 0.8, 0.9, 0.9])
    second = edited(f1_validation_k=[0.8, 0.6, 0.7, 0.9], auc_validation_k=[0.5, 0.9, 0.8, 0.9])
    sizes = choose_sizes([first, second])[0]
    assert [(kept.k, kept.layer) for kept in sizes] == [(1, 1), (2, 0), (4, 0), (8, 0)]
    for at, kept in enumerate(sizes):
        assert kept.f1_highest == pytest.approx(0.9)
        assert kept.cut == float((first, second)[kept.layer].cut[0, at])
        assert len(kept.probe.support) == kept.k


def test_the_probe_that_is_kept_is_one_of_those_of_every_size() -> None:
    layers = [layer(carries=False), layer(), layer(l2_grid=(1.0,))]
    for choice, sizes in zip(choose(layers), choose_sizes(layers), strict=True):
        (same,) = [one for one in sizes if one.k == choice.sparse.k]
        assert (same.layer, same.cut, same.l2) == (
            choice.sparse.layer,
            choice.sparse.cut,
            choice.sparse.l2,
        )
        assert torch.equal(same.probe.weight, choice.sparse.probe.weight)


@pytest.mark.parametrize("ranking", RANKINGS)
def test_the_leading_neurons_are_those_of_the_ranking_that_is_named(ranking: str) -> None:
    """Whatever the penalty: a ranking that draws does so once for all penalties."""
    acts, labels = data(300, seed=0)
    acts[:, 9] = 3.0
    expected = rank(ranking, acts, labels, seed=7).order
    found = probe_layer(acts, labels, *data(150, seed=1), ks=KS, method="top_k", ranking=ranking,
                        seed=7)  # fmt: skip
    for batch in found.path.probes:
        assert torch.equal(batch.support, expected[:, : batch.k].sort(1).values)


def test_a_random_ranking_misses_the_neurons_that_another_finds() -> None:
    best, chance = (layer(method="top_k", ranking=name) for name in ("best_f1", "random"))
    assert set(best.path.probe(0, 2).support.tolist()) == {5, 6}
    assert not {5, 6} & set(chance.path.probe(0, 2).support.tolist())
    assert float(best.f1_validation_k[0, 1]) > float(chance.f1_validation_k[0, 1]) + 0.2


def test_the_sweep_starts_from_the_ranking_and_deletes_by_the_rule() -> None:
    train, validation = data(300, seed=0), data(150, seed=1)
    scores = RANKINGS["random"].score(*train, seed=0)
    for options, direct in (
        ({"ranking": "random"}, {"scores": scores}),
        ({"deletion": "wald"}, {"deletion": "wald"}),
        ({"ranking": RANKING, "deletion": "weight"}, {}),
    ):
        found = probe_layer(*train, *validation, ks=KS, start=8, l2_grid=(0.1,), **options)
        path = adaptive_thresholding(*train, l2=0.1, ks=KS, start=8, **direct)
        for batch, expected in zip(found.path.probes, path.probes, strict=True):
            assert torch.equal(batch.support, expected.support)
    largest = found.path.probe(0, 8).support.tolist()
    other = adaptive_thresholding(*train, l2=0.1, ks=KS, start=8, scores=scores)
    assert other.probe(0, 8).support.tolist() != largest


def test_what_a_method_cannot_start_from_or_delete_by_is_refused() -> None:
    for method in ("forward", "paper"):
        with pytest.raises(DataError, match=f"ranking is auc, but {method} starts from no ranking"):
            layer(method=method, ranking="auc")
    with pytest.raises(DataError, match="deletes by no rule; use it with adaptive_thresholding, s"):
        layer(method="top_k", deletion="wald")
    with pytest.raises(UnknownNameError, match="unknown ranking 'acu': did you mean 'auc'"):
        layer(method="top_k", ranking="acu")
    with pytest.raises(UnknownNameError, match="unknown deletion rule 'walt'"):
        layer(deletion="walt")


def test_a_neuron_that_only_fits_validation_is_not_on_the_short_list() -> None:
    found = layer()
    lucky = int(found.threshold.f1[0].argmin())
    table = found.f1_validation.clone()
    table[0, lucky] = 1.0
    found = dataclasses.replace(found, f1_validation=table)
    assert choose([found], shortlist=10)[0].neuron.neuron == 5
    assert choose([found], shortlist=30)[0].neuron.neuron == lucky


def with_neurons(**of_neuron: dict[int, float]) -> LayerProbes:
    """A layer in which a few neurons of feature 0 have figures that are given, the rest none."""
    found = layer()
    train = torch.zeros_like(found.threshold.f1)
    tables = {name: torch.zeros_like(train) for name in ("f1_validation", "f1_error")}
    for name, values in of_neuron.items():
        table = train if name == "f1_train" else tables.get(name)
        if table is None:
            table = tables[name] = getattr(found, name).clone()
        for neuron, value in values.items():
            table[0, neuron] = value
    cuts = dataclasses.replace(found.threshold, f1=train)
    return dataclasses.replace(found, threshold=cuts, **tables)


def test_of_neurons_within_one_standard_error_the_best_on_training_is_kept() -> None:
    figures = {
        "f1_train": {3: 0.80, 8: 0.85, 9: 0.95, 12: 0.84},
        "f1_validation": {3: 0.90, 8: 0.88, 9: 0.70, 12: 0.89},
    }
    sure = with_neurons(**figures, f1_error={3: 0.0, 8: 0.5, 9: 0.5, 12: 0.5})
    assert choose([sure])[0].neuron.neuron == 3, "the error of the highest counts, not of others"
    near = with_neurons(**figures, f1_error={3: 0.015})
    assert choose([near])[0].neuron.neuron == 12
    wide = with_neurons(**figures, f1_error={3: 0.05})
    kept = choose([wide])[0].neuron
    assert (kept.neuron, kept.f1_train, kept.f1_validation) == (
        8,
        pytest.approx(0.85),
        pytest.approx(0.88),
    )
    very = with_neurons(**figures, f1_error={3: 0.3})
    assert choose([very])[0].neuron.neuron == 9


def test_ties_on_training_go_to_validation_then_to_the_difference() -> None:
    figures = {
        "f1_train": dict.fromkeys((2, 4, 6), 0.9),
        "f1_error": {4: 0.1, 6: 0.1},
    }
    better = with_neurons(**figures, f1_validation={2: 0.85, 4: 0.87, 6: 0.86})
    assert choose([better])[0].neuron.neuron == 4
    spread = {"f1_validation": {2: 0.8, 4: 0.87, 6: 0.87}, "mean_difference_std": {4: 1.0, 6: 2.0}}
    assert choose([with_neurons(**figures, **spread)])[0].neuron.neuron == 6
    same = {**spread, "mean_difference_std": {4: 1.0, 6: 1.0}}
    assert choose([with_neurons(**figures, **same)])[0].neuron.neuron == 4


def test_layers_compete_within_one_standard_error() -> None:
    """The standard error is that of the highest, whichever layer it is in."""
    first = with_neurons(f1_train={1: 0.9}, f1_validation={1: 0.82}, f1_error={1: 0.0})
    second = with_neurons(f1_train={7: 0.8}, f1_validation={7: 0.85}, f1_error={7: 0.05})
    for layers, place in (([first, second], 0), ([second, first], 1)):
        assert choose(layers)[0].neuron.layer == place
        assert choose(layers)[0].neuron.neuron == 1


def test_a_perfect_neuron_gives_way_to_none_below_it() -> None:
    """Its standard error is 0; of several that are perfect the best on training is kept."""
    perfect = with_neurons(
        f1_train={1: 0.9, 2: 0.95, 3: 0.99}, f1_validation={1: 1.0, 2: 1.0, 3: 0.99}
    )
    assert choose([perfect])[0].neuron.neuron == 2


def test_guards() -> None:
    acts, labels = data(50, seed=0)
    with pytest.raises(OneClassError, match="no positive"):
        probe_layer(acts, labels, acts, labels & False)
    with pytest.raises(DataError, match="l2_grid is empty"):
        probe_layer(acts, labels, acts, labels, l2_grid=())
    with pytest.raises(DataError, match="l2 must be positive"):
        probe_layer(acts, labels, acts, labels, l2_grid=(1.0, 0.0))
    with pytest.raises(DataError, match="there is no layer to choose from"):
        choose([])
    with pytest.raises(DataError, match="shortlist must be at least 1"):
        choose([layer()], shortlist=0)
