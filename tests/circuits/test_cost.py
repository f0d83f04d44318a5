"""The meter counts what was done, whatever was left out, and goes away again."""

from __future__ import annotations

import time

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.circuits import cost
from needlepoint.circuits.cost import measured
from needlepoint.models.hooks import record, resume_from
from needlepoint.models.model import Model
from needlepoint.testing.tiny import TINY_FAMILIES, tiny_model

IDS = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 8, 7, 6]]
"""Five tokens each with the first one."""
MIB = 2**20


@pytest.fixture(scope="module")
def llama() -> Model:
    return tiny_model("llama")


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_a_whole_pass_is_one_for_each_prompt(family: str) -> None:
    model = tiny_model(family)
    batch = model.batch(IDS)
    with measured(model) as meter, torch.no_grad():
        model.hidden(batch)
        model.last_logits(batch)
    assert meter.cost.forward_passes == 6
    assert meter.cost.tokens == 2 * batch.ids.numel()
    assert meter.cost.backward_passes == 0


@pytest.mark.parametrize("family", ["gpt2", "llama", "opt", "gemma2"])
def test_a_backward_pass_is_counted_where_it_goes(family: str) -> None:
    """A loss on the stream before the last layer goes back through two layers of three."""
    model = tiny_model(family)
    batch = model.batch(IDS)
    with measured(model) as meter:
        model.last_logits(batch).square().mean().backward()
    assert (meter.cost.forward_passes, meter.cost.backward_passes) == (3, 3)
    streams: list[torch.Tensor] = []
    handle = model.blocks[1].register_forward_hook(
        lambda _, __, out: streams.append(out[0] if isinstance(out, tuple) else out)
    )
    with measured(model) as meter:
        model.last_logits(batch)
        streams[0].square().mean().backward()
    handle.remove()
    model.module.zero_grad()
    assert meter.cost.forward_passes == 3
    assert meter.cost.backward_passes == pytest.approx(2)


def test_layers_that_are_passed_over_do_not_count(llama: Model) -> None:
    batch = llama.batch(IDS)
    with record(llama, ["L2.resid.in"]) as kept:
        llama.hidden(batch)
    stream = next(iter(kept.values()))
    with measured(llama) as meter, resume_from(llama, 2, stream):
        llama.hidden(batch)
    assert meter.cost.forward_passes == pytest.approx(1)
    assert meter.cost.tokens == pytest.approx(batch.ids.numel() / 3)


def test_time_and_memory_are_those_of_the_block(llama: Model) -> None:
    held = []
    with measured(llama) as meter:
        for _ in range(4):  # large enough that memory is asked for and not found free
            held.append(torch.ones(64 * MIB, dtype=torch.uint8))
            time.sleep(0.02)
    with measured(llama) as idle:
        time.sleep(0.02)
    assert 192 * MIB < meter.cost.peak_bytes < 384 * MIB
    assert idle.cost.peak_bytes < 8 * MIB
    assert meter.cost.seconds >= 0.08
    assert meter.cost.cpu_seconds >= 0
    assert meter.cost.device_peak_bytes is None


def test_memory_given_back_within_the_block_is_still_its_peak(llama: Model) -> None:
    with measured(llama) as meter:
        large = torch.ones(64 * MIB, dtype=torch.uint8)
        time.sleep(0.1)
        del large
    assert meter.cost.peak_bytes > 48 * MIB


PIECE = 64 * 1024
"""Bytes of a piece of memory so small that the allocator keeps it when it is freed."""


def pieces(mib: int) -> list[torch.Tensor]:
    return [torch.ones(PIECE, dtype=torch.uint8) for _ in range(mib * MIB // PIECE)]


def peak_after_freeing(model: Model, freed: int, used: int) -> int:
    """Peak in MiB of work that uses memory, after other work has freed some; both in MiB."""
    before = pieces(freed + 1)
    last = before.pop()  # lies above what is freed, so the allocator cannot shrink its heap
    del before
    with measured(model) as meter:
        after = pieces(used)
        time.sleep(0.05)
    assert len(last) == len(after[0])
    return meter.cost.peak_bytes // MIB


@pytest.mark.skipif(not cost._give_back(), reason="not the allocator of glibc")
def test_memory_that_was_freed_before_does_not_hide_what_is_used(
    llama: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 95 <= peak_after_freeing(llama, freed=300, used=100) <= 115
    assert 95 <= peak_after_freeing(llama, freed=0, used=100) <= 115
    with measured(llama) as meter:
        pass
    assert meter.cost.given_back
    monkeypatch.setattr(cost, "_give_back", lambda: False)
    assert peak_after_freeing(llama, freed=300, used=100) < 20, "nothing was hidden: no test"
    with measured(llama) as meter:
        pass
    assert not meter.cost.given_back


def test_an_allocator_that_cannot_be_told_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost.sys, "platform", "darwin")
    assert not cost._give_back()
    monkeypatch.setattr(cost.sys, "platform", "linux")
    monkeypatch.setattr(cost.ctypes, "CDLL", lambda _: object())  # such as musl's
    assert not cost._give_back()


def test_the_cost_is_not_known_before_the_end(llama: Model) -> None:
    with (
        measured(llama) as meter,
        pytest.raises(DataError, match="known when the block has ended"),
    ):
        _ = meter.cost


def test_an_error_leaves_the_cost_so_far_and_no_hooks(llama: Model) -> None:
    def work() -> None:
        llama.hidden(llama.batch(IDS))
        raise KeyError

    with pytest.raises(KeyError), measured(llama) as meter:
        work()
    assert meter.cost.forward_passes == 3
    assert not any(block._forward_pre_hooks for block in llama.blocks)
    assert not any(llama.mlp_output(layer)._forward_hooks for layer in range(3))
