import pytest
import torch
from torch import Tensor

from needlepoint._core.errors import DataError, OneClassError, UnknownNameError
from needlepoint.probing.null import (
    MaxNull,
    centred_ranks,
    max_null,
    max_null_of_columns,
    max_null_of_members,
    over_layers,
    within_documents,
)
from needlepoint.probing.permutations import label_sources, permuted_columns
from needlepoint.probing.rankings import mean_difference_std
from needlepoint.probing.scores import roc_auc


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


def stretches(
    n_documents: int = 12, rows: int = 30, d: int = 40, *, seed: int, shift: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Labels that come in stretches and activations that drift, both with a document's own level.

    Neuron 7 is shifted where the label is set.
    """
    rng = torch.Generator().manual_seed(seed)
    groups = torch.arange(n_documents).repeat_interleave(rows)

    def drift(width: int) -> Tensor:
        state = torch.randn(n_documents, width, generator=rng)
        found = []
        for _ in range(rows):
            state = 0.8 * state + 0.6 * torch.randn(n_documents, width, generator=rng)
            found.append(state)
        level = torch.randn(n_documents, 1, width, generator=rng)
        return (torch.stack(found, dim=1) + level).flatten(0, 1)

    labels = drift(1) > 0.5
    acts = drift(d)
    acts[:, 7] += shift * labels[:, 0]
    return acts, labels, groups


def test_shifts_hold_the_level_where_neighbours_are_alike_and_rows_do_not() -> None:
    shifted, by_row = [], []
    for seed in range(120):
        acts, labels, groups = stretches(seed=seed)
        for scheme, found in (("shift", shifted), ("rows", by_row)):
            null = max_null(
                acts, labels, groups=groups, n_permutations=39, generator=generator(), scheme=scheme
            )
            found.append(bool(null.p_value.min() <= 0.05))
    assert sum(shifted) / 120 < 0.10  # 120 tests at 0.05: two and a half standard errors
    assert sum(by_row) / 120 > 0.5


@pytest.mark.parametrize("statistic", ["mean_difference_std", "auc"])
def test_shifts_find_a_planted_neuron_and_no_other(statistic: str) -> None:
    acts, labels, groups = stretches(seed=1, shift=2.0)
    options = {"groups": groups, "n_permutations": 199, "generator": generator()}
    null = max_null(acts, labels, scheme="shift", statistic=statistic, **options)
    assert (null.p_value[0] <= 0.05).nonzero().tolist() == [[7]]


def test_a_shift_asks_about_places_within_documents_only() -> None:
    """A level that goes with the document is taken off; it takes nothing from the others."""
    acts, labels, groups = stretches(seed=2, shift=2.0)
    options = {"groups": groups, "n_permutations": 49, "scheme": "shift"}
    lifted = acts.clone()
    lifted[:, 3] += 20 * labels[:, 0].double().view(12, 30).mean(1).float()[groups]
    for statistic in ("mean_difference_std", "auc"):
        one, other = (
            max_null(part, labels, generator=generator(), statistic=statistic, **options)
            for part in (acts, lifted)
        )
        assert other.p_value[0, 7] == one.p_value[0, 7] == 1 / 50
    torch.testing.assert_close(within_documents(lifted, groups), within_documents(acts, groups))


def test_the_rank_statistic_is_the_distance_of_the_auc_from_a_half() -> None:
    acts, labels, groups = documents(seed=5)
    acts = (2 * acts).round()  # ties
    null = max_null(
        acts, labels, groups=groups, n_permutations=3, generator=generator(), statistic="auc"
    )

    def auc(label: Tensor) -> Tensor:
        return (roc_auc(acts, label[:, None].expand_as(acts)) - 0.5).abs()

    torch.testing.assert_close(null.observed, torch.stack([auc(one) for one in labels.T]))
    moved = label_sources(
        labels, groups, scheme="documents", n_permutations=3, generator=generator()
    )
    for row, source in zip(null.null, moved, strict=True):
        expected = torch.stack([auc(one[source]).max() for one in labels.T])
        torch.testing.assert_close(row, expected, rtol=1e-5, atol=1e-7)


def test_an_outlier_moves_the_difference_and_not_the_ranks() -> None:
    acts, labels, groups = documents(seed=6, shift=3.0)
    wild = acts.clone()
    wild[labels[:, 0].nonzero()[0], 7] = -1e4
    options = {"groups": groups, "n_permutations": 99}
    ranks = max_null(wild, labels, statistic="auc", generator=generator(), **options)
    plain = max_null(wild, labels, generator=generator(), **options)
    assert ranks.p_value[0, 7] <= 0.05 < plain.p_value[0, 7]


def test_ranks_of_constants_and_ties() -> None:
    ranks = centred_ranks(torch.tensor([[3.0, 1.0], [3.0, 0.0], [3.0, 1.0]]))
    assert ranks.tolist() == [[0.0, 0.5], [0.0, -1.0], [0.0, 0.5]]


def test_scores_of_permuted_columns_give_the_same_null() -> None:
    """What a streaming pass would do, which sees activations once."""
    acts, labels, groups = documents(seed=7)
    options = {"scheme": "documents", "n_permutations": 9}
    columns = permuted_columns(labels, groups, generator=generator(), **options)
    streamed = max_null_of_columns(mean_difference_std(acts, columns), 2)
    whole = max_null(acts, labels, groups=groups, generator=generator(), **options)
    torch.testing.assert_close(streamed.null, whole.null, rtol=1e-5, atol=0)
    assert torch.equal(streamed.p_value, whole.p_value)
    with pytest.raises(DataError, match="19 columns"):
        max_null_of_columns(mean_difference_std(acts, columns[:, :19]), 2)


def test_features_asked_on_rows_of_their_own() -> None:
    acts, labels, groups = documents(seed=8, shift=6.0)
    asked = torch.ones_like(labels)
    asked[groups > 17, 0] = False
    labels[groups > 17, 0] = True  # means nothing there
    options = {"groups": groups, "n_permutations": 99}
    null = max_null_of_members(acts, labels, asked, generator=generator(), **options)
    part = asked[:, 0]
    torch.testing.assert_close(
        null.observed[0], mean_difference_std(acts[part], labels[part][:, :1])[0]
    )
    torch.testing.assert_close(null.observed[1], mean_difference_std(acts, labels[:, 1:])[0])
    assert (null.p_value[0] <= 0.05).nonzero().tolist() == [[7]]
    with pytest.raises(DataError, match="members of shape"):
        max_null_of_members(acts, labels, asked[:3], generator=generator(), **options)


def test_a_permutation_that_moves_nothing_counts_as_reaching_the_observed() -> None:
    acts, labels, _ = documents(n_documents=2, rows=400, seed=9)
    null = max_null(
        acts, labels, groups=torch.arange(2).repeat_interleave(400), **few(), scheme="documents"
    )
    same = (null.null - null.observed.amax(1)).abs() < 1e-3
    assert same.all(0).all()  # two documents can only stay or swap: |difference| is the same
    assert (null.p_value.amin(1) == 1).all()


def few() -> dict[str, object]:
    return {"n_permutations": 20, "generator": generator()}


def test_guards_of_names() -> None:
    acts, labels, groups = documents(seed=4)
    with pytest.raises(UnknownNameError, match="statistic 'f1'"):
        max_null(acts, labels, groups=groups, statistic="f1", **few())


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
