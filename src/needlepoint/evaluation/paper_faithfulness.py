"""Faithfulness of a circuit of heads in the three ways that go by that name in one paper.

O'Neill and Bui measure faithfulness by overwriting heads in the corrupt run (version B) and, in
earlier plots, by zeros (version A), and define it by means; the three differ by far more than
circuits do. Each is here as their code or text has it, under a name that says what it does, to
compare with published figures. None isolates the circuit from the MLPs, which always run.

References:
    O'Neill and Bui 2024 (arXiv 2405.12522), Table 4 and the notebook `faithfulness.ipynb` of
    their repository.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.ablation import PairBatch
from needlepoint.circuits.metric import KL_UNIT, kl
from needlepoint.models.folded import norm_of
from needlepoint.models.hooks import Edit, hook, record
from needlepoint.models.model import Batch, Model
from needlepoint.models.reads import projection, reading_norm
from needlepoint.models.sites import Part, Site
from needlepoint.tasks.pairs import Prompts

EXEMPT_LAYERS = 2
"""Layers whose heads version A keeps in every circuit of a 12-layer model, but the empty one."""

HeadValues = Callable[[int], Tensor]
"""What stands in for the z of a layer's heads, in a shape that broadcasts to it."""


@dataclass(frozen=True)
class PaperFaithfulness:
    """The metric of every prompt under a circuit, under the empty one and under the whole model."""

    circuit: Float[Tensor, " pair"]
    empty: Float[Tensor, " pair"]
    whole: Float[Tensor, " pair"]

    @property
    def score(self) -> float:
        """`(m(C) - m(empty)) / (m(M) - m(empty))`, each a mean over prompts; not clipped.

        Raises:
            DataError: If the empty circuit does as the whole model does.
        """
        circuit, empty, whole = (
            float(part.double().mean()) for part in (self.circuit, self.empty, self.whole)
        )
        if whole == empty:
            raise DataError(
                "faithfulness is not defined where the empty circuit does as the whole model does; "
                "take prompts on which they differ."
            )
        return (circuit - empty) / (whole - empty)


@dataclass(frozen=True)
class DivergenceOfClean:
    """KL divergence of the clean prediction from each prediction given, in nats.

    The other way round from `Divergence`: `KL(ablated || clean)`, as version A has it.
    """

    clean: Float[Tensor, "pair vocab"]

    def __len__(self) -> int:
        return len(self.clean)

    @property
    def name(self) -> str:
        """What it is called."""
        return "KL divergence of the clean prediction"

    @property
    def unit(self) -> str:
        """What it is counted in."""
        return KL_UNIT

    @property
    def least(self) -> float:
        """What it is where a prediction is the clean one."""
        return 0.0

    def rows(self, index: slice | Tensor) -> DivergenceOfClean:
        """That of some of the pairs."""
        return DivergenceOfClean(self.clean[index])

    def repeat(self, copies: int) -> DivergenceOfClean:
        """That of all pairs, again and again."""
        return DivergenceOfClean(self.clean.repeat(copies, 1))

    def __call__(self, logits: Float[Tensor, "pair vocab"]) -> Float[Tensor, " pair"]:
        """How far the clean prediction is from each."""
        return kl(self.clean, logits)


def of_clean(model: Model, pairs: PairBatch) -> PairBatch:
    """The same pairs, judged by `KL(prediction || clean prediction)`."""
    with torch.no_grad():
        logits = [model.last_logits(piece.clean) for _, piece in pairs.parts()]
    return replace(pairs, answers=DivergenceOfClean(torch.cat(logits)))


def with_answers(prompts: Prompts) -> tuple[list[list[int]], list[list[int]]]:
    """Clean and corrupt tokens with the first right answer of the pair behind them.

    Version A reads its divergence there: one position after the answer was asked for.
    """
    ends = [answers[0] for answers in prompts.answer_ids]
    clean, corrupt = (
        [[*row, end] for row, end in zip(ids, ends, strict=True)]
        for ids in (prompts.clean_ids, prompts.corrupt_ids)
    )
    return clean, corrupt


def denoised_faithfulness(
    model: Model, pairs: PairBatch, circuit: Bool[Tensor, " head"]
) -> PaperFaithfulness:
    """Version B: the corrupt run with the circuit's heads overwritten by their clean z.

    Overwritten at all positions; all else is recomputed. The empty circuit is the corrupt run,
    the whole model the clean one, which is not the same as all heads overwritten unless the last
    token is the same in both prompts. It asks whether the circuit is enough to bring the
    behaviour back, not whether anything else is needed.

    Args:
        model: Any model.
        pairs: Prompts, and what is measured; with `from_clean` it is `KL(clean || patched)`.
        circuit: The heads of the circuit, in layer-major order.
    """
    kept = _by_layer(model, circuit)
    found = []
    with torch.no_grad():
        for _, piece in pairs.parts():
            clean = _heads(model, piece.clean)
            with _replaced(model, kept, clean.__getitem__):
                patched = piece.answers(model.last_logits(piece.corrupt))
            empty = piece.answers(model.last_logits(piece.corrupt))
            whole = piece.answers(model.last_logits(piece.clean))
            found.append(torch.stack([patched, empty, whole]).cpu())
    return PaperFaithfulness(*torch.cat(found, 1))


