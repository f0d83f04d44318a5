"""What all sparse probes can do once fitted: call classes, and name the neurons they read."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import expit, log_expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.feature_selection import SelectorMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from needlepoint.probing.estimators.inputs import EstimatorDataError, read_acts
from needlepoint.probing.probe import LinearProbe


# scikit-learn ships no types, so its classes are of unknown type to a checker.
class SparseLinearClassifier(SelectorMixin, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A linear classifier that reads a few columns; as a transformer it keeps those columns.

    Results are numpy arrays whatever was given, but for `transform`, which keeps the kind.
    """

    classes_: np.ndarray
    n_features_in_: int
    support_: np.ndarray
    sign_: np.ndarray

    def decision_function(self, X: Any) -> Float[np.ndarray, "example *feature"]:
        """Score of each example: above 0 means the second class; with more classes, one each.

        Raises:
            ValueError: If a value is not finite, or the neurons are not those of the fit.
        """
        check_is_fitted(self)
        acts = read_acts(self, X)
        read = torch.from_numpy(np.flatnonzero(self._get_support_mask())).to(acts.device)
        weight = torch.from_numpy(self.coef_).to(acts.device)[:, read]
        scores: np.ndarray = (acts[:, read].double() @ weight.T).cpu().numpy() + self.intercept_
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> np.ndarray:
        """The class of each example."""
        scores = self.decision_function(X)
        at = scores > 0 if scores.ndim == 1 else scores.argmax(axis=1)
        called: np.ndarray = self.classes_[at.astype(int)]
        return called

    def predict_proba(self, X: Any) -> Float[np.ndarray, "example feature"]:
        """Logistic function of the scores, one column for each class; rows add up to 1.

        With more than two classes those of each class against the rest, divided by their sum. They
        are probabilities at the prevalence that the threshold stands for.
        """
        scores = self.decision_function(X)
        if scores.ndim == 1:
            return np.stack([expit(-scores), expit(scores)], axis=1)
        shares: np.ndarray = softmax(log_expit(scores), axis=1)
        return shares

    def transform(self, X: Any) -> Any:
        """The columns that are read, in increasing order; a tensor stays one."""
        if not isinstance(X, Tensor):
            return super().transform(X)
        check_is_fitted(self)
        mask = torch.from_numpy(self._get_support_mask()).to(X.device)
        return read_acts(self, X)[:, mask]

    def _keep(self, probes: list[LinearProbe], cuts: list[float]) -> None:
        """Take over what was fitted for each class; scores are counted from the cuts."""
        self.coef_ = np.zeros((len(probes), self.n_features_in_))
        for row, probe in zip(self.coef_, probes, strict=True):
            row[probe.support.cpu().numpy()] = probe.weight.double().cpu().numpy()
        self.cut_ = np.array(cuts, dtype=float)
        self.intercept_ = np.array([float(probe.bias) for probe in probes]) - self.cut_
        support = np.stack([probe.support.cpu().numpy() for probe in probes])
        sign = np.sign(np.take_along_axis(self.coef_, support, axis=1)).astype(int)
        self.support_, self.sign_ = (support[0], sign[0]) if len(probes) == 1 else (support, sign)
        self.k_ = support.shape[1]

    def _get_support_mask(self) -> np.ndarray:
        check_is_fitted(self)
        mask = np.zeros(self.n_features_in_, dtype=bool)
        mask[np.unique(self.support_)] = True
        return mask


def check_k(k: Any) -> int:
    """The number of neurons to read, refused if it is not a whole number from 1 on.

    Raises:
        EstimatorDataError: With the value in its message.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise EstimatorDataError(f"k is {k!r}; give a whole number of neurons, at least 1.")
    return int(k)
