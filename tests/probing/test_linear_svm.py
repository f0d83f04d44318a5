import numpy as np
import pytest
import torch
from sklearn.svm import SVC
from torch import Tensor

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.probing.linear_svm import linear_svm
from needlepoint.probing.ranking_methods import rank


def planted(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.rand(200, 2, generator=generator) < 0.4
    acts = torch.randn(200, 12, generator=generator) * 3 + 7
    acts[:, 4] += labels[:, 0] * 12
    acts[:, 9] -= labels[:, 1] * 12
    return acts, labels


def test_it_is_the_hinge_loss_machine() -> None:
    acts, labels = planted()
    found = linear_svm(acts, labels)
    z = ((acts - acts.mean(0)) / acts.std(0, correction=0) / 10).double().numpy()
    for row, label in zip(found.numpy(), labels.T.numpy(), strict=True):
        exact = SVC(kernel="linear", C=1.0, tol=1e-8).fit(z, label).coef_[0]
        assert np.corrcoef(row, exact)[0, 1] > 0.999


def test_weights_are_sorted_along_the_neurons() -> None:
    """The released code sorted a matrix of one row by its rows, which leaves every order as is."""
    acts, labels = planted()
    ranking = rank("linear_svm", acts, labels)
    assert ranking.order[:, 0].tolist() == [4, 9]
    assert ranking.sign[0, 4] == 1
    assert ranking.sign[1, 9] == -1
    by_size = linear_svm(acts, labels)[0].abs()[ranking.order[0]]
    assert (by_size.diff() <= 0).all()


def test_guards() -> None:
    acts, labels = planted()
    with pytest.raises(DataError, match="NaN"):
        linear_svm(acts / 0 * 0, labels)
    with pytest.raises(OneClassError, match="no negative"):
        linear_svm(acts, labels | True)
