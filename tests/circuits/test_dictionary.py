"""Codes are the largest activation; silence is filed under 0 and can be told apart."""

from __future__ import annotations

from dataclasses import replace

import torch

from needlepoint.circuits.code_use import code_use
from needlepoint.circuits.dictionary import BLOCK, Dictionary


def dictionary(dtype: torch.dtype = torch.float64) -> Dictionary:
    """Two seeds, three codes in two coordinates; the second seed has its codes turned round."""
    encoder = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], dtype=dtype)
    return Dictionary(
        encoder=torch.stack([encoder, encoder.flip(0)]),
        code_bias=torch.full((2, 3), -0.5, dtype=dtype),
        decoder=torch.zeros(2, 2, 3, dtype=dtype),
        bias=torch.tensor([[0.0, 1.0], [0.0, 1.0]], dtype=dtype),
        loss=torch.zeros(2, dtype=dtype),
        n_steps=0,
    )


HEADS = torch.tensor([[[2.0, 1.0], [0.0, 4.0]], [[-3.0, 2.0], [0.1, 1.2]]], dtype=torch.float64)


def test_codes_worked_out_by_hand():
    assert dictionary()(HEADS).tolist() == [[[0, 1], [2, 0]], [[2, 1], [0, 0]]]


def test_the_silent_vector_is_told_from_those_that_say_code_0():
    assert dictionary().silent(HEADS).tolist() == [[[False, False], [False, True]]] * 2


def test_folding_the_projection_gives_the_same_reading():
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(2 * BLOCK + 3, 4, 2, generator=rng, dtype=torch.float64)
    W_O = torch.randn(4, 2, 2, generator=rng, dtype=torch.float64)
    whole = dictionary().read(torch.einsum("ehd,hdm->ehm", z, W_O))
    folded = dictionary().read_z(z, W_O)
    assert torch.equal(whole.codes, folded.codes)
    assert torch.equal(whole.silent, folded.silent)
    assert folded.codes.shape == (2, 2 * BLOCK + 3, 4)
    assert 0 < whole.silent.double().mean() < 1
    assert torch.equal(whole.live, folded.live)


def test_silence_has_a_code_of_its_own_on_request_and_nothing_else_changes():
    paper = dictionary()(HEADS)
    apart = replace(dictionary(), silent_code=True)(HEADS)
    assert apart.tolist() == [[[0, 1], [2, 3]], [[2, 1], [0, 3]]]
    silent = dictionary().silent(HEADS)
    assert torch.equal(apart[~silent], paper[~silent])
    assert (paper[silent] == 0).all()


def test_a_code_that_is_active_and_never_the_most_active_is_live():
    reading = dictionary().read(torch.tensor([[[2.0, 4.0]]], dtype=torch.float64))
    assert reading.codes[0].tolist() == [[1]]
    assert reading.live[0].tolist() == [True, True, False]


def test_rates_of_disuse_worked_out_by_hand():
    use = code_use(dictionary().read(HEADS))
    assert use.dead_codes.tolist() == [0, 0]
    assert use.unchosen_codes.tolist() == [0, 0]
    assert use.dead_heads.tolist() == [0, 0]
    assert use.silent.tolist() == [[0, 0.5], [0, 0.5]]
    assert use.codes_per_head.tolist() == [[2, 2], [2, 2]]
    still = code_use(dictionary().read(torch.tensor([[[0.0, 1.0]], [[0.1, 1.2]]]).double()))
    assert still.dead_heads.tolist() == [1, 1]
    assert still.dead_codes.tolist() == [1, 1]
    assert still.codes_per_head.tolist() == [[1], [1]]
