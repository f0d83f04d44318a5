"""The planted model: a transformer built by hand whose induction circuit is known exactly.

The residual stream is cut into subspaces: the token here, its position, the token before, what
comes next, and a scratch space. One head of layer 0 copies the token before; one head of layer 1
finds the place where the token before was the present token, and copies what stands there to
"what comes next", which is what logits are read from. All other heads and all neurons have random
weights and write to the scratch space, which only they read.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint._core.seeds import seed_for
from needlepoint.models.load import load_model
from needlepoint.models.model import Model
from needlepoint.models.plain import PlainAttention, PlainBlock, PlainConfig, PlainTransformer
from needlepoint.models.sites import Part, Site
from needlepoint.models.word_tokenizer import word_tokenizer
from needlepoint.tasks.pairs import Pair, Prompts, pair_prompts

FIRST = "<s>"
LETTERS = tuple(string.ascii_lowercase + string.digits)
_VOCAB = 1 + len(LETTERS)
_POSITIONS = 64
_SCRATCH = 48
_TOKEN = slice(0, _VOCAB)
_POSITION = slice(_VOCAB, _VOCAB + _POSITIONS)
_BEFORE = slice(_POSITION.stop, _POSITION.stop + _VOCAB)
_NEXT = slice(_BEFORE.stop, _BEFORE.stop + _VOCAB)
_FREE = slice(_NEXT.stop, _NEXT.stop + _SCRATCH)

SHARPNESS = 10.0
"""Score by which a head of the circuit prefers the place it looks for over all others."""
RECENCY = 1.0
"""Score that one position later adds, so that of several matches the last one counts most."""
GAIN = 8.0
"""Logit of a token that the circuit predicts."""
NOISE = 0.5
"""Standard deviation of the logits that the present token alone gives, which break ties."""


@dataclass(frozen=True)
class PlantedModel:
    """A model together with the heads that are its circuit, by construction."""

    model: Model
    heads: tuple[Site, ...]
    """The heads of the circuit, in layer-major order; no other head affects the logits."""
    roles: Mapping[Site, str]
    """What each of them does: `"previous token"` or `"induction"`."""


def planted_model(*, n_heads: int = 6, n_layers: int = 3, seed: int = 0) -> PlantedModel:
    """A model that predicts what followed the last occurrence of the present token.

    It is not trained: which heads matter is known because nothing else can. The seed places the
    two heads among those of layers 0 and 1 and draws the weights of the others, whose outputs are
    about as large.

    Args:
        n_heads: Heads in each layer.
        n_layers: Layers; those above the second hold distractors only.
        seed: Root of the places and of the distractors' weights.

    Raises:
        DataError: If there are fewer than 2 layers or no heads: the circuit would not fit.

    Example:
        >>> planted = planted_model()
        >>> [planted.roles[head] for head in planted.heads]
        ['previous token', 'induction']
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
    module = PlainTransformer(_config(n_heads, n_layers))
    before, after = torch.randint(n_heads, (2,), generator=rng).tolist()
    with torch.no_grad():
        _embed(module, rng)
        blocks = [block for block in module.decoder.blocks if isinstance(block, PlainBlock)]
        for block in blocks:
            _distract(block, rng)
        _previous_token(_Head(blocks[0].attention, before))
        _induction(_Head(blocks[1].attention, after))
    roles = {
        Site.of(0, Part.HEAD, before): "previous token",
        Site.of(1, Part.HEAD, after): "induction",
    }
    tokenizer = word_tokenizer((FIRST, *LETTERS), first=FIRST)
    model = load_model(module, tokenizer=tokenizer, device="cpu", first_token=0)
    model = replace(model, name="planted", provenance={"source": f"built by hand, seed {seed}"})
    return PlantedModel(model, tuple(roles), roles)


