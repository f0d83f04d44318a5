"""The stand-in for a card refuses what a card refuses, and computes what the CPU computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from needlepoint.testing.alike import differences, moved
from needlepoint.testing.card import stand_in_card
from needlepoint.testing.card_rules import has_cuda_kernel

HERE = torch.arange(6.0).view(2, 3)
REFUSED: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "operands of two devices": (lambda x: x + HERE, r"on cuda:0 and on cpu \(in add"),
    "a result on the CPU": (lambda x: HERE.clone().add_(x), r"cuda:0 and on cpu \(in add_"),
    "a single number to write to": (
        lambda x: torch.tensor(1.0).add_(x.sum()),
        r"cuda:0 and on cpu \(in add_",
    ),
    "products": (lambda x: x @ HERE.T, r"cuda:0 and on cpu \(in mm"),
    "indices of the card on the CPU": (lambda x: HERE[x > 1], r"cuda:0 and on cpu \(in index"),
    "values of the CPU at places": (
        lambda x: x.__setitem__(x > 1, HERE[HERE > 1]),
        r"cuda:0 and on cpu \(in index_put_",
    ),
    "a choice by indices of the CPU": (
        lambda x: x.index_select(0, torch.tensor([1])),
        r"cuda:0 and on cpu \(in index_select",
    ),
    "a search for numbers of the CPU": (
        lambda x: torch.searchsorted(x, torch.tensor(1.0)),
        r"cuda:0 and on cpu \(in searchsorted",
    ),
    "a generator of the CPU": (
        lambda x: torch.rand(2, generator=torch.Generator(), device=x.device),
        "expected a generator on cuda",
    ),
    "products of integers": (lambda x: x.long() @ x.long().T, "mm is not implemented on CUDA for"),
    "what CUDA has not": (lambda x: torch.histogram(x, 3), "histogram is not implemented on CUDA"),
    "numpy": (lambda x: x.numpy(), "can't convert cuda:0 device type tensor to numpy"),
}
ALLOWED: dict[str, Callable[[Tensor], Any]] = {
    "single numbers": lambda x: x * torch.tensor(2.0) + 1,
    "indices of the CPU": lambda x: (x[torch.tensor([1, 0])], x[HERE > 2], x[:, [2, 0]]),
    "writing": lambda x: x.clone().masked_fill_(x > 1, 0.0).index_fill_(0, _on(x, 1), 7.0),
    "copies": lambda x: x.clone().copy_(HERE * 2),
    "numbers": lambda x: (x.tolist(), float(x.sum()), bool((x > 1).any()), f"{x.sum():.1f}"),
    "new tensors": lambda x: (x.new_zeros(2), torch.tensor([1, 2], device=x.device), x.new_ones(1)),
    "views": lambda x: x.clone().T[1:].zero_(),
    "factorisation": lambda x: torch.linalg.cholesky(x @ x.T + torch.eye(2, device=x.device)),
}


def _on(x: Tensor, number: int) -> Tensor:
    return torch.tensor([number], device=x.device)


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_card_refuses_is_refused(name: str) -> None:
    work, message = REFUSED[name]
    with stand_in_card() as card, pytest.raises((RuntimeError, TypeError), match=message):
        work(HERE.to(card))


@pytest.mark.parametrize("name", ALLOWED)
def test_what_a_card_computes_is_computed(name: str, card: torch.device) -> None:
    here, there = ALLOWED[name](HERE), ALLOWED[name](HERE.to(card))
    assert differences(here, there) == []


def test_modules_learn_there_as_on_the_processor(card: torch.device) -> None:
    found = []
    for device in (torch.device("cpu"), card):
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.LayerNorm(4)).to(device)
        step = torch.optim.Adam(module.parameters(), lr=0.1)
        for _ in range(3):
            step.zero_grad()
            module(HERE.to(device)).square().sum(1).softmax(0)[0].backward()
            step.step()
        found.append([parameter.detach() for parameter in module.parameters()])
    assert all(parameter.device == card for parameter in found[1])
    assert differences(*found) == []


def test_it_ends_with_its_block() -> None:
    before = torch.cuda.is_available()
    with stand_in_card() as card:
        assert HERE.to(card).is_cuda
        assert torch.cuda.is_available()
    assert torch.cuda.is_available() is before
    if not before:
        with pytest.raises((RuntimeError, AssertionError)):
            HERE.to("cuda")


def test_the_table_of_kernels_tells_cuda_from_the_processor() -> None:
    for name in ("mm", "add.Tensor", "sort.stable", "linalg_cholesky_ex", "linear", "gelu"):
        assert has_cuda_kernel(*name.split(".", 1)), name
    for name in ("histogram.bin_ct", "mkldnn_linear", "_histogramdd_bin_edges"):
        assert not has_cuda_kernel(*name.split(".", 1)), name


@dataclass(frozen=True)
class Parts:
    rows: Tensor
    more: tuple[Any, ...]


def test_values_are_moved_and_their_differences_told(card: torch.device) -> None:
    one = Parts(HERE, (1.0, {"name": HERE > 1, "none": None}))
    there = moved(one, card)
    assert there.rows.device == there.more[1]["name"].device == card
    assert differences(one, there) == []
    other = Parts(HERE + 1, (float("nan"), {"name": HERE > 2, "none": 3}))
    assert differences(one, other) == [
        "at rows: the values differ by up to 1.",
        "at more.0: 1.0 is not nan.",
        "at more.1.name: 1 of 6 values differ.",
        "at more.1.none: None is not 3.",
    ]
    assert differences(HERE, HERE.double()) == [
        "at the top: torch.float32 of shape (2, 3) is not torch.float64 of shape (2, 3)."
    ]
    assert differences({"a": 1}, {"b": 1}) == ["at the top: there are ['a'], and there ['b']."]


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a CUDA device")
@pytest.mark.parametrize("name", ["cuda", "cuda:1", "gpu"])
def test_a_benchmark_without_its_device_says_so_and_ends(
    name: str, imported: Callable[[Path], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    module = imported(Path(__file__).parents[2] / "benchmarks" / "device.py")
    assert module.device_of("cpu") == torch.device("cpu")
    with pytest.raises(SystemExit) as ended:
        module.device_of(name)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said == (
        f"device '{name}' cannot be used here: give 'cpu', or 'cuda' on a machine with a card.\n"
    )
