"""What a user hands to an estimator, as the tensors that the numerics work on.

Numpy arrays, pandas frames and lists go through scikit-learn's own validation; tensors stay where
they are, in their precision. Errors are both `NeedlepointError` and `ValueError`, as scikit-learn
asks of estimators.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_n_features, check_consistent_length, validate_data
from torch import Tensor

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.probing.checks import check_acts

FEWEST_EXAMPLES = 3
"""A spread within two classes needs as many."""


class EstimatorDataError(DataError, ValueError):
    """Activations or settings that an estimator cannot use."""


class EstimatorOneClassError(OneClassError, ValueError):
    """Labels of one class only, given to an estimator."""


@contextmanager
def value_errors() -> Iterator[None]:
    """Errors of the numerics, raised as the `ValueError` that scikit-learn expects."""
    try:
        yield
    except OneClassError as error:
        raise EstimatorOneClassError(str(error)) from error
    except DataError as error:
        raise EstimatorDataError(str(error)) from error


def read_training(
    estimator: Any, X: Any, y: Any
) -> tuple[Float[Tensor, "example neuron"], np.ndarray]:
    """Activations and targets that belong together, checked; notes the neurons on the estimator.

    Raises:
        ValueError: If there are fewer than three examples, a value is not finite, or the targets
            are not one class for each example.
    """
    if isinstance(y, Tensor):
        y = y.detach().cpu().numpy()
    if isinstance(X, Tensor):
        acts = _tensor(estimator, X, reset=True)
        if len(acts) < FEWEST_EXAMPLES:
            raise EstimatorDataError(
                f"{len(acts)} examples; a spread within two classes needs {FEWEST_EXAMPLES}."
            )
        y = validate_data(estimator, "no_validation", y)
        check_consistent_length(acts, y)
    else:
        # Infinities of both signs have no sum; they are found all the same.
        with np.errstate(invalid="ignore"):
            X, y = validate_data(
                estimator, X, y, dtype=_floats(), ensure_min_samples=FEWEST_EXAMPLES, reset=True
            )
        acts = _share(X)
    check_classification_targets(y)
    return acts, y


def read_acts(estimator: Any, X: Any) -> Float[Tensor, "example neuron"]:
    """Activations for a fitted estimator, checked to have the neurons that it was fitted on.

    Raises:
        ValueError: If a value is not finite, or the neurons are not as many.
    """
    if isinstance(X, Tensor):
        return _tensor(estimator, X, reset=False)
    with np.errstate(invalid="ignore"):
        return _share(validate_data(estimator, X, dtype=_floats(), reset=False))


def one_against_rest(
    y: np.ndarray, device: torch.device
) -> tuple[np.ndarray, Bool[Tensor, "example feature"]]:
    """The classes in order, and who belongs to each; for two classes, who belongs to the second.

    Raises:
        EstimatorOneClassError: If there is one class only.
    """
    classes, place = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise EstimatorOneClassError(
            f"all {len(y)} examples are of one class, {classes[0]}; give examples of both."
        )
    wanted = np.arange(len(classes)) if len(classes) > 2 else np.array([1])
    return classes, torch.from_numpy(place.reshape(-1)[:, None] == wanted).to(device)


def _tensor(estimator: Any, X: Tensor, *, reset: bool) -> Tensor:
    with value_errors():
        check_acts(X if X.is_floating_point() or X.ndim != 2 else X.float())
    _check_n_features(estimator, X, reset=reset)
    acts = X.detach()
    return acts if acts.is_floating_point() else acts.float()


def _share(X: np.ndarray) -> Tensor:
    """A tensor on the same memory where torch can use it, else on a copy."""
    usable = X.flags.writeable and min(X.strides) >= 0
    return torch.from_numpy(X if usable else X.copy())


def _floats() -> list[type[np.floating[Any]]]:
    """Precisions taken as they are; anything else becomes the first."""
    return [np.float64, np.float32, np.float16]
