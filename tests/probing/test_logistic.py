import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.probing.logistic import fit_logistic


def planted(n: int, k: int, *, shift: float = 1.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Columns for three features, with classes that lie `shift` apart on each column."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.rand(n, 3, generator=generator) < torch.tensor([0.3, 0.5, 0.15])
    X = torch.randn(3, n, k, generator=generator, dtype=torch.float64)
    return X + shift * labels.T[:, :, None], labels


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize(("n", "k", "shift"), [(200, 5, 0.5), (200, 5, 9.0), (40, 100, 1.0)])
@pytest.mark.parametrize("l2", [1.0, 1e-2])
def test_fits_are_those_of_scikit_learn(
    n: int, k: int, shift: float, l2: float, balanced: bool
) -> None:
    X, labels = planted(n, k, shift=shift)
    fit = fit_logistic(X, labels, l2=l2, balanced=balanced)
    for feature, (columns, label) in enumerate(zip(X, labels.T, strict=True)):
        model = LogisticRegression(
            C=1 / (n * l2),
            class_weight="balanced" if balanced else None,
            solver="newton-cholesky",
            tol=1e-12,
            max_iter=500,
        ).fit(columns.numpy(), label.numpy())
        expected = torch.from_numpy(model.coef_[0])
        torch.testing.assert_close(fit.weight[feature], expected, rtol=0, atol=1e-5)
        assert fit.bias[feature].item() == pytest.approx(model.intercept_[0], abs=1e-5)
    assert (fit.gradient_norm < 1e-7).all()


def test_each_feature_may_have_its_own_penalty_and_company_changes_nothing() -> None:
    X, labels = planted(100, 6)
    penalty = torch.tensor([1.0, 0.1, 0.001])
    together = fit_logistic(X, labels, l2=penalty)
    for row in range(3):
        alone = fit_logistic(X[row : row + 1], labels[:, row : row + 1], l2=float(penalty[row]))
        torch.testing.assert_close(together.weight[row], alone.weight[0], rtol=1e-5, atol=1e-7)


def test_a_warm_start_saves_steps_and_changes_nothing() -> None:
    X, labels = planted(200, 8, shift=0.6)
    cold = fit_logistic(X, labels, l2=0.01)
    warm = fit_logistic(X, labels, l2=0.01, start=(cold.weight, cold.bias))
    assert (warm.n_iter < cold.n_iter).all()
    torch.testing.assert_close(warm.weight, cold.weight)
    far = fit_logistic(X, labels, l2=0.01, start=(cold.weight - 50, cold.bias + 50))
    torch.testing.assert_close(far.weight, cold.weight, rtol=1e-5, atol=1e-6)


def test_single_precision_agrees_with_double() -> None:
    X, labels = planted(400, 20)
    single, double = fit_logistic(X.float(), labels, l2=0.01), fit_logistic(X, labels, l2=0.01)
    assert single.weight.dtype == torch.float32
    torch.testing.assert_close(single.weight.double(), double.weight, rtol=0, atol=2e-3)
    torch.testing.assert_close(single.loss, double.loss, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("rough", [False, True])
def test_wide_fits_arrive_with_a_rough_hessian_too(
    monkeypatch: pytest.MonkeyPatch, rough: bool
) -> None:
    monkeypatch.setattr("needlepoint.probing.logistic.can_be_rough", lambda X: rough)
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(600, 20, generator=generator)
    X = shared @ torch.randn(20, 150, generator=generator) / 4
    X = (X + 0.3 * torch.randn(600, 150, generator=generator))[None]
    labels = (shared[:, :1] + 0.5 * torch.randn(600, 1, generator=generator)) > 0
    found = fit_logistic(X, labels, l2=1e-3)
    best = fit_logistic(X.double(), labels, l2=1e-3)
    assert float(found.loss - best.loss) < 1e-7
    assert int(found.n_iter) <= int(best.n_iter) + 3


def test_duplicated_and_constant_columns_share_or_get_no_weight() -> None:
    X, labels = planted(100, 2)
    X = torch.cat([X, X[..., :1], torch.zeros_like(X[..., :1])], dim=2)
    for columns in (X, X.float()):
        fit = fit_logistic(columns, labels, l2=1e-3)
        torch.testing.assert_close(fit.weight[:, 0], fit.weight[:, 2], rtol=1e-3, atol=1e-3)
        assert (fit.weight[:, 3] == 0).all()


def test_too_few_steps_show_in_the_gradient() -> None:
    X, labels = planted(100, 4)
    assert (fit_logistic(X, labels, l2=1e-3, max_iter=1).gradient_norm > 1e-4).all()


def test_guards() -> None:
    X, labels = planted(50, 3)
    with pytest.raises(DataError, match="l2 must be positive"):
        fit_logistic(X, labels, l2=-1.0)
    with pytest.raises(OneClassError, match="no positive"):
        fit_logistic(X, labels & False, l2=0.1)
    with pytest.raises(DataError, match="NaN"):
        fit_logistic(X / 0, labels, l2=0.1)
    with pytest.raises(DataError, match="too large"):
        fit_logistic(X.float() * 1e25, labels, l2=0.1)
