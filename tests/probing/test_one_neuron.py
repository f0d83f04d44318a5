import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.probing import columns, one_neuron, one_neuron_loops
from needlepoint.probing.one_neuron import fit_one_neuron


def planted(n: int = 300, d: int = 40, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """GELU activations in float64; neuron j < 20 is shifted on feature 0, up to separation."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.rand(n, 2, generator=generator) < torch.tensor([0.2, 0.5])
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    x[:, :20] += labels[:, :1] * torch.linspace(-3, 8, 20)
    return torch.nn.functional.gelu(x) * 2, labels


def reference(column: Tensor, label: Tensor, l2: float, balanced: bool) -> tuple[float, float]:
    values = column.double().numpy()
    spread = values.std() or 1.0
    model = LogisticRegression(
        C=1 / (len(values) * l2),
        class_weight="balanced" if balanced else None,
        solver="newton-cholesky",
        tol=1e-12,
        max_iter=1000,
    ).fit((values - values.mean())[:, None] / spread, label.numpy())
    weight = model.coef_[0, 0] / spread
    return weight, model.intercept_[0] - weight * values.mean()


@pytest.mark.parametrize("l2", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("balanced", [True, False])
def test_fits_are_those_of_scikit_learn(l2: float, balanced: bool) -> None:
    acts, labels = planted()
    fits = fit_one_neuron(acts, labels, l2=l2, balanced=balanced)
    assert fits.converged.all()
    for feature in range(2):
        for neuron in range(40):
            weight, bias = reference(acts[:, neuron], labels[:, feature], l2, balanced)
            assert fits.weight[feature, neuron].item() == pytest.approx(weight, abs=1e-5)
            assert fits.bias[feature, neuron].item() == pytest.approx(bias, abs=1e-5)


def test_the_loss_is_the_stated_objective_and_cannot_be_lowered() -> None:
    acts, labels = planted()
    fits = fit_one_neuron(acts, labels, l2=0.01)
    y = torch.where(labels.T, 1.0, -1.0).double()[:, None]
    positive, negative = labels.sum(0).double()[:, None], (~labels).sum(0).double()[:, None]
    share = torch.where(labels.T, 0.5 / positive, 0.5 / negative)

    def objective(weight: Tensor, bias: Tensor) -> Tensor:
        odds = weight[:, :, None] * acts.T + bias[:, :, None]
        data = (share[:, None] * torch.log1p(torch.exp(-y * odds))).sum(2)
        return data + 0.005 * (weight * acts.std(0, correction=0)).square()

    torch.testing.assert_close(objective(fits.weight, fits.bias), fits.loss)
    for change in (0.99, 1.01):
        assert (objective(fits.weight * change, fits.bias) >= fits.loss - 1e-12).all()
        assert (objective(fits.weight, fits.bias + change - 1) > fits.loss).all()


def test_single_precision_agrees_with_double() -> None:
    acts, labels = planted(600)
    acts = acts.float()
    single, double = (fit_one_neuron(x, labels, l2=1e-3) for x in (acts, acts.double()))
    assert single.converged.all()
    torch.testing.assert_close(single.weight, double.weight, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(single.loss, double.loss, rtol=1e-5, atol=1e-7)


def test_outliers_and_rare_classes_converge() -> None:
    generator = torch.Generator().manual_seed(3)
    acts = torch.distributions.StudentT(1.5).rsample((500, 64)).double()
    acts[::50] *= 30
    labels = torch.zeros(500, 2, dtype=torch.bool)
    labels[:2, 0] = True
    labels[:, 1] = torch.rand(500, generator=generator) < 0.5
    fits = fit_one_neuron(acts, labels, l2=1e-4)
    assert fits.converged.all()
    for neuron in range(0, 64, 7):
        weight, bias = reference(acts[:, neuron], labels[:, 0], 1e-4, True)
        assert fits.weight[0, neuron].item() == pytest.approx(weight, rel=1e-4, abs=1e-5)
        assert fits.bias[0, neuron].item() == pytest.approx(bias, rel=1e-4, abs=1e-5)


def test_separable_classes_have_a_solution_under_the_ridge() -> None:
    acts = torch.linspace(-1, 1, 40, dtype=torch.float64)[:, None]
    fits = fit_one_neuron(acts, acts > 0, l2=1e-6)
    weight, bias = reference(acts[:, 0], acts[:, 0] > 0, 1e-6, True)
    assert fits.converged.all()
    assert fits.weight.item() == pytest.approx(weight, rel=1e-5)
    assert fits.bias.item() == pytest.approx(bias, abs=1e-4)


def test_a_constant_neuron_gets_no_weight() -> None:
    acts, labels = torch.full((30, 1), 0.1), torch.arange(30)[:, None] < 10
    fits = fit_one_neuron(acts, labels, l2=0.1)
    assert fits.weight.item() == 0
    assert fits.loss.item() == pytest.approx(np.log(2))
    plain = fit_one_neuron(acts, labels, l2=0.1, balanced=False)
    assert plain.bias.item() == pytest.approx(np.log(0.5), abs=1e-6)


def test_fits_follow_their_neurons_in_any_block(monkeypatch) -> None:
    acts, labels = planted()
    whole = fit_one_neuron(acts, labels, l2=0.01)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(columns, "BLOCK_ELEMENTS", 1)
    parts = fit_one_neuron(acts[:, order], labels, l2=0.01)
    torch.testing.assert_close(parts.weight, whole.weight[:, order], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(parts.loss, whole.loss[:, order])


def test_copies_fit_alike_and_a_negated_copy_with_the_other_sign() -> None:
    acts, labels = planted()
    acts = torch.cat([acts[:, :1], acts[:, :1], -acts[:, :1]], dim=1)
    weight = fit_one_neuron(acts, labels, l2=0.01).weight
    torch.testing.assert_close(weight[:, 0], weight[:, 1])
    torch.testing.assert_close(weight[:, 0], -weight[:, 2])


def test_a_fit_that_did_not_arrive_says_so() -> None:
    acts, labels = planted()
    fits = fit_one_neuron(acts, labels, l2=1e-4, max_iter=1)
    assert not fits.converged.all()
    assert fits.n_iter.max() == 1


def test_guards() -> None:
    acts, labels = planted()
    with pytest.raises(DataError, match="l2 must be positive"):
        fit_one_neuron(acts, labels, l2=0.0)
    with pytest.raises(OneClassError, match="no negative"):
        fit_one_neuron(acts, labels | True, l2=0.1)
    with pytest.raises(DataError, match="NaN"):
        fit_one_neuron(acts / 0, labels, l2=0.1)


def single_and_double(acts: Tensor, labels: Tensor, **more) -> None:
    """Compiled fits of float32 are those that torch finds in float64."""
    found, wanted = (fit_one_neuron(x, labels, **more) for x in (acts, acts.double()))
    assert found.converged.all()
    spread = acts.double().std(0, correction=0)
    off = (found.weight - wanted.weight).abs() * spread
    assert (off <= 1e-4 * (wanted.weight.abs() * spread).clamp(min=1e-3)).all()
    assert ((found.loss - wanted.loss).abs() <= 2e-6 * wanted.loss + 1e-9).all()
    size = wanted.bias.abs() + wanted.weight.abs() * acts.abs().amax(0) + 1e-2
    assert ((found.bias - wanted.bias).abs() <= 1e-4 * size).all()


@pytest.mark.parametrize("n", [7, one_neuron_loops.PIECE + 1, 2 * one_neuron_loops.PIECE])
@pytest.mark.parametrize("d", [1, one_neuron.LANES, one_neuron.WIDE + 3])
def test_compiled_fits_of_every_shape_are_those_of_torch(n: int, d: int) -> None:
    acts, labels = planted(n, max(d, 20))
    labels[:2] = torch.tensor([[True, False], [False, True]])
    single_and_double(acts[:, :d].float(), labels, l2=1e-2)


@pytest.mark.parametrize("l2", [1.0, 1e-3, 1e-6])
@pytest.mark.parametrize(
    ("scale", "shift"), [(1.0, 0.0), (1e-4, 0.0), (1e-25, 0.0), (30.0, 3000.0)]
)
def test_compiled_fits_keep_their_digits(l2: float, scale: float, shift: float) -> None:
    acts, labels = planted()
    single_and_double((acts * scale + shift).float(), labels, l2=l2)


@pytest.mark.parametrize("threads", [1, 3])
def test_compiled_fits_do_not_depend_on_threads_layout_or_precision(threads: int) -> None:
    acts, labels = planted(200, 2 * one_neuron.WIDE + 5)
    half = acts.bfloat16()
    before, wanted = torch.get_num_threads(), fit_one_neuron(half.float(), labels, l2=1e-2)
    torch.set_num_threads(threads)
    try:
        for x in (half, half.float().T.contiguous().T, half.repeat(1, 2)[:, : half.shape[1]]):
            assert torch.equal(fit_one_neuron(x, labels, l2=1e-2).weight, wanted.weight)
    finally:
        torch.set_num_threads(before)


def test_a_compiled_fit_that_may_not_step_often_enough_says_so() -> None:
    acts, labels = planted()
    once = fit_one_neuron(acts.float(), labels, l2=1e-6, max_iter=1)
    enough = fit_one_neuron(acts.float(), labels, l2=1e-6)
    assert not once.converged.all()
    assert (once.n_iter == 1).all()
    assert (once.loss[~once.converged] > enough.loss[~once.converged]).all()


def test_values_too_small_to_tell_apart_are_a_constant_neuron() -> None:
    acts, labels = planted(d=20)
    fits = fit_one_neuron((acts[:, :3] * 1e-42).float(), labels, l2=1e-2)
    assert (fits.weight == 0).all()
    assert fits.loss.isfinite().all()
    assert fits.converged.all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_values_that_are_not_finite_are_named_in_every_precision(
    bad: float, dtype: torch.dtype
) -> None:
    acts, labels = planted(200, 2 * one_neuron.WIDE + 5)
    acts = acts.to(dtype)
    acts[17, one_neuron.WIDE + 3] = bad
    with pytest.raises(DataError, match=rf"in 1 neurons \(first: {one_neuron.WIDE + 3}\) of 1"):
        fit_one_neuron(acts, labels, l2=1e-2)


@pytest.mark.parametrize("scale", [1e18, 1e30, 3e37])
def test_values_too_large_to_be_squared_are_fitted_in_float64(scale: float) -> None:
    acts, labels = planted(200, 25)
    acts = acts.float().clamp(-8, 8)
    wide = acts.clone()
    wide[:, 2] *= scale
    wide[:, 4] = 3e38
    found, plain = (fit_one_neuron(x, labels, l2=1e-2) for x in (wide, acts))
    others = torch.tensor([at for at in range(25) if at not in (2, 4)])
    assert torch.equal(found.weight[:, others], plain.weight[:, others])
    assert plain.weight[:, 2].abs().min() > 0.01
    torch.testing.assert_close(found.weight[:, 2] * scale, plain.weight[:, 2], rtol=1e-3, atol=0)
    torch.testing.assert_close(found.loss[:, 2], plain.loss[:, 2], rtol=1e-5, atol=0)
    assert found.weight[:, 4].eq(0).all()
    assert found.converged.all()


@pytest.mark.parametrize("room", [2**21, 1])
def test_hard_fits_among_easy_ones_are_those_of_torch(room: int, monkeypatch) -> None:
    """Few go on when most have arrived, and are copied beside one another."""
    monkeypatch.setattr(one_neuron, "ROOM", room)
    acts, labels = planted(400, 300)
    acts[:, 60:120:7] += 40.0 * labels[:, 1:]
    acts[:, 130] *= labels[:, 0]
    single_and_double(acts.float(), labels, l2=1e-6)
    steps = fit_one_neuron(acts.float(), labels, l2=1e-6).n_iter
    assert steps.max() > 6
    assert steps.double().median() < 4


def test_weak_neurons_are_fitted_by_one_step_from_their_moments() -> None:
    """The start is good to high order where all log-odds are small, whatever the classes weigh."""
    generator = torch.Generator().manual_seed(0)
    acts, labels = torch.randn(4000, 64, generator=generator), torch.arange(4000)[:, None] % 5 == 0
    for balanced in (True, False):
        fits = fit_one_neuron(acts, labels, l2=1e-3, balanced=balanced)
        assert (fits.n_iter == 1).all()
        single_and_double(acts, labels, l2=1e-3, balanced=balanced)
