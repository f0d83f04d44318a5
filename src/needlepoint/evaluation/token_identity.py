"""What the tokens themselves tell: a probe that sees which tokens a row is of, and no model.

A neuron that merely repeats which token it stands on carries nothing that the text did not. The
probe is ridge logistic regression on one-hot token ids: those of the row (a bag, where a row is of
many positions), those right before them, or both and the pairs they make.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize
from torch import Tensor

from needlepoint.features.collection import Collection
from needlepoint.probing.scores import best_cut, confusion, roc_auc

KINDS = ("current token", "previous token", "both tokens")
C_GRID = (0.1, 1.0, 10.0, 100.0)
"""`C` of scikit-learn; 1 shrinks a token's log-odds as if it had been seen about once more."""
START = -1
"""What stands before the first token of a text."""


@dataclass(frozen=True, eq=False)
class TokenRows:
    """Which tokens each row is of, as rows of length 1 over the tokens of the collection."""

    current: sparse.csr_matrix
    previous: sparse.csr_matrix
    pair: sparse.csr_matrix

    def of(self, kind: str) -> sparse.csr_matrix:
        """The columns of one of `KINDS`."""
        if kind == "current token":
            return self.current
        if kind == "previous token":
            return self.previous
        return sparse.hstack([self.current, self.previous, self.pair], format="csr")


@dataclass(frozen=True, eq=False)
class IdentityProbe:
    """A probe of token identity: log-odds of all rows, and the cut chosen on validation rows."""

    kind: str
    odds: Float[Tensor, " example"]
    cut: float
    f1_validation: float
    auc_validation: float
    C: float


def token_rows(collection: Collection) -> TokenRows:
    """The tokens of each row of a collection and those right before them.

    A row reduced to its first or last position is of that token; otherwise of all that it spans.

    """
    rows, current, previous = _positions(collection)
    n = len(collection.rows)
    _, pair = np.unique(np.stack([previous, current]), axis=1, return_inverse=True)
    return TokenRows(
        _bag(rows, current, n), _bag(rows, previous, n), _bag(rows, pair.reshape(-1), n)
    )


def identity_probes(
    tokens: TokenRows,
    truth: Bool[Tensor, " example"],
    train: Int[Tensor, "_"],
    validation: Int[Tensor, "_"],
) -> list[IdentityProbe]:
    """The probe of each of `KINDS`: fitted on training rows, penalty and cut from validation rows.

    Classes weigh alike. A token that no training row has tells nothing.

    Args:
        tokens: From `token_rows`.
        truth: Whether each row of the collection has the feature.
        train: Numbers of the rows to fit on.
        validation: Numbers of the rows to choose on.
    """
    return [_probe(kind, tokens.of(kind), truth, train, validation) for kind in KINDS]


def best_identity(probes: list[IdentityProbe]) -> IdentityProbe:
    """The one with the highest validation F1, then AUC; of equals the first."""
    return max(probes, key=lambda one: (one.f1_validation, one.auc_validation))


def _probe(
    kind: str, columns: sparse.csr_matrix, truth: Tensor, train: Tensor, validation: Tensor
) -> IdentityProbe:
    # Columns that no training row has would keep a weight of 0.
    seen = np.flatnonzero(np.bincount(columns[train.numpy()].indices, minlength=columns.shape[1]))
    columns, labels = columns[:, seen], truth[validation][:, None]
    found: list[tuple[float, float, Tensor]] = []
    for C in C_GRID:
        fit = LogisticRegression(C=C, class_weight="balanced", max_iter=1000)
        fit.fit(columns[train.numpy()], truth[train].numpy())
        odds = torch.from_numpy(np.asarray(fit.decision_function(columns), dtype=np.float64))
        found.append((float(roc_auc(odds[validation][:, None], labels)[0]), C, odds))
    auc, C, odds = max(found, key=lambda one: (one[0], -one[1]))
    cut = best_cut(odds[validation][:, None], labels)
    f1 = float(confusion(odds[validation][:, None] > cut, labels).f1[0])
    return IdentityProbe(kind, odds, float(cut[0]), f1, auc, C)


def _positions(collection: Collection) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For every position of every row: the row, its token, and the token before it."""
    rows: list[int] = []
    current: list[int] = []
    previous: list[int] = []
    for row, (text, start, end) in enumerate(collection.rows.tolist()):
        if collection.reduce == "first":
            end = start + 1
        elif collection.reduce == "last":
            start = end - 1
        ids = (START, *collection.ids[text])
        rows += [row] * (end - start)
        current += ids[start + 1 : end + 1]
        previous += ids[start:end]
    return np.array(rows), np.array(current), np.array(previous)


def _bag(rows: np.ndarray, names: np.ndarray, n_rows: int) -> sparse.csr_matrix:
    """How often each row has each name, rows scaled to length 1."""
    distinct, column = np.unique(names, return_inverse=True)
    ones = np.ones(len(rows))
    shape = (n_rows, len(distinct))
    return normalize(sparse.csr_matrix((ones, (rows, column.reshape(-1))), shape=shape))