def zeroed_faithfulness(
    model: Model,
    pairs: PairBatch,
    circuit: Bool[Tensor, " head"],
    *,
    exempt: int = EXEMPT_LAYERS,
) -> PaperFaithfulness:
    """Version A: the clean run with the heads outside the circuit set to zero.

    Heads of the first layers are never zeroed, except in the empty circuit, where all heads of
    all layers are. Zero is that of a model with its norms and value biases folded away, as the
    paper's tools have it: in the model as it is, the z of attending to a stream of nothing but
    the norm's shift. Published KL values were read after the answer: see `with_answers`.

    Args:
        model: Any model.
        pairs: Prompts, and what is measured; with `of_clean` it is `KL(ablated || clean)`.
        circuit: The heads of the circuit, in layer-major order.
        exempt: Layers whose heads every circuit but the empty one keeps.
    """
    zero = [_folded_zero(model, layer) for layer in range(model.shape.n_layers)]
    outside = ~_by_layer(model, circuit)
    outside[:exempt] = False
    return _ablated(model, pairs, outside, torch.ones_like(outside), zero.__getitem__)


def mean_ablated_faithfulness(
    model: Model, pairs: PairBatch, circuit: Bool[Tensor, " head"]
) -> PaperFaithfulness:
    """As defined in the text: heads outside the circuit set to their mean over corrupt prompts.

    The mean is taken position by position, so that all prompts must be of one length.

    Args:
        model: Any model.
        pairs: Prompts, and what is measured.
        circuit: The heads of the circuit, in layer-major order.

    Raises:
        DataError: If prompts are of different lengths.
    """
    lengths = set(pairs.corrupt.lengths.tolist())
    if len(lengths) > 1:
        raise DataError(
            f"means by position need prompts of one length, not of {min(lengths)} to "
            f"{max(lengths)} tokens; give prompts of one template."
        )
    total: list[Tensor] = []
    with torch.no_grad():
        for _, piece in pairs.parts():
            summed = [z.double().sum(0) for z in _heads(model, piece.corrupt)]
            total = [a + b for a, b in zip(total, summed, strict=True)] if total else summed
    means = [one / len(pairs) for one in total]
    outside = ~_by_layer(model, circuit)
    return _ablated(model, pairs, outside, torch.ones_like(outside), means.__getitem__)


def _ablated(
    model: Model,
    pairs: PairBatch,
    outside: Bool[Tensor, "layer head"],
    everything: Bool[Tensor, "layer head"],
    values: HeadValues,
) -> PaperFaithfulness:
    """The clean run under a circuit, under the empty one, and as it is."""
    found = []
    nothing = torch.zeros_like(outside)
    with torch.no_grad():
        for _, piece in pairs.parts():
            rows = []
            for which in (outside, everything, nothing):
                with _replaced(model, which, values):
                    rows.append(piece.answers(model.last_logits(piece.clean)))
            found.append(torch.stack(rows).cpu())
    return PaperFaithfulness(*torch.cat(found, 1))


def _replaced(
    model: Model, which: Bool[Tensor, "layer head"], values: HeadValues
) -> AbstractContextManager[None]:
    def edit(layer: int, z: Tensor) -> Tensor:
        inside = which[layer, :, None].to(z.device)
        return torch.where(inside, values(layer).to(z), z)

    used: Sequence[int] = which.any(1).nonzero()[:, 0].tolist()
    edits: list[tuple[Site | str, Edit]] = [
        (Site.of(layer, Part.HEADS), partial(edit, layer)) for layer in used
    ]
    return hook(model, edits)


def _heads(model: Model, batch: Batch) -> list[Tensor]:
    sites = [Site.of(layer, Part.HEADS) for layer in range(model.shape.n_layers)]
    with record(model, sites) as kept:
        model.hidden(batch)
    return [kept[site] for site in sites]


def _by_layer(model: Model, circuit: Bool[Tensor, " head"]) -> Tensor:
    """The same as `[layer head]`."""
    return circuit.cpu().reshape(model.shape.n_layers, model.shape.n_heads)


def _folded_zero(model: Model, layer: int) -> Float[Tensor, "head d_head"]:
    """The z that folding norm and value bias into what follows would make 0."""
    values = projection(model, layer, "v")
    norm = reading_norm(model, layer, "attention")
    constant = torch.zeros(model.shape.n_kv_heads, model.shape.d_head, device=model.device)
    if values.bias is not None:
        constant = constant + values.bias.float()
    if next(norm.parameters(), None) is not None:
        shift = norm_of(norm, model.shape.d_model).shift
        constant = constant + torch.einsum("m,rmh->rh", shift, values.weight.float())
    return constant.repeat_interleave(model.shape.n_heads // model.shape.n_kv_heads, dim=0)
