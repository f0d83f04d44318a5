"""Scores of heads on many resamples of the pairs at once, from what has been read and trained.

A pair that is drawn twice counts twice. No model is run, and a dictionary stays as all the pairs
have trained it: what is redone is what was counted and averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.baselines import STILL
from needlepoint.circuits.calibrated.change_rows import ChangeRows
from needlepoint.circuits.calibrated.rankings import changes_of, rows_of
from needlepoint.circuits.head_data import HeadData
from needlepoint.circuits.scores import codes_of

Resampled = Callable[[HeadData, Int[Tensor, "resample pair"], torch.Generator], Tensor]
"""Scores of all heads, `[resample head]`, from how often each pair was drawn. The generator is
that of the score, by which its trained dictionary is found again."""


def n_drawn_from(name: str, data: HeadData) -> int:
    """Pairs that a score's resamples are drawn from: all, or those whose changes were kept."""
    return rows_of(data).n_pairs if name in OF_CHANGES else data.n_pairs


def mean_difference(
    data: HeadData, counts: Int[Tensor, "resample pair"], generator: torch.Generator
) -> Float[Tensor, "resample head"]:
    """The score `mean_difference` on resamples."""
    return _norm(_means(data.clean - data.corrupt, counts))


def effect_size(
    data: HeadData, counts: Int[Tensor, "resample pair"], generator: torch.Generator
) -> Float[Tensor, "resample head"]:
    """The score `effect_size` on resamples."""
    means, within = [], []
    for vectors in (data.clean, data.corrupt):
        apart = vectors - vectors.mean(0)
        shift = _means(apart, counts)
        means.append(vectors.mean(0) + shift)
        power = _means(apart.square().sum(-1, keepdim=True), counts)[..., 0]
        within.append((power - shift.square().sum(-1)).clamp(min=0))
    spread = torch.stack(within).mean(0).sqrt()
    least = STILL * output_norm(data, counts, generator) + torch.finfo(spread.dtype).tiny
    return _norm(means[0] - means[1]) / torch.maximum(spread, least)


def paired_difference(
    data: HeadData, counts: Int[Tensor, "resample pair"], generator: torch.Generator
) -> Float[Tensor, "resample head"]:
    """The score `paired_difference` on resamples."""
    return _means(_norm(data.clean - data.corrupt)[..., None], counts)[..., 0]


def output_norm(
    data: HeadData, counts: Int[Tensor, "resample pair"], generator: torch.Generator
) -> Float[Tensor, "resample head"]:
    """The score `output_norm` on resamples."""
    norms = (_norm(data.clean) + _norm(data.corrupt)) / 2
    return _means(norms[..., None], counts)[..., 0]


def discrete_sae(
    data: HeadData, counts: Int[Tensor, "resample pair"], generator: torch.Generator
) -> Float[Tensor, "resample head"]:
    """The score `discrete_sae` on resamples, the dictionary as it was trained."""
    return _counted(data, data.autoencoder, counts, generator, lambda one, two: one & ~two)


def untrained_codes(
    data: HeadData, counts: Int[Tensor, "resample pair"], generator: torch.Generator
) -> Float[Tensor, "resample head"]:
    """The score `untrained_codes` on resamples."""
    settings = replace(data.autoencoder, n_steps=0)
    return _counted(data, settings, counts, generator, lambda one, two: one & ~two)


def distinct_codes(
    data: HeadData, counts: Int[Tensor, "resample pair"], generator: torch.Generator
) -> Float[Tensor, "resample head"]:
    """The score `distinct_codes` on resamples, the dictionary as it was trained."""
    return _counted(data, data.autoencoder, counts, generator, lambda one, two: one | two)


def consistent_change(
    data: HeadData, counts: Int[Tensor, "resample pair"], generator: torch.Generator
) -> Float[Tensor, "resample head"]:
    """The score `consistent_change` on resamples; a pair is not held against its own copy."""
    key = (ChangeRows, counts.numpy().tobytes())
    if key not in data.memo:
        data.memo[key] = _consistent(rows_of(data), counts).clamp(min=0).sqrt()
    found: Tensor = data.memo[key]
    return found


