"""`DiscreteSAE`: what heads write as integer codes, as a scikit-learn transformer."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_n_features, check_is_fitted, validate_data
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.dictionary import Dictionary
from needlepoint.circuits.gradients import Parameters, loss

N_AXES = 3
"""Axes of `[example, head, d_model]`; vectors by themselves have one less."""


class EstimatorDataError(DataError, ValueError):
    """Vectors or settings that the estimator cannot use."""


# scikit-learn ships no types, so its classes are of unknown type to a checker.
class DiscreteSAE(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A small sparse autoencoder whose most active code stands for what a head wrote.

    It sees no labels and scores no head: hand the codes to `codes_unique_to_clean` and its like.
    Takes numpy arrays, pandas frames and tensors on any device: the outputs of all heads,
    `[example, head, d_model]`, or any vectors, `[vector, d_model]`. Vectors are neither centred
    nor scaled, so those of large norm weigh most. One seed; `Autoencoder` trains several at once.

    Args:
        n_codes: Size of the codebook.
        sparsity: Weight of the L1 norm of the activations. The defaults are the paper's.
        n_steps: Steps of Adam on all training vectors; 0 leaves the encoder as it was drawn.
        n_train_examples: Examples drawn for training, with all their heads; the paper has 10.
            Rows, if vectors are given. All of them if not given.
        learning_rate: Rate of Adam.
        plateau: Stop once the loss has fallen by no more than this share in the last 25 steps.
        silent_code: Whether a vector that activates nothing has a code of its own, `n_codes`.
            The paper files it under code 0.
        random_state: Seed, or numpy generator, of the initial weights and the training examples.

    Attributes:
        dictionary_: The trained `Dictionary`, on the device of the data.
        loss_: Loss on the training vectors at the end.
        n_steps_: Steps taken.
        n_features_in_: Width of the vectors.

    Example:
        >>> heads = torch.randn(12, 4, 8, generator=torch.Generator().manual_seed(0))
        >>> sae = DiscreteSAE(n_codes=6, n_steps=20, n_train_examples=10, random_state=0)
        >>> sae.fit(heads).transform(heads).shape
        torch.Size([12, 4])

    References:
        O'Neill and Bui, "Sparse Autoencoders Enable Scalable and Reliable Circuit
        Identification in Language Models", 2024 (arXiv 2405.12522).
    """

    dictionary_: Dictionary
    n_features_in_: int

    # scikit-learn asks that a constructor take anything, and that `fit` refuse it.
    def __init__(
        self,
        n_codes: int | Any = 200,
        sparsity: float | Any = 0.02,
        n_steps: int | Any = 500,
        n_train_examples: int | Any | None = None,
        learning_rate: float | Any = 1e-3,
        plateau: float | Any | None = None,
        silent_code: bool | Any = False,
        random_state: int | Any | None = None,
    ) -> None:
        self.n_codes = n_codes
        self.sparsity = sparsity
        self.n_steps = n_steps
        self.n_train_examples = n_train_examples
        self.learning_rate = learning_rate
        self.plateau = plateau
        self.silent_code = silent_code
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> DiscreteSAE:
        """Train the dictionary; targets are taken and not looked at.

        Raises:
            ValueError: If the vectors or a setting cannot be used; the message says how to mend it.
        """
        heads = self._read(X, reset=True)
        state = check_random_state(self.random_state).randint(2**31 - 1)
        generator = torch.Generator().manual_seed(int(state))
        try:
            config = Autoencoder(
                n_codes=self.n_codes,
                sparsity=self.sparsity,
                n_steps=self.n_steps,
                n_train_examples=self.n_train_examples or len(heads),
                learning_rate=self.learning_rate,
                plateau=self.plateau,
                silent_code=bool(self.silent_code),
            )
            self.dictionary_ = config.fit(heads, generator)
        except DataError as error:
            raise EstimatorDataError(str(error)) from error
        self.loss_ = float(self.dictionary_.loss)
        self.n_steps_ = self.dictionary_.n_steps
        return self

    def transform(self, X: Any) -> Any:
        """The code of each vector, a whole number: `[example, head]`, or `[vector, 1]`.

        A tensor gives a tensor, anything else a numpy array.

        Raises:
            ValueError: If a value is not finite, or the width is not that of the fit.
        """
        check_is_fitted(self)
        heads = self._read(X, reset=False)
        codes = self.dictionary_.codes(heads)[0]
        return codes if isinstance(X, Tensor) else codes.cpu().numpy()

    def score(self, X: Any, y: Any = None) -> float:
        """Minus the loss on these vectors: squared error and penalty. Higher is better."""
        check_is_fitted(self)
        found = self.dictionary_
        weights = Parameters(found.encoder, found.code_bias, found.decoder, found.bias)
        vectors = self._read(X, reset=False).flatten(0, 1)[None]
        return -float(loss(weights, vectors, self.sparsity)[0])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # codes are whole numbers
        return tags

    def _read(self, X: Any, *, reset: bool) -> Float[Tensor, "example head d_model"]:
        """Vectors by example and head, one head where there is no axis of heads; checked."""
        shape = tuple(getattr(X, "shape", ()))
        flat = X.reshape(-1, shape[-1]) if len(shape) == N_AXES else X
        vectors = self._tensor(flat, reset) if isinstance(X, Tensor) else self._array(flat, reset)
        vectors = vectors if reset else vectors.to(self.dictionary_.encoder)
        return vectors.reshape(*shape) if len(shape) == N_AXES else vectors[:, None]

    def _array(self, X: Any, reset: bool) -> Float[Tensor, "vector d_model"]:
        """Whatever scikit-learn takes for a matrix, through its own validation."""
        with np.errstate(invalid="ignore"):  # infinities of both signs have no sum
            rows = validate_data(self, X, dtype=[np.float32, np.float64], reset=reset)
        usable = rows.flags.writeable and min(rows.strides) >= 0
        return torch.from_numpy(rows if usable else rows.copy())

    def _tensor(self, X: Tensor, reset: bool) -> Float[Tensor, "vector d_model"]:
        """A tensor, left where it is and in its precision."""
        rows = X.detach() if X.is_floating_point() else X.float()
        if rows.ndim != N_AXES - 1 or not len(rows):
            raise EstimatorDataError(
                f"a tensor of shape {tuple(X.shape)} was given: give [example, head, d_model] or "
                "[vector, d_model], with at least one of each."
            )
        if not bool(torch.isfinite(rows).all()):
            raise EstimatorDataError("a value is not finite: leave out its example.")
        _check_n_features(self, rows, reset=reset)
        return rows
