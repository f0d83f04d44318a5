import pytest
import torch
from scipy.stats import spearmanr
from sklearn.feature_selection import mutual_info_classif
from sklearn.metrics import mutual_info_score
from torch import Tensor

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.probing.mutual_information import mutual_information, mutual_information_knn


def draw(n: int, d: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    acts = torch.randn(n, d, generator=generator)
    return acts, torch.rand(n, 2, generator=generator) < torch.tensor([0.2, 0.5])


def test_the_plug_in_part_is_that_of_scikit_learn() -> None:
    acts, labels = draw(320, 5)
    found = mutual_information(acts, labels, n_bins=8)
    for neuron in range(5):
        bins = acts[:, neuron].argsort().argsort() // 40
        for feature in range(2):
            cells = len({(int(b), bool(y)) for b, y in zip(bins, labels[:, feature], strict=True)})
            expected = mutual_info_score(labels[:, feature], bins) - (cells - 8 - 1) / 640
            assert found[feature, neuron].item() == pytest.approx(expected, abs=1e-12)


def test_unrelated_neurons_lie_about_nothing() -> None:
    acts, labels = draw(400, 600)
    found = mutual_information(acts, labels)
    error = found.std(1) / 600**0.5
    assert (found.mean(1).abs() < 4 * error + 2e-4).all()
    uncorrected = 15 / 800
    assert (found.mean(1) < uncorrected / 10).all()


def test_planted_neurons_come_in_the_order_of_the_nearest_neighbours() -> None:
    acts, labels = draw(2000, 10)
    acts += labels[:, :1] * torch.linspace(0, 2.5, 10)
    fast = mutual_information(acts, labels)[0]
    slow = mutual_information_knn(acts, labels, seed=0)[0]
    assert spearmanr(fast, slow).statistic > 0.95
    assert (fast - slow).abs().max() < 0.05


def test_it_sees_what_no_mean_and_no_cut_shows() -> None:
    acts, labels = draw(1000, 4)
    acts[:, 0] = torch.where(labels[:, 1], acts[:, 0] * 4, acts[:, 0])
    found = mutual_information(acts, labels)[1]
    assert found[0] > 0.2 > 10 * found[1:].abs().max()


def test_it_only_asks_for_the_order() -> None:
    acts, labels = draw(300, 6)
    found = mutual_information(acts, labels)
    assert torch.equal(mutual_information((acts * 0.7).exp().double(), labels), found)


def test_equal_activations_share_a_bin() -> None:
    labels = torch.arange(40)[:, None] % 2 == 0
    constant = torch.ones(40, 1)
    assert mutual_information(constant, labels).item() == 0
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    few = (torch.arange(40) // 10).float()[:, None]
    found = mutual_information(few, labels, n_bins=7)
    assert torch.equal(mutual_information(few[order], labels[order], n_bins=7), found)


def test_the_slow_one_is_that_of_scikit_learn_with_a_seed() -> None:
    acts, labels = draw(120, 3)
    found = mutual_information_knn(acts, labels, seed=3)
    expected = mutual_info_classif(acts.double().numpy(), labels[:, 1].numpy(), random_state=3)
    assert found[1].tolist() == expected.tolist()
    assert torch.equal(found, mutual_information_knn(acts, labels, seed=3))


def test_guards() -> None:
    acts, labels = draw(30, 2)
    with pytest.raises(DataError, match="n_bins must be at least 2"):
        mutual_information(acts, labels, n_bins=1)
    with pytest.raises(DataError, match="NaN"):
        mutual_information(acts / 0 * 0, labels)
    with pytest.raises(OneClassError, match="no positive"):
        mutual_information_knn(acts, labels & False, seed=0)
