import pytest
import torch
from torch import Tensor

from needlepoint.probing.deletion import DELETIONS, eliminate, wald
from needlepoint.probing.descent import Target
from needlepoint.probing.layer import Layer
from needlepoint.probing.path import Rows, fit, hessian_at
from needlepoint.probing.sweep import adaptive_thresholding, fit_on_support


def correlated(n: int = 300, d: int = 12, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Neurons of a few common sources: weights say little of what it costs to lose a neuron."""
    generator = torch.Generator().manual_seed(seed)
    sources = torch.randn(n, 4, generator=generator, dtype=torch.float64)
    mix = torch.randn(4, d, generator=generator, dtype=torch.float64)
    x = sources @ mix + torch.randn(n, d, generator=generator, dtype=torch.float64)
    noise = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    weight = torch.randn(d, 2, generator=generator, dtype=torch.float64)
    return x, x @ weight + noise > 0


def scores(acts: Tensor, labels: Tensor, l2: float) -> tuple[Tensor, Tensor]:
    """Wald scores of the fit on all neurons, and twice the true rise of the loss without each."""
    layer = Layer.of(acts, labels)
    every = torch.arange(acts.shape[1]).expand(labels.shape[1], -1)
    penalty = torch.full((labels.shape[1],), l2, dtype=torch.float64)
    rows = Rows.of(layer, Target.of(labels, acts.dtype, balanced=True), penalty)
    whole = fit(rows, every)
    hessian = hessian_at(rows, whole, torch.arange(labels.shape[1]))
    predicted = wald(whole.weight, torch.linalg.inv(hessian)[:, :-1, :-1])
    risen = []
    for neuron in range(acts.shape[1]):
        without = every[every != neuron].view(labels.shape[1], -1)
        risen.append(2 * (fit_on_support(acts, labels, without, l2=l2).loss - whole.fit.loss))
    return predicted, torch.stack(risen, dim=1)


def test_wald_is_the_exact_cost_of_leaving_a_neuron_out_in_the_quadratic_limit() -> None:
    acts, labels = correlated()
    # Under a heavy ridge no log-odds leave the neighbourhood of 0, where the loss is a parabola.
    predicted, risen = scores(acts, labels, 300.0)
    torch.testing.assert_close(predicted, risen, rtol=1e-3, atol=0)
    assert torch.equal(predicted.argsort(1), risen.argsort(1))
    # Under a light one it is a guess, and still a better one than the weights.
    predicted, risen = scores(acts, labels, 0.01)
    assert not torch.allclose(predicted, risen, rtol=1e-3)


def test_eliminating_one_by_one_is_refitting_the_quadratic_model_each_time() -> None:
    generator = torch.Generator().manual_seed(1)
    root = torch.randn(2, 20, 9, generator=generator, dtype=torch.float64)
    hessian = root.mT @ root / 20 + 0.1 * torch.eye(9, dtype=torch.float64)
    weight = torch.randn(2, 9, generator=generator, dtype=torch.float64)
    found = eliminate(weight, torch.linalg.inv(hessian), 3)
    for row in range(2):
        pull, left = hessian[row] @ weight[row], list(range(9))
        while len(left) > 3:

            def fall(kept: list[int], row: int = row, pull: Tensor = pull) -> float:
                block = hessian[row][kept][:, kept]
                return float(pull[kept] @ torch.linalg.solve(block, pull[kept]))

            left = max(([j for j in left if j != gone] for gone in left), key=fall)
        assert found[row].tolist() == left


def test_of_two_like_neurons_wald_gives_one_up_and_the_weight_rule_both() -> None:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(4000, 3, generator=generator, dtype=torch.float64)
    labels = 2 * x[:, :1] + x[:, 1:2] + 0.3 * x[:, 2:] > 0
    twin = x[:, :1] + 0.01 * torch.randn(4000, 1, generator=generator, dtype=torch.float64)
    twins = x[:, :1] + 0.01 * torch.randn(4000, 5, generator=generator, dtype=torch.float64)
    acts = torch.cat([x, twin, twins], dim=1)
    losses = {}
    for rule in DELETIONS:
        path = adaptive_thresholding(acts, labels, l2=0.01, ks=[2, 9], deletion=rule)
        losses[rule] = float(path.probes[0].loss[0])
    # The six copies share one weight, each less than that of neuron 1.
    assert losses["wald"] <= losses["weight"] + 1e-12


@pytest.mark.parametrize("rule", DELETIONS)
def test_every_rule_gives_nested_supports_and_recovers_planted_neurons(rule: str) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.rand(500, 1, generator=generator) < 0.3
    acts = torch.randn(500, 80, generator=generator, dtype=torch.float64)
    acts[:, [3, 11, 27]] += labels * torch.tensor([2.0, 1.5, -2.0])
    path = adaptive_thresholding(acts, labels, l2=0.02, deletion=rule)
    assert path.probe(0, 3).support.tolist() == [3, 11, 27]
    for small, large in zip(path.probes, path.probes[1:], strict=False):
        assert set(small.support[0].tolist()) <= set(large.support[0].tolist())


def test_wald_keeps_a_lower_loss_than_weights_on_correlated_neurons() -> None:
    lower = higher = 0
    for seed in range(6):
        acts, labels = correlated(d=40, seed=seed)
        wald_path, weight_path = (
            adaptive_thresholding(acts, labels, l2=0.01, ks=[2, 4, 8, 40], deletion=rule)
            for rule in ("wald", "weight")
        )
        for one, other in zip(wald_path.probes[:3], weight_path.probes[:3], strict=True):
            lower += int((one.loss < other.loss - 1e-9).sum())
            higher += int((one.loss > other.loss + 1e-9).sum())
    assert lower > 2 * higher
