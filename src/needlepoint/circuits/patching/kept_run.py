"""A run on some prompts, kept so that it can be resumed anywhere with one node replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from needlepoint.models.families import find
from needlepoint.models.hooks import hook, record, resume_from
from needlepoint.models.model import Batch, Model
from needlepoint.models.sites import Part, Site

SAME = {torch.float64: 1e-8, torch.float32: 1e-3}
"""How far logits may move, in standard deviations of logits, when the prefix is reused."""
SAME_ROUGHLY = 0.05
"""The same for half precision."""


@dataclass(frozen=True, eq=False)
class KeptRun:
    """What a run on some prompts left behind that later runs need not compute again.

    A later run, in which one node of one layer is replaced at some positions, begins after the
    attention of that layer, at the first position that can change: what is below, and the keys and
    values of earlier positions, are those of this run. In the last layer only the last position
    of each prompt is computed, as no other is read.
    """

    model: Model
    prompts: Batch
    start: int
    """First position that later runs compute; 0 if the model has no reusable keys and values."""
    stream: tuple[Float[Tensor, "example pos d_model"], ...]
    """Residual stream before each layer, at every position."""
    z: tuple[Float[Tensor, "example pos head d_head"], ...]
    written: tuple[Float[Tensor, "example pos d_model"], ...]
    """What the MLP of each layer writes, at every position; empty if there are no MLPs."""
    logits: Float[Tensor, "example vocab"]
    past: tuple[tuple[Tensor, Tensor], ...]
    """Keys and values of each layer at the positions before `start`; empty if `start` is 0."""

    @classmethod
    @torch.no_grad()
    def of(cls, model: Model, prompts: Batch, start: int = 0) -> KeptRun:
        """Run a model on some prompts and keep it.

        Args:
            model: Any model.
            prompts: As many as memory holds the residual stream and z of, at all layers.
            start: First position at which a later run may differ from this one.
        """
        layers = range(model.shape.n_layers)
        parts = (Part.RESID_IN, Part.HEADS) + (Part.MLP,) * model.shape.has_mlps
        sites = {part: [Site.of(layer, part) for layer in layers] for part in parts}
        cache = _new_cache(model) if start > 0 else None
        with record(model, [site for part in parts for site in sites[part]]) as kept:
            logits = _last_logits(model, prompts.ids, prompts.last, cache)
        run = cls(
            model,
            prompts,
            start if cache is not None else 0,
            tuple(kept[site] for site in sites[Part.RESID_IN]),
            tuple(kept[site] for site in sites[Part.HEADS]),
            tuple(kept[site] for site in sites.get(Part.MLP, [])),
            logits,
            () if cache is None else _past(cache, model.shape.n_layers, start),
        )
        return run if run.start == 0 or run._repeats() else replace(run, start=0, past=())

    def _repeats(self) -> bool:
        """Whether reusing the prefix leaves the logits where they are."""
        every = torch.arange(len(self.logits), device=self.logits.device)
        again = self.resume(every, 0, stream=self.stream[0][:, self.start :])
        allowed = SAME.get(self.logits.dtype, SAME_ROUGHLY) * float(self.logits.float().std())
        return float((again - self.logits).float().abs().max()) <= allowed

    @torch.no_grad()
    def resume(
        self,
        rows: Int[Tensor, " batch"],
        layer: int,
        *,
        heads: Float[Tensor, "batch pos head d_head"] | None = None,
        mlp: Float[Tensor, "batch pos d_model"] | None = None,
        stream: Float[Tensor, "batch pos d_model"] | None = None,
    ) -> Float[Tensor, "batch vocab"]:
        """Logits after the last token when something of one layer is replaced.

        Values are given at the positions from `start` on. Blocks below the layer are skipped, and
        so is the attention of the layer itself, whose z are known, unless the stream is replaced.

        Args:
            rows: Which prompt each row is a run on; a prompt may be run many times at once.
            layer: The layer.
            heads: z of all its heads, replaced ones and others.
            mlp: What its MLP writes.
            stream: The residual stream before it.
        """
        model, last = self.model, self.model.shape.n_layers - 1
        ends = self.prompts.last[rows] - self.start
        resid = self.stream[layer][rows, self.start :] if stream is None else stream
        with ExitStack() as stack:
            stack.enter_context(resume_from(model, layer, resid))
            if stream is None:
                z = self.z[layer][rows, self.start :] if heads is None else heads
                stack.enter_context(_given_z(model, layer, z))
            if mlp is not None:
                edit = (Site.of(layer, Part.MLP), lambda _: mlp)
                stack.enter_context(hook(model, [edit]))
            if mlp is None or layer < last:
                stack.enter_context(_only_at(model, last, ends))
            ids = self.prompts.ids[rows, self.start :]
            return _last_logits(model, ids, ends, self._cache(rows, layer))

    def _cache(self, rows: Tensor, layer: int) -> Any:
        """A fresh cache that holds the prefix, for the layers that are run; none if it is empty."""
        if self.start == 0:
            return None
        cache = _new_cache(self.model)
        for place in {0, *range(layer, len(self.past))}:
            keys, values = self.past[place]
            cache.update(keys[rows], values[rows], place)
        return cache


def _new_cache(model: Model) -> Any:
    """An empty cache without windows, so that it holds every position; None if there is no use."""
    if model.family.ours:
        return None
    from transformers import DynamicCache

    return DynamicCache()


def _past(cache: Any, n_layers: int, start: int) -> tuple[tuple[Tensor, Tensor], ...]:
    layers = [cache.layers[layer] for layer in range(n_layers)]
    return tuple(
        (layer.keys[:, :, :start].clone(), layer.values[:, :, :start].clone()) for layer in layers
    )


def _last_logits(
    model: Model, ids: Int[Tensor, "batch pos"], ends: Int[Tensor, " batch"], cache: Any
) -> Float[Tensor, "batch vocab"]:
    """Logits at one position of each row; no other is pushed through the vocabulary."""
    family = model.family
    unembed = (
        find(model.module, family.unembed)
        if family.unembed
        else model.module.get_output_embeddings()
    )
    places, which = torch.unique(ends, return_inverse=True)
    options = {} if cache is None else {"past_key_values": cache}
    with _first_argument(unembed, lambda x: _taken(x, which)):
        out = model.module(
            input_ids=ids, use_cache=cache is not None, logits_to_keep=places, **options
        )
    logits: Tensor = out.logits[:, 0]
    return logits


@contextmanager
def _given_z(model: Model, layer: int, z: Float[Tensor, "batch pos head d_head"]) -> Iterator[None]:
    """Skip the attention of a layer up to its output projection."""
    attention: nn.Module = find(model.blocks[layer], model.family.attention)
    project = model.attention_output(layer)

    def forward(*_: Any, **__: Any) -> tuple[Tensor, None]:
        return project(z.flatten(2)), None

    own = vars(attention).get("forward")
    attention.forward = forward
    try:
        yield
    finally:
        if own is None:
            del attention.forward
        else:
            attention.forward = own


@contextmanager
def _only_at(model: Model, layer: int, ends: Int[Tensor, " batch"]) -> Iterator[None]:
    """In one layer, project heads and run the MLP at one position of each row alone.

    What they write is added at every position, so the stream is right at that position only. Left
    out where an MLP sees no positions, and on models of our own code, whose attention promises all
    of them.
    """
    path, _, _ = model.family.mlp_down.rpartition(".")
    if model.family.flat_mlp or model.family.ours:
        yield
        return
    mlp: nn.Module = find(model.blocks[layer], path)

    def take(x: Tensor) -> Tensor:
        return _taken(x, ends) if x.shape[1] > 1 else x

    with (
        _first_argument(model.attention_output(layer), take),
        _first_argument(mlp, take),
    ):
        yield


def _taken(x: Float[Tensor, "batch pos width"], places: Tensor) -> Float[Tensor, "batch 1 width"]:
    return x[torch.arange(len(x), device=x.device), places][:, None]


@contextmanager
def _first_argument(module: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    def pre_hook(_: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if args:
            return (change(args[0]), *args[1:]), kwargs
        name = next(iter(kwargs))
        return args, {**kwargs, name: change(kwargs[name])}

    handle = module.register_forward_pre_hook(pre_hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
