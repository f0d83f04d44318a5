"""`SparseProbe`: neurons chosen by any of the selectors, as a scikit-learn classifier."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from needlepoint._core.errors import unknown_name
from needlepoint.probing.deletion import DELETIONS
from needlepoint.probing.estimators.inputs import (
    EstimatorDataError,
    one_against_rest,
    read_training,
    value_errors,
)
from needlepoint.probing.estimators.linear import SparseLinearClassifier, check_k
from needlepoint.probing.probe import Path
from needlepoint.probing.ranking_methods import RANKINGS
from needlepoint.probing.scores import best_cut
from needlepoint.probing.selectors import DELETION, RANKING, SELECTORS
from needlepoint.probing.sweep import DEFAULT_KS

THRESHOLDS = ("balanced", "prevalence", "f1")
START = 256
"""Neurons from which methods start that go from many to few."""


class SparseProbe(SparseLinearClassifier):
    """A logistic probe of at most `k` neurons, found by one of the selectors: a heuristic.

    Takes numpy arrays, pandas frames and tensors on any device, `[example, neuron]`. Two classes
    are one probe, for the second class in sorted order; more are one probe for each class against
    the rest. There are no sample weights. Rows of one document belong in one part of a split: use
    a grouped splitter, for instance `GroupKFold`.

    Args:
        method: Name of a selector, one of `SELECTORS`.
        k: Neurons read; all of them where the layer has fewer. `k_` says how many.
        l2: Ridge penalty, on standardised neurons; not used by `paper`.
        balanced: Whether both classes count alike in the fit.
        threshold: Where an example is called positive. `balanced`: as if both classes were as
            common (the paper's). `prevalence`: as common as in training; then `predict_proba` are
            calibrated for such data. `f1`: where F1 is best on the training examples, hence
            flattering there.
        seed: Seed of selectors and rankings that toss coins.
        ranking: Name of the ranking that the method starts from, one of `RANKINGS`; for
            `adaptive_thresholding`, `top_k` and `swap`.
        deletion: Rule by which neurons are given up, `weight` or `wald`; for
            `adaptive_thresholding` and `swap`.

    Attributes:
        classes_: The classes, sorted.
        coef_: Weights in units of one over the activation, `[1 or class, neuron]`; 0 where a
            neuron is not read.
        intercept_: What is added, the cut taken off.
        cut_: Log-odds at which an example is called positive.
        support_: Neurons read, increasing; one row for each class if there are more than two.
        sign_: Sign of the weight of each neuron in `support_`.
        k_: How many neurons were read.
        path_: Probes of every size that was fitted on the way.
        n_features_in_: Neurons of the layer.

    Example:
        >>> import torch
        >>> acts = torch.eye(6, 3).repeat(5, 1)
        >>> probe = SparseProbe(k=1).fit(acts, acts[:, 1] > 0)
        >>> probe.support_.tolist(), probe.sign_.tolist(), probe.score(acts, acts[:, 1] > 0)
        ([1], [1], 1.0)
    """

    # scikit-learn asks that a constructor take anything, and that `fit` refuse it.
    def __init__(
        self,
        method: str | Any = "adaptive_thresholding",
        k: int | Any = 8,
        l2: float | Any = 0.01,
        balanced: bool | Any = True,
        threshold: str | Any = "balanced",
        seed: int | Any = 0,
        ranking: str | Any = RANKING,
        deletion: str | Any = DELETION,
    ) -> None:
        self.method = method
        self.k = k
        self.l2 = l2
        self.balanced = balanced
        self.threshold = threshold
        self.seed = seed
        self.ranking = ranking
        self.deletion = deletion

    def fit(self, X: Any, y: Any) -> SparseProbe:
        """Choose the neurons and fit the probe on training examples.

        Raises:
            ValueError: If the data or a setting cannot be used; the message says how to mend it.
        """
        k = check_k(self.k)
        for kind, name, known in (
            ("method", self.method, SELECTORS),
            ("threshold", self.threshold, THRESHOLDS),
            ("ranking", self.ranking, RANKINGS),
            ("deletion rule", self.deletion, DELETIONS),
        ):
            if name not in known:
                raise EstimatorDataError(str(unknown_name(kind, name, known)))
        acts, y = read_training(self, X, y)
        self.classes_, labels = one_against_rest(y, acts.device)
        size = min(k, acts.shape[1])
        with value_errors():
            self.path_ = self._select(acts, labels, size)
        probes = [self.path_.probe(feature, size) for feature in range(labels.shape[1])]
        cuts = [
            self._cut(probe(acts), label) for probe, label in zip(probes, labels.T, strict=True)
        ]
        self._keep(probes, cuts)
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # Its L1 penalty on a few neurons can leave none of them a weight.
        tags.classifier_tags.poor_score = self.method == "paper"
        return tags

    def _select(self, acts: Tensor, labels: Tensor, k: int) -> Path:
        """The probes of size `k` and of those on the way to it."""
        selector = SELECTORS[self.method]
        options = selector.start_options(
            acts, labels, ranking=self.ranking, deletion=self.deletion, seed=self.seed
        )
        if "balanced" in selector.options:
            options["balanced"] = self.balanced
        elif not self.balanced:
            raise EstimatorDataError(
                f"the method {self.method!r} always gives both classes equal weight; "
                "leave balanced=True, or use another method."
            )
        if "start" in selector.options:
            options["start"] = max(START, k)
        # A path of nested supports that shrinks passes the sizes above k; others are spared them.
        from_above = "start" in options and selector.nested
        ks = {size for size in DEFAULT_KS if size <= (acts.shape[1] if from_above else k)}
        return selector.select(
            acts, labels, ks=sorted(ks | {k}), l2=self.l2, seed=self.seed, **options
        )

    def _cut(self, odds: Tensor, label: Tensor) -> float:
        """Log-odds to call positive above, from the training examples."""
        if self.threshold == "f1":
            cut = float(best_cut(odds[:, None], label[:, None])[0])
            # Everything positive: any cut below all scores, and a finite one.
            return cut if math.isfinite(cut) else float(odds.min()) - 1
        share = float(label.double().mean())
        prior = math.log(share / (1 - share))
        fitted_at = 0.0 if self.balanced else prior
        return fitted_at - (prior if self.threshold == "prevalence" else 0.0)
