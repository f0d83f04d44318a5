import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.probing import path as path_module
from needlepoint.probing import sweep
from needlepoint.probing.rankings import leading, mean_difference_std
from needlepoint.probing.scores import roc_auc
from needlepoint.probing.sweep import DEFAULT_KS, adaptive_thresholding, fit_on_support

TRUE = [3, 11, 27]


def planted(n: int = 400, d: int = 60, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Float64 GELU activations of unequal scale; neurons 3, 11 and 27 carry feature 0."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.rand(n, 2, generator=generator) < torch.tensor([0.3, 0.5])
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    x[:, TRUE] += labels[:, :1] * torch.tensor([2.0, 1.5, -2.0])
    return torch.nn.functional.gelu(x) * torch.linspace(0.1, 10, d), labels


def test_each_fit_is_that_of_scikit_learn_on_its_support_with_one_penalty() -> None:
    acts, labels = planted()
    path = adaptive_thresholding(acts, labels, l2=0.02, start=32)
    assert path.ks == (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32)
    for batch in path.probes:
        for feature in range(2):
            columns = acts[:, batch.support[feature]]
            z = (columns - columns.mean(0)) / columns.std(0, correction=0)
            model = LogisticRegression(
                C=1 / (400 * 0.02), class_weight="balanced", solver="newton-cholesky", tol=1e-12
            ).fit(z.numpy(), labels[:, feature].numpy())
            odds = torch.from_numpy(model.decision_function(z.numpy()))
            torch.testing.assert_close(batch.probe(feature)(acts), odds, rtol=0, atol=1e-5)


def test_supports_are_nested_and_drop_the_smallest_standardised_weights() -> None:
    acts, labels = planted()
    path = adaptive_thresholding(acts, labels, l2=0.02)
    sd = acts.std(0, correction=0)
    for small, large in zip(path.probes, path.probes[1:], strict=False):
        for feature in range(2):
            size = large.weight[feature].abs() * sd[large.support[feature]]
            kept = large.support[feature][size.topk(small.k).indices].sort().values
            assert kept.tolist() == small.support[feature].tolist()


def test_a_probe_does_not_hang_on_which_other_sizes_are_asked_for() -> None:
    acts, labels = planted()
    path = adaptive_thresholding(acts, labels, l2=0.02)
    for k in (1, 3, 12):
        alone = adaptive_thresholding(acts, labels, l2=0.02, ks=[k])
        assert alone.ks == (k,)
        for feature in range(2):
            assert torch.equal(alone.probe(feature, k).support, path.probe(feature, k).support)


def test_it_starts_from_the_largest_standardised_differences() -> None:
    acts, labels = planted()
    path = adaptive_thresholding(acts, labels, l2=0.02, ks=[8], start=8)
    expected = leading(mean_difference_std(acts, labels), 8).sort(1).values
    assert torch.equal(path.probes[0].support, expected)


def test_planted_neurons_are_recovered_and_under_shuffled_labels_they_are_not() -> None:
    acts, labels = planted()
    assert adaptive_thresholding(acts, labels, l2=0.02).probe(0, 3).support.tolist() == TRUE
    shuffled = labels[torch.randperm(400, generator=torch.Generator().manual_seed(5))]
    null = adaptive_thresholding(acts, shuffled, l2=0.02)
    assert null.probe(0, 3).support.tolist() != TRUE
    fresh, truth = planted(seed=9)
    true_auc = roc_auc(adaptive_thresholding(acts, labels, l2=0.02).log_odds(fresh)[:, :, 2], truth)
    null_auc = roc_auc(null.log_odds(fresh)[:, :, 2], truth)
    assert true_auc[0] > 0.95
    assert 0.35 < null_auc[1] < 0.65


def test_it_follows_its_neurons_ignores_scale_and_shift_and_blocks(monkeypatch) -> None:
    acts, labels = planted()
    path = adaptive_thresholding(acts, labels, l2=0.02, ks=[3, 12])
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(path_module, "TOGETHER", 1)
    moved = adaptive_thresholding(-7 * acts[:, order] + 3, labels, l2=0.02, ks=[3, 12])
    for batch, other in zip(path.probes, moved.probes, strict=True):
        torch.testing.assert_close(batch.loss, other.loss, rtol=1e-7, atol=0)
        for feature in range(2):
            back = order[other.support[feature]].sort().values
            assert torch.equal(back, batch.support[feature])


def test_several_penalties_side_by_side_are_as_one_by_one() -> None:
    acts, labels = planted()
    penalties = torch.tensor([1.0, 1.0, 0.01, 0.01])
    both = adaptive_thresholding(acts, labels.repeat(1, 2), l2=penalties, ks=[4])
    for place, l2 in enumerate((1.0, 0.01)):
        alone = adaptive_thresholding(acts, labels, l2=l2, ks=[4]).probes[0]
        assert torch.equal(both.probes[0].support[2 * place : 2 * place + 2], alone.support)
        torch.testing.assert_close(
            both.probes[0].weight[2 * place : 2 * place + 2], alone.weight, rtol=1e-5, atol=1e-7
        )


def test_single_precision_follows_the_same_path() -> None:
    acts, labels = planted()
    single = adaptive_thresholding(acts.float(), labels, l2=0.02)
    double = adaptive_thresholding(acts.float().double(), labels, l2=0.02)
    for one, two in zip(single.probes[:8], double.probes[:8], strict=True):
        assert torch.equal(one.support[0], two.support[0])
        torch.testing.assert_close(one.loss, two.loss, rtol=1e-5, atol=0)


def test_sizes_are_cut_at_the_layer_and_all_neurons_may_start() -> None:
    acts, labels = planted(40, 100)
    assert adaptive_thresholding(acts, labels, l2=0.1, start=None, ks=DEFAULT_KS).ks[-1] == 64
    dense = adaptive_thresholding(acts, labels, l2=0.1, start=None, ks=[100, 500])
    every = torch.arange(100).expand(2, -1)
    given = fit_on_support(acts, labels, every, l2=0.1)
    torch.testing.assert_close(dense.probes[0].weight, given.weight)


def test_copies_and_constants_are_harmless() -> None:
    acts, labels = planted()
    acts = torch.cat([torch.ones(400, 1), acts[:, 3:4], acts[:, 3:4]], dim=1)
    path = adaptive_thresholding(acts, labels, l2=0.02)
    assert path.ks == (1, 2, 3)
    assert path.probe(0, 1).support.tolist() == [1]
    assert path.probe(0, 3).weight[0] == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_feature_that_has_arrived_is_left_alone_beside_one_that_is_far(dtype) -> None:
    """The first neuron is as often on with its feature as without: its weight is exactly 0."""
    acts = torch.tensor([[1, 5], [1, -5], [-1, 5], [-1, -5]], dtype=dtype).repeat(10, 1)
    labels = torch.stack([acts[:, 0] * acts[:, 1] > 0, acts[:, 1] > 0], dim=1)
    both = fit_on_support(acts, labels, torch.tensor([[0], [1]]), l2=0.01)
    assert both.weight[0].item() == both.bias[0].item() == 0.0
    alone = fit_on_support(acts, labels[:, 1:], torch.tensor([[1]]), l2=0.01)
    torch.testing.assert_close(both.weight[1:], alone.weight)
    assert float(both.gradient_norm.max()) < 1e-6


def test_what_is_found_can_be_written_to_and_learned_from() -> None:
    acts, labels = torch.eye(6, 3).repeat(5, 1), torch.eye(6, 3).repeat(5, 1)[:, 1:2] > 0
    batch = adaptive_thresholding(acts, labels, l2=0.01).probes[0]
    for part in (batch.support, batch.weight, batch.bias, batch.loss, batch.n_iter):
        part += 1
    learned = batch.weight.requires_grad_()
    learned.square().sum().backward()
    assert learned.grad is not None


def test_guards() -> None:
    acts, labels = planted()
    with pytest.raises(DataError, match="must hold a size from 1 to 60"):
        adaptive_thresholding(acts, labels, l2=0.1, ks=[61])
    with pytest.raises(DataError, match="none below 1"):
        adaptive_thresholding(acts, labels, l2=0.1, ks=[0, 1])
    with pytest.raises(DataError, match=r"\(3,\) penalties for 2 features"):
        sweep.each_feature(torch.ones(3), labels)
    with pytest.raises(DataError, match="l2 must be positive"):
        adaptive_thresholding(acts, labels, l2=0.0)
    with pytest.raises(OneClassError, match="no negative"):
        adaptive_thresholding(acts, labels | True, l2=0.1)
    with pytest.raises(DataError, match="this layer has 0 to 59"):
        fit_on_support(acts, labels, torch.tensor([[1], [60]]), l2=0.1)
