"""Average precision over single tokens: values known by hand, and gaps on the same resamples."""

from __future__ import annotations

import pytest
import torch

from needlepoint.evaluation.case_studies.firing_tokens import Tokens
from needlepoint.evaluation.case_studies.token_precision import precision_columns


def tokens_of(target: torch.Tensor, n_texts: int) -> Tokens:
    text = torch.arange(len(target)) * n_texts // len(target)
    return Tokens((("", ""),) * len(target), target, text, {})


def columns_of(tokens: Tokens, values: dict[str, torch.Tensor]) -> dict[str, dict]:
    rng = torch.Generator().manual_seed(0)
    return precision_columns(tokens, values, "sum", tuple(values), rng)


def test_average_precision_is_that_of_the_definition() -> None:
    target = torch.tensor([True, False, True, False, False, False] * 4)
    falling = torch.arange(24, 0, -1).double()
    found = columns_of(tokens_of(target, 4), {"sum": target.double(), "neuron": falling})
    places = [place + 1 for place in range(24) if target[place]]
    by_hand = sum((rank + 1) / place for rank, place in enumerate(places)) / len(places)
    assert found["sum"]["ap"] == 1.0
    assert found["neuron"]["ap"] == pytest.approx(by_hand)
    assert found["neuron"]["gap"] == pytest.approx(1 - by_hand)
    assert found["sum"]["gap"] is None


def test_a_sum_that_is_on_for_nothing_else_is_ahead_and_its_twin_is_not() -> None:
    rng = torch.Generator().manual_seed(1)
    target = torch.rand(1200, generator=rng) < 0.05
    noise = torch.randn(1200, generator=rng)
    exact, broad = 6 * target + noise, 1.5 * target + noise
    found = columns_of(tokens_of(target, 60), {"sum": exact, "broad": broad, "twin": exact})
    assert found["broad"]["gap_low"] > 0
    assert 0 < found["broad"]["gap_p"] < 0.001
    assert found["twin"]["gap_p"] == 1.0
    assert found["twin"]["gap_low"] == found["twin"]["gap_high"] == 0.0


def test_order_is_all_that_counts() -> None:
    rng = torch.Generator().manual_seed(2)
    target = torch.rand(300, generator=rng) < 0.1
    values = target + torch.randn(300, generator=rng)
    found = columns_of(tokens_of(target, 30), {"sum": values, "cubed": values**3})
    assert found["sum"]["ap"] == pytest.approx(found["cubed"]["ap"])


def test_without_the_compound_in_any_text_nothing_is_defined() -> None:
    nothing = tokens_of(torch.zeros(30, dtype=torch.bool), 5)
    found = columns_of(nothing, {"sum": torch.arange(30.0), "neuron": torch.arange(30.0)})
    assert {value for row in found.values() for value in row.values()} == {None}


def test_without_texts_of_both_kinds_there_is_a_value_and_no_interval() -> None:
    target = torch.tensor([True, False, False, True])
    found = columns_of(tokens_of(target, 1), {"sum": torch.tensor([4.0, 1.0, 2.0, 3.0])})
    assert found["sum"]["ap"] == 1.0
    assert found["sum"]["ap_low"] is None


def test_copies_within_a_document_say_nothing_new() -> None:
    """Twelve texts five times over: as many texts by themselves they seem to say more."""
    rng, length, copies = torch.Generator().manual_seed(3), 12, 5
    target = (torch.arange(12 * length) % length == 0).repeat(copies)
    once = [shift * (torch.arange(12 * length) % length == 0) for shift in (2.0, 1.5)]
    one, other = ((x + torch.randn(len(x), generator=rng)).repeat(copies) for x in once)
    each = torch.arange(len(target)) // length
    few, many = (
        columns_of(
            Tokens((("", ""),) * len(target), target, document, {}), {"sum": one, "other": other}
        )["other"]
        for document in (each % 12, each)
    )
    assert few["gap"] == many["gap"]
    assert few["gap_p"] > 1.5 * many["gap_p"]
    assert few["gap_high"] - few["gap_low"] > 1.8 * (many["gap_high"] - many["gap_low"])


@pytest.mark.parametrize("n_documents", [6, 30])
def test_scores_of_the_same_law_differ_as_often_as_the_level_says(n_documents: int) -> None:
    rng, below, n = torch.Generator().manual_seed(4), 0, 120
    length, target = 8, torch.zeros(8 * 3 * n_documents, dtype=torch.bool)
    target[length * torch.arange(n_documents)] = True
    document = torch.arange(len(target)) // length
    tokens = Tokens((("", ""),) * len(target), target, document, {})
    for _ in range(n):
        one, other = (3 * target + torch.randn(len(target), generator=rng) for _ in range(2))
        below += columns_of(tokens, {"sum": one, "other": other})["other"]["gap_p"] <= 0.1
    # Binomial: 120 tries at 10 %, three standard deviations.
    assert below / n <= 0.1 + 3 * (0.1 * 0.9 / n) ** 0.5
