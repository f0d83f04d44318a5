"""`OptimalSparseProbe`: the best few neurons with a certificate, as a scikit-learn classifier."""

from __future__ import annotations

from typing import Any

import numpy as np

from needlepoint.probing.columns import compute_dtype
from needlepoint.probing.estimators.inputs import (
    EstimatorDataError,
    one_against_rest,
    read_training,
    value_errors,
)
from needlepoint.probing.estimators.linear import SparseLinearClassifier, check_k
from needlepoint.probing.optimal.losses import LossName
from needlepoint.probing.optimal.solve import optimal_probe

LOSSES: dict[str, LossName] = {"logistic": "logistic", "hinge": "hinge"}


class OptimalSparseProbe(SparseLinearClassifier):
    """The probe of `k` neurons with the lowest training objective, and the proof of how low.

    Not the best F1, nor the best on other data: see `certificate_`, whose gap says what the proof
    left open. For two classes; the probe is for the second in sorted order. Takes numpy arrays,
    pandas frames and tensors, `[example, neuron]`; it computes in float64 on the processor.

    Args:
        k: Neurons read; all of them where the layer has fewer. `k_` says how many.
        gamma: Weight of the loss against the ridge; `1 / sqrt(n_examples)`, the paper's, if not
            given. The larger, the weaker the ridge and the harder the proof.
        loss: `logistic` or `hinge`. With `hinge` scores are margins, and `predict_proba` only
            orders examples.
        balanced: Whether both classes count alike.
        time_limit: Seconds after which the gap stays as it is, for three neurons or more. A grid
            search fits many probes.

    Attributes:
        certificate_: Objective, bound, gap, status, seconds and gamma of the fit.
        classes_: The two classes, sorted.
        coef_: Weights in units of one over the activation, `[1, neuron]`; 0 where not read.
        intercept_: What is added.
        support_: Neurons read, increasing.
        sign_: Sign of the weight of each neuron in `support_`.
        k_: How many neurons were read.
        n_features_in_: Neurons of the layer.

    Example:
        >>> import torch
        >>> acts = torch.eye(6, 3).repeat(5, 1)
        >>> probe = OptimalSparseProbe(k=1).fit(acts, acts[:, 1] > 0)
        >>> probe.support_.tolist(), probe.certificate_.status
        ([1], 'exact')
    """

    # scikit-learn asks that a constructor take anything, and that `fit` refuse it.
    def __init__(
        self,
        k: int | Any = 4,
        gamma: float | Any | None = None,
        loss: str | Any = "logistic",
        balanced: bool | Any = True,
        time_limit: float | Any = 60.0,
    ) -> None:
        self.k = k
        self.gamma = gamma
        self.loss = loss
        self.balanced = balanced
        self.time_limit = time_limit

    def fit(self, X: Any, y: Any) -> OptimalSparseProbe:
        """Find the neurons and prove how good they are, on training examples.

        Raises:
            ValueError: If the data or a setting cannot be used; the message says how to mend it.
        """
        k = check_k(self.k)
        if self.loss not in LOSSES:
            raise EstimatorDataError(f"unknown loss {self.loss!r}; use 'logistic' or 'hinge'.")
        acts, y = read_training(self, X, y)
        _check_two(y)
        self.classes_, labels = one_against_rest(y, acts.device)
        with value_errors():
            self.certificate_ = optimal_probe(
                acts.to(compute_dtype(acts)),
                labels[:, 0],
                k=min(k, acts.shape[1]),
                gamma=self.gamma,
                loss=LOSSES[self.loss],
                balanced=self.balanced,
                time_limit=self.time_limit,
            )
        self._keep([self.certificate_.probe], [0.0])
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


def _check_two(y: np.ndarray) -> None:
    found = len(np.unique(y))
    if found > 2:
        raise EstimatorDataError(
            "Only binary classification is supported. The type of the target is multiclass, with "
            f"{found} classes; fit one probe for each, or use SparseProbe."
        )
