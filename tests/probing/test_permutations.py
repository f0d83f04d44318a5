"""How labels move: what each scheme keeps, and when it must not be used."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from needlepoint._core.errors import DataError, UnknownNameError
from needlepoint.probing.permutations import (
    label_sources,
    number_documents,
    permutation_for,
    permuted_columns,
)

settings.register_profile("few", max_examples=40, deadline=None)
settings.load_profile("few")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sources(labels: Tensor, groups: Tensor, scheme: str, count: int = 30) -> list[Tensor]:
    return list(
        label_sources(labels, groups, scheme=scheme, n_permutations=count, generator=generator())
    )


@st.composite
def sequences(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Labels that vary within documents whose rows lie in any order."""
    lengths = draw(st.lists(st.integers(1, 7), min_size=5, max_size=9))
    groups = torch.arange(len(lengths)).repeat_interleave(
        torch.tensor([7, 7, *lengths])[: len(lengths)]
    )
    seed = draw(st.integers(0, 2**31))
    labels = torch.rand(len(groups), 2, generator=generator(seed)) < 0.5
    for document in (0, 1):
        at = (groups == document).nonzero()[:2, 0]
        labels[at[0]], labels[at[1]] = True, False
    return labels, groups[torch.randperm(len(groups), generator=generator(seed))]


@given(sequences())
def test_a_shift_is_a_rotation_of_each_documents_rows(data: tuple[Tensor, Tensor]) -> None:
    labels, groups = data
    labels = labels[groups.argsort(stable=True).argsort()]
    for source in sources(labels, groups, "shift", 5):
        assert torch.equal(groups[source], groups)
        for document in groups.unique():
            rows = (groups == document).nonzero()[:, 0].tolist()
            moved = [rows.index(row) for row in source[rows].tolist()]
            assert moved == [(place + moved[0]) % len(rows) for place in range(len(rows))]


def test_every_shift_is_as_likely_as_any_other() -> None:
    groups = torch.zeros(24, dtype=torch.long)
    labels = (torch.arange(24) < 3)[:, None]
    first = torch.stack(sources(labels, groups, "shift", 4800))[:, 0]
    counts = torch.bincount(first, minlength=24).double()
    chi_square = ((counts - 200).square() / 200).sum()
    assert chi_square < 49.7  # the 0.999 point at 23 degrees of freedom


def test_documents_swap_labels_whole() -> None:
    groups = torch.tensor([5, 5, 2, 9, 9, 9])
    labels = torch.tensor([1, 1, 0, 1, 1, 1])[:, None] > 0
    for source in sources(labels, groups, "documents"):
        moved = labels[source, 0]
        assert moved[0] == moved[1]
        assert len(set(moved[3:].tolist())) == 1
        assert sum(moved[[0, 2, 3]].tolist()) == 2


def test_rows_are_permuted() -> None:
    labels = torch.arange(6)[:, None] > 2
    for source in sources(labels, torch.zeros(6, dtype=torch.long), "rows"):
        assert source.sort().values.tolist() == list(range(6))


def test_the_same_generator_gives_the_same_permutations_whatever_the_scheme_reads() -> None:
    groups = torch.arange(4).repeat_interleave(6)
    labels = torch.rand(24, 3, generator=generator(1)) < 0.5
    one, other = (torch.stack(sources(labels, groups, "shift")) for _ in range(2))
    assert torch.equal(one, other)


def test_columns_are_the_true_labels_and_then_the_permuted_ones() -> None:
    groups = torch.arange(4).repeat_interleave(6)
    labels = torch.rand(24, 3, generator=generator(1)) < 0.5
    columns = permuted_columns(
        labels, groups, scheme="shift", n_permutations=2, generator=generator()
    )
    moved = sources(labels, groups, "shift", 2)
    assert torch.equal(columns, torch.cat([labels, labels[moved[0]], labels[moved[1]]], 1))


def test_which_scheme_fits() -> None:
    of_documents = torch.arange(5).repeat_interleave(8)
    whole = (of_documents < 2)[:, None]
    vary = torch.rand(40, 1, generator=generator(2)) < 0.5
    assert permutation_for(whole, of_documents).scheme == "documents"
    assert permutation_for(vary, of_documents).scheme == "shift"
    assert permutation_for(torch.cat([whole, vary], 1), torch.arange(40)).scheme == "documents"
    alone = permutation_for(vary, torch.arange(40))
    assert "one row" in alone.reason
    with pytest.raises(DataError, match="feature 0 can be shifted"):
        permutation_for(torch.cat([whole, vary], 1), of_documents)


def test_guards() -> None:
    groups = torch.arange(10).repeat_interleave(3)
    labels = (torch.arange(30) == 4)[:, None]
    with pytest.raises(DataError, match=r"in only 3 ways \(1 documents have both classes\)"):
        sources(labels, groups, "shift")
    with pytest.raises(DataError, match="use scheme='shift'"):
        sources(labels, groups, "documents")
    with pytest.raises(UnknownNameError, match="'rows'"):
        sources(labels, groups, "row")
    with pytest.raises(DataError, match="5 groups for 30 examples"):
        number_documents(groups[:5], 30)
    with pytest.raises(DataError, match="n_permutations must be at least 1"):
        sources(labels, groups, "rows", 0)
