"""Record and replace activations at sites, by context managers that always clean up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from needlepoint._core.errors import DataError, UnknownSiteError
from needlepoint.models.model import Model
from needlepoint.models.sites import Part, Site

Edit = Callable[[Tensor], Tensor | None]
"""Sees the activation at a site and returns what to put in its place, or None to leave it."""

_INPUTS = {Part.HEADS, Part.HEAD, Part.HEAD_OUT, Part.NEURONS, Part.NEURON, Part.RESID_IN}


@contextmanager
def hook(model: Model, edits: Sequence[tuple[Site | str, Edit]]) -> Iterator[None]:
    """Call a function with the activation at each site in every forward pass inside the block.

    The tensor a function sees is the model's own, shaped as the table of sites says; it may
    return a replacement of the same shape. Functions at one site run in the order given. All
    hooks are gone when the block ends, however it ends.

    Raises:
        UnknownSiteError: If the model has no such site; no hook has been set then.
        DataError: If a function returns another shape, when the model runs.
    """
    placed = [(model.site(address), edit) for address, edit in edits]
    with ExitStack() as stack:
        for found, edit in placed:
            stack.enter_context(_attached(model, found, edit))
        yield


@contextmanager
def record(model: Model, sites: Sequence[Site | str]) -> Iterator[dict[Site, Tensor]]:
    """Keep the activations at some sites of the last forward pass inside the block.

    Yields a dictionary that is filled as the model runs. The tensors are detached copies, shaped
    as the table of sites says. To reduce or stream rather than keep, use `activations.collect`.

    Example:
        >>> from needlepoint.models.micro import micro_model
        >>> model = micro_model()
        >>> with record(model, ["L0.attn.z"]) as kept:
        ...     _ = model.logits(model.batch([[1, 2, 3]]))
        >>> [tuple(tensor.shape) for tensor in kept.values()]
        [(1, 3, 2, 2)]
    """
    kept: dict[Site, Tensor] = {}

    def keep(found: Site) -> Edit:
        def edit(activation: Tensor) -> None:
            kept[found] = activation.detach().clone()

        return edit

    with hook(model, [(found, keep(found)) for found in map(model.site, sites)]):
        yield kept


@contextmanager
def replace(model: Model, values: Mapping[Site | str, Tensor | Edit]) -> Iterator[None]:
    """Put other activations at some sites in every forward pass inside the block.

    Each value is a tensor that broadcasts to the site's shape, or a function from the activation
    to its replacement.

    Raises:
        UnknownSiteError: If a site does not exist, or cannot be written (`L3.H7.out`: replace
            `L3.H7.z` instead).
        DataError: If a replacement does not fit the site's shape, when the model runs.
    """
    edits: list[tuple[Site | str, Edit]] = []
    for address, value in values.items():
        found = model.site(address)
        if found.part is Part.HEAD_OUT:
            raise _read_only(found)
        edits.append((found, _constant(found, value) if isinstance(value, Tensor) else value))
    with hook(model, edits):
        yield


@contextmanager
def resume_from(
    model: Model, layer: int, resid: Float[Tensor, "example pos d_model"]
) -> Iterator[None]:
    """Start every forward pass inside the block at a layer, from a given residual stream.

    The blocks below are skipped. Run the model on token ids of the same shape; their values do
    not matter. This is exact: the blocks above compute what they would have computed.

    Raises:
        UnknownSiteError: If the model has no such layer.
    """
    start = model.site(Site.of(layer, Part.RESID_IN))
    with skipped(model, range(layer)), _attached(model, start, lambda _: resid):
        yield


@contextmanager
def skipped(model: Model, layers: range) -> Iterator[None]:
    """Let the blocks of some layers hand on what they get, as if they added nothing."""
    with ExitStack() as stack:
        for layer in layers:
            stack.callback(_bypass(model.blocks[layer]))
        yield


def _constant(found: Site, value: Tensor) -> Edit:
    def edit(activation: Tensor) -> Tensor:
        if not _broadcasts(value.shape, activation.shape):
            raise _misfit(found, activation, value)
        return value.to(activation).expand_as(activation)

    return edit


def _broadcasts(small: torch.Size, large: torch.Size) -> bool:
    pairs = zip(reversed(small), reversed(large), strict=False)
    return len(small) <= len(large) and all(a in (1, b) for a, b in pairs)


def _bypass(block: nn.Module) -> Callable[[], None]:
    def skip(hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        return hidden_states

    own = vars(block).get("forward")
    block.forward = skip

    def restore() -> None:
        if own is None:
            del block.forward
        else:
            block.forward = own

    return restore


@contextmanager
def _attached(model: Model, found: Site, edit: Edit) -> Iterator[None]:
    edit = _same_shape(found, edit)
    with ExitStack() as stack:
        if model.family.flat_mlp and found.part in (Part.NEURONS, Part.NEURON, Part.MLP):
            edit = stack.enter_context(_unflattened(model, found, edit))
        target = _module(model, found)
        if found.part in _INPUTS:
            hook_ = _on_input(_View(model, found), edit)
            handle = target.register_forward_pre_hook(hook_, with_kwargs=True)
        else:
            handle = target.register_forward_hook(_on_output(edit))
        stack.callback(handle.remove)
        yield


@contextmanager
def _unflattened(model: Model, found: Site, edit: Edit) -> Iterator[Edit]:
    """Give the examples and positions back to an MLP that sees them as one axis."""
    outer: list[torch.Size] = []

    def note(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        value = args[0] if args else kwargs["hidden_states"]
        outer[:] = [value.shape[:2]]

    def shaped(value: Tensor) -> Tensor | None:
        inner = () if found.part is Part.NEURON else value.shape[-1:]
        changed = edit(value.reshape(*outer[0], *inner))
        return None if changed is None else changed.reshape(value.shape)

    handle = model.blocks[found.layer].register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield shaped
    finally:
        handle.remove()


def _same_shape(found: Site, edit: Edit) -> Edit:
    """The edit, refusing what could not stand in for what it saw."""

    def checked(activation: Tensor) -> Tensor | None:
        changed = edit(activation)
        if changed is None:
            return None
        if found.part is Part.HEAD_OUT:
            raise _read_only(found)
        if changed.shape != activation.shape:
            raise _misfit(found, activation, changed)
        return changed

    return checked


def _misfit(found: Site, activation: Tensor, changed: Tensor) -> DataError:
    return DataError(
        f"{found} has shape {tuple(activation.shape)} here, but its replacement "
        f"{tuple(changed.shape)}; give one of the same shape."
    )


def _read_only(found: Site) -> UnknownSiteError:
    return UnknownSiteError(
        f"{found} can only be read; replace L{found.layer}.H{found.index}.z instead."
    )


def _module(model: Model, found: Site) -> nn.Module:
    if found.part in (Part.RESID, Part.RESID_IN):
        return model.blocks[found.layer]
    if found.part in (Part.NEURONS, Part.NEURON, Part.MLP):
        return model.mlp_output(found.layer)
    return model.attention_output(found.layer)


def _on_input(view: _View, edit: Edit) -> Callable[..., Any]:
    def pre_hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        value = args[0] if args else kwargs["hidden_states"]
        changed = view.apply(value, edit)
        if changed is None:
            return None
        if args:
            return (changed, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": changed}

    return pre_hook


def _on_output(edit: Edit) -> Callable[..., Any]:
    def forward_hook(_: nn.Module, __: tuple[Any, ...], output: Any) -> Any:
        value = output[0] if isinstance(output, tuple) else output
        changed = edit(value)
        if changed is None:
            return None
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    return forward_hook


class _View:
    """Shows the input of a module as the site's shape, and writes a replacement back."""

    def __init__(self, model: Model, found: Site) -> None:
        self.model = model
        self.site = found

    def apply(self, value: Tensor, edit: Edit) -> Tensor | None:
        part, index = self.site.part, self.site.index
        if part in (Part.NEURONS, Part.RESID_IN):
            return edit(value)
        if part is Part.NEURON:
            assert index is not None
            return _written(value, index, edit(value[..., index]))
        shape = self.model.shape
        heads = value.reshape(*value.shape[:-1], shape.n_heads, shape.d_head)
        if part is Part.HEADS:
            changed = edit(heads)
            return None if changed is None else changed.reshape(value.shape)
        assert index is not None
        one = heads[..., index, :]
        if part is Part.HEAD_OUT:
            edit(one @ self.model.head_weights(self.site.layer)[index])
            return None
        changed = edit(one)
        if changed is None:
            return None
        heads = heads.clone()
        heads[..., index, :] = changed
        return heads.reshape(value.shape)


def _written(value: Tensor, index: int, changed: Tensor | None) -> Tensor | None:
    if changed is None:
        return None
    value = value.clone()
    value[..., index] = changed
    return value
