from itertools import combinations

import pytest
import torch
from torch import Tensor

from needlepoint._core.errors import DataError, NeedlepointError, OneClassError
from needlepoint.probing.forward_selection import forward_selection
from needlepoint.probing.rankings import leading, mean_difference_std
from needlepoint.probing.selectors import SELECTORS
from needlepoint.probing.swap_search import swap_search
from needlepoint.probing.sweep import DEFAULT_KS, adaptive_thresholding, fit_on_support
from needlepoint.probing.top_k import top_k

RIDGE = [name for name in SELECTORS if SELECTORS[name].ridge]
L2 = 0.01


def correlated(n: int = 200, d: int = 10, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Float64 neurons that share two sources, so that the best pair is seldom the best two."""
    generator = torch.Generator().manual_seed(seed)
    sources = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    mix = torch.randn(3, d, generator=generator, dtype=torch.float64)
    x = sources @ mix + 0.7 * torch.randn(n, d, generator=generator, dtype=torch.float64)
    weight = torch.randn(d, 2, generator=generator, dtype=torch.float64)
    noise = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    return x, x @ weight + 2 * noise > 0.5


def enumerated(acts: Tensor, labels: Tensor, k: int, feature: int) -> Tensor:
    """Losses of all supports of a size, by one fit of each."""
    supports = torch.tensor(list(combinations(range(acts.shape[1]), k)))
    repeated = labels[:, feature : feature + 1].expand(-1, len(supports))
    return fit_on_support(acts, repeated, supports, l2=L2).loss


@pytest.mark.parametrize("name", SELECTORS)
def test_every_selector_gives_probes_of_the_sizes_asked_for_and_the_same_again(name: str) -> None:
    acts, labels = correlated(d=12)
    ks = [1, 3, 5, 40]
    path = SELECTORS[name].select(acts, labels, ks=ks, l2=L2, seed=3)
    again = SELECTORS[name].select(acts, labels, ks=ks, l2=L2, seed=3)
    assert path.ks == (1, 3, 5)
    for batch, other in zip(path.probes, again.probes, strict=True):
        assert batch.support.shape == (2, batch.k)
        assert (batch.support.diff(dim=1) > 0).all()
        assert torch.equal(batch.support, other.support)
        assert torch.equal(batch.weight, other.weight)


@pytest.mark.parametrize("name", [name for name in SELECTORS if SELECTORS[name].nested])
def test_supports_of_those_that_say_so_are_nested(name: str) -> None:
    acts, labels = correlated(d=12, seed=4)
    path = SELECTORS[name].select(acts, labels, ks=[1, 2, 4, 8, 12], l2=L2)
    for small, large in zip(path.probes, path.probes[1:], strict=False):
        for feature in range(2):
            kept = set(small.support[feature].tolist())
            assert kept <= set(large.support[feature].tolist())


@pytest.mark.parametrize("name", RIDGE)
def test_every_fit_is_the_minimum_under_the_one_penalty(name: str) -> None:
    acts, labels = correlated(seed=2)
    path = SELECTORS[name].select(acts, labels, ks=[1, 2, 5], l2=L2)
    for batch in path.probes:
        refit = fit_on_support(acts, labels, batch.support, l2=L2)
        torch.testing.assert_close(batch.loss, refit.loss, rtol=1e-10, atol=0)
        torch.testing.assert_close(batch.weight, refit.weight, rtol=1e-5, atol=1e-7)
        assert (batch.gradient_norm < 1e-6).all()


def test_forward_selection_is_that_of_brute_force() -> None:
    for seed in range(4):
        acts, labels = correlated(seed=seed)
        path = forward_selection(acts, labels, l2=L2, ks=[1, 2, 3, 4], refine=10)
        for feature in range(2):
            taken: list[int] = []
            for k in range(1, 5):
                left = [j for j in range(10) if j not in taken]
                supports = torch.tensor([sorted([*taken, j]) for j in left])
                repeated = labels[:, feature : feature + 1].expand(-1, len(left))
                losses = fit_on_support(acts, repeated, supports, l2=L2).loss
                taken.append(left[int(losses.argmin())])
                assert path.probe(feature, k).support.tolist() == sorted(taken)


def test_the_score_test_alone_seldom_misses_the_best_neuron() -> None:
    same = 0
    for seed in range(10):
        acts, labels = correlated(seed=seed)
        quick, full = (
            forward_selection(acts, labels, l2=L2, ks=[3], refine=m).probes[0] for m in (1, 10)
        )
        same += int((quick.support == full.support).all(1).sum())
    assert same >= 15


def test_swap_search_reaches_the_best_support_nearly_always_and_never_beats_it() -> None:
    reached = total = started = 0
    for seed in range(8):
        acts, labels = correlated(seed=seed)
        path = swap_search(acts, labels, l2=L2, ks=[1, 2, 3])
        begin = adaptive_thresholding(acts, labels, l2=L2, ks=[1, 2, 3])
        for batch, before in zip(path.probes, begin.probes, strict=True):
            assert (batch.loss <= before.loss + 1e-14).all()
            for feature in range(2):
                lowest = float(enumerated(acts, labels, batch.k, feature).min())
                assert float(batch.loss[feature]) >= lowest - 1e-10
                if batch.k == 1:
                    assert float(batch.loss[feature]) == pytest.approx(lowest, abs=1e-10)
                else:
                    reached += float(batch.loss[feature]) < lowest + 1e-9
                    started += float(before.loss[feature]) < lowest + 1e-9
                    total += 1
    assert reached >= 0.9 * total
    assert started < reached


def test_swap_search_in_single_precision_is_never_worse_than_its_start() -> None:
    acts, labels = correlated(300, 40, seed=7)
    acts = acts.float()
    path = swap_search(acts, labels, l2=L2, ks=DEFAULT_KS, start=20)
    begin = adaptive_thresholding(acts, labels, l2=L2, ks=DEFAULT_KS, start=20)
    assert path.ks == begin.ks
    for batch, before in zip(path.probes, begin.probes, strict=True):
        assert (batch.loss <= before.loss + 1e-7).all()


def test_the_leading_neurons_are_those_of_the_ranking_given() -> None:
    acts, labels = correlated()
    for scores in (None, torch.arange(20.0).view(2, 10) % 7):
        path = top_k(acts, labels, l2=L2, ks=[2, 5], scores=scores)
        ranking = mean_difference_std(acts, labels) if scores is None else scores
        for batch in path.probes:
            assert torch.equal(batch.support, leading(ranking, batch.k).sort(1).values)


def test_the_published_procedure_reads_the_seed_and_no_penalty() -> None:
    acts, labels = correlated()
    paper = SELECTORS["paper"]
    assert not paper.ridge
    one, other = (paper.select(acts, labels, ks=[4], l2=l2).probes[0] for l2 in (1e-3, 10.0))
    assert torch.equal(one.weight, other.weight)


@pytest.mark.parametrize("name", SELECTORS)
def test_what_cannot_be_used_is_refused_in_one_sentence(name: str) -> None:
    acts, labels = correlated()
    select = SELECTORS[name].select

    def refused(a: Tensor, b: Tensor, error: type[NeedlepointError], match: str) -> None:
        with pytest.raises(error, match=match):
            select(a, b, ks=[1, 2], l2=L2)

    broken = acts.clone()
    broken[3, 4] = torch.nan
    refused(broken, labels, DataError, "NaN or infinity in 1 neurons")
    broken[3, 4] = -torch.inf
    refused(broken, labels, DataError, "NaN or infinity in 1 neurons")
    refused(acts, labels | True, OneClassError, "no negative")
    with pytest.raises(DataError, match="must hold a size from 1 to 10"):
        select(acts, labels, ks=[11, 400], l2=L2)
    with pytest.raises(DataError, match=f"'{name}' has no option 'stride'"):
        select(acts, labels, ks=[1], l2=L2, stride=2)


@pytest.mark.parametrize("name", RIDGE)
def test_constant_and_repeated_neurons_and_separable_classes_have_a_result(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 3, generator=generator)
    labels = x[:, :1] > 0
    acts = torch.cat([torch.full((60, 1), 7.0), x, x[:, :1]], dim=1)
    path = SELECTORS[name].select(acts, labels, ks=[1, 2, 5], l2=1e-4)
    assert path.probe(0, 1).support.tolist() == [1]
    odds = path.log_odds(acts)
    assert torch.isfinite(odds).all()
    assert ((odds[:, 0, 0] > 0) == labels[:, 0]).double().mean() > 0.95
    full = path.probe(0, 5)
    assert full.weight[0] == 0
    torch.testing.assert_close(full.weight[1], full.weight[4], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", RIDGE)
def test_half_precision_whose_squares_overflow_is_worked_on_in_single(name: str) -> None:
    acts, labels = correlated()
    half = (acts.float() * 6000).half()
    assert not torch.isfinite(half.square()).all()
    path = SELECTORS[name].select(half, labels, ks=[3], l2=L2)
    wide = SELECTORS[name].select(half.double(), labels, ks=[3], l2=L2)
    assert torch.equal(path.probes[0].support, wide.probes[0].support)
    torch.testing.assert_close(path.probes[0].loss, wide.probes[0].loss, rtol=1e-5, atol=1e-6)


def test_refining_nothing_is_refused() -> None:
    acts, labels = correlated()
    for name in ("forward", "swap"):
        with pytest.raises(DataError, match="refine must be at least 1"):
            SELECTORS[name].select(acts, labels, ks=[2], l2=L2, refine=0)
    with pytest.raises(DataError, match="one score for each feature and neuron"):
        top_k(acts, labels, l2=L2, ks=[2], scores=torch.zeros(1, 10))
    with pytest.raises(DataError, match="scores hold NaN"):
        top_k(acts, labels, l2=L2, ks=[2], scores=torch.full((2, 10), torch.nan))
