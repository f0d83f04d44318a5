import pytest
import torch
from torch import Tensor

from needlepoint._core.errors import DataError, OneClassError, UnknownNameError
from needlepoint.probing.ranking_methods import RANKINGS, rank

EVERY = list(RANKINGS)
KNOWING = [name for name in RANKINGS if not RANKINGS[name].control]


def planted(
    n: int = 600, d: int = 200, k: int = 6, shift: float = 2.5, *, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Normal pre-activations, `k` true neurons shifted on the positives, then GELU."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.rand(n, 2, generator=generator) < torch.tensor([0.3, 0.15])
    acts = torch.randn(n, d, generator=generator)
    acts[:, :k] += labels[:, :1] * shift
    acts[:, k : 2 * k] += labels[:, 1:] * shift
    return torch.nn.functional.gelu(acts), labels


def recovered(order: Tensor, k: int = 6) -> list[int]:
    """How many of the true neurons are among the first `k`, for both features."""
    truth = range(k), range(k, 2 * k)
    return [sum(i in own for i in row[:k].tolist()) for row, own in zip(order, truth, strict=True)]


@pytest.mark.parametrize("name", KNOWING)
def test_strong_plants_are_recovered(name: str) -> None:
    acts, labels = planted()
    ranking = rank(name, acts, labels)
    assert min(recovered(ranking.order)) >= 5
    assert (ranking.sign[0, :6] == 1).all()
    assert (rank(name, -acts, labels).sign[0, :6] == -1).all()


@pytest.mark.parametrize("name", EVERY)
def test_on_null_labels_nothing_is_recovered(name: str) -> None:
    acts, labels = planted()
    shuffled = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))]
    # Twelve draws of 6 from 200 hit 0.18 each on average; four or more in two rows is 1e-5.
    assert sum(recovered(rank(name, acts, shuffled).order)) <= 3


@pytest.mark.parametrize("name", KNOWING)
def test_recovery_rises_with_the_shift(name: str) -> None:
    shifts = 0.05, 0.6, 3.0
    hits = [sum(recovered(rank(name, *planted(300, shift=shift)).order)) for shift in shifts]
    assert hits[0] < hits[2]
    assert hits[0] <= hits[1] <= hits[2]


@pytest.mark.parametrize("name", EVERY)
def test_scores_are_finite_orders_are_permutations_and_signs_are_signs(name: str) -> None:
    acts, labels = planted(80, 30, 3)
    ranking = rank(name, acts, labels)
    assert ranking.scores.dtype == torch.float64
    assert ranking.scores.isfinite().all()
    assert torch.equal(ranking.order.sort(1).values, torch.arange(30).expand(2, -1))
    assert ranking.sign.abs().eq(1).all()
    assert ranking.seconds > 0
    assert (ranking.scores.gather(1, ranking.order).diff(dim=1) <= 0).all()
    assert torch.equal(RANKINGS[name].score(acts, labels), ranking.scores)


@pytest.mark.parametrize("name", EVERY)
def test_constant_neurons_come_last(name: str) -> None:
    acts, labels = planted(80, 30, 3)
    acts[:, 4], acts[:, 0] = 0.0, 7.5
    ranking = rank(name, acts, labels)
    assert ranking.scores.isfinite().all()
    assert ranking.order[:, -2:].sort(1).values.tolist() == [[0, 4], [0, 4]]


@pytest.mark.parametrize("name", [name for name in EVERY if name != "random"])
def test_copies_score_alike_and_come_by_index(name: str) -> None:
    acts, labels = planted(80, 30, 3)
    acts[:, [11, 20]] = acts[:, [0]]
    ranking = rank(name, acts, labels)
    assert (ranking.scores[:, [0, 11, 20]].diff(dim=1) == 0).all()
    for row in ranking.order:
        places = [int((row == neuron).nonzero()) for neuron in (0, 11, 20)]
        assert places == sorted(places)


