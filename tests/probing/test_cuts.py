import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torch import Tensor

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.probing import columns, cuts, falling
from needlepoint.probing.cuts import MEASURES, best_cut, score_cuts
from needlepoint.probing.threshold import best_threshold_f1


def measured(label: Tensor, called: Tensor, measure: str) -> float:
    """The measure by its definition."""
    hit, false = int((label & called).sum()), int((~label & called).sum())
    missed, right = int((label & ~called).sum()), int((~label & ~called).sum())
    if measure == "f1":
        return 2 * hit / (2 * hit + false + missed)
    if measure == "balanced_accuracy":
        return (hit / (hit + missed) + right / (right + false)) / 2
    spread = (hit + false) * (hit + missed) * (right + false) * (right + missed)
    return (hit * right - false * missed) / spread**0.5


def brute_force(values: Tensor, label: Tensor, measure: str) -> tuple[float, int, float]:
    """Best value, sign and upper end of the cut: every cut one by one, +1 and high cuts first."""
    distinct = values.unique().sort(descending=True).values
    found = []
    for sign in (1, -1):
        for at, value in enumerate(distinct):
            called = values >= value if sign > 0 else values <= value
            if bool(called.all()) and measure == "mcc":
                continue
            upper = value if sign > 0 else torch.cat([torch.tensor([torch.inf]), distinct])[at]
            found.append((measured(label, called, measure), sign, float(upper)))
    top = max(value for value, _, _ in found)
    return next(one for one in found if one[0] >= top - 1e-12)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_every_measure_is_the_best_over_all_cuts_and_signs(data: st.DataObject) -> None:
    n, n_features = data.draw(st.integers(3, 12)), data.draw(st.sampled_from([1, 2, 4]))
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64, torch.float16]))
    spread = data.draw(st.sampled_from([1, 3, 50]))
    level = st.integers(-spread, spread)
    rows = data.draw(st.lists(st.lists(level, min_size=2, max_size=2), min_size=n, max_size=n))
    acts = torch.tensor(rows).to(dtype) / 4
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    labels = torch.rand(n, n_features, generator=generator) < 0.4
    labels[0], labels[1] = True, False
    scores = score_cuts(acts, labels)
    for neuron in range(2):
        values = acts[:, neuron].float()
        for feature in range(n_features):
            label = labels[:, feature]
            assert scores.auc[feature, neuron].item() == pytest.approx(roc_auc_score(label, values))
            for measure, best in scores.best.items():
                found = best.value[feature, neuron].item()
                if len(values.unique()) == 1 and measure == "mcc":
                    assert found != found
                    continue
                value, sign, upper = brute_force(values, label, measure)
                assert found == pytest.approx(value, abs=1e-12)
                cut, side = best.threshold[feature, neuron], int(best.sign[feature, neuron])
                called = values > cut if side > 0 else values < cut
                assert measured(label, called, measure) == pytest.approx(value, abs=1e-12)
                assert side == sign
                assert cut <= upper


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_many_features_share_one_sort(dtype: torch.dtype, monkeypatch) -> None:
    monkeypatch.setattr(columns, "BLOCK_ELEMENTS", 16 * 70)
    generator = torch.Generator().manual_seed(0)
    acts = torch.randn(70, 40, generator=generator).to(dtype)
    acts[:, ::5] = acts[:, ::5].relu()
    acts[:, 3] = 0.5
    labels = torch.rand(70, 40, generator=generator) < 0.3
    every = score_cuts(acts, labels)
    for feature in range(40):
        alone = score_cuts(acts, labels[:, [feature]])
        assert torch.equal(alone.auc[0], every.auc[feature])
        for measure, best in alone.best.items():
            for name in ("value", "threshold", "sign"):
                one, all_ = getattr(best, name)[0], getattr(every.best[measure], name)[feature]
                assert torch.equal(one.nan_to_num(9), all_.nan_to_num(9)), (measure, name)


def test_negated_neurons_have_the_other_sign_and_auc() -> None:
    generator = torch.Generator().manual_seed(0)
    acts = torch.randn(200, 30, generator=generator)
    labels = acts[:, :1] + torch.randn(200, 1, generator=generator) > 1
    up, down = score_cuts(acts, labels), score_cuts(-acts, labels)
    torch.testing.assert_close(up.auc, 1 - down.auc)
    for measure in MEASURES:
        torch.testing.assert_close(up.best[measure].value, down.best[measure].value)
    assert up.best["mcc"].sign[0, 0] == 1 == -down.best["mcc"].sign[0, 0]


def test_a_constant_neuron_has_no_correlation_and_chance_for_the_rest() -> None:
    labels = torch.tensor([[True], [False], [False], [False]])
    scores = score_cuts(torch.full((4, 1), -2.5), labels)
    assert scores.best["mcc"].value.isnan().all()
    assert scores.auc.item() == scores.best["balanced_accuracy"].value.item() == 0.5
    assert scores.best["f1"].value.item() == 0.4
    assert all((best.threshold == -torch.inf).all() for best in scores.best.values())


def test_one_measure_alone_is_that_of_all() -> None:
    acts = torch.randn(60, 9, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(60)[:, None] % 4 == 0
    every = score_cuts(acts, labels)
    for measure, best in every.best.items():
        assert torch.equal(best_cut(acts, labels, measure).value, best.value)
    assert torch.equal(best_threshold_f1(acts, labels).f1, every.best["f1"].value)
    assert score_cuts(acts, labels, measures=()).best == {}


@pytest.mark.parametrize("n_features", [1, 4])
def test_the_operations_of_other_devices_give_the_same(n_features: int, monkeypatch) -> None:
    generator = torch.Generator().manual_seed(2)
    acts = torch.randn(90, 20, generator=generator)
    acts[:, ::3] = acts[:, ::3].round()
    labels = torch.rand(90, n_features, generator=generator) < 0.3
    expected = score_cuts(acts, labels)
    monkeypatch.setattr(falling, "_quick", lambda table: table)
    monkeypatch.setattr(falling, "_sorted", lambda rows: rows.sort(dim=1).values)
    monkeypatch.setattr(cuts, "_highest", lambda scores: scores.argmax(1, keepdim=True))
    found = score_cuts(acts, labels)
    assert torch.equal(found.auc, expected.auc)
    for measure, best in found.best.items():
        assert torch.equal(best.threshold, expected.best[measure].threshold)
        assert torch.equal(best.value, expected.best[measure].value)


def test_data_are_left_as_they_were() -> None:
    acts = torch.randn(30, 16, generator=torch.Generator().manual_seed(1))
    before = acts.clone()
    score_cuts(acts, torch.arange(30)[:, None] < 9)
    assert torch.equal(acts, before)
    score_cuts(acts.double(), torch.arange(30)[:, None] < 9)


def test_guards() -> None:
    acts, labels = torch.zeros(3, 2), torch.tensor([[True], [False], [True]])
    with pytest.raises(OneClassError, match="no positive"):
        score_cuts(acts, labels & False)
    with pytest.raises(DataError, match="NaN"):
        best_cut(acts / 0, labels, "mcc")
