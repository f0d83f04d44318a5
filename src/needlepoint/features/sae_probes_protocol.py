"""The sae-probes benchmark's own rows: which prompts train and test, in each of its regimes.

Follows the files of sae-probes 0.4.2 to the random draw, so that test AUCs can be laid beside
published ones: `sae_probes/utils_data.py` (`get_train_test_indices`, `get_xy_traintest_specify`,
`get_classimabalance_num_train`, `corrupt_ytrain` and the grids), `sae_probes/run_baselines.py`
(sizes of each regime) and `sae_probes/utils_training.py` (`get_cv`, `get_splits`, the grid of C in
`find_best_reg`). The benchmark balanced its sets by repeating prompts and then draws rows, so the
same prompt can train and test; that is kept here, and is why these figures flatter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from sklearn.model_selection import LeavePOut, StratifiedKFold

from needlepoint._core.errors import DataError, OneClassError

SEED = 42
MOST_TOKENS = 1024
"""Tokens of a prompt that are read, the first token of the model included: the last ones."""
MOST_TRAIN = 1024
LEAST_TEST = 100
PENALTIES: Float[np.ndarray, " value"] = np.logspace(5, -5, 10)
"""The values of C among which the best on validation rows is taken; the first of equals."""
SPARSE_KS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Numbers of columns in the normal regime; in the others the benchmark uses 16 and 128."""

Rows = Int[np.ndarray, "_"]


@dataclass(frozen=True)
class Regime:
    """How many rows train and test, and what is done to them."""

    name: str
    n_train: int
    n_test: int
    positive_share: float = 0.5
    """Share of positives in both parts."""
    flipped: float = 0.0
    """Share of the training labels that are turned round."""

    def capped(self, n_train: int, n_test: int) -> Regime:
        """The same with at most so many rows: quicker, and no longer the benchmark's own."""
        return replace(self, n_train=min(self.n_train, n_train), n_test=min(self.n_test, n_test))


MakeRegime = Callable[[Bool[np.ndarray, " example"]], Regime]


@dataclass(frozen=True, eq=False)
class Drawn:
    """Row numbers of a data set, in the benchmark's order, with their labels."""

    train: Rows
    test: Rows
    train_labels: Bool[np.ndarray, "_"]
    test_labels: Bool[np.ndarray, "_"]


def set_labels(table: pd.DataFrame) -> Bool[np.ndarray, " example"]:
    """The benchmark's labels: True is the second of the two targets in sorted order.

    That is 1 and True, but also `not_bigram` and `male`; AUC does not mind.

    Raises:
        DataError: If there are not two different targets.

    Example:
        >>> set_labels(pd.DataFrame({"target": ["male", "female", "male"]}))
        array([ True, False,  True])
    """
    classes, labels = np.unique(table["target"].to_numpy(), return_inverse=True)
    if len(classes) != 2:
        raise DataError(
            f"the set has {len(classes)} different targets, not 2; take a set of kind binary."
        )
    return np.asarray(labels == 1)


def normal(labels: Bool[np.ndarray, " example"]) -> Regime:
    """As many training rows as there are, up to 1024, and all but one of the others to test."""
    return _balanced("normal", labels, min(len(labels) - LEAST_TEST, MOST_TRAIN))


def scarce(labels: Bool[np.ndarray, " example"], n_train: int) -> Regime:
    """Few training rows: one of `training_sizes`, and all but one of the others to test.

    Raises:
        DataError: If fewer than 100 rows would be left to test.
    """
    if not 2 <= n_train <= len(labels) - LEAST_TEST:
        raise DataError(
            f"{n_train} rows cannot train on a set of {len(labels)}; "
            f"give from 2 to {len(labels) - LEAST_TEST}."
        )
    return _balanced(f"scarce {n_train}", labels, n_train)


def imbalanced(labels: Bool[np.ndarray, " example"], share: float) -> Regime:
    """Training and test rows with one of the `shares` of positives.

    Sizes are the same for all shares, and such that the extreme ones have rows enough.

    Raises:
        DataError: If the share is not from 0.05 to 0.95, or the set is too small.
    """
    if not shares()[0] <= share <= shares()[-1]:
        raise DataError(f"the share of positives is {share}; it must be from 0.05 to 0.95.")
    positives = int(labels.sum())
    most_negatives = (len(labels) - positives) / (1 - shares()[0])
    total = int(min(most_negatives, positives / shares()[-1]))
    n_train = min(total - LEAST_TEST, MOST_TRAIN)
    if n_train < 2:
        raise DataError(f"a set of {len(labels)} rows is too small for unequal classes.")
    n_test = max(LEAST_TEST, total - n_train - 1)
    return Regime(f"imbalanced {share:.2f}", n_train, n_test, positive_share=share)