def change_and_answer(
    data: HeadData, counts: Int[Tensor, "resample pair"], generator: torch.Generator
) -> Float[Tensor, "resample head"]:
    """The score `change_and_answer` on resamples."""
    consistent = consistent_change(data, counts, generator)
    changes, n = changes_of(data), counts.shape[1]
    if changes.direct is None or changes.answer is None:
        return consistent
    direct = _means(changes.direct[:n, :, None].double(), counts)[..., 0].abs()
    whole = _means(changes.answer[:n, None, None].double(), counts)[..., 0].abs()
    return torch.hypot(consistent, torch.where(whole > 0, direct / whole, 0.0))


RESAMPLED: Mapping[str, Resampled] = {
    "discrete_sae": discrete_sae,
    "change_and_answer": change_and_answer,
    "consistent_change": consistent_change,
    "mean_difference": mean_difference,
    "effect_size": effect_size,
    "paired_difference": paired_difference,
    "untrained_codes": untrained_codes,
    "distinct_codes": distinct_codes,
    "output_norm": output_norm,
}
"""The scores that are quickly made again, by name."""
OF_CHANGES = ("change_and_answer", "consistent_change", "calibrated_sae")
"""Scores that are made of changes, which are kept of the first pairs only where they are large."""


def _means(
    values: Float[Tensor, "pair head width"], counts: Int[Tensor, "resample pair"]
) -> Float[Tensor, "resample head width"]:
    share = counts.to(values) / counts.sum(1, keepdim=True)
    means: Tensor = share @ values.flatten(1)
    return means.reshape(-1, *values.shape[1:])


def _norm(vectors: Float[Tensor, "*row width"]) -> Float[Tensor, "*row"]:
    return vectors.square().sum(-1).sqrt()


def _counted(
    data: HeadData,
    settings: Autoencoder,
    counts: Int[Tensor, "resample pair"],
    generator: torch.Generator,
    which: Callable[[NDArray[np.bool_], NDArray[np.bool_]], NDArray[np.bool_]],
) -> Float[Tensor, "resample head"]:
    """Codes of each head that are counted, given those on clean and those on corrupt prompts."""
    codes, drawn = codes_of(data, settings, generator).cpu(), counts > 0
    total = torch.zeros(len(counts), data.n_heads, dtype=torch.float64)
    for seed in codes:
        used = [_used(side, drawn, settings.codebook) for side in seed.split(data.n_pairs)]
        total += torch.from_numpy(which(used[0], used[1]).sum(1)).T
    return total / len(codes)


def _used(
    codes: Int[Tensor, "pair head"], drawn: Bool[Tensor, "resample pair"], n_codes: int
) -> NDArray[np.bool_]:
    """Whether a head says a code on any pair that is drawn, `[head code resample]`."""
    n_heads, heads = codes.shape[1], np.arange(codes.shape[1])
    used = np.zeros((n_heads, n_codes, len(drawn)), dtype=bool)
    for said, among in zip(codes.numpy(), drawn.T.numpy(), strict=True):
        used[heads, said] |= among
    return used


def _consistent(
    rows: ChangeRows, counts: Int[Tensor, "resample pair"]
) -> Float[Tensor, "resample head"]:
    """Products of the changes of two pairs, over positions and both signs of a pair; their mean."""
    weights = torch.cat([counts.float(), counts * rows.sign.float()])
    found = torch.empty(len(counts), rows.z.shape[1], dtype=torch.float64)
    shape = (rows.n_pairs, int(rows.place.max()) + 1)
    for head, turn in enumerate(torch.linalg.qr(rows.W_O.double().mT, mode="r").R.float()):
        change = torch.zeros(*shape, len(turn))
        change[rows.pair, rows.place] = rows.z[:, head].float() @ turn.T
        vectors = change.flatten(1)
        squared = (weights @ vectors).square().sum(1).double()
        own = (weights.square() @ vectors.square().sum(1)).double()
        found[:, head] = (squared - own).reshape(2, -1).sum(0)
    n = counts.double()
    return found / (n.sum(1).square() - n.square().sum(1)).clamp(min=1)[:, None]
