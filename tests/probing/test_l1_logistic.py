import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.probing import l1_logistic
from needlepoint.probing.columns import standardise
from needlepoint.probing.l1_logistic import fit_l1_logistic


def planted(n: int = 150, d: int = 60, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.rand(n, 3, generator=generator) < torch.tensor([0.3, 0.5, 0.1])
    read = torch.randn(d // 4, d, generator=generator)
    acts = torch.randn(n, d // 4, generator=generator) @ read
    acts += torch.randn(n, d, generator=generator)
    acts[:, :3] += labels * 4.0
    return acts * torch.rand(d, generator=generator).mul(4).exp() + 5, labels


@pytest.mark.parametrize("l1", [0.15, 0.03, 0.01])
def test_it_is_the_minimum_that_saga_finds(l1: float) -> None:
    acts, labels = planted()
    z = standardise(acts, torch.float64).z.numpy()
    fits = fit_l1_logistic(acts, labels, l1=l1, tolerance=1e-9)
    for feature, label in enumerate(labels.T.numpy()):
        model = LogisticRegression(
            l1_ratio=1.0,
            solver="saga",
            C=1 / (len(z) * l1),
            class_weight="balanced",
            tol=1e-9,
            max_iter=100_000,
        ).fit(z, label)
        weight = torch.from_numpy(model.coef_[0])
        torch.testing.assert_close(fits.weight[feature], weight, atol=2e-4, rtol=1e-3)
        assert fits.bias[feature].item() == pytest.approx(model.intercept_[0], abs=1e-3)


def test_the_conditions_of_the_minimum_hold_and_the_gap_says_so() -> None:
    acts, labels = planted(100, 300)
    fits = fit_l1_logistic(acts, labels, l1=0.02)
    on = fits.weight != 0
    assert on.any(1).all()
    assert (fits.gap >= -1e-12).all()
    assert (fits.gap < 1e-6).all()
    assert fits.gradient.abs().max() < 0.02 * 1.001
    against = -fits.weight[on].sign() * 0.02
    torch.testing.assert_close(fits.gradient[on], against, atol=2e-5, rtol=0)


def test_a_looser_fit_is_above_a_tight_one_by_no_more_than_its_gap() -> None:
    acts, labels = planted()
    loose = fit_l1_logistic(acts, labels, l1=0.01, tolerance=1e-2)
    tight = fit_l1_logistic(acts, labels, l1=0.01, tolerance=1e-9)
    assert (loose.loss - tight.loss >= -1e-9).all()
    assert (loose.loss - tight.loss <= loose.gap).all()


def test_a_large_penalty_leaves_no_weight_and_a_loss_of_log_two() -> None:
    acts, labels = planted()
    fits = fit_l1_logistic(acts, labels, l1=5.0)
    assert (fits.weight == 0).all()
    torch.testing.assert_close(fits.loss, torch.full((3,), 2.0).log().double())


def test_copies_share_a_weight_and_constants_get_none() -> None:
    acts, labels = planted()
    single = fit_l1_logistic(acts, labels, l1=0.02, tolerance=1e-9)
    more = torch.cat([acts[:, :1], torch.ones(150, 1), acts, acts[:, :1]], dim=1)
    fits = fit_l1_logistic(more, labels, l1=0.02, tolerance=1e-9)
    for copy in (0, 2, -1):
        torch.testing.assert_close(fits.weight[:, copy], single.weight[:, 0] / 3, atol=1e-4, rtol=0)
        assert torch.equal(fits.weight[:, copy], fits.weight[:, 0])
    assert (fits.weight[:, 1] == 0).all()


def test_features_in_batches_are_fitted_alike(monkeypatch) -> None:
    acts, labels = planted()
    together = fit_l1_logistic(acts, labels, l1=0.02, tolerance=1e-9)
    monkeypatch.setattr(l1_logistic, "BATCH_ELEMENTS", 1)
    apart = fit_l1_logistic(acts, labels, l1=0.02, tolerance=1e-9)
    torch.testing.assert_close(together.weight, apart.weight, atol=1e-4, rtol=0)


def test_separable_classes_have_a_minimum() -> None:
    acts = torch.tensor([[0.0], [1.0], [5.0], [6.0]])
    labels = torch.tensor([[False], [False], [True], [True]])
    fits = fit_l1_logistic(acts, labels, l1=1e-3)
    assert 5 < fits.weight.item() < 20
    assert fits.gap.item() < 1e-6


def test_guards(monkeypatch) -> None:
    acts, labels = planted()
    for l1 in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(DataError, match="l1 must be positive and finite"):
            fit_l1_logistic(acts, labels, l1=l1)
    with pytest.raises(OneClassError, match="no positive"):
        fit_l1_logistic(acts, labels & False, l1=0.1)
    monkeypatch.setattr(l1_logistic, "ROUNDS", 1)
    monkeypatch.setattr(l1_logistic, "NEWTON_STEPS", 1)
    with pytest.raises(DataError, match=r"still .* from its minimum"):
        fit_l1_logistic(acts, labels, l1=0.001)
