import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from needlepoint.probing import path
from needlepoint.probing.dense import solve_shared
from needlepoint.probing.descent import Target
from needlepoint.probing.logistic import Problem, solve
from needlepoint.probing.sweep import adaptive_thresholding, fit_on_support


def planted(n: int, d: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Standardised rows `[neuron, example]` and labels of three features that depend on them."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    x = x + 0.5 * torch.randn(n, 1, generator=generator, dtype=torch.float64)
    x = (x - x.mean(0)) / x.std(0, correction=0)
    weight = torch.randn(d, 3, generator=generator, dtype=torch.float64) / d**0.5
    bar = torch.tensor([0.0, 0.8, -0.5])
    return x.T.contiguous(), x @ weight > bar


@pytest.mark.parametrize(("n", "d"), [(300, 40), (60, 150)])
def test_fits_on_shared_rows_are_those_of_scikit_learn_and_of_the_factor(n: int, d: int) -> None:
    rows, labels = planted(n, d)
    l2 = torch.tensor([1.0, 0.01, 0.01], dtype=torch.float64)
    target = Target.of(labels, rows.dtype, balanced=True)
    shared = solve_shared(rows, target, l2)
    X = torch.cat([rows, torch.ones(1, n, dtype=rows.dtype)]).expand(3, -1, -1)
    alone = solve(Problem.of(X, target, l2), rows.new_zeros(3, d + 1)).fit
    torch.testing.assert_close(shared.weight, alone.weight, rtol=0, atol=1e-6)
    torch.testing.assert_close(shared.loss, alone.loss, rtol=1e-12, atol=0)
    assert (shared.gradient_norm < 1e-7).all()
    for feature in range(3):
        model = LogisticRegression(
            C=1 / (n * float(l2[feature])), class_weight="balanced", tol=1e-10, max_iter=5000
        ).fit(rows.T.numpy(), labels[:, feature].numpy())
        expected = torch.from_numpy(model.coef_[0])
        torch.testing.assert_close(shared.weight[feature], expected, rtol=0, atol=1e-4)


def test_single_precision_agrees_with_double() -> None:
    rows, labels = planted(400, 60)
    l2 = torch.full((3,), 0.01, dtype=torch.float64)
    single, double = (
        solve_shared(rows.to(dtype), Target.of(labels, dtype, balanced=True), l2)
        for dtype in (torch.float32, torch.float64)
    )
    torch.testing.assert_close(single.weight.double(), double.weight, rtol=0, atol=2e-3)
    torch.testing.assert_close(single.loss, double.loss, rtol=1e-6, atol=1e-7)


def test_a_sweep_from_a_wide_layer_is_the_same_whichever_way_it_is_fitted(monkeypatch) -> None:
    rows, labels = planted(300, 80, seed=3)
    acts = 3 * rows.T + 1
    sweep = [adaptive_thresholding(acts, labels, l2=0.05, start=None)]
    dense = [fit_on_support(acts, labels, torch.arange(80).expand(3, -1), l2=0.05)]
    monkeypatch.setattr(path, "WIDE", 20)
    sweep.append(adaptive_thresholding(acts, labels, l2=0.05, start=None))
    dense.append(fit_on_support(acts, labels, torch.arange(80).expand(3, -1), l2=0.05))
    part = torch.arange(5, 65).expand(3, -1)
    few = fit_on_support(acts, labels, part, l2=0.05)
    assert torch.equal(few.support, part)
    assert few.loss.gt(dense[0].loss).all()
    torch.testing.assert_close(dense[0].weight, dense[1].weight, rtol=0, atol=1e-6)
    for one, other in zip(sweep[0].probes, sweep[1].probes, strict=True):
        assert torch.equal(one.support, other.support)
        torch.testing.assert_close(one.weight, other.weight, rtol=0, atol=1e-6)