def _config(n_heads: int, n_layers: int) -> PlainConfig:
    return PlainConfig(
        vocab_size=_VOCAB,
        hidden_size=_FREE.stop,
        num_hidden_layers=n_layers,
        num_attention_heads=n_heads,
        head_dim=_POSITIONS,
        intermediate_size=64,
        num_key_value_heads=n_heads,
        max_position_embeddings=_POSITIONS,
    )


class _Head:
    """The weights of one head, as views that can be written."""

    def __init__(self, attention: PlainAttention, index: int) -> None:
        rows = slice(index * attention.d_head, (index + 1) * attention.d_head)
        self.q: Float[Tensor, "d_head d_model"] = attention.q.weight[rows]
        self.k: Float[Tensor, "d_head d_model"] = attention.k.weight[rows]
        self.v: Float[Tensor, "d_head d_model"] = attention.v.weight[rows]
        self.o: Float[Tensor, "d_model d_head"] = attention.o.weight[:, rows]
        for part in (self.q, self.k, self.v, self.o):
            part.zero_()
        # What a query is multiplied by, so that the scale of attention cancels out.
        self.unit = attention.d_head**0.5

    def copy(self, source: slice, target: slice) -> None:
        """Carry a subspace of the size of the vocabulary from where the head looks."""
        self.v[:_VOCAB, source] = torch.eye(_VOCAB)
        self.o[target, :_VOCAB] = torch.eye(_VOCAB)


def _embed(module: PlainTransformer, rng: torch.Generator) -> None:
    module.decoder.tokens.weight[:, _TOKEN] = torch.eye(_VOCAB)
    module.decoder.positions.weight[:, _POSITION] = torch.eye(_POSITIONS)
    module.unembed.weight[:, _TOKEN] = NOISE * torch.randn(_VOCAB, _VOCAB, generator=rng)
    module.unembed.weight[:, _NEXT] = GAIN * torch.eye(_VOCAB)


def _previous_token(head: _Head) -> None:
    """From position i, look at position i - 1."""
    shift = torch.diag(torch.ones(_POSITIONS - 1), 1)
    head.q[:, _POSITION] = SHARPNESS * head.unit * shift
    head.k[:, _POSITION] = torch.eye(_POSITIONS)
    head.copy(_TOKEN, _BEFORE)


def _induction(head: _Head) -> None:
    """Look where the token before was the present one; failing that, at the first position."""
    match = SHARPNESS + RECENCY * _POSITIONS
    head.q[:_VOCAB, _TOKEN] = match * head.unit * torch.eye(_VOCAB)
    head.k[:_VOCAB, _BEFORE] = torch.eye(_VOCAB)
    # One more coordinate, alike for every query: later is better, and first is better than any
    # place without a match.
    rest = torch.arange(_POSITIONS) * RECENCY
    rest[0] = match - SHARPNESS / 2
    head.q[_VOCAB, _TOKEN] = head.unit
    head.k[_VOCAB, _POSITION] = rest
    # The first position says nothing about the token before: its own would match itself.
    head.k[:_VOCAB, _BEFORE][0] = 0
    head.copy(_TOKEN, _NEXT)
    head.v[0] = 0


def _distract(block: PlainBlock, rng: torch.Generator) -> None:
    """Random heads and neurons that read everything and write to the scratch space.

    They read the scratch space faintly, or what they write would grow from layer to layer.
    """
    attention, mlp = block.attention, block.mlp
    d_head, neurons = attention.d_head, mlp.up.out_features
    for layer, size in (
        (attention.q, 1.0),
        (attention.k, 1.0),
        (attention.v, d_head**-0.5),
        (mlp.up, 1.0),
    ):
        layer.weight.copy_(size * torch.randn(layer.weight.shape, generator=rng))
        layer.weight[:, _FREE] /= 10
    for layer, size in ((attention.o, 1.0), (mlp.down, neurons**-0.5)):
        shape = (_SCRATCH, layer.in_features)
        layer.weight[_FREE] = size * _SCRATCH**-0.5 * torch.randn(shape, generator=rng)


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
