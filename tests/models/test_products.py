"""Products by the quicker library are torch's own to rounding, with gradients, in any layout."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from needlepoint.models import products
from needlepoint.models.hooks import record
from needlepoint.models.products import CAPACITIES, product, quick_product, quicken
from needlepoint.models.sites import Part, Site
from needlepoint.testing.tiny import tiny_model


@pytest.fixture(autouse=True)
def as_where_it_is_quicker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take the quicker library on any processor, for products of any size."""
    monkeypatch.setattr(products, "_is_wide_amd", torch.backends.mkldnn.is_available)
    monkeypatch.setattr(products, "LEAST_WORK", 0)
    quick_product.cache_clear()
    if quick_product() is None:
        pytest.skip("this build of torch has no oneDNN")
    with torch.enable_grad():
        yield
    quick_product.cache_clear()


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


LAYOUTS = {
    "plain": normal(70, 33),
    "of three axes": normal(5, 14, 33),
    "transposed": normal(33, 70).T,
    "axes exchanged": normal(14, 5, 33).transpose(0, 1),
    "every second": normal(140, 66)[::2, ::2],
    "a part": normal(5, 20, 40)[:, 3:9, 4:37],
    "repeated": normal(1, 33).expand(70, 33),
    "empty": normal(0, 33),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("turned", [False, True])
def test_a_product_is_torchs_own_to_rounding(layout: str, turned: bool) -> None:
    left, right = LAYOUTS[layout], normal(21, 33).T if turned else normal(33, 21)
    assert products._quick_for(left, right.mT, 1) is not None
    torch.testing.assert_close(product(left, right), left @ right, atol=1e-4, rtol=1e-5)


def test_gradients_are_torchs_own_and_have_gradients_themselves() -> None:
    def found(multiply: object) -> list[Tensor]:
        x, w = (part.clone().requires_grad_() for part in (normal(4, 9, 33), normal(33, 21)))
        loss = (multiply(x, w) / 9).tanh().square().sum()  # type: ignore[operator]
        first = torch.autograd.grad(loss, (x, w), create_graph=True)
        second = torch.autograd.grad(sum(part.square().sum() for part in first), (x, w))
        return [*first, *second]

    for ours, theirs in zip(found(product), found(torch.matmul), strict=True):
        assert theirs.detach().abs().max() > 1e-2
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_only_what_is_asked_for_has_a_gradient() -> None:
    x, w = normal(8, 33).requires_grad_(), normal(33, 21)
    product(x, w).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, w.sum(1).expand(8, 33), atol=1e-4, rtol=1e-5)
    assert not product(x.detach(), w).requires_grad
    with torch.no_grad():
        assert not product(x, w).requires_grad


def test_what_is_not_finite_stays_in_its_row() -> None:
    x = normal(8, 33)
    x[2, 3], x[5, 7] = float("nan"), float("inf")
    bad = ~torch.isfinite(product(x, normal(33, 21))).all(1)
    assert bad.nonzero()[:, 0].tolist() == [2, 5]


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox"])
def test_a_quickened_model_computes_the_same(family: str) -> None:
    model = tiny_model(family)
    batch = model.batch([[1, 5, 9, 2], [3, 4]])
    plain, names = model.logits(batch), list(model.module.state_dict())
    quick = copy.deepcopy(model.module)
    assert quicken(quick) is quick
    changed = [part for part in quick.modules() if isinstance(part, products._Quick)]
    assert changed
    assert list(quick.state_dict()) == names
    again = copy.deepcopy(quick)
    for module in (quick, quicken(again)):
        other = copy.copy(model)
        object.__setattr__(other, "module", module)
        torch.testing.assert_close(other.logits(batch), plain, atol=1e-5, rtol=1e-4)
        with record(other, [Site.of(1, Part.HEADS)]) as seen, torch.no_grad():
            other.hidden(batch)
        assert seen[Site.of(1, Part.HEADS)].abs().sum() > 0


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_gradients_go_through_a_quickened_model(family: str) -> None:
    model = tiny_model(family)
    batch = model.batch([[1, 5, 9, 2], [3, 4, 8]])

    def found() -> dict[str, Tensor]:
        model.module.zero_grad()
        model.logits(batch)[batch.mask].log_softmax(-1)[:, 7].sum().backward()
        return {
            name: weight.grad.clone()
            for name, weight in model.module.named_parameters()
            if weight.grad is not None
        }

    before = found()
    quicken(model.module)
    after = found()
    assert set(before) == set(after)
    for name, gradient in before.items():
        torch.testing.assert_close(after[name], gradient, atol=1e-5, rtol=1e-3, msg=name)


def test_other_precisions_places_and_switches_are_left_to_torch() -> None:
    x, w = normal(8, 33), normal(21, 33)
    assert products._quick_for(x, w, 1) is not None
    assert products._quick_for(x.double(), w.double(), 1) is None
    assert products._quick_for(x.bfloat16(), w.bfloat16(), 1) is None
    assert products._quick_for(x.to("meta"), w.to("meta"), 1) is None
    before = torch.backends.mkldnn.set_flags(False)
    try:
        assert products._quick_for(x, w, 1) is None
    finally:
        torch.backends.mkldnn.set_flags(before[0])
    with torch.autocast("cpu"):
        assert products._quick_for(x, w, 1) is None
    layer = nn.Linear(33, 21)
    doubled = quicken(copy.deepcopy(layer).double())
    torch.testing.assert_close(doubled(x.double()), linear(x.double(), *doubled.parameters()))


def test_a_torch_without_that_product_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", lambda *_: torch.zeros(2, 4))
    quick_product.cache_clear()
    assert quick_product() is None
    layer = nn.Linear(33, 21)
    assert type(quicken(layer)) is nn.Linear
    torch.testing.assert_close(
        product(normal(8, 33), layer.weight.T), layer(normal(8, 33)) - layer.bias
    )


SHAPES = """
import needlepoint.models.products
import psutil, torch

left, right = torch.randn(400, 256), torch.randn(512, 256)
times = lambda n: torch.ops.mkldnn._linear_pointwise(left[:n], right, None, "none", [], "")
times(400)
before = psutil.Process().memory_info().rss
for n in range(1, 400):
    times(n)
print(psutil.Process().memory_info().rss - before)
"""

LEAST_GROWTH = 100 * 2**20
"""Bytes for the code of all 400 shapes; 250 MiB were measured on a processor with AVX-512."""


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch has no oneDNN here")
def test_code_of_few_shapes_is_kept_unless_it_is_said_otherwise() -> None:
    def growth(**said: str) -> int:
        plain = {key: value for key, value in os.environ.items() if key not in CAPACITIES}
        done = subprocess.run(
            [sys.executable, "-c", SHAPES], env=plain | said, capture_output=True, check=True
        )
        return int(done.stdout)

    every = growth(**dict.fromkeys(CAPACITIES, "1000"))
    if every < LEAST_GROWTH:
        pytest.skip(f"oneDNN makes little code here: {every / 2**20:.0f} MiB for 400 shapes")
    assert growth() < 0.6 * every