def noisy(labels: Bool[np.ndarray, " example"], flipped: float) -> Regime:
    """The normal regime with a share of the training labels turned round.

    Raises:
        DataError: If the share is not from 0 to 0.5.
    """
    if not 0 <= flipped <= 0.5:
        raise DataError(f"the share of turned labels is {flipped}; it must be from 0 to 0.5.")
    return replace(normal(labels), name=f"noisy {flipped:.2f}", flipped=flipped)


def training_sizes() -> list[int]:
    """The numbers of training rows of the scarce regime.

    Example:
        >>> training_sizes()[:6], training_sizes()[-1]
        ([2, 3, 4, 5, 7, 10], 1024)
    """
    sizes = np.round(np.logspace(1, 10, num=20, base=2)).astype(int)
    return sorted(set(sizes.tolist()))


def shares() -> list[float]:
    """The shares of positives of the imbalanced regime."""
    return [round(share * 20) / 20 for share in np.linspace(0.05, 0.95, num=19).tolist()]


def flipped_shares() -> list[float]:
    """The shares of turned training labels of the noisy regime."""
    return [round(share * 20) / 20 for share in np.linspace(0, 0.5, num=11).tolist()]


def draw_rows(labels: Bool[np.ndarray, " example"], regime: Regime, *, seed: int = SEED) -> Drawn:
    """The benchmark's training and test rows of one set in one regime, for one seed.

    Raises:
        DataError: If a class has too few rows.
    """
    draw = np.random.RandomState(seed)
    positives, negatives = np.flatnonzero(labels), np.flatnonzero(~labels)
    sizes = [_sizes(n, regime.positive_share) for n in (regime.n_train, regime.n_test)]
    for found, wanted in zip((positives, negatives), zip(*sizes, strict=True), strict=True):
        if len(found) < sum(wanted):
            raise DataError(
                f"the regime {regime.name} takes {sum(wanted)} rows of a class that has "
                f"{len(found)}; ask for fewer rows."
            )
    (train_positives, train_negatives), (test_positives, test_negatives) = sizes
    train_1 = draw.choice(positives, size=train_positives, replace=False)
    train_0 = draw.choice(negatives, size=train_negatives, replace=False)
    left_1, left_0 = np.setdiff1d(positives, train_1), np.setdiff1d(negatives, train_0)
    test_1 = draw.choice(left_1, size=test_positives, replace=False)
    test_0 = draw.choice(left_0, size=test_negatives, replace=False)
    train = draw.permutation(np.concatenate([train_1, train_0]))
    test = draw.permutation(np.concatenate([test_1, test_0]))
    turned = labels[train].copy()
    if regime.flipped:
        again = np.random.RandomState(seed)
        which = again.choice(len(turned), size=int(len(turned) * regime.flipped), replace=False)
        turned[which] = ~turned[which]
    return Drawn(train, test, turned, labels[test])


def validation_splits(
    labels: Bool[np.ndarray, "_"], *, seed: int = SEED
) -> list[tuple[Rows, Rows]]:
    """Training and validation parts of the training rows, on which C is chosen.

    From 128 rows on one split, the last fifth (at most 100 rows) validating; below, six stratified
    folds; up to 12 rows, all that leave two out. Parts that validate on one class are left out;
    up to three rows there are none, and C stays at 1.

    Raises:
        OneClassError: If no part would validate on both classes.
    """
    n = len(labels)
    if n <= 3:
        return []
    if n >= 128:
        first = n - min(int(0.2 * n), 100)
        return [(np.arange(first), np.arange(first, n))]
    folds = (
        LeavePOut(2) if n <= 12 else StratifiedKFold(n_splits=6, shuffle=True, random_state=seed)
    )
    found = [
        (fitted, held)
        for fitted, held in folds.split(np.zeros((n, 1)), labels)
        if len(np.unique(labels[held])) == 2
    ]
    if not found:
        raise OneClassError("the training rows are of one class; take more of them.")
    return found


def _balanced(name: str, labels: Bool[np.ndarray, " example"], n_train: int) -> Regime:
    if n_train < 2:
        raise DataError(f"a set of {len(labels)} rows is too small; the least is 102.")
    return Regime(name, n_train, len(labels) - n_train - 1)


def _sizes(n: int, positive_share: float) -> tuple[int, int]:
    """Positives and negatives among so many rows."""
    positives = int(np.ceil(positive_share * n))
    return positives, n - positives
