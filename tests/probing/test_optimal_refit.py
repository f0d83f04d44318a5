import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from needlepoint._core.errors import DataError
from needlepoint.probing.optimal.intercept import hinge_intercepts
from needlepoint.probing.optimal.losses import HingeLoss, LogisticLoss, LossName, stages
from needlepoint.probing.optimal.objective import Objective
from needlepoint.probing.optimal.refit import fit_supports


def objective_on(n: int, d: int, *, gamma: float, loss: LossName, shift: float = 1.0) -> Objective:
    generator = torch.Generator().manual_seed(n + d)
    label = torch.arange(n) % 4 == 0
    acts = torch.randn(n, d, generator=generator) + shift * label[:, None]
    return Objective.of(acts, label, gamma=gamma, loss=loss, balanced=True)


@pytest.mark.parametrize("shift", [0.3, 9.0])
@pytest.mark.parametrize("gamma", [0.1, 10.0, 1e4])
def test_fits_are_those_of_scikit_learn(gamma: float, shift: float) -> None:
    supports = np.array([[0, 1, 2], [3, 4, 5], [5, 0, 2]])
    for loss in ("logistic", "hinge"):
        objective = objective_on(60, 6, gamma=gamma, loss=loss, shift=shift)
        fits = fit_supports(objective, supports)
        # Kept apart by a wide margin, the hinge's cost is all ridge and tiny: allow for its band.
        slack = 2e-6 if loss == "hinge" else 1e-10
        assert (fits.objective - fits.bound <= slack * (1 + fits.objective)).all()
        assert (fits.bound <= fits.objective * (1 + 1e-12)).all()
        for support, weight, value in zip(supports, fits.weight, fits.objective, strict=True):
            X = objective.X[:, support]
            if loss == "logistic":
                model = LogisticRegression(
                    C=gamma, solver="newton-cholesky", tol=1e-11, max_iter=1000
                ).fit(X, objective.y, sample_weight=objective.w)
                np.testing.assert_allclose(weight, model.coef_[0], rtol=1e-4, atol=1e-6)
            else:
                model = SVC(kernel="linear", C=gamma, tol=1e-8)
                model.fit(X, objective.y, sample_weight=objective.w)
                odds = X @ model.coef_[0]
                best = min(
                    objective.w @ np.maximum(0, 1 - objective.y * (odds + bias))
                    for bias in objective.y - odds
                )
                ridge = np.square(model.coef_).sum() / (2 * gamma)
                assert value <= (best + ridge) * (1 + 1e-6) + 1e-6


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 25), st.integers(0, 10**6))
def test_the_hinge_intercept_is_the_best_of_all_bends(n: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    y = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    w, odds = generator.random(n) + 0.1, generator.normal(size=(1, n)).round(1)

    def cost(bias: float) -> float:
        return float(w @ np.maximum(0, 1 - y * (odds[0] + bias)))

    found = float(hinge_intercepts(odds, y, w)[0])
    assert cost(found) <= min(cost(bend) for bend in y - odds[0]) + 1e-9


def test_a_flat_stretch_gives_its_middle() -> None:
    odds, y = np.zeros((1, 4)), np.array([1.0, 1.0, -1.0, -1.0])
    assert hinge_intercepts(odds, y, np.ones(4)).tolist() == [0.0]


def test_gains_are_conjugate_to_values() -> None:
    margin = np.linspace(-4, 4, 33)
    for loss in (LogisticLoss(), HingeLoss(band=1e-9)):
        blame = loss.blame(margin)
        offered = np.linspace(0, 1, 11)[:, None]
        bend = 1.0 if isinstance(loss, HingeLoss) else 0.0
        # Fenchel: value(m) >= gain(q) - q m, with equality at the blame of m.
        hinge_like = loss.gain(offered) - offered * margin
        assert bend in (0.0, 1.0)
        assert (loss.value(margin) >= hinge_like - 1e-12).all()
        np.testing.assert_allclose(loss.value(margin), loss.gain(blame) - blame * margin, atol=1e-8)


def test_the_hinge_is_reached_through_shrinking_bands() -> None:
    bands = [loss.band for loss in stages("hinge") if isinstance(loss, HingeLoss)]
    assert bands == sorted(bands, reverse=True)
    assert bands[-1] == pytest.approx(1e-6)
    assert stages("logistic") == (LogisticLoss(),)


def test_scale_follows_the_paper() -> None:
    generator = torch.Generator().manual_seed(0)
    acts = torch.randn(50, 4, generator=generator) * torch.tensor([1.0, 100.0, 1e-5, 0.0]) + 7
    label = torch.arange(50) % 2 == 0
    made = Objective.of(acts.double(), label, gamma=None, loss="logistic", balanced=True)
    np.testing.assert_allclose(made.X.std(0)[:2], 0.1)
    assert 0 < made.X.std(0)[2] < 1e-3 * 1.5
    assert (made.X[:, 3] == 0).all()
    np.testing.assert_allclose(made.X.mean(0), 0, atol=1e-12)
    assert made.gamma == pytest.approx(50**-0.5)
    assert made.w.sum() == pytest.approx(50)


def test_guards() -> None:
    acts, label = torch.randn(10, 3), torch.arange(10) % 2 == 0
    with pytest.raises(DataError, match="one column at a time"):
        Objective.of(acts, label[:, None], gamma=None, loss="logistic", balanced=True)
    with pytest.raises(DataError, match="9 labels for 10 examples"):
        Objective.of(acts, label[:9], gamma=None, loss="logistic", balanced=True)
    with pytest.raises(DataError, match="NaN or infinity"):
        Objective.of(acts.half() * 1e5, label, gamma=None, loss="logistic", balanced=True)
