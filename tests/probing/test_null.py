import pytest
import torch
from torch import Tensor

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.probing.null import MaxNull, max_null, over_layers
from needlepoint.probing.rankings import mean_difference_std


def documents(
    n_documents: int = 24, rows: int = 5, d: int = 40, *, seed: int, shift: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows that share much with their document; neuron 7 is shifted on feature 0."""
    generator = torch.Generator().manual_seed(seed)
    groups = torch.arange(n_documents).repeat_interleave(rows)
    shared = torch.randn(n_documents, d, generator=generator)[groups]
    acts = shared + 0.3 * torch.randn(len(groups), d, generator=generator)
    of_group = torch.rand(n_documents, 2, generator=generator) < 0.4
    of_group[0], of_group[1] = True, False
    labels = of_group[groups]
    acts[:, 7] += shift * labels[:, 0]
    return acts, labels, groups


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(11)


def test_the_level_holds_under_document_effects_and_fails_when_rows_are_permuted() -> None:
    grouped, by_row = [], []
    for seed in range(100):
        acts, labels, groups = documents(seed=seed)
        for groups_used, found in ((groups, grouped), (torch.arange(len(acts)), by_row)):
            null = max_null(
                acts, labels, groups=groups_used, n_permutations=39, generator=generator()
            )
            found.append((null.p_value.amin(1) <= 0.05).double())
    assert torch.stack(grouped).mean() < 0.09  # 200 tests at 0.05: two standard errors
    assert torch.stack(by_row).mean() > 0.5


def test_a_planted_neuron_is_found_and_no_other() -> None:
    acts, labels, groups = documents(seed=1, shift=6.0)
    null = max_null(acts, labels, groups=groups, n_permutations=199, generator=generator())
    assert (null.p_value[0] <= 0.05).nonzero().tolist() == [[7]]
    assert null.p_value[0, 7].item() == 1 / 200
    assert not (null.p_value[1] <= 0.05).any()


def test_each_maximum_is_that_of_the_permuted_labels() -> None:
    acts, labels, groups = documents(seed=2)
    null = max_null(acts, labels, groups=groups, n_permutations=3, generator=generator())
    source = generator()
    for row in null.null:
        order = torch.randperm(24, generator=source)
        shuffled = labels[::5][order][groups]
        expected = mean_difference_std(acts, shuffled).amax(1)
        torch.testing.assert_close(row, expected, rtol=1e-4, atol=0)
    assert torch.equal(null.observed, mean_difference_std(acts, labels))


def test_p_values_count_the_permutations_that_reach_as_high() -> None:
    null = MaxNull(torch.tensor([[0.5, 2.0, 9.0]]), torch.tensor([[1.0], [2.0], [3.0]]))
    assert null.p_value.tolist() == [[1.0, 0.75, 0.25]]


def test_more_layers_searched_ask_for_more() -> None:
    acts, labels, groups = documents(seed=3, shift=2.0)
    parts = [
        max_null(part, labels, groups=groups, n_permutations=99, generator=generator())
        for part in acts.split(10, dim=1)
    ]
    whole = max_null(acts, labels, groups=groups, n_permutations=99, generator=generator())
    joined = over_layers(parts)
    torch.testing.assert_close(joined[0].null, whole.null, rtol=1e-5, atol=0)
    assert (joined[0].p_value >= parts[0].p_value).all()
    torch.testing.assert_close(torch.cat([part.p_value for part in joined], 1), whole.p_value)


def test_guards() -> None:
    acts, labels, groups = documents(seed=4)
    arguments = {"groups": groups, "n_permutations": 5, "generator": generator()}
    mixed = labels.clone()
    mixed[1, 0] = ~mixed[1, 0]
    with pytest.raises(DataError, match="other labels than the rest of its document"):
        max_null(acts, mixed, **arguments)
    with pytest.raises(DataError, match="n_permutations must be at least 1"):
        max_null(acts, labels, **{**arguments, "n_permutations": 0})
    with pytest.raises(OneClassError, match="no positive"):
        max_null(acts, labels & False, **arguments)
    with pytest.raises(DataError, match="NaN"):
        max_null(acts / 0, labels, **arguments)
    one = MaxNull(torch.zeros(1, 2), torch.zeros(3, 1))
    with pytest.raises(DataError, match="different permutations"):
        over_layers([one, MaxNull(torch.zeros(1, 2), torch.zeros(4, 1))])
