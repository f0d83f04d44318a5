"""The discrete sparse autoencoder: one tiny dictionary shared by all heads, trained in seconds.

This is the method as its authors' code has it, quirks kept: rows of the decoder are scaled to
unit length along its last axis (one row for each coordinate, not for each code), the only bias of
the decoder is the one the encoder subtracts, and the training examples are a random few of all,
clean and corrupt, whatever their label.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.dictionary import Dictionary
from needlepoint.circuits.gradients import (
    Parameters,
    gradients,
    loss,
    remove_parallel_,
    unit_rows_,
)
from needlepoint.circuits.screening import Screen

CHECK_EVERY = 25
"""Steps between two looks at the loss when training may stop on a plateau."""


@dataclass(frozen=True)
class Autoencoder:
    """Settings of the discrete sparse autoencoder; the defaults are the paper's.

    Full batch, Adam with rate `learning_rate` and default betas, no schedule. Several seeds
    train as one batched ensemble; the first seed of an ensemble is what a single seed gives.

    Example:
        >>> heads = torch.randn(12, 4, 8, generator=torch.Generator().manual_seed(1))
        >>> config = Autoencoder(n_codes=6, n_steps=20)
        >>> dictionary = config.fit(heads, torch.Generator().manual_seed(0))
        >>> dictionary(heads).shape
        torch.Size([1, 12, 4])

    References:
        O'Neill and Bui, "Sparse Autoencoders Enable Scalable and Reliable Circuit
        Identification in Language Models", 2024 (arXiv 2405.12522).
    """

    n_codes: int = 200
    sparsity: float = 0.02
    """Weight of the L1 norm of the activations, which is summed over codes."""
    n_steps: int = 500
    """0 gives the untrained encoder: the same draws, rows of unit length, nothing learned."""
    n_train_examples: int = 10
    """Examples trained on, with all their heads; drawn for each seed, clean and corrupt alike."""
    n_seeds: int = 1
    learning_rate: float = 1e-3
    plateau: float | None = None
    """Stop once no seed's loss has fallen by more than this share in the last 25 steps. The
    default, and the paper, is to take every step."""
    silent_code: bool = False
    """Whether a vector that activates nothing has a code of its own, `n_codes`. The default, and
    the paper, is to file it under code 0. Training is the same."""

    def __post_init__(self) -> None:
        for name, least in (
            ("n_codes", 2),
            ("n_steps", 0),
            ("n_train_examples", 1),
            ("n_seeds", 1),
        ):
            if getattr(self, name) < least:
                raise DataError(f"{name} is {getattr(self, name)}: it must be at least {least}.")
        for name in ("sparsity", "learning_rate", "plateau"):
            if (getattr(self, name) or 0) < 0:
                raise DataError(f"{name} is {getattr(self, name)}: it must not be negative.")

    @property
    def codebook(self) -> int:
        """How many different codes there can be."""
        return self.n_codes + self.silent_code

    def fit(
        self, heads: Float[Tensor, "example head d_model"], generator: torch.Generator
    ) -> Dictionary:
        """Train on a random few of the examples and return the dictionary.

        Labels play no part. The order of the heads plays none either, but for rounding. The
        order of the examples does: the training examples are drawn by their place.

        Args:
            heads: What each head writes, reduced over positions. Pool clean and corrupt
                examples. Neither centred nor scaled: heads of large norm weigh most.
            generator: Source of the initial weights and of the training examples.

        Raises:
            DataError: If there are fewer examples than `n_train_examples`, or a value is not
                finite.
        """
        weights, examples = self._draw(len(heads), heads.shape[-1], generator)
        return self._train(weights, heads[examples.to(heads.device)].flatten(1, 2))

    def fit_z(
        self,
        z: Float[Tensor, "example head d_head"],
        W_O: Float[Tensor, "head d_head d_model"],
        generator: torch.Generator,
    ) -> Dictionary:
        """What `fit` gives on the outputs `z @ W_O[head]`; only the examples drawn are projected.

        Args:
            z: Reduced inputs of the output projection, split by head.
            W_O: Output projection of each head.
            generator: As in `fit`; the draws are the same.
        """
        weights, examples = self._draw(len(z), W_O.shape[-1], generator)
        return self._train(weights, _project(z, W_O, examples))

    def training_vectors(
        self,
        z: Float[Tensor, "example head d_head"],
        W_O: Float[Tensor, "head d_head d_model"],
        generator: torch.Generator,
    ) -> Float[Tensor, "seed vector d_model"]:
        """The vectors that `fit_z` trains on, given a generator in the same state."""
        _, examples = self._draw(len(z), W_O.shape[-1], generator)
        return _project(z, W_O, examples)

    def _draw(
        self, n_examples: int, d_model: int, generator: torch.Generator
    ) -> tuple[Parameters, Int[Tensor, "seed example"]]:
        """Initial weights and training examples, seed by seed, in a fixed order of draws."""
        if n_examples < self.n_train_examples:
            raise DataError(
                f"{self.n_train_examples} training examples were asked for but there are "
                f"{n_examples}: give more examples or set n_train_examples={n_examples}."
            )
        draws = []
        for _ in range(self.n_seeds):
            encoder = _normal(self.n_codes, d_model, generator)
            decoder = _normal(d_model, self.n_codes, generator)
            uniform = torch.rand(self.n_codes, generator=generator, device=generator.device)
            order = torch.randperm(n_examples, generator=generator, device=generator.device)
            draws.append((encoder, (2 * uniform - 1) / d_model**0.5, decoder, order))
        encoder, code_bias, decoder, order = (
            torch.stack(part) for part in zip(*draws, strict=True)
        )
        bias = torch.zeros(self.n_seeds, d_model, device=generator.device)
        weights = Parameters(encoder, code_bias, decoder, bias)
        return weights, order[:, : self.n_train_examples]

    @torch.no_grad()
    def _train(
        self, weights: Parameters, vectors: Float[Tensor, "seed vector d_model"]
    ) -> Dictionary:
        _check_finite(vectors)
        weights = Parameters(*(part.to(vectors).contiguous() for part in weights))
        adam = torch.optim.Adam(weights, lr=self.learning_rate, fused=True)
        total, screen = vectors.sum(1), Screen(vectors)
        before: Tensor | None = None
        step = 0
        for step in range(1, self.n_steps + 1):
            unit_rows_(weights.encoder)
            unit_rows_(weights.decoder)
            _set_gradients(weights, gradients(weights, vectors, total, self.sparsity, screen))
            adam.step()
            if self.plateau is None or step % CHECK_EVERY:
                continue
            now = loss(weights, vectors, self.sparsity)
            if before is not None and bool((before - now <= self.plateau * before).all()):
                break
            before = now
        unit_rows_(weights.encoder)
        unit_rows_(weights.decoder)
        left = loss(weights, vectors, self.sparsity)
        return Dictionary(*weights, loss=left, n_steps=step, silent_code=self.silent_code)


def _set_gradients(weights: Parameters, found: Parameters) -> None:
    """Leave on each weight its gradient; on those with rows of unit length, across them only."""
    remove_parallel_(found.encoder, weights.encoder)
    remove_parallel_(found.decoder, weights.decoder)
    for weight, gradient in zip(weights, found, strict=True):
        weight.grad = gradient


def _project(
    z: Float[Tensor, "example head d_head"],
    W_O: Float[Tensor, "head d_head d_model"],
    examples: Int[Tensor, "seed row"],
) -> Float[Tensor, "seed vector d_model"]:
    """What all heads write on the examples drawn for each seed."""
    chosen = z[examples.to(z.device)].flatten(0, 1)
    heads = torch.einsum("ehd,hdm->ehm", chosen, W_O)
    return heads.reshape(len(examples), -1, W_O.shape[-1])


def _normal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    return torch.randn(rows, columns, generator=generator, device=generator.device)


def _check_finite(vectors: Float[Tensor, "seed vector d_model"]) -> None:
    if not bool(torch.isfinite(vectors).all()):
        raise DataError(
            "a head output in the training examples is not finite: look for an overflow in the "
            "model's precision, or load the model in float32."
        )
