"""Clean and corrupt prompts read side by side: mean z, the answers, and what heads change where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint._core.errors import ModelError
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
    Nothing of the size of an activation is kept from one batch to the next. Where the model's
    logits cannot be read off its weights, the changes have no direct effect, and are not turned.
    """
    reading = _Reading(model, prompts)
    with Bar("reading pairs", total=prompts.n_pairs) as bar:
        for pairs in length_batches(prompts.lengths, BATCH_TOKENS // 2):
            batches = [
                model.batch([ids[pair] for pair in pairs])
                for ids in (prompts.clean_ids, prompts.corrupt_ids)
            ]
            reading.add(pairs, batches[0].lengths, [_run(model, batch) for batch in batches])
            bar.advance(len(pairs))
    return reading.finish(autoencoder)


class _Reading:
    """What has been read so far."""

    def __init__(self, model: Model, prompts: Prompts) -> None:
        shape, n_pairs = model.shape, prompts.n_pairs
        self.model, self.answers = model, Answers.of(prompts).to(model.device)
        self.weights = centred_head_weights(model).float().cpu()
        self.directions = _known_directions(model, prompts)
        self.signs = torch.ones(n_pairs)
        if self.directions is not None:
            self.signs = answer_signs(self.directions).float()
        self.sums = ChangeSums(self.weights)
        self.z = torch.empty(2, n_pairs, len(self.weights), shape.d_head)
        self.direct = torch.empty(n_pairs, len(self.weights))
        self.metric = torch.empty(2, n_pairs)
        self.right = torch.empty(2, n_pairs, dtype=torch.bool)

    def add(self, pairs: Sequence[int], lengths: Tensor, runs: Sequence[_Run]) -> None:
        """Take in one batch of pairs: the run of their clean prompts, then of their corrupt."""
        rows = torch.tensor(pairs, device=self.model.device)
        for side, run in enumerate(runs):
            self.z[side, pairs] = _mean(run.z, lengths).cpu()
            judged = self.answers.rows(rows).judge(run.logits)
            self.metric[side, pairs], self.right[side, pairs] = (part.cpu() for part in judged)
        change, size = (runs[0].z - runs[1].z).cpu(), runs[0].size.cpu()
        for row, (pair, length) in enumerate(zip(pairs, lengths.tolist(), strict=True)):
            wide = size[row, :length].repeat_interleave(self.model.shape.n_heads, dim=1)
            self.sums.add(change[row, :length], wide, self.signs[pair])
            if self.directions is not None:
                reads = self.weights @ self.directions[pair]
                moved = (change[row, length - 1] * reads).sum(-1)
                self.direct[pair] = moved * _final_scale(self.model, size[row, length - 1, -1])

    def finish(self, autoencoder: Autoencoder) -> HeadReading:
        """Everything together."""
        shape = self.model.shape
        layers = torch.arange(shape.n_layers).repeat_interleave(shape.n_heads)
        clean, corrupt = self.z - value_offsets(self.model).flatten(0, 1)
        changes = self.sums.finish(None if self.directions is None else self.direct)
        data = HeadData(
            clean, corrupt, self.weights, layers, autoencoder=autoencoder, changes=changes
        )
        answered = [Answered(*each) for each in zip(self.metric, self.right, strict=True)]
        return HeadReading(data, *answered)


def _known_directions(model: Model, prompts: Prompts) -> Float[Tensor, "pair d_model"] | None:
    try:
        return answer_directions(model, prompts)
    except ModelError:
        return None


def answer_directions(model: Model, prompts: Prompts) -> Float[Tensor, "pair d_model"]:
    """For each pair, the direction of the last residual stream that right answers read, less wrong.

    The final norm's gain is folded in; its division is not. Mean over several right or wrong ones.

    Raises:
        ModelError: If the unembedding of the model cannot be read off its weights.
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


def _mean(z: Float[Tensor, "example pos head d_head"], lengths: Tensor) -> Tensor:
    """Mean over real positions, the first token included."""
    inside = torch.arange(z.shape[1], device=z.device)[None, :] < lengths[:, None]
    return torch.einsum("ep,ephd->ehd", (inside / lengths[:, None]).to(z), z)


def _final_scale(model: Model, size: Tensor) -> Tensor:
    """By what the final norm multiplies, before its gain; 1 where the model has none."""
    if not model.family.final_norm:
        return torch.ones_like(size)
    root: float = model.shape.d_model**0.5
    return root / size
