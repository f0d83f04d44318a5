import pytest
import torch

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.probing.checks import (
    check_acts,
    check_data,
    check_labels,
    check_ridge,
    check_same_layer,
)

LABELS = torch.tensor([[True], [False], [True]])


def test_good_data_pass() -> None:
    check_data(torch.zeros(3, 2), LABELS)
    check_data(torch.full((3, 2), 3e38), LABELS)  # their sum overflows; they do not


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_activations_that_are_not_finite_are_named(bad: float) -> None:
    acts = torch.zeros(3, 4)
    acts[1, 2] = bad
    with pytest.raises(DataError, match=r"NaN or infinity in 1 neurons \(first: 2\).*first: 1"):
        check_acts(acts)


def test_infinities_that_cancel_are_still_found() -> None:
    acts = torch.zeros(3, 4)
    acts[0, 0], acts[1, 0] = torch.inf, -torch.inf
    with pytest.raises(DataError, match="NaN or infinity"):
        check_acts(acts)


@pytest.mark.parametrize("acts", [torch.zeros(3), torch.zeros(3, 0), torch.zeros(3, 2).long()])
def test_activations_must_be_a_real_matrix(acts: torch.Tensor) -> None:
    with pytest.raises(DataError, match="non-empty floating-point matrix"):
        check_acts(acts)


def test_labels_must_match_the_examples() -> None:
    with pytest.raises(DataError, match="3 labels for 4 examples"):
        check_labels(LABELS, 4)


@pytest.mark.parametrize("labels", [LABELS[:, 0], LABELS.long(), LABELS[:, :0]])
def test_labels_must_be_boolean_columns(labels: torch.Tensor) -> None:
    with pytest.raises(DataError, match=r"labels must be booleans \[example, feature\]"):
        check_labels(labels, 3)


def test_one_class_is_an_error_that_names_the_feature() -> None:
    with pytest.raises(OneClassError, match="feature 1 has no positive example among 3"):
        check_labels(torch.cat([LABELS, LABELS & False], dim=1), 3)
    with pytest.raises(OneClassError, match="feature 0 has no negative example"):
        check_labels(LABELS | True, 3)


def test_two_parts_must_have_the_same_neurons() -> None:
    check_same_layer(torch.zeros(3, 4), torch.zeros(9, 4))
    with pytest.raises(DataError, match="4 neurons to train on and 5 to validate on"):
        check_same_layer(torch.zeros(3, 4), torch.zeros(9, 5))


@pytest.mark.parametrize("l2", [0.0, -1.0, float("nan"), float("inf")])
def test_the_ridge_must_be_positive(l2: float) -> None:
    with pytest.raises(DataError, match="l2 must be positive"):
        check_ridge(l2)
