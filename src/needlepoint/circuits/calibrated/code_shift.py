"""Codes of changes at single positions, and what pairs that say the same code change alike.

A head's change at one position of one pair is a vector d, clean less corrupt, beside the stream it
is added to; it has a code, and so has its mirror -d. Codes name directions: every vector is brought
to one length before it is coded, and the dictionary is trained on changes drawn in proportion to
their squared length, either way round, so that it is spent where changes are large. What is then
added up is the changes themselves, code by code.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint.circuits.calibrated.change_rows import ChangeRows
from needlepoint.circuits.dictionary import Dictionary

N_VECTORS = 500
"""Changes that a dictionary is trained on."""
SILENT = -1
BLOCK = 16
"""Heads that are coded at a time: bounds memory."""


def code_shift(
    rows: ChangeRows,
    fold_of: Int[Tensor, " pair"],
    autoencoder: Any,
    generator: torch.Generator,
    signs: Float[Tensor, "pair resample"] | None = None,
) -> Float[Tensor, "head resample"]:
    """Squared consistent change of each head within its codes, as clean less corrupt and as turned.

    Every pair is coded by a dictionary that has seen no pair of its fold. What changes with random
    signs would come to is taken off, so it may be below 0.

    Args:
        rows: The changes.
        fold_of: Fold of each pair; a fold of one pair says nothing.
        autoencoder: How dictionaries are trained (`HeadData.autoencoder`).
        generator: Source of the vectors trained on, their signs and the initial weights.
        signs: Ways to turn pairs round, or how often each counts; once and as it is unless given.
    """
    if signs is None:
        signs = torch.ones(rows.n_pairs, 1)
    signs = signs.double()
    found = torch.zeros(rows.z.shape[1], signs.shape[1], dtype=torch.float64)
    for fold in torch.unique(fold_of):
        inside = (fold_of == fold).nonzero().flatten()
        known = rows.take_pairs((fold_of != fold).nonzero().flatten())
        dictionary = direction_dictionary(known, autoencoder, generator)
        if dictionary is None or len(inside) < 2:
            continue
        asked = rows.take_pairs(inside)
        for heads in torch.split(torch.arange(len(found)), BLOCK):
            part = asked.take_heads(heads)
            agreed = agreement(part, *direction_codes(part, dictionary))
            found[heads] += signed_shift(agreed, part.sign, signs[inside]) * len(inside)
    return found / len(fold_of)


def direction_dictionary(
    rows: ChangeRows, autoencoder: Any, generator: torch.Generator
) -> Dictionary | None:
    """A dictionary of the directions of changes, drawn by squared length; None if nothing changes.

    Vectors have the root of d_model as their length, the unit in which the penalty is meant.
    """
    blocks = torch.split(torch.arange(rows.z.shape[1]), BLOCK)
    chance = torch.cat([_power(rows.take_heads(heads)) for heads in blocks], 1).double().flatten()
    n = min(N_VECTORS, int((chance > 0).sum()))
    if n == 0:
        return None
    drawn = torch.multinomial(chance, n, generator=generator)
    row, head = drawn // rows.z.shape[1], drawn % rows.z.shape[1]
    vectors = torch.einsum("nd,ndm->nm", rows.z[row, head].float(), rows.W_O[head].float())
    way = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
    length = vectors.norm(dim=-1) / vectors.shape[-1] ** 0.5
    settings = replace(autoencoder, n_train_examples=n)
    found: Dictionary = settings.fit((vectors * (way / length)[:, None])[:, None], generator)
    return found


def direction_codes(
    rows: ChangeRows, dictionary: Dictionary
) -> tuple[Int[Tensor, "seed row head"], Int[Tensor, "seed row head"]]:
    """Codes of changes and of their mirrors; `SILENT` where none is active.

    Silent, too, where both have the same code, which then does not tell a change from its mirror.
    """
    power = _power(rows)
    length = (power / rows.W_O.shape[-1]).sqrt()
    unit = rows.z.float() / torch.where(length > 0, length, torch.ones_like(length))[..., None]
    one, two = (dictionary.read_z(way * unit, rows.W_O.float()) for way in (1.0, -1.0))
    blind = (one.codes == two.codes) | (power == 0)
    return (
        one.codes.masked_fill(one.silent | blind, SILENT),
        two.codes.masked_fill(two.silent | blind, SILENT),
    )


def shift_within(
    rows: ChangeRows, codes: Int[Tensor, "seed row head"], mirrored: Int[Tensor, "seed row head"]
) -> Float[Tensor, " head"]:
    """Squared length of the mean change within each position and code, summed; mean over seeds.

    A change counts in its own code and in that of its mirror, by half each, so that pairs that
    change one way and pairs that change the other way cancel; where it is silent it does not count.
    Of both signs of a pair: as clean less corrupt, and as its answers turn it.
    """
    as_is = torch.ones(rows.n_pairs, 1, dtype=torch.float64)
    return signed_shift(agreement(rows, codes, mirrored), rows.sign, as_is)[:, 0]


def agreement(
    rows: ChangeRows, codes: Int[Tensor, "seed row head"], mirrored: Int[Tensor, "seed row head"]
) -> Float[Tensor, "head pair pair"]:
    """Products of the changes of two pairs, over all positions where they share a code.

    Mean over seeds. Each of the two counts in its own code and in that of its mirror; a pair with
    itself is 0.
    """
    upper = torch.linalg.qr(rows.W_O.double().mT, mode="r").R
    shape = (int(rows.place.max()) + 1, rows.n_pairs)
    found = torch.zeros(len(upper), rows.n_pairs, rows.n_pairs, dtype=torch.float64)
    for head, turn in enumerate(upper):
        change = torch.zeros(*shape, turn.shape[0], dtype=torch.float64)
        change[rows.place, rows.pair] = rows.z[:, head].double() @ turn.T
        said = torch.full((2, len(codes), *shape), SILENT)
        said[:, :, rows.place, rows.pair] = torch.stack([codes, mirrored])[..., head]
        found[head] = ((change @ change.mT) * _shared(said)).sum(0)
    found.diagonal(dim1=1, dim2=2).zero_()
    return found / len(codes)


def signed_shift(
    agreed: Float[Tensor, "head pair pair"],
    turns: Float[Tensor, " pair"],
    signs: Float[Tensor, "pair resample"],
) -> Float[Tensor, "head resample"]:
    """What `shift_within` is where the changes of some pairs are the other way round.

    Args:
        agreed: Of `agreement`, which no sign enters.
        turns: Which way each pair's answers point.
        signs: 1 for pairs as they are, -1 for those that are turned round, 2 for one drawn twice.
    """
    n_pairs = len(turns)
    both = agreed * (1 + turns.double()[:, None] * turns.double())
    found = torch.einsum("pr,hpr->hr", signs, both @ signs)
    return found / (2 * n_pairs * (n_pairs - 1))


def _shared(said: Int[Tensor, "_ seed slot pair"]) -> Int[Tensor, "slot pair pair"]:
    """In how many ways two pairs say the same at a place: by a code or by that of the mirror."""
    count = torch.zeros(*said.shape[2:], said.shape[3], dtype=torch.int64)
    for one in said:
        for other in said:
            alike = one[..., :, None] == other[..., None, :]
            count += (alike & (one != SILENT)[..., :, None]).sum(0)
    return count


def _power(rows: ChangeRows) -> Float[Tensor, "row head"]:
    """Squared length of what is added to the stream."""
    weights = rows.W_O.float()
    gram = torch.einsum("hdm,hem->hde", weights, weights)
    z = rows.z.float()
    return torch.einsum("rhd,hde,rhe->rh", z, gram, z).clamp(min=0)
