"""A stand-in for a CUDA card: tensors that say they lie on one, computed on the CPU.

Code is run through it where there is no card, to see that it never mixes devices, hands nothing
to numpy that is not on the CPU, and gives the same as on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import cache
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from needlepoint.testing.card_rules import refusal

CARD = torch.device("cuda", 0)


@contextmanager
def stand_in_card() -> Iterator[torch.device]:
    """Within it tensors and modules may be moved to a CUDA device that is none.

    What lies there is computed by the CPU. What a card refuses is refused: operations on tensors
    of both devices, numpy views, generators of the CPU, products of integers, operations without
    a CUDA kernel. Random numbers are those of the CPU; times, memory and rounding tell nothing of
    a card. Other threads do not see it.

    Yields:
        The device, `cuda:0`.

    Raises:
        RuntimeError: From the operation that a card would refuse.
        TypeError: From `numpy()` of a tensor on the card.

    Example:
        >>> with stand_in_card() as card:
        ...     there = torch.ones(2, device=card)
        ...     there.is_cuda, (there + 1).cpu()
        (True, tensor([2., 2.]))
        >>> with stand_in_card() as card:
        ...     torch.ones(2, device=card) + torch.ones(2)
        Traceback (most recent call last):
        RuntimeError: tensors of one operation on cuda:0 and on cpu (in add, that of shape (2,)).
    """
    asked: dict[str, Any] = {
        "_lazy_init": None,
        "is_available": True,
        "is_initialized": True,
        "device_count": 1,
        "current_device": 0,
        "get_device_name": "a stand-in",
        "get_rng_state": None,
        "set_rng_state": None,
        "manual_seed_all": None,
        "synchronize": None,
        "empty_cache": None,
        "reset_peak_memory_stats": None,
        "memory_allocated": 0,
        "max_memory_allocated": 0,
    }
    with ExitStack() as stack:
        for name, answer in asked.items():
            stack.enter_context(patch.object(torch.cuda, name, _answering(answer)))
        # Views of tensors that are made in inference mode cannot be wrapped.
        stack.enter_context(patch.object(torch._C, "_InferenceMode", _without_gradients))
        # Gradients of a device run on a thread of its own otherwise.
        stack.enter_context(torch.autograd.set_multithreading_enabled(False))
        stack.enter_context(_Calls())
        stack.enter_context(_Operations())  # type: ignore[no-untyped-call]
        yield CARD


def _answering(answer: Any) -> Any:
    return lambda *_, **__: answer


def _without_gradients(mode: bool) -> Any:
    return torch.no_grad() if mode else nullcontext()


class _OnCard(Tensor):
    """A tensor that says it lies on a card, and the one on the CPU that holds its values."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> _OnCard:
        # To torch's own code it is of the device "meta", which needs no driver.
        made: _OnCard = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=torch.device("meta"),
        )
        made.held = held
        return made

    __torch_function__: Any = torch._C._disabled_torch_function_impl
    device = property(lambda _: CARD)
    is_cuda = property(lambda _: True)
    is_meta = property(lambda _: False)
    is_cpu = property(lambda _: False)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return _run(operation, args, kwargs or {})

    def numpy(self, *, force: bool = False) -> Any:
        if force:
            return self.detach().cpu().numpy()
        raise TypeError(
            "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the "
            "tensor to host memory first."
        )

    def __array__(self, dtype: Any = None) -> Any:
        return self.numpy()

    def tolist(self) -> Any:
        return self.detach().cpu().tolist()

    def new_tensor(self, data: Any, **options: Any) -> Tensor:  # type: ignore[override]
        return torch.tensor(data, **{"dtype": self.dtype, "device": CARD, **options})

    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        args = tuple(one for one in args if not _names_card(one))
        kwargs = {name: one for name, one in kwargs.items() if not _names_card(one)}
        if not {type(one) for one in (*args, *kwargs.values())} - {bool}:
            return self
        return super().to(*args, **kwargs)

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"{self.held!r} on {CARD}"

    def __format__(self, form: str) -> str:
        return format(self.held, form)

    def __getitem__(self, index: Any) -> Tensor:
        return super().__getitem__(_without_lists(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(_without_lists(index), value)

    def cuda(self, *_: Any, **__: Any) -> Tensor:
        return self


def _without_lists(index: Any) -> Any:
    """An index with its lists as tensors, which torch would make on the device by itself."""
    if isinstance(index, tuple):
        return tuple(_without_lists(part) for part in index)
    return torch.tensor(index) if isinstance(index, list) else index


def _names_card(given: Any) -> bool:
    if isinstance(given, str):
        given = torch.device(given)
    return isinstance(given, torch.device) and given.type == "cuda"


class _Calls(TorchFunctionMode):
    """Calls that reach for the driver before any operation runs."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if function in (torch.tensor, torch.as_tensor, torch.asarray):
            device = kwargs.pop("device", None)
            made = function(*args, **kwargs)
            return made if device is None else made.to(_indexed(device))
        if function is Tensor.cuda:
            return args[0].to(CARD)
        if function is Tensor.to:
            args = tuple(_indexed(one) for one in args)
            kwargs = {name: _indexed(one) for name, one in kwargs.items()}
        return function(*args, **kwargs)


def _indexed(given: Any) -> Any:
    return CARD if _names_card(given) else given


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Every operation, whether or not a tensor of the card is in it."""

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if _is_made_of_others(operation):
            with self:
                return operation.decompose(*args, **(kwargs or {}))
        return _run(operation, args, kwargs or {})


@cache
def _is_made_of_others(operation: Any) -> bool:
    """Whether PyTorch has no code for an operation but in terms of others."""
    made: bool = torch._C._dispatch_has_kernel_for_dispatch_key(
        operation.name(), "CompositeImplicitAutograd"
    )
    return made


def _run(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """An operation on the CPU, refused as by a card, its result where a card would have it."""
    on_card: dict[int, Tensor] = {}

    def held(part: Any) -> Any:
        if isinstance(part, _OnCard):
            on_card[id(part.held)] = part
            return part.held
        return part

    def placed(part: Any) -> Any:
        if isinstance(part, Tensor) and there:
            return on_card[id(part)] if id(part) in on_card else _OnCard(part)
        return part

    device = kwargs.get("device")
    real = [_each(held, part) for part in args]
    named = {name: _each(held, part) for name, part in kwargs.items()}
    there = bool(on_card) if device is None else device.type != "cpu"
    if on_card or there:
        complaint = refusal(operation, args, kwargs)
        if complaint is not None:
            raise RuntimeError(complaint)
    if device is not None:
        named["device"] = torch.device("cpu")
    with torch._C._DisableTorchDispatch():
        found = operation(*real, **named)
    return _each(placed, found)


def _each(change: Callable[[Any], Any], value: Any) -> Any:
    """A value, or every part of a list or tuple, changed."""
    if isinstance(value, list | tuple):
        return type(value)(_each(change, part) for part in value)
    return change(value)
