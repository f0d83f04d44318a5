import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.probing import columns
from needlepoint.probing.scores import confusion
from needlepoint.probing.threshold import best_threshold_f1, calls_at, f1_at, midpoints


def brute_force(values: Tensor, label: Tensor) -> float:
    """The best F1 over every cut and both signs, one by one."""
    best = 0.0
    for value in values.unique():
        for called in (values >= value, values <= value):
            best = max(best, 2 * int((called & label).sum()) / int(called.sum() + label.sum()))
    return best


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_it_is_the_best_over_all_cuts_and_signs_with_ties(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 14))
    levels = st.lists(st.integers(-3, 3), min_size=n, max_size=n)
    acts = torch.tensor([data.draw(levels) for _ in range(3)], dtype=torch.float32).T / 3
    label = torch.tensor(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    label[0], label[1] = True, False
    best = best_threshold_f1(acts, label[:, None])
    for neuron in range(3):
        expected = brute_force(acts[:, neuron], label)
        assert best.f1[0, neuron].item() == pytest.approx(expected, abs=1e-12)
    again = f1_at(acts, best.threshold, best.sign, label[:, None])
    torch.testing.assert_close(again, best.f1, rtol=0, atol=0)


@pytest.mark.parametrize("n", [300, 1500])
def test_many_features_and_blocks_share_one_sort(n: int, monkeypatch) -> None:
    monkeypatch.setattr(columns, "BLOCK_ELEMENTS", 16 * n)
    generator = torch.Generator().manual_seed(0)
    acts = torch.randn(n, 20, generator=generator)
    labels = torch.rand(n, 2, generator=generator) < 0.2
    best = best_threshold_f1(acts, labels)
    for feature in range(2):
        for neuron in (0, 19):
            expected = brute_force(acts[:, neuron].round(decimals=1), labels[:, feature])
            assert best.f1[feature, neuron] >= expected - 1e-12
    torch.testing.assert_close(f1_at(acts, best.threshold, best.sign, labels), best.f1)


def test_a_negated_neuron_is_found_with_the_other_sign() -> None:
    acts = torch.randn(80, 1, generator=torch.Generator().manual_seed(0))
    labels = acts > 0.7
    up, down = best_threshold_f1(acts, labels), best_threshold_f1(-acts, labels)
    assert (up.f1.item(), up.sign.item(), down.f1.item(), down.sign.item()) == (1, 1, 1, -1)
    assert up.threshold.item() == -down.threshold.item()


def test_a_constant_neuron_can_only_call_everything() -> None:
    labels = torch.tensor([[True], [False], [False]])
    best = best_threshold_f1(torch.ones(3, 1), labels)
    assert best.f1.item() == 0.5
    assert best.threshold.item() == -torch.inf
    assert f1_at(torch.ones(3, 1) * -9, best.threshold, best.sign, labels).item() == 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_neighbouring_floats_are_kept_apart(dtype: torch.dtype) -> None:
    lower = torch.tensor([1.0, -1.0, 3e38, 0.0]).to(dtype)
    upper = torch.nextafter(lower.float(), torch.full((4,), torch.inf)).to(dtype)
    if dtype == torch.float64:
        upper = torch.nextafter(lower, torch.full_like(lower, torch.inf))
    upper = torch.where(upper > lower, upper, lower + lower.abs().clamp(min=1))
    middle, other = midpoints(upper, lower), midpoints(upper, lower, below=True)
    assert ((middle >= lower) & (middle < upper)).all()
    assert ((other > lower) & (other <= upper)).all()


def test_a_threshold_is_worth_less_on_new_data_when_labels_are_shuffled() -> None:
    generator = torch.Generator().manual_seed(0)
    acts = torch.randn(60, 500, generator=generator)
    labels = torch.arange(60)[:, None] < 12
    best = best_threshold_f1(acts, labels)
    fresh = torch.randn(400, 500, generator=generator)
    truth = torch.arange(400)[:, None] < 80
    assert f1_at(fresh, best.threshold, best.sign, truth).mean() < best.f1.mean() - 0.03


def test_guards() -> None:
    acts, labels = torch.zeros(3, 2), torch.tensor([[True], [False], [True]])
    with pytest.raises(OneClassError, match="no negative"):
        best_threshold_f1(acts, labels | True)
    with pytest.raises(DataError, match="NaN"):
        f1_at(acts / 0, torch.zeros(1, 2), torch.ones(1, 2).long(), labels)


def drawn_calls(n: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Activations, thresholds of two features on five neurons, signs, and labels."""
    generator = torch.Generator().manual_seed(5)
    acts = torch.randn(n, 5, generator=generator)
    labels = acts[:, :2] + torch.randn(n, 2, generator=generator) > 0.5
    threshold = torch.randn(2, 5, generator=generator) / 2
    sign = torch.where(torch.rand(2, 5, generator=generator) < 0.5, -1, 1)
    return acts, threshold, sign, labels


def test_calls_and_their_standard_error_are_those_of_the_confusion() -> None:
    acts, threshold, sign, labels = drawn_calls(200)
    found = calls_at(acts, threshold, sign, labels)
    for neuron in range(5):
        for feature in range(2):
            side, cut = int(sign[feature, neuron]), threshold[feature, neuron]
            called = acts[:, neuron] > cut if side > 0 else acts[:, neuron] < cut
            counts = confusion(called[:, None], labels[:, [feature]])
            at = (feature, neuron)
            assert found.hits[at] == counts.true_positive[0]
            assert found.called[at] == called.sum()
            torch.testing.assert_close(found.f1[at], counts.f1[0])
            torch.testing.assert_close(found.f1_standard_error[at], counts.f1_standard_error[0])
    assert found.n_positive[:, 0].tolist() == labels.sum(0).tolist()


def test_the_standard_error_is_the_spread_over_new_examples() -> None:
    acts, threshold, sign, labels = drawn_calls(150_000)
    parts = [
        calls_at(part, threshold, sign, label).f1
        for part, label in zip(acts.split(150), labels.split(150), strict=True)
    ]
    spread = torch.stack(parts).std(0)
    error = calls_at(acts, threshold, sign, labels).f1_standard_error * 1000**0.5
    torch.testing.assert_close(error, spread, rtol=0.1, atol=0)


def test_a_value_at_the_cut_is_on_neither_side() -> None:
    acts, labels = torch.tensor([[1.0], [0.5], [0.0]]), torch.tensor([[True], [True], [False]])
    for sign in (1, -1):
        found = calls_at(acts, torch.tensor([[0.5]]), torch.tensor([[sign]]), labels)
        assert found.called.item() == 1, sign


def test_calls_without_a_doubt_have_no_standard_error() -> None:
    acts = torch.tensor([[0.0], [1.0], [2.0]])
    labels = torch.tensor([[False], [True], [True]])
    cut, up, down = torch.tensor([[0.5]]), torch.tensor([[1]]), torch.tensor([[-1]])
    right, wrong = calls_at(acts, cut, up, labels), calls_at(acts, cut, down, labels)
    assert (right.f1.item(), right.f1_standard_error.item()) == (1, 0)
    assert (wrong.f1.item(), wrong.f1_standard_error.item()) == (0, 0)
    never = calls_at(acts, torch.tensor([[9.0]]), up, labels)
    assert (never.called.item(), never.f1.item()) == (0, 0)
    with pytest.raises(OneClassError, match="no positive"):
        calls_at(acts, cut, up, labels & False)
