import torch
from sklearn.utils.class_weight import compute_sample_weight

from needlepoint.probing.weights import contrast, example_weights


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    labels = torch.rand(40, 3, generator=torch.Generator().manual_seed(0)) < 0.3
    found = example_weights(labels, balanced=True)
    for row, label in zip(found, labels.T, strict=True):
        expected = torch.from_numpy(compute_sample_weight("balanced", label.numpy()))
        torch.testing.assert_close(row, expected)
    assert (example_weights(labels, balanced=False) == 1).all()


def test_a_contrast_takes_the_difference_of_the_means() -> None:
    labels = torch.rand(40, 3, generator=torch.Generator().manual_seed(0)) < 0.3
    values = torch.randn(40, dtype=torch.float64)
    for row, label in zip(contrast(labels), labels.T, strict=True):
        torch.testing.assert_close(row @ values, values[label].mean() - values[~label].mean())
