import pytest
import torch
from scipy.stats import rankdata
from sklearn.feature_selection import f_classif
from torch import Tensor

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.probing.rankings import f_statistic, leading, mean_difference, mean_difference_std


def planted(n: int = 200, d: int = 60, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Float64 activations of unequal spread; the first three neurons carry feature 0."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.rand(n, 3, generator=generator) < torch.tensor([0.3, 0.5, 0.1])
    acts = torch.randn(n, d, generator=generator, dtype=torch.float64)
    acts[:, :3] += labels[:, :1] * torch.tensor([1.5, -2.0, 3.0])
    return acts * torch.rand(d, generator=generator).mul(6).exp() + 5, labels


def test_mean_difference_is_the_difference_of_the_means() -> None:
    acts, labels = planted()
    for row, label in zip(mean_difference(acts, labels), labels.T, strict=True):
        torch.testing.assert_close(row, acts[label].mean(0) - acts[~label].mean(0))


def test_f_is_that_of_scikit_learn() -> None:
    acts, labels = planted()
    for row, label in zip(f_statistic(acts, labels), labels.T, strict=True):
        torch.testing.assert_close(row, torch.from_numpy(f_classif(acts, label)[0]))


def test_f_and_standardised_difference_give_one_order_and_the_raw_difference_another() -> None:
    acts, labels = planted()
    for feature, label in enumerate(labels.T):
        spread = rankdata(mean_difference_std(acts, labels)[feature])
        assert (spread == rankdata(f_classif(acts, label)[0])).all()
        assert (spread != rankdata(mean_difference(acts, labels)[feature].abs())).any()


def test_planted_neurons_lead_and_under_shuffled_labels_they_do_not() -> None:
    acts, labels = planted(400, 300)
    assert set(leading(mean_difference_std(acts, labels), 3)[0].tolist()) == {0, 1, 2}
    shuffled = labels[torch.randperm(400, generator=torch.Generator().manual_seed(1))]
    null = mean_difference_std(acts, shuffled)[0]
    assert null[:3].max() < 0.4 < 1.2 < mean_difference_std(acts, labels)[0, :3].min()


def test_scores_follow_their_neurons_and_ignore_shift_and_scale() -> None:
    acts, labels = planted()
    order = torch.randperm(acts.shape[1], generator=torch.Generator().manual_seed(2))
    scores = mean_difference_std(acts, labels)
    torch.testing.assert_close(mean_difference_std(acts[:, order], labels), scores[:, order])
    torch.testing.assert_close(mean_difference_std(-3 * acts + 7, labels), scores)


def test_single_precision_agrees_even_far_from_zero() -> None:
    acts, labels = planted()
    acts = ((acts - 5) / acts.std(0) + 1000).float()
    torch.testing.assert_close(
        mean_difference_std(acts, labels), mean_difference_std(acts.double(), labels)
    )


def test_constant_duplicate_and_perfect_neurons() -> None:
    _, labels = planted()
    useful = labels[:, :1].double()
    acts = torch.cat([torch.full((200, 1), 0.1).double(), useful, useful], dim=1)
    scores = mean_difference_std(acts, labels[:, :1])[0]
    assert scores[0] == 0
    assert ((scores[1:] > 1e6) & (scores[1:] < torch.inf)).all()
    noisy = acts + torch.randn(200, 1).double()
    scores = mean_difference_std(noisy, labels)
    torch.testing.assert_close(scores[:, 1], scores[:, 2])


def test_ties_go_to_the_lower_index() -> None:
    assert leading(torch.tensor([[1.0, 2.0, 2.0, 2.0, 0.0]]), 4).tolist() == [[1, 2, 3, 0]]


def test_guards() -> None:
    acts, labels = planted()
    with pytest.raises(DataError, match="three examples or more"):
        mean_difference_std(acts[:2], torch.tensor([[True], [False]]))
    with pytest.raises(OneClassError, match="no positive"):
        mean_difference(acts, labels & False)
    with pytest.raises(DataError, match="NaN or infinity"):
        mean_difference(acts / 0, labels)