@pytest.mark.parametrize("name", EVERY)
def test_half_precision_whose_squares_overflow(name: str) -> None:
    acts, labels = planted(80, 30, 3)
    acts = (acts * 5000).half()
    assert (acts.square() == torch.inf).any()
    ranking = rank(name, acts, labels)
    assert ranking.scores.isfinite().all()
    torch.testing.assert_close(ranking.scores, rank(name, acts.float(), labels).scores)


@pytest.mark.parametrize("name", EVERY)
def test_bad_data_are_refused(name: str) -> None:
    acts, labels = planted(40, 10, 2)
    for bad in (torch.nan, torch.inf):
        broken = acts.clone()
        broken[3, 5] = bad
        with pytest.raises(DataError, match=r"NaN or infinity in 1 neurons \(first: 5\)"):
            rank(name, broken, labels)
        with pytest.raises(DataError, match="NaN or infinity"):
            RANKINGS[name].score(broken, labels)
    with pytest.raises(OneClassError, match="feature 1 has no positive"):
        rank(name, acts, labels & torch.tensor([True, False]))


@pytest.mark.parametrize("name", EVERY)
def test_the_prefilter_keeps_the_most_class_different_and_ranks_the_rest_behind(name: str) -> None:
    acts, labels = planted(80, 30, 3)
    first = rank("mean_difference_std", acts, labels).order
    ranking = rank(name, acts, labels, prefilter=8)
    for feature in range(2):
        assert set(ranking.order[feature, :8].tolist()) == set(first[feature, :8].tolist())
        assert torch.equal(ranking.order[feature, 8:], first[feature, 8:])
        assert (ranking.scores[feature, first[feature, 8:]] == -torch.inf).all()
    assert (ranking.scores.gather(1, ranking.order)[:, :8].diff(dim=1) <= 0).all()
    whole = rank(name, acts, labels, prefilter=30)
    assert torch.equal(whole.order, rank(name, acts, labels).order)


@pytest.mark.parametrize("name", EVERY)
def test_the_same_seed_gives_the_same_ranking(name: str) -> None:
    acts, labels = planted(80, 30, 3)
    assert torch.equal(rank(name, acts, labels).order, rank(name, acts, labels, seed=0).order)


def test_random_depends_on_the_seed_and_on_nothing_else() -> None:
    acts, labels = planted(80, 30, 3)
    one, other = rank("random", acts, labels), rank("random", acts, labels, seed=1)
    assert not torch.equal(one.order, other.order)
    assert torch.equal(one.order, rank("random", acts.flip(0) * 2, labels).order)
    within = rank("random", acts, labels, prefilter=8)
    inside = set(within.order[0, :8].tolist())
    assert within.order[0, :8].tolist() == [i for i in one.order[0].tolist() if i in inside]


def test_f_and_the_standardised_difference_are_one_order_and_the_raw_difference_another() -> None:
    acts, labels = planted(200, 60, 3)
    acts *= torch.rand(60, generator=torch.Generator().manual_seed(0)).mul(5).exp()
    spread, f, raw = (
        rank(name, acts, labels).order
        for name in ("mean_difference_std", "f_statistic", "mean_difference")
    )
    assert torch.equal(spread, f)
    assert not torch.equal(spread, raw)


def test_l1_orders_those_without_a_weight_by_their_gradient() -> None:
    acts, labels = planted(80, 30, 3, shift=0.1)
    ranking = rank("l1_logistic", acts, labels)
    assert (ranking.scores < 0).all()
    assert torch.equal(ranking.order, rank("mean_difference_std", acts, labels).order)


def test_guards() -> None:
    acts, labels = planted(40, 10, 2)
    with pytest.raises(UnknownNameError, match="did you mean 'mean_difference'"):
        rank("mean_diference", acts, labels)
    with pytest.raises(DataError, match="prefilter must be at least 1"):
        rank("auc", acts, labels, prefilter=0)
