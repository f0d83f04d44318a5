"""What is told of memory beforehand against what a backward pass keeps, and sizes of pieces."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from needlepoint.circuits.attribution.backward import frozen_weights
from needlepoint.circuits.attribution.differences import differences
from needlepoint.circuits.attribution.memory import (
    PIECE_BYTES,
    memory_bytes,
    piece_size,
    saved_numbers,
)
from needlepoint.circuits.graph.terms import term_bytes, terms
from needlepoint.circuits.methods import Question
from needlepoint.models.hooks import hook
from needlepoint.testing.pairs import random_pairs
from needlepoint.testing.tiny import TINY_FAMILIES, tiny_model

FAMILIES = sorted(TINY_FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_backward_pass_keeps_is_about_what_is_told(family: str) -> None:
    model = tiny_model(family)
    pairs = random_pairs(model, n=8, width=4)
    weights = {weight.data_ptr() for weight in model.module.parameters()}
    kept: dict[int, int] = {}

    def note(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        if saved.is_floating_point() and storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return saved

    start = lambda x: x.detach().requires_grad_()  # noqa: E731
    with (
        frozen_weights(model),
        hook(model, [("L0.resid.in", start)]),
        torch.autograd.graph.saved_tensors_hooks(note, lambda saved: saved),
    ):
        out = model.module.base_model(input_ids=pairs.clean.ids, use_cache=False)
    told = 4 * saved_numbers(model) * pairs.clean.ids.numel()
    assert out is not None
    assert 0.5 * told < sum(kept.values()) < 1.5 * told


def test_pieces_keep_to_the_limit_and_are_never_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama")
    pairs = random_pairs(model, n=7)
    width = pairs.clean.ids.shape[1]
    assert piece_size(model, pairs) == 7
    assert memory_bytes(model, 7 * width) < PIECE_BYTES
    limit = memory_bytes(model, 3 * width)
    monkeypatch.setattr("needlepoint.circuits.attribution.memory.PIECE_BYTES", limit)
    assert piece_size(model, pairs) == 3
    assert piece_size(model, pairs, copies=5) == 1
    monkeypatch.setattr("needlepoint.circuits.attribution.memory.PIECE_BYTES", 1)
    assert piece_size(model, pairs) == 1


def test_rows_before_the_first_difference_and_padding_are_left_out() -> None:
    model = tiny_model("llama")
    pairs = random_pairs(model, ragged=True)
    some = differences(Question(model, pairs), pairs)
    full = terms(model, pairs.corrupt) - terms(model, pairs.clean)
    counted = torch.zeros(pairs.clean.ids.numel(), dtype=torch.bool)
    counted[some.rows] = True
    shaped = counted.reshape(pairs.clean.ids.shape)
    expected = pairs.clean.mask.clone()
    expected[:, :2] = False  # the model's first token, and the one that all pairs share
    assert torch.equal(shaped, expected)
    assert full[pairs.clean.mask & ~shaped].abs().max() < 1e-6
    assert some.changes.numel() * 4 == term_bytes(model, len(some.rows))
    torch.testing.assert_close(some.changes.movedim(0, 1), full.flatten(0, 1)[some.rows])
