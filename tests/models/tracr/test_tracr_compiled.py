"""A compiled program computes what Tracr's own model computes, and what the program means."""

from __future__ import annotations

import itertools

import pytest
import torch

from needlepoint._core.errors import DataError, UnknownNameError
from needlepoint.models.check import check_model
from needlepoint.models.hooks import record
from needlepoint.models.sites import Part, Site
from needlepoint.models.tracr.library import has_tracr

if not has_tracr():
    pytest.skip("needs the extra needlepoint[tracr]", allow_module_level=True)

from needlepoint.models.tracr.compiled import BOS, EXACTNESS, OUTPUT, PAD, RIVAL, tracr_model
from needlepoint.models.tracr.programs import PROGRAMS, Program

NAMES = list(PROGRAMS)
ATTENTION_LAYERS = {
    "reverse": ([0, 3], 4),
    "frac_prevs": ([1], 2),
    "sort": ([1, 2], 3),
    "sort_freq": ([0, 3, 4], 5),
}
"""Layers whose keys, queries and values are not zero, of so many: as published for these four."""


def inputs(program: Program) -> list[tuple[str, ...]]:
    """Every input of the full length."""
    if program.unique:
        drawn = itertools.permutations(program.vocabulary, program.length)
    else:
        drawn = itertools.product(program.vocabulary, repeat=program.length)
    return [tuple(map(str, values)) for values in drawn]


@pytest.mark.parametrize("name", NAMES)
def test_every_input_gets_the_output_that_the_program_defines(name) -> None:
    tracr = tracr_model(name)
    model, program = tracr.model, tracr.program
    rows = inputs(program)[:: 1 if program.length == 6 else 5]
    with torch.no_grad():
        batch = model.batch([model.encoder.encode(" ".join(words)) for words in rows])
        logits = model.logits(batch)[:, 1:]
    expected = [tracr.expected(words) for words in rows]
    if program.numerical:
        place, rival = (model.encoder.encode(word)[0] for word in (OUTPUT, RIVAL))
        torch.testing.assert_close(
            logits[..., place], torch.tensor(expected).float(), atol=1e-5, rtol=0
        )
        assert bool((logits[..., rival] == 0).all())
        return
    best = logits.argmax(-1)
    for ids, values in zip(best.tolist(), expected, strict=True):
        for piece, value in zip(model.encoder.pieces(ids), values, strict=True):
            assert value is None or piece == str(value)


@pytest.mark.parametrize(
    "name", ["pair_balance", pytest.param("sort_freq", marks=pytest.mark.journey)]
)
def test_it_agrees_with_tracrs_own_transformer_layer_by_layer(name) -> None:
    """Residual stream after every attention and MLP, attention scores, and the output."""
    from tracr.compiler import compiling

    tracr = tracr_model(name)
    program, model = tracr.program, tracr.model
    own = compiling.compile_rasp_to_model(
        tracr.rasp,
        set(program.vocabulary),
        program.length,
        compiler_bos=BOS,
        compiler_pad=PAD,
        mlp_exactness=EXACTNESS,
    )
    order = [own.residual_labels.index(label) for label in tracr.residual]
    assert sorted(order) == list(range(model.shape.d_model))
    sequence = [program.vocabulary[i % len(program.vocabulary)] for i in (2, 0, 1, 1, 2)]
    theirs = own.apply([BOS, *sequence])
    layers = range(model.shape.n_layers)
    sites = [Site.of(i, part) for i in layers for part in (Part.ATTENTION, Part.MLP)]
    with torch.no_grad(), record(model, [Site.of(0, Part.RESID_IN), *sites]) as kept:
        model.hidden(model.batch([model.encoder.encode(" ".join(map(str, sequence)))]))
    stream = kept[Site.of(0, Part.RESID_IN)]
    torch.testing.assert_close(stream, torch.tensor(theirs.input_embeddings.tolist())[..., order])
    for site, residual in zip(sites, theirs.residuals, strict=True):
        stream = stream + kept[site]
        expected = torch.tensor(residual.tolist())[..., order]
        torch.testing.assert_close(stream, expected, atol=1e-4, rtol=1e-4)
    expected = tracr.expected([str(value) for value in sequence])
    assert list(theirs.decoded[1:]) == (
        pytest.approx(list(expected)) if program.numerical else list(expected)
    )


@pytest.mark.parametrize("name", ATTENTION_LAYERS)
def test_attention_is_in_the_layers_that_were_published(name) -> None:
    model = tracr_model(name).model
    layers, n_layers = ATTENTION_LAYERS[name]
    assert model.shape.n_layers == n_layers
    used = [
        layer
        for layer, block in enumerate(model.blocks)
        if all(bool(part.weight.abs().max() > 0) for part in (block.attention.q, block.attention.v))
    ]
    assert used == layers


def test_a_causal_program_means_what_it_means_causally() -> None:
    """The same program, compiled both ways, and a selector that sees later positions only then."""
    causal, full = tracr_model("hist", causal=True), tracr_model("hist")
    words = ("a", "b", "a", "c", "a")
    for tracr, expected in ((causal, ["1", "1", "2", "1", "3"]), (full, ["3", "1", "3", "1", "3"])):
        batch = tracr.model.batch([tracr.model.encoder.encode(" ".join(words))])
        best = tracr.model.logits(batch)[0, 1:].argmax(-1)
        assert tracr.model.encoder.pieces(best.tolist()) == expected
        assert [str(value) for value in tracr.expected(words)] == expected


@pytest.mark.parametrize("name", ["reverse", "dyck"])
def test_it_is_read_rightly(name) -> None:
    model = tracr_model(name).model
    assert all(check.passed for check in check_model(model))
    assert not model.causal
    assert model.encoder.pieces(list(model.prefix)) == [BOS]


def test_texts_of_unequal_length_cannot_share_a_batch() -> None:
    model = tracr_model("reverse").model
    short, long = model.encoder.encode("a b"), model.encoder.encode("a b c")
    with pytest.raises(DataError, match="put texts of equal length into a batch, not of 3 and 4"):
        model.batch([short, long])
    alone = model.last_logits(model.batch([short]))
    torch.testing.assert_close(alone, model.last_logits(model.batch([short, short]))[:1])


def test_a_program_that_tracr_cannot_compile_is_refused() -> None:
    program = Program(
        "sum",
        "",
        (1, 2),
        3,
        lambda tracr: tracr.rasp.tokens + tracr.rasp.numerical(tracr.rasp.tokens),
    )
    with pytest.raises(DataError, match="Tracr cannot compile sum: "):
        tracr_model(program)


def test_a_program_must_say_whether_its_output_is_a_number() -> None:
    hist = PROGRAMS["hist"]
    program = Program("hist", "", hist.vocabulary, 4, hist.build, numerical=True)
    with pytest.raises(DataError, match="its output is categorical, so give numerical=False"):
        tracr_model(program)


def test_an_unknown_program_is_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'reverse'"):
        tracr_model("revers")
