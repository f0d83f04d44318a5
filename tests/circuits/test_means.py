"""Means are what adding up gives, slot by slot, and positions find the slot they belong to."""

from __future__ import annotations

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.circuits.metric import Answers
from needlepoint.circuits.pair_batch import PairBatch
from needlepoint.circuits.patching import means as means_file
from needlepoint.circuits.patching.means import means_over, slot_places
from needlepoint.circuits.patching.replacement import recorded, replacements
from needlepoint.models.model import Batch, Model
from needlepoint.testing.tiny import tiny_model

LENGTHS = (4, 7, 5, 7)


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model("llama")


@pytest.fixture(scope="module")
def prompts(model: Model) -> Batch:
    rng = torch.Generator().manual_seed(2)
    return model.batch([torch.randint(256, (n,), generator=rng).tolist() for n in LENGTHS])


def of(prompts: Batch, positions: dict[str, torch.Tensor] | None = None) -> PairBatch:
    answers = torch.arange(2 * len(prompts.ids)).reshape(2, -1, 1)
    return PairBatch(prompts, prompts, Answers(*answers), positions or {})


def test_by_position_each_is_the_mean_of_the_prompts_that_reach_it(model, prompts) -> None:
    found, run = means_over(model, prompts), recorded(model, prompts)
    first = len(model.prefix)
    for pos in range(max(LENGTHS) + first):
        rows = [row for row, n in enumerate(LENGTHS) if pos < n + first]
        slot = pos + 1
        assert found.counts[slot] == len(rows)
        for layer in range(3):
            torch.testing.assert_close(found.heads[layer, slot], run.z[layer][rows, pos].mean(0))
            wanted = run.written[layer][rows, pos].mean(0)
            torch.testing.assert_close(found.mlps[layer, slot], wanted)
        torch.testing.assert_close(found.embeddings[slot], run.stream[rows, pos].mean(0))


def test_the_plain_mean_is_over_all_positions_of_all_prompts(model, prompts) -> None:
    plain, by_position = means_over(model, prompts, by_position=False), means_over(model, prompts)
    run = recorded(model, prompts)
    wanted = run.z[1][prompts.mask].mean(0)
    for found in (plain, by_position):
        torch.testing.assert_close(found.heads[1, 0], wanted)
        assert found.counts[0] == prompts.lengths.sum()
    assert plain.heads.shape[1] == 1
    values = replacements(model, of(prompts), "mean", plain)
    assert torch.equal(values.heads(1), plain.heads[1, 0].expand(4, prompts.ids.shape[1], -1, -1))


def test_pieces_make_no_difference(model, prompts, monkeypatch) -> None:
    whole = means_over(model, prompts)
    monkeypatch.setattr(means_file, "MEAN_ROWS", 1)
    parts = means_over(model, prompts)
    torch.testing.assert_close(parts.heads, whole.heads)
    torch.testing.assert_close(parts.mlps, whole.mlps)
    assert torch.equal(parts.counts, whole.counts)


def test_positions_are_counted_from_the_last_named_one() -> None:
    positions = {"s1": torch.tensor([2, 1]), "io": torch.tensor([4, 3])}
    places = slot_places((2, 6), positions, ["s1", "io"], 6, torch.device("cpu"))
    start, s1, io = 1, 7, 13
    assert places.tolist() == [
        [start, start + 1, s1, s1 + 1, io, io + 1],
        [start, s1, s1 + 1, io, io + 1, io + 2],
    ]


def test_the_order_of_named_positions_may_differ_between_prompts() -> None:
    positions = {"s1": torch.tensor([1, 3]), "io": torch.tensor([3, 1])}
    places = slot_places((2, 5), positions, ["s1", "io"], 5, torch.device("cpu"))
    assert places.tolist() == [[1, 6, 7, 11, 12], [1, 11, 12, 6, 7]]


def test_named_means_put_what_corresponds_together(model, prompts) -> None:
    where = {"end": prompts.last}
    found, run = means_over(model, prompts, positions=where), recorded(model, prompts)
    values = replacements(model, of(prompts, where), "mean", found)
    rows = torch.arange(4)
    wanted = run.z[2][rows, prompts.last].mean(0).expand(4, -1, -1)
    torch.testing.assert_close(values.heads(2)[rows, prompts.last], wanted)
    from_start = replacements(model, of(prompts), "mean", means_over(model, prompts))
    assert (from_start.heads(2)[rows, prompts.last] - wanted).abs().max() > 1e-3


def test_beyond_every_prompt_of_the_set_the_plain_mean_stands_in(model, prompts) -> None:
    short = means_over(model, prompts.rows(torch.tensor([0])))
    values = replacements(model, of(prompts), "mean", short)
    first = len(model.prefix)
    assert torch.equal(values.mlp(0)[1, LENGTHS[0] + first], short.mlps[0, 0])
    assert torch.equal(values.embedding()[1, 2], short.embeddings[3])


def test_a_missing_or_misplaced_position_is_refused(model, prompts) -> None:
    named = means_over(model, prompts, positions={"end": prompts.last})
    with pytest.raises(DataError, match="counted from the position 'end', which these prompts"):
        replacements(model, of(prompts), "mean", named)
    with pytest.raises(DataError, match="position 'end' of prompt 1 is 50, but the prompt has"):
        means_over(model, prompts, positions={"end": torch.full((4,), 50)})


def test_zeros_are_of_the_shape_of_what_they_replace(model, prompts) -> None:
    zeros, run = replacements(model, of(prompts), "zero"), recorded(model, prompts)
    pairs = ((zeros.heads(1), run.z[1]), (zeros.mlp(1), run.written[1]))
    for found, old in (*pairs, (zeros.embedding(), run.stream)):
        assert torch.equal(found, torch.zeros_like(old))
