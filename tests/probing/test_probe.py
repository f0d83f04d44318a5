import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.probing.probe import LinearProbe, Path, ProbeBatch


def batch(k: int, *, seed: int) -> ProbeBatch:
    generator = torch.Generator().manual_seed(seed)
    support = torch.stack([torch.randperm(9, generator=generator)[:k] for _ in range(2)])
    weight = torch.randn(2, k, generator=generator, dtype=torch.float64)
    zero = torch.zeros(2, dtype=torch.float64)
    return ProbeBatch(support.sort(1).values, weight, zero + 0.5, zero, zero, zero.long())


def test_all_log_odds_at_once_are_those_of_each_probe() -> None:
    path = Path((batch(1, seed=0), batch(4, seed=1)))
    acts = torch.randn(5, 9)
    odds = path.log_odds(acts)
    assert odds.shape == (5, 2, 2)
    for feature in range(2):
        for place, k in enumerate(path.ks):
            torch.testing.assert_close(odds[:, feature, place], path.probe(feature, k)(acts))


def test_a_probe_reads_its_support_and_nothing_else() -> None:
    probe = batch(3, seed=2).probe(1)
    acts = torch.randn(5, 9)
    other = torch.full_like(acts, torch.nan)
    other[:, probe.support] = acts[:, probe.support]
    assert torch.equal(probe(acts), probe(other))


def test_guards() -> None:
    path = Path((batch(4, seed=1),))
    with pytest.raises(DataError, match="no k = 3; it has 4"):
        path.probe(0, 3)
    with pytest.raises(DataError, match="these activations have 2"):
        path.log_odds(torch.zeros(1, 2))
    with pytest.raises(DataError, match="the probe reads neuron 7, but"):
        LinearProbe(torch.tensor([7]), torch.ones(1), torch.tensor(0.0))(torch.zeros(1, 2))
