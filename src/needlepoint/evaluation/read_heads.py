"""What the head scores read: mean z of every head on clean and corrupt prompts, and the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint.activations.reduce import Rows
from needlepoint.activations.stream import Chunk, collect
from needlepoint.circuits.ablation import PairBatch
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.head_data import HeadData
from needlepoint.circuits.metric import Answered, Answers
from needlepoint.models.model import Model
from needlepoint.models.published import centred_head_weights, value_offsets
from needlepoint.models.sites import Part, Site
from needlepoint.tasks.pairs import Prompts


@dataclass(frozen=True)
class HeadReading:
    """Head activations of all pairs, and how the model answered."""

    data: HeadData
    clean: Answered
    """The metric on each clean prompt, and whether it was answered rightly."""
    corrupt: Answered


def read_heads(model: Model, prompts: Prompts, autoencoder: Autoencoder) -> HeadReading:
    """Mean z over positions of every head on every prompt, with the answers; one pass each.

    As in the source, the mean is over all positions, the first token included, value biases are
    folded away and the output weights are centred where the model has LayerNorm.

    Source:
        O'Neill & Bui 2024 (arXiv 2405.12522), code, activations.
    """
    answers = Answers.of(prompts)
    clean_z, clean = _read(model, prompts.clean_ids, answers, "reading clean prompts")
    corrupt_z, corrupt = _read(model, prompts.corrupt_ids, answers, "reading corrupt prompts")
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
    first = len(model.prefix)
    positions = {
        name: torch.tensor([first + where[pair] for pair in order], device=model.device)
        for name, where in prompts.positions.items()
    }
    return PairBatch(
        model.batch([prompts.clean_ids[pair] for pair in order]),
        model.batch([prompts.corrupt_ids[pair] for pair in order]),
        Answers.of(prompts, order).to(model.device),
        positions,
    )


def read_answers(
    model: Model, ids: Sequence[Sequence[int]], answers: Answers, label: str
) -> Answered:
    """How the model answers some prompts: one pass, and no activation is kept."""
    metric, right = torch.empty(len(ids)), torch.empty(len(ids), dtype=torch.bool)
    rows = Rows.whole(ids, "mean", first=bool(model.prefix))
    for chunk in collect(model, ids, [], rows, logits=True, label=label):
        _note(chunk, answers, metric, right)
    return Answered(metric, right)


def _read(
    model: Model, ids: Sequence[Sequence[int]], answers: Answers, label: str
) -> tuple[Float[Tensor, "pair head d_head"], Answered]:
    sites = [Site.of(layer, Part.HEADS) for layer in range(model.shape.n_layers)]
    rows = Rows.whole(ids, "mean", first=bool(model.prefix))
    n_heads = model.shape.n_layers * model.shape.n_heads
    z = torch.empty(len(ids), n_heads, model.shape.d_head)
    metric, right = torch.empty(len(ids)), torch.empty(len(ids), dtype=torch.bool)
    for chunk in collect(model, ids, sites, rows, logits=True, label=label):
        z[chunk.rows] = torch.cat([chunk.values[found] for found in sites], dim=1).float().cpu()
        _note(chunk, answers, metric, right)
    return z, Answered(metric, right)


def _note(chunk: Chunk, answers: Answers, metric: Tensor, right: Tensor) -> None:
    """Write down how the texts of a chunk were answered."""
    assert chunk.logits is not None
    texts = chunk.texts
    metric[texts], right[texts] = answers.rows(texts).judge(chunk.logits.cpu())
