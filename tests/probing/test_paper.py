import math
import warnings

import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_sample_weight
from torch import Tensor

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.probing.paper import paper_adaptive_thresholding, penalty_at
from needlepoint.probing.sweep import adaptive_thresholding


def planted(n: int = 150, d: int = 40) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.rand(n, 2, generator=generator) < torch.tensor([0.3, 0.5])
    x = torch.randn(n, d, generator=generator)
    x[:, [4, 9]] += labels[:, :1] * torch.tensor([2.0, -3.0])
    return torch.nn.functional.gelu(x) * torch.linspace(0.1, 10, d), labels


@pytest.mark.parametrize(
    ("k", "C", "rho"), [(256, 12.8, 0.1), (16, 0.8, 0.45), (1, 0.05, 0.9), (20, 1.0, math.exp(-1))]
)
def test_the_penalties_are_the_published_ones(k: int, C: float, rho: float) -> None:
    assert penalty_at(k) == (pytest.approx(C), pytest.approx(rho, abs=0.005))


def test_it_is_the_procedure_of_the_paper_step_by_step() -> None:
    acts, labels = planted()
    path = paper_adaptive_thresholding(acts, labels, ks=[2, 4, 8], start=16)
    scaled = acts.double() / (10 * acts.double().std(0, correction=0).clamp(min=1e-3))
    label = labels[:, 0]
    order = (scaled[label].mean(0) - scaled[~label].mean(0)).abs().argsort(descending=True)
    for k in (8, 4, 2):
        support = order[:k]
        C, rho = penalty_at(k)
        model = LogisticRegression(
            solver="saga", C=C, l1_ratio=rho, class_weight="balanced", max_iter=1000, random_state=0
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(scaled[:, support].float().numpy(), label.numpy())
        probe = path.probe(0, k)
        assert probe.support.tolist() == support.sort().values.tolist()
        odds = model.decision_function(scaled[:, support].float().numpy())
        torch.testing.assert_close(probe(acts), torch.from_numpy(odds).double(), atol=1e-4, rtol=0)
        order = support[abs(torch.from_numpy(model.coef_[0])).sort(descending=True, stable=True)[1]]


def test_supports_are_nested_and_zero_weights_are_ordered_as_before() -> None:
    acts, labels = planted()
    path = paper_adaptive_thresholding(acts, labels)
    assert path.ks[-1] == 32
    for small, large in zip(path.probes, path.probes[1:], strict=False):
        for feature in range(2):
            assert set(small.support[feature].tolist()) <= set(large.support[feature].tolist())
    assert (path.probes[7].weight == 0).any()


def test_where_saga_converges_its_subgradient_is_nearly_zero_and_its_loss_known() -> None:
    acts, labels = planted()
    batch = paper_adaptive_thresholding(acts, labels, ks=[8]).probes[0]
    assert (batch.gradient_norm < 1e-4).all()
    sd = acts.double().std(0, correction=0)
    C, rho = penalty_at(8)
    for feature in range(2):
        label, probe = labels[:, feature], batch.probe(feature)
        data = log_loss(
            label, probe(acts).sigmoid(), sample_weight=compute_sample_weight("balanced", label)
        )
        weight = probe.weight * 10 * sd[probe.support]
        net = rho * weight.abs().sum() + (1 - rho) / 2 * weight.square().sum()
        assert batch.loss[feature].item() == pytest.approx(data + net.item() / (C * 150))


def test_it_names_the_neurons_that_the_clean_sweep_names() -> None:
    acts, labels = planted()
    paper = paper_adaptive_thresholding(acts, labels, ks=[2])
    clean = adaptive_thresholding(acts, labels, l2=0.02, ks=[2])
    assert paper.probe(0, 2).support.tolist() == clean.probe(0, 2).support.tolist() == [4, 9]


def test_constant_neurons_are_harmless() -> None:
    acts, labels = planted()
    acts[:, 0] = 3.0
    assert 0 not in paper_adaptive_thresholding(acts, labels, ks=[4]).probe(0, 4).support


def test_guards() -> None:
    acts, labels = planted()
    with pytest.raises(DataError, match="size from 1 to 40"):
        paper_adaptive_thresholding(acts, labels, ks=[300])
    with pytest.raises(OneClassError, match="no positive"):
        paper_adaptive_thresholding(acts, labels & False)
    with pytest.raises(DataError, match="NaN"):
        paper_adaptive_thresholding(acts / 0, labels)
