"""Clean and corrupt prompts read side by side: mean z, the answers, and what heads change where."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint._core.progress import Bar
from needlepoint.activations.stream import BATCH_TOKENS, length_batches
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.calibrated.changes import ChangeSums, answer_signs
from needlepoint.circuits.head_data import HeadData
from needlepoint.circuits.metric import Answered, Answers
from needlepoint.evaluation.read_heads import HeadReading
from needlepoint.models.folded import unembedding
from needlepoint.models.hooks import hook
from needlepoint.models.model import Batch, Model
from needlepoint.models.published import centred_head_weights, value_offsets
from needlepoint.models.sites import Part, Site
from needlepoint.tasks.pairs import Prompts


class _Run(NamedTuple):
    """One batch of prompts after one pass."""

    z: Float[Tensor, "example pos head d_head"]
    size: Float[Tensor, "example pos layer"]
    """Norm of the residual stream after each layer."""
    logits: Float[Tensor, "example vocab"]


def read_pairs(model: Model, prompts: Prompts, autoencoder: Autoencoder) -> HeadReading:
    """What `read_heads` reads, and `HeadChanges` besides, of the same number of passes.

    Each clean prompt runs beside its corrupt one, so that z can be compared position by position.
    Nothing of the size of an activation is kept from one batch to the next.

    Raises:
        ModelError: If the unembedding of the model cannot be read off its weights.
    """
    shape, device = model.shape, model.device
    answers = Answers.of(prompts).to(device)
    weights = centred_head_weights(model).float()
    directions = answer_directions(model, prompts)
    signs = answer_signs(directions)
    sums = ChangeSums(weights.cpu())
    z = torch.empty(2, prompts.n_pairs, shape.n_layers * shape.n_heads, shape.d_head)
    direct = torch.empty(prompts.n_pairs, shape.n_layers * shape.n_heads)
    metric = torch.empty(2, prompts.n_pairs)
    right = torch.empty(2, prompts.n_pairs, dtype=torch.bool)
    with Bar("reading pairs", total=prompts.n_pairs) as bar:
        for pairs in length_batches(prompts.lengths, BATCH_TOKENS // 2):
            runs = []
            for side, ids in enumerate((prompts.clean_ids, prompts.corrupt_ids)):
                batch = model.batch([ids[pair] for pair in pairs])
                run = _run(model, batch)
                z[side, pairs] = _mean(run.z, batch).cpu()
                judged = answers.rows(torch.tensor(pairs, device=device)).judge(run.logits)
                metric[side, pairs], right[side, pairs] = (part.cpu() for part in judged)
                runs.append(run)
            last = batch.last.cpu()
            change, size = (runs[0].z - runs[1].z).cpu(), runs[0].size.cpu()
            for row, pair in enumerate(pairs):
                end = int(last[row]) + 1
                wide = size[row, :end].repeat_interleave(shape.n_heads, dim=1)
                sums.add(change[row, :end], wide, signs[pair])
                reads = torch.einsum("hdm,m->hd", weights.cpu(), directions[pair])
                moved = (change[row, end - 1] * reads).sum(-1)
                direct[pair] = moved * _final_scale(model, size[row, end - 1, -1])
            bar.advance(len(pairs))
    layers = torch.arange(shape.n_layers).repeat_interleave(shape.n_heads)
    z = z - value_offsets(model).flatten(0, 1)
    data = HeadData(z[0], z[1], weights.cpu(), layers, autoencoder=autoencoder)
    data = replace(data, changes=sums.finish(direct))
    return HeadReading(data, Answered(metric[0], right[0]), Answered(metric[1], right[1]))


def answer_directions(model: Model, prompts: Prompts) -> Float[Tensor, "pair d_model"]:
    """For each pair, the direction of the last residual stream that right answers read, less wrong.

    The final norm's gain is folded in; its division is not. Mean over several right or wrong ones.
    """
    columns = unembedding(model).cpu()
    return torch.stack(
        [
            columns[:, list(right)].mean(1) - columns[:, list(wrong)].mean(1)
            for right, wrong in zip(prompts.answer_ids, prompts.wrong_ids, strict=True)
        ]
    )


def _run(model: Model, batch: Batch) -> _Run:
    layers = range(model.shape.n_layers)
    z: list[Tensor] = []
    size: list[Tensor] = []

    def keep_z(activation: Tensor) -> None:
        z.append(activation.detach().float())

    def keep_size(activation: Tensor) -> None:
        size.append(torch.linalg.vector_norm(activation.detach().float(), dim=-1))

    heads = [(Site.of(layer, Part.HEADS), keep_z) for layer in layers]
    streams = [(Site.of(layer, Part.RESID), keep_size) for layer in layers]
    with torch.no_grad(), hook(model, [*heads, *streams]):
        logits = model.last_logits(batch)
    return _Run(torch.cat(z, dim=2), torch.stack(size, dim=2), logits)


def _mean(z: Float[Tensor, "example pos head d_head"], batch: Batch) -> Tensor:
    """Mean over real positions, the first token included."""
    share = batch.mask / batch.lengths[:, None]
    return torch.einsum("ep,ephd->ehd", share.to(z), z)


def _final_scale(model: Model, size: Tensor) -> Tensor:
    """By what the final norm multiplies, before its gain; 1 where the model has none."""
    if not model.family.final_norm:
        return torch.ones_like(size)
    return model.shape.d_model**0.5 / size
