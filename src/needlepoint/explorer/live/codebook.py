"""A discrete dictionary fitted on the prompts of a task, to read single tokens of heads by."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint._core.seeds import seed_for
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.dictionary import Dictionary
from needlepoint.evaluation.read_pairs import read_pairs
from needlepoint.explorer.live.text_run import TextRun
from needlepoint.explorer.questions import CodebookCard
from needlepoint.models.model import Model
from needlepoint.models.published import value_offsets
from needlepoint.models.sites import Site
from needlepoint.tasks.pairs import Prompts

N_PAIRS = 24
"""Prompt pairs on which a codebook is fitted, unless there are others to hand."""


@dataclass(frozen=True, eq=False)
class Codebook:
    """A dictionary, and which codes each head used on clean prompts alone.

    It has been trained on outputs averaged over positions, as the method is; read token by token
    it is used on what it was not trained on.
    """

    card: CodebookCard
    dictionary: Dictionary
    W_O: Float[Tensor, "head d_head d_model"]
    offsets: Float[Tensor, "head d_head"]
    """What does not depend on the text, taken off before reading."""
    clean_only: tuple[tuple[int, ...], ...]
    """For each head the codes of clean prompts that no corrupt one had."""

    def read(self, run: TextRun, site: Site, n_heads: int) -> list[int | None]:
        """The code of one head at each token of a text; None where no code is active."""
        head = _index(site, n_heads)
        z = run.values(site)[0].float().cpu() - self.offsets[head]
        reading = self.dictionary.read_z(z[:, None], self.W_O[head][None])
        pairs = zip(reading.codes[0, :, 0].tolist(), reading.silent[0, :, 0].tolist(), strict=True)
        return [None if silent else code for code, silent in pairs]

    def of_clean(self, site: Site, n_heads: int) -> list[int]:
        """Codes that a head used on clean prompts and on no corrupt one."""
        return list(self.clean_only[_index(site, n_heads)])


def fit_codebook(
    model: Model, prompts: Prompts, lock: AbstractContextManager[object] | None = None
) -> Codebook:
    """Fit the discrete autoencoder of the circuit study on a few prompts of a task.

    Args:
        model: The model whose heads are read.
        prompts: The prompts; clean and corrupt ones are read alike.
        lock: Held while the model runs, and not while the autoencoder is trained.

    Raises:
        DataError: If there are too few prompts.

    Source:
        O'Neill & Bui 2024 (arXiv 2405.12522).
    """
    start = time.perf_counter()
    autoencoder = Autoencoder()
    with lock or nullcontext():
        data = read_pairs(model, prompts, autoencoder).data
    draws = torch.Generator().manual_seed(seed_for(0, task=prompts.task, use="explorer codebook"))
    dictionary = autoencoder.fit_z(data.z, data.W_O, draws)
    reading = dictionary.read_z(data.z, data.W_O)
    seconds = time.perf_counter() - start
    card = CodebookCard(prompts.task, dictionary.n_codes, 2 * data.n_pairs, round(seconds, 2))
    unique = _clean_only(reading.codes[0], reading.silent[0], data.n_pairs)
    offsets = value_offsets(model).flatten(0, 1)
    return Codebook(card, dictionary, data.W_O, offsets, unique)


def _clean_only(codes: Tensor, silent: Tensor, n_pairs: int) -> tuple[tuple[int, ...], ...]:
    """For each head, codes of the first half of the examples that are not in the second."""
    found = []
    for head in range(codes.shape[1]):
        said = [
            {code for code, quiet in zip(rows, off, strict=True) if not quiet}
            for rows, off in zip(
                _halves(codes[:, head], n_pairs), _halves(silent[:, head], n_pairs), strict=True
            )
        ]
        found.append(tuple(sorted(said[0] - said[1])))
    return tuple(found)


def _halves(values: Tensor, n_pairs: int) -> Sequence[list[int]]:
    return values[:n_pairs].tolist(), values[n_pairs:].tolist()


def _index(site: Site, n_heads: int) -> int:
    assert site.index is not None
    return site.layer * n_heads + site.index
