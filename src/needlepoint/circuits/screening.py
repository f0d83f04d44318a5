"""Which training vectors activate a code, found without multiplying out all of them.

Once training has quietened most codes, most vectors activate nothing, and the largest part of a
step goes into finding that out again. A drive `W_c x + o_c` cannot have risen, since it was last
multiplied out, by more than the way the row `W_c` has come times the length of `x`, and what was
added to the offset `o_c`. Where that leaves it below 0 the vector is silent there still, and only
the other drives are multiplied out. The bound is exact: nothing is approximated.
"""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint.models.products import batched_product

SLACK = 64
"""Rounding errors of a drive, in units of the precision times the length of the vector."""
MOST = 0.15
"""Share of the drives from which on all of them, as one product, are quicker."""


class Screen:
    """The last known drives of the training vectors of an ensemble, and how far they can be off.

    For each vector and code it keeps the drive when last multiplied out, less what offset and way
    of the row were then, plus some slack for rounding; adding what they are now gives an upper
    bound.
    """

    def __init__(self, vectors: Float[Tensor, "seed vector d_model"]) -> None:
        """Take the vectors, which must not change from then on."""
        self.vectors = vectors
        self.norm = torch.linalg.vector_norm(vectors, dim=-1)[..., None]
        self.slack = SLACK * torch.finfo(vectors.dtype).eps * self.norm
        self.known: Tensor | None = None
        self.bound = torch.empty(0)
        self.encoder = torch.empty(0)
        self.way = torch.empty(0)

    def speaking(
        self,
        encoder: Float[Tensor, "seed code d_model"],
        offset: Float[Tensor, "seed code"],
    ) -> tuple[Float[Tensor, "seed example code"], Float[Tensor, "seed example d_model"]]:
        """Activations of the vectors that activate a code, and those vectors; others are silent.

        Every seed gets as many; those with fewer are filled up with silent ones.

        Args:
            encoder: Rows of the encoder now.
            offset: What is added to the drives now.
        """
        if self.known is None:
            return self._all(encoder, offset)
        self.way += torch.linalg.vector_norm(encoder - self.encoder, dim=-1)[:, None]
        self.encoder.copy_(encoder)
        torch.addcmul(self.known, self.norm, self.way, out=self.bound)
        may_speak = self.bound > -offset[:, None]
        if int(torch.count_nonzero(may_speak)) > MOST * may_speak.numel():
            return self._all(encoder, offset)
        drives = [self._some(seed, may, encoder, offset) for seed, may in enumerate(may_speak)]
        rows = [torch.unique(where[0]) for where, _ in drives]
        active = self.vectors.new_zeros(len(rows), max(len(row) for row in rows), offset.shape[1])
        place = torch.zeros(active.shape[:2], dtype=torch.long, device=active.device)
        for seed, (row, (where, drive)) in enumerate(zip(rows, drives, strict=True)):
            place[seed, : len(row)] = row
            active[seed, torch.searchsorted(row, where[0]), where[1]] = drive
        seeds = torch.arange(len(rows), device=active.device)[:, None]
        return active, self.vectors[seeds, place]

    def _some(
        self, seed: int, may_speak: Bool[Tensor, "vector code"], encoder: Tensor, offset: Tensor
    ) -> tuple[Int[Tensor, "2 value"], Float[Tensor, " value"]]:
        """Drives above 0 among those of a seed that may be: their vectors and codes, and what."""
        assert self.known is not None
        where = torch.stack(may_speak.nonzero(as_tuple=True))
        raw = _products(where, self.vectors[seed], encoder[seed])
        behind = self.norm[seed, :, 0][where[0]] * self.way[seed, 0][where[1]]
        self.known[seed, where[0], where[1]] = raw - behind + self.slack[seed, :, 0][where[0]]
        drive = raw + offset[seed][where[1]]
        speaks = drive > 0
        return where[:, speaks], drive[speaks]

    def _all(self, encoder: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
        """Multiply out every drive, and count the way of the rows from here."""
        raw = batched_product(self.vectors, encoder.mT)
        active = (raw + offset[:, None]).relu_()
        self.known, self.bound = raw.add_(self.slack), torch.empty_like(raw)
        self.encoder = encoder.clone()
        self.way = torch.zeros_like(offset)[:, None]
        return speaking_rows(active, self.vectors)


def speaking_rows(
    active: Float[Tensor, "seed vector code"], vectors: Float[Tensor, "seed vector d_model"]
) -> tuple[Tensor, Tensor]:
    """Activations and vectors of those that activate a code; all of them if most do.

    Seeds with fewer of them than the others are filled up with silent ones.
    """
    speaks = active.amax(-1) > 0
    most = int(speaks.sum(-1).max())
    if 2 * most > active.shape[1]:
        return active, vectors
    rows = speaks.to(torch.uint8).argsort(dim=-1, descending=True, stable=True)[:, :most]
    seeds = torch.arange(len(rows), device=rows.device)[:, None]
    return active[seeds, rows], vectors[seeds, rows]


def _products(
    where: Int[Tensor, "2 value"],
    vectors: Float[Tensor, "vector d_model"],
    encoder: Float[Tensor, "code d_model"],
) -> Float[Tensor, " value"]:
    """Products of some vectors with some rows of the encoder, given in order of the vectors."""
    shape = (len(vectors), len(encoder))
    starts = torch.zeros(len(vectors) + 1, dtype=torch.long, device=where.device)
    torch.cumsum(torch.bincount(where[0], minlength=len(vectors)), 0, out=starts[1:])
    blank = vectors.new_zeros(where.shape[1])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        pattern = torch.sparse_csr_tensor(starts, where[1], blank, shape, check_invariants=False)
        found: Tensor = torch.sparse.sampled_addmm(pattern, vectors, encoder.mT, beta=0.0).values()
    return found
