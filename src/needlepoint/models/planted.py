"""The planted model: a transformer built by hand whose induction circuit is known exactly.

The residual stream is cut into subspaces: the token here, its position, the token before, what
comes next, and a scratch space. One head of layer 0 copies the token before; one head of layer 1
finds the place where the token before was the present token, and copies what stands there to
"what comes next", which is what logits are read from. All other heads and all neurons have random
weights and write to the scratch space, which only they read.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from needlepoint._core.errors import DataError
from needlepoint._core.seeds import seed_for
from needlepoint.models.plain import PlainBlock, PlainTransformer
from needlepoint.models.planted_parts import (
    BEFORE,
    LETTERS,
    NEXT,
    POSITION,
    POSITIONS,
    SHARPNESS,
    TOKEN,
    VOCAB,
    Edge,
    Head,
    PlantedModel,
    distract,
    embed_letters,
    head_inputs,
    load_planted,
    look_back,
    planted_config,
)
from needlepoint.models.sites import Part, Site
from needlepoint.tasks.pairs import Pair, Prompts, pair_prompts

__all__ = ["RECENCY", "PlantedModel", "planted_model", "planted_prompts"]

RECENCY = 1.0
"""Score that one position later adds, so that of several matches the last one counts most."""


def planted_model(
    *, n_heads: int = 6, n_layers: int = 3, n_kv_heads: int | None = None, seed: int = 0
) -> PlantedModel:
    """A model that predicts what followed the last occurrence of the present token.

    It is not trained: which heads matter is known because nothing else can. The seed places the
    two heads among those of layers 0 and 1 and draws the weights of the others, whose outputs are
    about as large.

    Args:
        n_heads: Heads in each layer.
        n_layers: Layers; those above the second hold distractors only.
        n_kv_heads: Key/value heads in each layer, each shared by as many query heads; one for
            each query head unless given. The distractors in the group of a head of the circuit
            read its keys and values, with queries of their own.
        seed: Root of the places and of the distractors' weights.

    Raises:
        DataError: If there are fewer than 2 layers or no heads: the circuit would not fit; or if
            the heads cannot share so many key/value heads evenly.

    Example:
        >>> planted = planted_model()
        >>> [planted.roles[head] for head in planted.heads]
        ['previous token', 'induction']
        >>> ("L0.H2", "L1.K3") in planted.edges
        True
        >>> ids = planted.model.encoder.encode("q x 7 b x")
        >>> best = planted.model.last_logits(planted.model.batch([ids])).argmax(-1)
        >>> planted.model.encoder.pieces(best.tolist())
        ['7']

    References:
        Olsson et al., "In-context Learning and Induction Heads", 2022.
    """
    if n_layers < 2 or n_heads < 1:
        raise DataError(
            f"an induction circuit needs 2 layers and 1 head in each, not {n_layers} and {n_heads}."
        )
    rng = torch.Generator().manual_seed(seed_for(seed, use="planted model"))
    module = PlainTransformer(planted_config(n_heads, n_layers, n_kv_heads))
    before, after = torch.randint(n_heads, (2,), generator=rng).tolist()
    with torch.no_grad():
        embed_letters(module, rng)
        blocks = [block for block in module.decoder.blocks if isinstance(block, PlainBlock)]
        for block in blocks:
            distract(block, rng)
        look_back(Head(blocks[0].attention, before))
        _induction(Head(blocks[1].attention, after))
    roles = {
        Site.of(0, Part.HEAD, before): "previous token",
        Site.of(1, Part.HEAD, after): "induction",
    }
    edges = _edges(blocks, before, after)
    return PlantedModel(load_planted(module, "planted", seed), tuple(roles), roles, (), edges)


def _edges(blocks: Sequence[PlainBlock], before: int, after: int) -> tuple[Edge, ...]:
    """The embedding is read by all three inputs of both heads, and by the logits."""
    first = head_inputs(0, before, blocks[0].attention)
    second = head_inputs(1, after, blocks[1].attention)
    return (
        *(("embed", reader) for reader in (*first, *second, "logits")),
        (f"L0.H{before}", second[1]),
        (f"L1.H{after}", "logits"),
    )


def _induction(head: Head) -> None:
    """Look where the token before was the present one; failing that, at the first position."""
    match = SHARPNESS + RECENCY * POSITIONS
    head.q[:VOCAB, TOKEN] = match * head.unit * torch.eye(VOCAB)
    head.k[:VOCAB, BEFORE] = torch.eye(VOCAB)
    # One more coordinate, alike for every query: later is better, and first is better than any
    # place without a match.
    rest = torch.arange(POSITIONS) * RECENCY
    rest[0] = match - SHARPNESS / 2
    head.q[VOCAB, TOKEN] = head.unit
    head.k[VOCAB, POSITION] = rest
    # The first position says nothing about the token before: its own would match itself.
    head.k[:VOCAB, BEFORE][0] = 0
    head.copy(TOKEN, NEXT)
    head.v[0] = 0


def planted_prompts(
    planted: PlantedModel, *, n_pairs: int = 64, half: int = 10, seed: int = 0
) -> Prompts:
    """Pairs on which the circuit decides: a random sequence that begins again, or does not.

    A clean prompt is a sequence of `half` different letters, followed by its beginning; the
    answer is how it goes on, and the wrong answer another letter from its later part. In the
    corrupt prompt other letters take the place of the first `half`, so that neither answer
    occurs. Lengths vary from pair to pair.

    Args:
        planted: The model whose vocabulary to use.
        n_pairs: How many pairs.
        half: Letters in the sequence, from 4 to half the vocabulary.
        seed: Root of the draw.

    Returns:
        Prompts with two named positions: `match`, where the answer stands, and `end`.

    Raises:
        DataError: If `half` is out of range, or there are fewer than 2 pairs.
    """
    most = len(LETTERS) // 2
    if not 4 <= half <= most:
        raise DataError(f"half is {half}; it must be from 4 to {most}.")
    rng = torch.Generator().manual_seed(seed_for(seed, use="planted prompts"))
    pairs, matches, ends = [], [], []
    for _ in range(n_pairs):
        drawn = [LETTERS[i] for i in torch.randperm(len(LETTERS), generator=rng).tolist()]
        sequence, other = drawn[:half], drawn[half : 2 * half]
        again = int(torch.randint(1, half - 1, (), generator=rng))
        wrong = int(torch.randint(again + 1, half, (), generator=rng))
        repeat = sequence[:again]
        clean, corrupt = " ".join(sequence + repeat), " ".join(other + repeat)
        pairs.append(Pair(clean, corrupt, sequence[again], sequence[wrong]))
        matches.append(again)
        ends.append(half + again - 1)
    return pair_prompts(
        pairs,
        planted.model.encoder,
        task="planted induction",
        description="A random sequence of letters begins again; the next letter is asked for.",
        question="Which heads make the model go on with a sequence that it has seen before?",
        corruption="the first time replaced by other letters",
        positions={"match": tuple(matches), "end": tuple(ends)},
    )
