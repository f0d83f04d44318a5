"""What planted models are built of: subspaces of the residual stream, heads, distractors.

The stream is cut into the token here, its position, the token before, what comes next, and a
scratch space. Logits are read from the present token, faintly, and from what comes next. All that
is not part of a circuit has random weights, reads everything and writes to the scratch space,
which only such parts read.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.models.load import load_model
from needlepoint.models.model import Model
from needlepoint.models.plain import PlainAttention, PlainBlock, PlainConfig, PlainTransformer
from needlepoint.models.sites import Site
from needlepoint.models.word_tokenizer import word_tokenizer

FIRST = "<s>"
LETTERS = tuple(string.ascii_lowercase + string.digits)
VOCAB = 1 + len(LETTERS)
POSITIONS = 64
SCRATCH = 48
TOKEN = slice(0, VOCAB)
POSITION = slice(VOCAB, VOCAB + POSITIONS)
BEFORE = slice(POSITION.stop, POSITION.stop + VOCAB)
NEXT = slice(BEFORE.stop, BEFORE.stop + VOCAB)
FREE = slice(NEXT.stop, NEXT.stop + SCRATCH)

SHARPNESS = 10.0
"""Score by which a head of the circuit prefers the place it looks for over all others."""
GAIN = 8.0
"""Logit of a token that the circuit predicts."""
NOISE = 0.5
"""Standard deviation of the logits that the present token alone gives, which break ties."""


Edge = tuple[str, str]
"""Names of a writer and a reader, as a circuit's graph spells them."""


@dataclass(frozen=True)
class PlantedModel:
    """A model together with what its circuit is, by construction."""

    model: Model
    heads: tuple[Site, ...]
    """The heads of the circuit, in layer-major order; no other head affects the logits."""
    roles: Mapping[Site, str]
    """What each of them does: `"previous token"` or `"induction"`."""
    mlps: tuple[int, ...] = ()
    """Layers whose MLP is in the circuit; no other affects the logits."""
    edges: tuple[Edge, ...] = ()
    """The edges of the circuit, as they were planted; no other affects the logits."""


def planted_config(n_heads: int, n_layers: int, n_kv_heads: int | None) -> PlainConfig:
    """Sizes of a planted model.

    Raises:
        DataError: If the query heads cannot share so many key/value heads evenly.
    """
    shared = n_heads if n_kv_heads is None else n_kv_heads
    if shared < 1 or n_heads % shared:
        raise DataError(
            f"{n_heads} query heads cannot share {shared} key/value heads evenly; give a divisor."
        )
    return PlainConfig(
        vocab_size=VOCAB,
        hidden_size=FREE.stop,
        num_hidden_layers=n_layers,
        num_attention_heads=n_heads,
        head_dim=POSITIONS,
        intermediate_size=64,
        num_key_value_heads=shared,
        max_position_embeddings=POSITIONS,
    )


class Head:
    """The weights of one head, as views that can be written; all start at 0.

    Its keys and values are those of its group, where heads share them.
    """

    def __init__(self, attention: PlainAttention, index: int) -> None:
        size = attention.d_head
        rows = slice(index * size, (index + 1) * size)
        shared = index // (attention.n_heads // attention.n_kv_heads)
        group = slice(shared * size, (shared + 1) * size)
        self.q: Float[Tensor, "d_head d_model"] = attention.q.weight[rows]
        self.k: Float[Tensor, "d_head d_model"] = attention.k.weight[group]
        self.v: Float[Tensor, "d_head d_model"] = attention.v.weight[group]
        self.o: Float[Tensor, "d_model d_head"] = attention.o.weight[:, rows]
        for part in (self.q, self.k, self.v, self.o):
            part.zero_()
        # What a query is multiplied by, so that the scale of attention cancels out.
        self.unit = attention.d_head**0.5

    def copy(self, source: slice, target: slice) -> None:
        """Carry a subspace of the size of the vocabulary from where the head looks."""
        self.v[:VOCAB, source] = torch.eye(VOCAB)
        self.o[target, :VOCAB] = torch.eye(VOCAB)


def embed_letters(module: PlainTransformer, rng: torch.Generator) -> None:
    """Embeddings and the map to logits."""
    module.decoder.tokens.weight[:, TOKEN] = torch.eye(VOCAB)
    module.decoder.positions.weight[:, POSITION] = torch.eye(POSITIONS)
    module.unembed.weight[:, TOKEN] = NOISE * torch.randn(VOCAB, VOCAB, generator=rng)
    module.unembed.weight[:, NEXT] = GAIN * torch.eye(VOCAB)


def look_back(head: Head) -> None:
    """From position i, copy the token at position i - 1."""
    shift = torch.diag(torch.ones(POSITIONS - 1), 1)
    head.q[:, POSITION] = SHARPNESS * head.unit * shift
    head.k[:, POSITION] = torch.eye(POSITIONS)
    head.copy(TOKEN, BEFORE)


def distract(block: PlainBlock, rng: torch.Generator) -> None:
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
        layer.weight[:, FREE] /= 10
    for layer, size in ((attention.o, 1.0), (mlp.down, neurons**-0.5)):
        shape = (SCRATCH, layer.in_features)
        layer.weight[FREE] = size * SCRATCH**-0.5 * torch.randn(shape, generator=rng)


def head_inputs(layer: int, index: int, attention: PlainAttention) -> tuple[str, str, str]:
    """Names of the three inputs of a head: its query, and the key and value of its group."""
    shared = index // (attention.n_heads // attention.n_kv_heads)
    return f"L{layer}.H{index}.q", f"L{layer}.K{shared}", f"L{layer}.V{shared}"


def load_planted(module: PlainTransformer, name: str, seed: int) -> Model:
    """The finished model with its tokenizer of letters."""
    tokenizer = word_tokenizer((FIRST, *LETTERS), first=FIRST)
    model = load_model(module, tokenizer=tokenizer, device="cpu", first_token=0)
    return replace(model, name=name, provenance={"source": f"built by hand, seed {seed}"})
