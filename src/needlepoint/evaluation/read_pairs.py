"""Clean and corrupt prompts read side by side: z, the answers, and what heads change where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint._core.errors import ModelError
from needlepoint._core.progress import Bar
from needlepoint.activations.batches import length_batches
from needlepoint.activations.stream import BATCH_TOKENS
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.calibrated.change_rows import RowKeeper
from needlepoint.circuits.calibrated.changes import ChangeSums, answer_turns
from needlepoint.circuits.head_data import HeadData
from needlepoint.circuits.metric import Answered, Answers
from needlepoint.evaluation.read_heads import HeadReading
from needlepoint.evaluation.read_positions import position_weights, require_reading
from needlepoint.models.folded import Norm, unembedding
from needlepoint.models.hooks import hook
from needlepoint.models.model import Batch, Model
from needlepoint.models.published import centred_head_weights, value_offsets
from needlepoint.models.reads import writing_norm
from needlepoint.models.sites import Part, Site
from needlepoint.models.spread import require_one_place
from needlepoint.models.writes import next_norms, read_size, writing_division, writing_weights
from needlepoint.tasks.pairs import Prompts


class _Run(NamedTuple):
    """One batch of prompts after one pass."""

    z: Float[Tensor, "example pos head d_head"]
    added: Float[Tensor, "example pos head d_head"]
    """z divided as a norm between attention and stream divides it, where there is one."""
    size: Float[Tensor, "example pos layer"]
    """Norm of the residual stream after each layer, with the gains through which it is read."""
    final: Float[Tensor, "example pos"]
    """Norm of the last residual stream as it is."""
    logits: Float[Tensor, "example vocab"]


def read_pairs(
    model: Model, prompts: Prompts, autoencoder: Autoencoder, reading: str = "mean"
) -> HeadReading:
    """The z of every head on every prompt, reduced over positions, the answers, and `HeadChanges`.

    As in the source, z is the mean over all positions, the first token included, unless another
    reading is asked for; value biases are folded away and the output weights are centred where the
    model has LayerNorm. Each clean prompt runs beside its corrupt one, so that z can be compared
    position by position, which the changes do whatever the reading. They are of what reaches the
    stream, through a norm after attention where there is one, as z and its weights are not. Nothing
    of the size of an activation is kept from one batch to the next but what the first pairs change,
    up to `MOST_BYTES`. Where the model's logits cannot
    be read off its weights, the changes have no direct effect, and are not turned.

    Args:
        model: The model to run, one pass for each prompt.
        prompts: Pairs, run clean beside corrupt.
        autoencoder: How scores of the data train theirs.
        reading: One of `READINGS`, or a position that the prompts name.

    Raises:
        UnknownNameError: If there is no such reading of these prompts.
        DataError: If the first position is left out of a prompt that has no other.
        ModelError: If the model lies on several devices.

    Source:
        O'Neill & Bui 2024 (arXiv 2405.12522), code, activations.
    """
    require_one_place(model.module)
    require_reading(reading, prompts)
    found = _Reading(model, prompts)
    with Bar("reading pairs", total=prompts.n_pairs) as bar:
        for pairs in length_batches(prompts.lengths, BATCH_TOKENS // 2):
            batches = [
                model.batch([ids[pair] for pair in pairs])
                for ids in (prompts.clean_ids, prompts.corrupt_ids)
            ]
            weights = position_weights(model, prompts, pairs, reading).to(model.device)
            runs = [_run(model, batch, found.norms) for batch in batches]
            found.add(pairs, batches[0].lengths, weights, runs)
            bar.advance(len(pairs))
    return found.finish(autoencoder)


class _Reading:
    """What has been read so far."""

    def __init__(self, model: Model, prompts: Prompts) -> None:
        shape, n_pairs = model.shape, prompts.n_pairs
        self.model, self.prompts = model, prompts
        self.answers = Answers.of(prompts).to(model.device)
        self.weights = centred_head_weights(model).float().cpu()
        self.writes = writing_weights(model).cpu()
        self.norms = next_norms(model)
        reads = self.writes * _gains(model, self.norms)[:, None]
        self.directions = _known_directions(model, prompts)
        self.signs = torch.ones(n_pairs)
        if self.directions is not None:
            self.signs = answer_turns(self.directions).float()
        self.sums = ChangeSums(reads)
        lengths = [len(model.prefix) + length for length in prompts.lengths]
        self.rows = RowKeeper(reads, lengths)
        self.z = torch.empty(2, n_pairs, len(self.weights), shape.d_head)
        self.direct = torch.empty(n_pairs, len(self.weights))
        self.gaps = torch.empty(2, n_pairs)
        self.metric = torch.empty(2, n_pairs)
        self.right = torch.empty(2, n_pairs, dtype=torch.bool)

    def add(
        self, pairs: Sequence[int], lengths: Tensor, weights: Tensor, runs: Sequence[_Run]
    ) -> None:
        """Take in one batch of pairs: the run of their clean prompts, then of their corrupt."""
        rows = torch.tensor(pairs, device=self.model.device)
        for side, run in enumerate(runs):
            self.z[side, pairs] = torch.einsum("ep,ephd->ehd", weights.to(run.z), run.z).cpu()
            judged = self.answers.rows(rows).judge(run.logits)
            self.metric[side, pairs], self.right[side, pairs] = (part.cpu() for part in judged)
            self.gaps[side, pairs] = _logit_gaps(self.prompts, pairs, run.logits).cpu()
        change = (runs[0].added - runs[1].added).cpu()
        size, final = runs[0].size.cpu(), runs[0].final.cpu()
        for row, (pair, length) in enumerate(zip(pairs, lengths.tolist(), strict=True)):
            wide = size[row, :length].repeat_interleave(self.model.shape.n_heads, dim=1)
            self.sums.add(change[row, :length], wide, self.signs[pair])
            self.rows.add(pair, change[row, :length], wide)
            if self.directions is not None:
                reads = self.writes @ self.directions[pair]
                moved = (change[row, length - 1] * reads).sum(-1)
                self.direct[pair] = moved * _final_scale(self.model, final[row, length - 1])

    def finish(self, autoencoder: Autoencoder) -> HeadReading:
        """Everything together."""
        shape = self.model.shape
        layers = torch.arange(shape.n_layers).repeat_interleave(shape.n_heads)
        clean, corrupt = self.z - value_offsets(self.model).flatten(0, 1)
        direct = None if self.directions is None else self.direct
        rows = self.rows.finish(self.signs)
        changes = self.sums.finish(direct, self.gaps[0] - self.gaps[1], rows)
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


def _logit_gaps(
    prompts: Prompts, pairs: Sequence[int], logits: Float[Tensor, "example vocab"]
) -> Float[Tensor, " example"]:
    """Mean logit of the right answers less mean logit of the wrong ones."""
    gaps = [
        row[list(prompts.answer_ids[pair])].mean() - row[list(prompts.wrong_ids[pair])].mean()
        for pair, row in zip(pairs, logits.float(), strict=True)
    ]
    return torch.stack(gaps)


def _gains(model: Model, norms: Sequence[Norm | None]) -> Float[Tensor, "head d_model"]:
    """The gains through which what each head adds is read next."""
    one = torch.ones(model.shape.d_model)
    gains = torch.stack([one if norm is None else norm.gain.cpu() for norm in norms])
    return gains.repeat_interleave(model.shape.n_heads, 0)


def _run(model: Model, batch: Batch, norms: Sequence[Norm | None]) -> _Run:
    layers = range(model.shape.n_layers)
    z: list[Tensor] = []
    added: list[Tensor] = []
    size: list[Tensor] = []

    def keep_z(activation: Tensor) -> None:
        z.append(activation.detach().float())
        added.append(z[-1])

    def divide(written: Tensor) -> None:
        norm = writing_norm(model, len(z) - 1, "attention")
        if norm is not None:
            added[-1] = z[-1] * writing_division(norm, written.detach())[..., None, None]

    final: list[Tensor] = []

    def keep_size(activation: Tensor) -> None:
        size.append(read_size(norms[len(size)], activation.detach()))
        final[:] = [read_size(None, activation.detach())]

    heads = [(Site.of(layer, Part.HEADS), keep_z) for layer in layers]
    written = [(Site.of(layer, Part.ATTENTION), divide) for layer in layers]
    streams = [(Site.of(layer, Part.RESID), keep_size) for layer in layers]
    with torch.no_grad(), hook(model, [*heads, *written, *streams]):
        logits = model.last_logits(batch)
    kept = torch.cat(z, dim=2), torch.cat(added, dim=2), torch.stack(size, dim=2)
    return _Run(*kept, final[0], logits)


def _final_scale(model: Model, size: Tensor) -> Tensor:
    """By what the final norm multiplies, before its gain; 1 where the model has none."""
    if not model.family.final_norm:
        return torch.ones_like(size)
    root: float = model.shape.d_model**0.5
    return root / size
