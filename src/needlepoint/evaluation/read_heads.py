"""What the head scores read: mean z of every head on clean and corrupt prompts, and the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint.activations.reduce import Rows
from needlepoint.activations.stream import collect
from needlepoint.circuits.ablation import PairBatch, logit_difference
from needlepoint.circuits.autoencoder import DiscreteSAE
from needlepoint.circuits.head_data import HeadData
from needlepoint.models.model import Model
from needlepoint.models.published import centred_head_weights, value_offsets
from needlepoint.models.sites import Part, Site
from needlepoint.tasks.pairs import Prompts


@dataclass(frozen=True)
class HeadReading:
    """Head activations of all pairs, and how the model answered."""

    data: HeadData
    clean: Float[Tensor, " pair"]
    """Logit difference on each clean prompt."""
    corrupt: Float[Tensor, " pair"]


def read_heads(model: Model, prompts: Prompts, autoencoder: DiscreteSAE) -> HeadReading:
    """Mean z over positions of every head on every prompt, with logit differences; one pass each.

    As in the source, the mean is over all positions, the first token included, value biases are
    folded away and the output weights are centred where the model has LayerNorm.

    Source:
        O'Neill & Bui 2024 (arXiv 2405.12522), code, activations.
    """
    answer, wrong = torch.tensor(prompts.answer_ids), torch.tensor(prompts.wrong_ids)
    clean_z, clean = _read(model, prompts.clean_ids, answer, wrong, "reading clean prompts")
    corrupt_z, corrupt = _read(model, prompts.corrupt_ids, answer, wrong, "reading corrupt prompts")
    offsets = value_offsets(model).flatten(0, 1)
    layers = torch.arange(model.shape.n_layers).repeat_interleave(model.shape.n_heads)
    weights = centred_head_weights(model).float().cpu()
    data = HeadData(
        clean_z - offsets, corrupt_z - offsets, weights, layers, autoencoder=autoencoder
    )
    return HeadReading(data, clean, corrupt)


def pair_batch(model: Model, prompts: Prompts) -> PairBatch:
    """The prompts on the model's device, ready for ablation, like lengths together."""
    order = sorted(range(prompts.n_pairs), key=lambda pair: prompts.lengths[pair])
    return PairBatch(
        model.batch([prompts.clean_ids[pair] for pair in order]),
        model.batch([prompts.corrupt_ids[pair] for pair in order]),
        torch.tensor([prompts.answer_ids[pair] for pair in order], device=model.device),
        torch.tensor([prompts.wrong_ids[pair] for pair in order], device=model.device),
    )


def _read(
    model: Model,
    ids: Sequence[Sequence[int]],
    answer: Int[Tensor, " pair"],
    wrong: Int[Tensor, " pair"],
    label: str,
) -> tuple[Float[Tensor, "pair head d_head"], Float[Tensor, " pair"]]:
    sites = [Site.of(layer, Part.HEADS) for layer in range(model.shape.n_layers)]
    rows = Rows.whole(ids, "mean", first=bool(model.prefix))
    n_heads = model.shape.n_layers * model.shape.n_heads
    z = torch.empty(len(ids), n_heads, model.shape.d_head)
    difference = torch.empty(len(ids))
    for chunk in collect(model, ids, sites, rows, logits=True, label=label):
        z[chunk.rows] = torch.cat([chunk.values[found] for found in sites], dim=1).float().cpu()
        assert chunk.logits is not None
        here = chunk.texts
        difference[here] = logit_difference(chunk.logits.cpu(), answer[here], wrong[here])
    return z, difference
