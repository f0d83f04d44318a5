"""A trained ensemble of discrete autoencoders: head outputs in, one integer code out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint.models.products import product

BLOCK = 64
"""Examples encoded at a time: bounds memory at BLOCK x heads x codes numbers."""


class Reading(NamedTuple):
    """The code of each vector, whether any code was active at all, and which codes ever were."""

    codes: Int[Tensor, "seed example head"]
    silent: Bool[Tensor, "seed example head"]
    """No code is active. The paper files these under code 0, and so does `codes`."""
    live: Bool[Tensor, "seed code"]
    """Codes that are active on some vector, whether or not they are the most active there."""

    def told_apart(self) -> Int[Tensor, "seed example head"]:
        """Codes in which silence has one of its own, the number after the last."""
        return self.codes.masked_fill(self.silent, self.live.shape[1])


@dataclass(frozen=True, eq=False)
class Dictionary:
    """What `Autoencoder.fit` finds: for each seed, an encoder that names a head's output.

    It is not a classifier and has seen no labels. Rows of `encoder` and of `decoder` (its last
    axis) have unit length, as the paper has them: a row of the decoder is one coordinate of the
    output, not one code.

    References:
        O'Neill and Bui, "Sparse Autoencoders Enable Scalable and Reliable Circuit
        Identification in Language Models", 2024 (arXiv 2405.12522); layout of the authors' code.
    """

    encoder: Float[Tensor, "seed code d_model"]
    code_bias: Float[Tensor, "seed code"]
    decoder: Float[Tensor, "seed d_model code"]
    bias: Float[Tensor, "seed d_model"]
    """Subtracted before the encoder and added after the decoder."""
    loss: Float[Tensor, " seed"]
    """Loss on the training examples at the end."""
    n_steps: int
    """Steps taken; fewer than asked for only if training stopped on a plateau."""
    silent_code: bool = False
    """Whether `codes` gives a vector that activates nothing a code of its own."""

    @property
    def n_codes(self) -> int:
        """Entries of the dictionary, the code of silence left out."""
        return self.encoder.shape[1]

    def __call__(
        self, heads: Float[Tensor, "example head d_model"]
    ) -> Int[Tensor, "seed example head"]:
        """The code of each head on each example; see `codes`."""
        return self.codes(heads)

    def codes(
        self, heads: Float[Tensor, "example head d_model"]
    ) -> Int[Tensor, "seed example head"]:
        """The most active code of each vector, in `[0, n_codes)`.

        Where no code is active the answer is 0, as in the paper: such a vector cannot be told
        from one that says code 0. With `silent_code` the answer is `n_codes` there.
        """
        reading = self.read(heads)
        return reading.told_apart() if self.silent_code else reading.codes

    def silent(
        self, heads: Float[Tensor, "example head d_model"]
    ) -> Bool[Tensor, "seed example head"]:
        """Which vectors activate no code at all."""
        return self.read(heads).silent

    def read(self, heads: Float[Tensor, "example head d_model"]) -> Reading:
        """Codes and silence of head outputs, `BLOCK` examples at a time."""
        blocks = [_winners(self._drive(block)) for block in torch.split(heads, BLOCK)]
        codes, silent, live = zip(*blocks, strict=True)
        return Reading(torch.cat(codes, 1), torch.cat(silent, 1), torch.stack(live).any(0))

    def read_z(
        self,
        z: Float[Tensor, "example head d_head"],
        W_O: Float[Tensor, "head d_head d_model"],
    ) -> Reading:
        """Codes and silence of the outputs `z @ W_O[head]`, which are never made.

        The projection is folded into the encoder, head by head: the same numbers as
        `read(z @ W_O)` but for rounding, for a fraction of the arithmetic and memory.
        """
        encoder = self.encoder.flatten(0, 1).mT
        seeds, offset = (len(self.encoder), self.n_codes), self._offset()
        parts = []
        for vectors, projection in zip(z.unbind(1), W_O, strict=True):
            drive = product(vectors, product(projection, encoder)).reshape(-1, *seeds) + offset
            parts.append(_winners(drive.movedim(1, 0)))
        codes, silent, live = zip(*parts, strict=True)
        return Reading(torch.stack(codes, -1), torch.stack(silent, -1), torch.stack(live).any(0))

    def _drive(
        self, heads: Float[Tensor, "example head d_model"]
    ) -> Float[Tensor, "seed example head code"]:
        flat = heads.flatten(0, 1) @ self.encoder.mT + self._offset()[:, None]
        return flat.reshape(len(flat), *heads.shape[:2], self.n_codes)

    def _offset(self) -> Float[Tensor, "seed code"]:
        """What the encoder adds when the shared bias is folded in: c - W_e b."""
        return self.code_bias - torch.einsum("scm,sm->sc", self.encoder, self.bias)


def _winners(drive: Float[Tensor, "seed *vector code"]) -> tuple[Tensor, Tensor, Tensor]:
    """Index of the largest activation, 0 where none is above 0; where that is so; live codes."""
    top, code = drive.max(dim=-1)
    silent = top <= 0
    live = drive.flatten(1, -2).amax(1) > 0
    return code.masked_fill(silent, 0), silent, live
