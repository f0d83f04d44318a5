"""What a method costs: time, passes through the network, tokens and memory, as measured."""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import torch
from torch import Tensor, nn

from needlepoint._core.errors import DataError
from needlepoint.models.model import Model

SAMPLE_SECONDS = 0.01
"""How often memory is looked at: what is held for less long than this may be missed."""


@dataclass(frozen=True)
class Cost:
    """What some work with a model took.

    Passes are counted in prompts through the whole network: a forward pass of 60 prompts is 60,
    and one that runs the upper half of the layers alone is 30. Tokens are counted likewise, so
    a pass over the last positions only is a whole pass of few tokens. Both count the MLPs that
    were run: embedding, logits, and a layer whose attention alone was run, do not count.
    """

    seconds: float
    cpu_seconds: float
    """Of this process, all threads together; what children do is not in it."""
    forward_passes: float
    backward_passes: float
    tokens: float
    """Positions that went forward through the whole network, padding included."""
    peak_bytes: int
    """Most memory the process held above what it held at the start, sampled every 10 ms."""
    device_peak_bytes: int | None
    """The same on a CUDA device, where the allocator's own count is exact; None on the CPU."""
    given_back: bool = False
    """Whether memory that the process had freed was given back to the system before the start.
    That needs glibc; elsewhere what was free and is used again does not show in `peak_bytes`."""


class Meter:
    """Counts while work goes on; `cost` is there when it has ended."""

    def __init__(self, n_layers: int) -> None:
        self.n_layers = n_layers
        self.forward = 0
        self.backward = 0
        self.tokens = 0
        self._cost: Cost | None = None

    @property
    def cost(self) -> Cost:
        """What the work took.

        Raises:
            DataError: If the work is still going on.
        """
        if self._cost is None:
            raise DataError("the cost is known when the block has ended; read it after that.")
        return self._cost

    def finish(self, cost: Cost) -> None:
        """Keep what was found."""
        self._cost = cost


@contextmanager
def measured(model: Model) -> Iterator[Meter]:
    """Measure what is done with a model inside the block.

    Gives a meter whose `cost` can be read once the block has ended, also if it ended in an error.
    Wall time is of this machine as busy as it is; compare two methods in one run, by CPU time.
    Memory that is free before the block is given back to the system, so that the block is seen to
    ask for all it uses. Objects that only refer to one another are not free before they are
    collected: call `gc.collect()` before the block where there may be large ones.

    Example:
        >>> from needlepoint.models.micro import micro_model
        >>> model = micro_model()
        >>> with measured(model) as meter:
        ...     _ = model.logits(model.batch([[1, 2, 3], [3, 2, 1]]))
        >>> meter.cost.forward_passes, meter.cost.tokens, meter.cost.backward_passes
        (2.0, 6.0, 0.0)
    """
    meter = Meter(model.shape.n_layers)
    with ExitStack() as stack:
        for layer in range(model.shape.n_layers):
            stack.enter_context(_counted(model, layer, meter))
        memory = stack.enter_context(_watched(model.device))
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield meter
        finally:
            if model.device.type == "cuda":
                torch.cuda.synchronize(model.device)
            seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
            memory.stop()
            n = meter.n_layers
            meter.finish(
                Cost(
                    seconds,
                    cpu_seconds,
                    meter.forward / n,
                    meter.backward / n,
                    meter.tokens / n,
                    memory.peak_bytes,
                    memory.device_peak_bytes,
                    memory.given_back,
                )
            )


@contextmanager
def _counted(model: Model, layer: int, meter: Meter) -> Iterator[None]:
    """Count one layer by its last projection, which runs only if the block is not passed over."""
    shape: list[int] = []

    def note(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        hidden = args[0] if args else kwargs["hidden_states"]
        shape[:] = hidden.shape[:2]

    def count(_: nn.Module, __: tuple[Any, ...], output: Tensor) -> None:
        rows = shape[0]
        meter.forward += rows
        meter.tokens += output.numel() // output.shape[-1]
        if output.requires_grad:
            listened: Any = output
            listened.register_hook(lambda _: _count_back(meter, rows))

    block = model.blocks[layer]
    down = model.mlp_output(layer) if model.shape.has_mlps else model.attention_output(layer)
    handles = [
        block.register_forward_pre_hook(note, with_kwargs=True),
        down.register_forward_hook(count),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _count_back(meter: Meter, rows: int) -> None:
    meter.backward += rows


def _give_back() -> bool:
    """Give memory that this process has freed back to the system.

    An allocator keeps the pages that were freed, and what asks for memory next gets those: the
    system does not see that it takes any.

    Returns:
        Whether glibc's allocator was told to. There is none but on Linux, and where another one
        was loaded in its place, as can be done there, it is told in vain.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    trim = getattr(library, "malloc_trim", None)
    if trim is None:
        return False
    trim(ctypes.c_size_t(0))
    return True


class _Watch:
    """Looks at the process's memory from a thread of its own until told to stop."""

    def __init__(self, device: torch.device) -> None:
        self._process = psutil.Process()
        self._device = device
        self.given_back = _give_back()
        self._start = self._resident()
        self._most = self._start
        self._device_start = 0
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._device_start = torch.cuda.memory_allocated(device)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    @property
    def peak_bytes(self) -> int:
        return self._most - self._start

    @property
    def device_peak_bytes(self) -> int | None:
        if self._device.type != "cuda":
            return None
        return int(torch.cuda.max_memory_allocated(self._device)) - self._device_start

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        self._most = max(self._most, self._resident())

    def _look(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            self._most = max(self._most, self._resident())

    def _resident(self) -> int:
        return int(self._process.memory_info().rss)


@contextmanager
def _watched(device: torch.device) -> Iterator[_Watch]:
    watch = _Watch(device)
    try:
        yield watch
    finally:
        watch.stop()
