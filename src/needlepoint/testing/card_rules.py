"""What a CUDA card refuses of an operation, told from its operands and from PyTorch's tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

MOVES = {"copy_", "_to_copy"}
"""Operations whose tensors may lie on different devices."""
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}
"""Operations on a card's tensor whose indices may lie on the CPU."""
PRODUCTS = {"mm", "bmm", "addmm", "baddbmm", "addbmm", "mv", "addmv", "dot", "vdot"}
"""Operations that a card's libraries have for floating-point numbers alone."""
KERNELS = Path("packaged", "ATen", "native", "native_functions.yaml")


def refusal(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """What a card would say against an operation with tensors of its own; nothing if it runs.

    Tensors with `is_cuda` lie on the card, all others on the CPU.

    Args:
        operation: One of `torch.ops.aten`, in one of its overloads.
        args: Its arguments by position.
        kwargs: Its arguments by name.
    """
    name = operation._schema.name.removeprefix("aten::")
    generator = kwargs.get("generator")
    if generator is not None and generator.device.type != "cuda":
        return f"expected a generator on cuda, but found one on cpu (in {name})."
    if name in MOVES:
        return None
    stray = next(_strays(name, operation, args, kwargs), None)
    if stray is not None:
        shape = tuple(stray.shape)
        return f"tensors of one operation on cuda:0 and on cpu (in {name}, that of shape {shape})."
    if name in PRODUCTS and not args[0].is_floating_point():
        return f"{name} is not implemented on CUDA for {args[0].dtype}."
    if not has_cuda_kernel(name, operation._schema.overload_name):
        return f"{name} is not implemented on CUDA."
    return None


def _strays(
    name: str, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Iterator[Tensor]:
    """Tensors on the CPU that may not be there; single numbers mostly may."""
    indexes = name in INDEXING
    lax = indexes or torch.Tag.pointwise in operation.tags
    written = _written(operation)
    for place, operand in enumerate((*args, *kwargs.values())):
        if indexes and place == 1:
            continue  # indices move to the card by themselves; nothing moves back
        for part in operand if isinstance(operand, list | tuple) else [operand]:
            strict = not lax or place in written or (indexes and place == 0)
            if isinstance(part, Tensor) and not part.is_cuda and (strict or part.dim() > 0):
                yield part


@cache
def _written(operation: Any) -> frozenset[int]:
    """Places of the arguments that an operation writes into."""
    arguments = enumerate(operation._schema.arguments)
    return frozenset(at for at, one in arguments if one.alias_info and one.alias_info.is_write)


@cache
def has_cuda_kernel(name: str, overload: str = "") -> bool:
    """Whether PyTorch has code for CUDA of an operation, by the table that it is built from.

    An operation that is not in the table, or a table that is not there, is taken to have it.

    Example:
        >>> has_cuda_kernel("mm"), has_cuda_kernel("histogram", "bin_ct")
        (True, False)
    """
    entry = _kernels().get(f"{name}.{overload}" if overload else name, "")
    delegate = re.search(r"structured_delegate: (\S+)", entry)
    if delegate:
        entry = _kernels().get(delegate[1], "")
    listed = re.findall(r"^    ([A-Za-z0-9, ]+): \S+", entry, flags=re.MULTILINE)
    keys = {key.strip() for line in listed for key in line.split(",")}
    if "ufunc_inner_loop" in entry:
        return True
    return not keys or any(key == "CUDA" or key.startswith("Composite") for key in keys)


@cache
def _kernels() -> dict[str, str]:
    """The entry of each operation in the table, as text."""
    package = find_spec("torchgen")
    places = [] if package is None else package.submodule_search_locations or []
    found = next((path for path in (Path(one, KERNELS) for one in places) if path.exists()), None)
    text = "" if found is None else found.read_text()
    entries = re.split(r"^- func: ", text, flags=re.MULTILINE)[1:]
    return {entry.split("(", 1)[0]: entry for entry in entries}
