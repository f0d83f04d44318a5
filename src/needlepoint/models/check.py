"""Refuse a model that would be read wrongly: identities that must hold, tried at load."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from needlepoint._core.errors import ModelError
from needlepoint.models.families import find, input_major_weight
from needlepoint.models.hooks import record, replace
from needlepoint.models.model import Batch, Model
from needlepoint.models.sites import Part, Site
from needlepoint.models.spread import weight_of


@dataclass(frozen=True)
class Check:
    """One identity, and how far it was from holding, relative to the size of what it compares."""

    name: str
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the identity holds to rounding."""
        return self.error <= self.tolerance


def check_model(model: Model) -> list[Check]:
    """Make sure that the model is read rightly, on a few tokens; return what was compared.

    Heads must sum to the attention output, neurons to the MLP output where there are MLPs; query
    heads that share a key/value head must agree where there is only one token to attend to;
    replacing a site by itself must change nothing; logits under hooks must equal the plain
    model's.

    Raises:
        ModelError: If an identity does not hold; the message names it.
    """
    tolerance = 1e-3 if model.dtype is torch.float32 else 0.05
    batch = _probe(model)
    with torch.no_grad():
        plain = model.logits(batch)
        found = [
            Check("heads sum to the attention output", _heads(model, batch), tolerance),
            Check("heads of one group agree on one token", _groups(model, batch), tolerance),
            Check("replacing sites by themselves changes nothing", _itself(model, batch), 1e-5),
        ]
        if model.shape.has_mlps:
            error = _neurons(model, batch)
            found.insert(1, Check("neurons sum to the MLP output", error, tolerance))
        again = model.logits(batch)
        found.append(Check("logits are the plain model's", _distance(again, plain), 1e-5))
    for check in found:
        if not check.passed:
            raise ModelError(
                f"{model.name} would be read wrongly: '{check.name}' is off by "
                f"{check.error:.1e} (at most {check.tolerance:.0e}); its family's rule "
                f"({model.family.name}) does not fit it. Nothing was computed."
            )
    return found


def _probe(model: Model) -> Batch:
    config = model.module.config
    rows = min(50, config.vocab_size)
    room = (getattr(config, "max_position_embeddings", None) or 8) - len(model.prefix)
    most = max(1, min(7, room))
    least = max(1, most - 1) if model.causal else most
    ids = [[(7 * i + 3 * j + 1) % rows for i in range(n)] for j, n in enumerate((least, most))]
    return model.batch(ids)


def _distance(a: Tensor, b: Tensor) -> float:
    scale = b.abs().max().clamp_min(1e-6)
    worst = ((a - b).abs().max() / scale).item()
    return worst if worst == worst else float("inf")


def _heads(model: Model, batch: Batch) -> float:
    """Sum of head outputs against what the attention module returns."""
    layers = range(model.shape.n_layers)
    returned: dict[int, Tensor] = {}
    handles = [
        find(model.blocks[layer], model.family.attention).register_forward_hook(
            lambda _, __, out, layer=layer: returned.update(
                {layer: out[0] if isinstance(out, tuple) else out}
            )
        )
        for layer in layers
    ]
    try:
        with record(model, [Site.of(layer, Part.HEADS) for layer in layers]) as kept:
            model.hidden(batch)
    finally:
        for handle in handles:
            handle.remove()
    errors = []
    for layer in layers:
        z = kept[Site.of(layer, Part.HEADS)]
        total = torch.einsum("bphd,hdm->bpm", z, model.head_weights(layer))
        bias = weight_of(model.attention_output(layer), "bias")
        errors.append(_distance(total if bias is None else total + bias, returned[layer]))
    return max(errors)


def _neurons(model: Model, batch: Batch) -> float:
    layers = range(model.shape.n_layers)
    sites = [Site.of(layer, part) for layer in layers for part in (Part.NEURONS, Part.MLP)]
    with record(model, sites) as kept:
        model.hidden(batch)
    errors = []
    for layer in layers:
        down = model.mlp_output(layer)
        total = kept[Site.of(layer, Part.NEURONS)] @ input_major_weight(down)
        bias = weight_of(down, "bias")
        out = kept[Site.of(layer, Part.MLP)]
        errors.append(_distance(total if bias is None else total + bias, out))
    return max(errors)


def _groups(model: Model, batch: Batch) -> float:
    """In a text of one token attention sees that alone: z is the value of the shared head."""
    size = model.shape.n_heads // model.shape.n_kv_heads
    alone = Batch(batch.ids[:, :1], torch.ones_like(batch.lengths))
    with record(
        model, [Site.of(layer, Part.HEADS) for layer in range(model.shape.n_layers)]
    ) as kept:
        model.hidden(alone)
    errors = []
    for z in kept.values():
        first = z[:, 0].reshape(len(z), model.shape.n_kv_heads, size, -1)
        errors.append(_distance(first, first[:, :, :1].expand_as(first)))
    return max(errors)


def _itself(model: Model, batch: Batch) -> float:
    parts = [Part.HEADS, Part.ATTENTION, Part.RESID, Part.RESID_IN]
    parts += [Part.NEURONS, Part.MLP] * model.shape.has_mlps
    sites = [Site.of(layer, part) for layer in range(model.shape.n_layers) for part in parts]
    with record(model, sites) as kept:
        plain = model.logits(batch)
    with replace(model, dict(kept.items())):
        return _distance(model.logits(batch), plain)
