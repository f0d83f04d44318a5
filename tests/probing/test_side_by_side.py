import pytest
import torch

from needlepoint.probing.side_by_side import side_by_side
from needlepoint.probing.sweep import adaptive_thresholding

CPU = torch.device("cpu")


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield 3
    torch.set_num_threads(before)


@pytest.mark.parametrize("n_features", [1, 2, 3, 8])
def test_every_feature_is_worked_on_once_and_in_order(threads: int, n_features: int) -> None:
    runs = side_by_side(lambda features: features, n_features, CPU)
    assert len(runs) == min(threads, n_features)
    assert torch.cat(runs).tolist() == list(range(n_features))


def test_each_run_has_one_thread_and_the_caller_keeps_its_own(threads: int) -> None:
    assert side_by_side(lambda features: torch.get_num_threads(), 8, CPU) == [1, 1, 1]
    assert torch.get_num_threads() == threads
    assert side_by_side(lambda features: torch.get_num_threads(), 1, CPU) == [threads]


def test_an_error_in_a_run_is_raised_and_the_threads_are_as_before(threads: int) -> None:
    def fail(features: torch.Tensor) -> None:
        raise KeyError(int(features[0]))

    with pytest.raises(KeyError, match="0"):
        side_by_side(fail, 4, CPU)
    assert torch.get_num_threads() == threads


def test_a_sweep_does_not_hang_on_the_number_of_threads(threads: int) -> None:
    generator = torch.Generator().manual_seed(0)
    acts = torch.randn(300, 40, generator=generator, dtype=torch.float64)
    labels = acts[:, :5] + torch.randn(300, 5, generator=generator) > 0.3
    many = adaptive_thresholding(acts, labels, l2=0.02)
    torch.set_num_threads(1)
    one = adaptive_thresholding(acts, labels, l2=0.02)
    for batch, other in zip(many.probes, one.probes, strict=True):
        assert torch.equal(batch.support, other.support)
        torch.testing.assert_close(batch.weight, other.weight, rtol=1e-6, atol=1e-9)
