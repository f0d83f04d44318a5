"""What the found neurons do: the loss on texts with and without the feature when they are off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.evaluation.intervals import bootstrap_means
from needlepoint.evaluation.read_neurons import NeuronData
from needlepoint.models.families import input_major_weight
from needlepoint.models.hooks import Edit, hook, record, resume_from
from needlepoint.models.model import Batch, Model
from needlepoint.models.sites import Part, Site

NEAREST = 50
"""Random neurons are drawn from this many whose spread of output is nearest."""
MIN_RANDOM = 19
"""Fewer random sets than this cannot show p = 0.05, so no p-value is given."""
COLUMNS = [
    "feature",
    "sites",
    "neurons",
    "mode",
    "texts",
    "loss_increase",
    "low",
    "high",
    "n_random",
    "p_value",
]


@dataclass(frozen=True)
class Ablation:
    """Neurons of one layer set to other values: a constant each, or one for each position."""

    layer: int
    neurons: Int[Tensor, " k"]
    values: Float[Tensor, "... k"]
    """`[k]` for the same at every position; `[example, pos, k]` for values of their own."""


def position_losses(model: Model, batch: Batch) -> Float[Tensor, "example pos"]:
    """Next-token loss at each position, in nats; NaN where no token follows, and at padding.

    The last column is NaN throughout, so that positions are those of the batch.
    """
    logits = model.logits(batch)[:, :-1].float()
    targets = batch.ids[:, 1:]
    picked = logits.gather(-1, targets[..., None])[..., 0] - logits.logsumexp(-1)
    found = torch.full(batch.ids.shape, torch.nan, device=picked.device)
    found[:, :-1] = -picked.masked_fill(~batch.mask[:, 1:], torch.nan)
    return found


def token_losses(model: Model, batch: Batch) -> Float[Tensor, " example"]:
    """Mean next-token loss of each text, in nats per token; padding does not count."""
    return position_losses(model, batch).nanmean(1)


def loss_changes(
    model: Model, batch: Batch, layer: int, ablations: Sequence[Ablation]
) -> Float[Tensor, "resample example pos"]:
    """How much each ablation adds to the loss at each position; all are of one layer.

    The neurons are set at every position but that of the first token. What lies below the layer
    is computed once. NaN where `position_losses` is.
    """
    start = Site.of(layer, Part.RESID_IN)
    with torch.no_grad():
        with record(model, [start]) as kept:
            base = position_losses(model, batch)
        found = []
        for ablation in ablations:
            edit = (Site.of(layer, Part.NEURONS), _setter(ablation, len(model.prefix)))
            with resume_from(model, layer, kept[start]), hook(model, [edit]):
                found.append((position_losses(model, batch) - base).cpu())
    return torch.stack(found)


def loss_increases(
    model: Model, batch: Batch, layer: int, ablations: Sequence[Ablation]
) -> Float[Tensor, "resample example"]:
    """How much each ablation adds to the mean loss of each text; all are of one layer."""
    return loss_changes(model, batch, layer, ablations).nanmean(2)


def resampled(
    pool: Float[Tensor, "row k"], batch: Batch, generator: torch.Generator
) -> Float[Tensor, "example pos k"]:
    """Activations of some neurons drawn from other rows, one row for each position of a batch.

    All neurons of a position are drawn from the same row, so that what they share is kept.

    Raises:
        DataError: If there are no rows to draw from.
    """
    if not len(pool):
        raise DataError("there are no other rows to draw activations from; give more text.")
    drawn = torch.randint(len(pool), (batch.ids.numel(),), generator=generator)
    return pool[drawn].reshape(*batch.ids.shape, -1)


def ablate_feature(
    model: Model,
    data: NeuronData,
    feature: int,
    layer: int,
    neurons: Int[Tensor, " k"],
    *,
    n_texts: int,
    n_random: int,
    generator: torch.Generator,
) -> list[dict[str, object]]:
    """Rows of the ablation table for the neurons found for one feature.

    Zero and mean ablation (mean over the feature's training rows), on test texts with the feature
    and without, against random neurons of the layer that write about as much.
    """
    acts = data.layer(layer)[data.of(feature).train]
    drawn = matched_neurons(model, layer, acts, neurons, n_random, generator)
    rows: list[dict[str, object]] = []
    constants = {"zero": torch.zeros(acts.shape[1]), "mean": acts.mean(0)}
    sets = [neurons, *drawn]
    for texts, wanted in (("positive", True), ("negative", False)):
        batch = _texts(model, data, feature, wanted, n_texts, generator)
        tried = [Ablation(layer, one, values[one]) for values in constants.values() for one in sets]
        found = loss_increases(model, batch, layer, tried)
        for mode, increases in zip(constants, torch.split(found, len(sets)), strict=True):
            common: dict[str, object] = {
                "feature": data.collection.features[feature],
                "mode": mode,
                "texts": texts,
            }
            rows += _rows(common, layer, neurons, increases, generator)
    return rows


def matched_neurons(
    model: Model,
    layer: int,
    acts: Float[Tensor, "example neuron"],
    neurons: Int[Tensor, " k"],
    n: int,
    generator: torch.Generator,
) -> list[Int[Tensor, " k"]]:
    """Random sets of other neurons of the layer, each like its counterpart in how much it writes.

    How much a neuron writes is the spread of its activation times the length of what it writes.
    """
    written = (acts.std(0) * _output_norms(model, layer))[:, None]
    return _near_sets(written, neurons, n, generator)


def matched_by_rate(
    model: Model,
    layer: int,
    acts: Float[Tensor, "example neuron"],
    neurons: Int[Tensor, " k"],
    n: int,
    generator: torch.Generator,
) -> list[Int[Tensor, " k"]]:
    """The same, matched in how often they are active as well as in how much they write.

    How often is the share of rows on which the activation is larger than its root mean square: a
    third for a neuron that hums along, little for one that fires seldom. Both are compared by
    rank within the layer.
    """
    written = acts.std(0) * _output_norms(model, layer)
    rate = (acts.square() > acts.square().mean(0)).float().mean(0)
    places = torch.stack([_ranks(written), _ranks(rate)], dim=1)
    return _near_sets(places, neurons, n, generator)


def _output_norms(model: Model, layer: int) -> Float[Tensor, " neuron"]:
    found: Tensor = input_major_weight(model.mlp_output(layer)).detach().float().norm(dim=1)
    return found.cpu()


def _ranks(values: Float[Tensor, " neuron"]) -> Float[Tensor, " neuron"]:
    rising = values.sort().values
    below = torch.searchsorted(rising, values) + torch.searchsorted(rising, values, right=True)
    return below.float() / 2


def _near_sets(
    places: Float[Tensor, "neuron unit"],
    neurons: Int[Tensor, " k"],
    n: int,
    generator: torch.Generator,
) -> list[Int[Tensor, " k"]]:
    """Sets of other neurons, each drawn from those nearest to its counterpart."""
    allowed = torch.ones(len(places), dtype=torch.bool)
    allowed[neurons] = False
    others = allowed.nonzero()[:, 0]
    sets = []
    for _ in range(n):
        picked: list[int] = []
        for neuron in neurons.tolist():
            far = (places[others] - places[neuron]).norm(dim=1)
            near = others[far.argsort()[:NEAREST]]
            free = [one for one in near.tolist() if one not in picked]
            picked.append(free[int(torch.randint(len(free), (1,), generator=generator))])
        sets.append(torch.tensor(picked))
    return sets


def _setter(ablation: Ablation, first: int) -> Edit:
    def edit(activation: Tensor) -> Tensor:
        activation = activation.clone()
        neurons = ablation.neurons.to(activation.device)
        values = ablation.values.to(activation)
        activation[:, first:, neurons] = values[:, first:] if values.dim() == 3 else values
        return activation

    return edit


def _texts(
    model: Model,
    data: NeuronData,
    feature: int,
    wanted: bool,
    n_texts: int,
    generator: torch.Generator,
) -> Batch:
    test = data.of(feature).test
    rows = test[data.labels[test, feature] == wanted]
    rows = rows[torch.randperm(len(rows), generator=generator)[:n_texts]]
    texts = sorted({int(data.collection.rows[row, 0]) for row in rows.tolist()})
    return model.batch([data.collection.ids[text] for text in texts])


def _rows(
    common: dict[str, object],
    layer: int,
    neurons: Int[Tensor, " k"],
    increases: Float[Tensor, "resample example"],
    generator: torch.Generator,
) -> list[dict[str, object]]:
    found, drawn = increases[:1], increases[1:]
    sites = " ".join(f"L{layer}.N{neuron}" for neuron in neurons.tolist())
    rows = []
    for name, values in (("found", found), ("random", drawn.mean(0, keepdim=True))):
        if name == "random" and not len(drawn):
            continue
        interval = bootstrap_means(values.T, generator=generator).of(0)
        rows.append(
            {
                **common,
                "sites": sites,
                "neurons": name,
                "loss_increase": interval.estimate,
                "low": interval.low,
                "high": interval.high,
                "n_random": len(drawn),
                "p_value": _p_value(found, drawn) if name == "found" else None,
            }
        )
    return rows


def _p_value(found: Tensor, drawn: Tensor) -> float | None:
    if len(drawn) < MIN_RANDOM:
        return None
    return (1 + int((drawn.mean(1) >= found.mean()).sum())) / (1 + len(drawn))


def ablation_frame(rows: list[dict[str, object]]) -> pd.DataFrame:
    """The table of ablations, with its columns even if it has no rows."""
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({"p_value": "Float64"})
