"""Streamed, batched and reduced activations are those of each text run alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from needlepoint._core.errors import DataError, UnknownSiteError
from needlepoint.activations.batches import length_batches
from needlepoint.activations.reduce import Rows
from needlepoint.activations.stream import collect, gather
from needlepoint.models.hooks import record
from needlepoint.models.micro import micro_model
from needlepoint.models.model import Model
from needlepoint.models.sites import Site
from needlepoint.testing.tiny import tiny_model

FAMILIES = ("gpt2", "llama", "gemma2", "opt", "micro")
SITES = (
    "L0.attn.z",
    "L1.H1.z",
    "L0.H1.out",
    "L1.attn.out",
    "L1.mlp.neurons",
    "L0.N2",
    "L0.mlp.out",
    "L1.resid",
    "L1.resid.in",
)
LENGTHS = (5, 9, 1, 9, 3, 7)
REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda span: span.mean(0),
    "max": lambda span: span.amax(0),
    "first": lambda span: span[0],
    "last": lambda span: span[-1],
}


@cache
def made(family: str) -> Model:
    return micro_model() if family == "micro" else tiny_model(family)


def texts(model: Model) -> list[list[int]]:
    rng = torch.Generator().manual_seed(2)
    most = min(model.module.config.vocab_size, 256)
    return [torch.randint(most, (n,), generator=rng).tolist() for n in LENGTHS]


def alone(model: Model, ids: list[list[int]]) -> dict[Site, list[Tensor]]:
    """Activations of each text in a batch of its own, the first token left in."""
    found: dict[Site, list[Tensor]] = {Site.parse(address): [] for address in SITES}
    for row in ids:
        with record(model, SITES) as kept:
            model.hidden(model.batch([row]))
        for place, values in kept.items():
            found[place].append(values[0])
    return found


def expected(model: Model, per_text: list[Tensor], rows: Rows) -> Tensor:
    prefix, reduce = len(model.prefix), REDUCTIONS[rows.reduce]
    ends = zip(rows.text.tolist(), rows.start.tolist(), rows.end.tolist(), strict=True)
    return torch.stack(
        [reduce(per_text[t][start + prefix : end + prefix]) for t, start, end in ends]
    )


def spans(reduce: str) -> Rows:
    """Several to a text, in no order, some over all of it, some of one position; one text bare."""
    numbers = [[3, 0, 9], [1, 2, 6], [5, 6, 7], [1, 0, 9], [0, 4, 5], [2, 0, 1], [3, 3, 5]]
    return Rows.of(np.array(numbers), reduce)


def close(found: Tensor, wanted: Tensor) -> None:
    assert found.shape == wanted.shape
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.fixture(params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Model:
    return made(request.param)


def test_every_site_and_reduction_is_what_each_text_gives_alone(model: Model) -> None:
    ids = texts(model)
    singly = alone(model, ids)
    plans = [spans(reduce) for reduce in REDUCTIONS]
    plans += [Rows.whole(ids), Rows.whole(ids, first=bool(model.prefix)), Rows.each(ids)]
    for rows in plans:
        found = gather(model, ids, SITES, rows, batch_tokens=24)
        assert set(found) == set(singly)
        for place, per_text in singly.items():
            close(found[place], expected(model, per_text, rows))


def test_the_first_token_is_in_only_if_asked_for() -> None:
    model = made("llama")
    ids = texts(model)
    inside = gather(model, ids, ["L0.resid"], Rows.whole(ids, "first", first=True))
    outside = gather(model, ids, ["L0.resid"], Rows.whole(ids, "first"))
    (first,), (second,) = inside.values(), outside.values()
    assert (first - first[0]).abs().max() < 1e-5, "the first token sees nothing but itself"
    assert (second - second[0]).norm(dim=1)[1:].min() > 0.1


def test_a_model_without_a_first_token_has_none_to_read() -> None:
    model = made("micro")
    assert model.prefix == ()
    ids = texts(model)
    with pytest.raises(DataError, match="row 0 starts at position -1; the first that this model "):
        gather(model, ids, SITES, Rows.whole(ids, "first", first=True))


@pytest.mark.parametrize("batch_tokens", [1, 11, 20, 10_000])
@pytest.mark.parametrize("family", ["gpt2", "gemma2"])
def test_batches_make_no_difference(family: str, batch_tokens: int) -> None:
    model = made(family)
    ids = texts(model)
    rows = spans("mean")
    one = gather(model, ids, SITES, rows, batch_tokens=batch_tokens)
    two = gather(model, ids, SITES, rows)
    for place in one:
        close(one[place], two[place])


@pytest.mark.parametrize("family", ["llama", "opt"])
def test_the_order_of_texts_makes_no_difference(family: str) -> None:
    model = made(family)
    ids = texts(model)
    order = [4, 2, 0, 5, 1, 3]
    one = gather(model, ids, SITES, Rows.whole(ids))
    two = gather(model, [ids[i] for i in order], SITES, Rows.whole([ids[i] for i in order]))
    for place in one:
        close(one[place][order], two[place])


def test_texts_without_rows_are_run_only_beside_others() -> None:
    model = made("gpt2")
    ids = texts(model)
    rows = Rows.of(np.array([[4, 0, 3]]), "mean")
    chunks = list(collect(model, ids, ["L0.resid"], rows, batch_tokens=12))
    assert [chunk.texts.tolist() for chunk in chunks] == [[0, 4]]


def test_chunks_say_what_they_hold() -> None:
    model = made("gpt2")
    ids = texts(model)
    rows = spans("max")
    chunks = list(collect(model, ids, ["L0.N2"], rows, batch_tokens=24))
    assert sorted(torch.cat([chunk.rows for chunk in chunks]).tolist()) == list(range(len(rows)))
    assert [chunk.texts.tolist() for chunk in chunks] == [[1, 3], [5, 0, 4], [2]]
    for chunk in chunks:
        assert set(rows.text[chunk.rows].tolist()) <= set(chunk.texts.tolist())
        assert {len(values) for values in chunk.values.values()} == {len(chunk.rows)}
        assert chunk.logits is None


def test_what_a_head_writes_may_be_averaged_before_or_after_the_projection(model: Model) -> None:
    ids = texts(model)
    found = gather(model, ids, ["L1.H1.z", "L1.H1.out"], Rows.whole(ids))
    z, out = found[Site.parse("L1.H1.z")], found[Site.parse("L1.H1.out")]
    close(out, z @ model.head_weights(1)[1])


def test_skipped_rows_are_not_computed(monkeypatch) -> None:
    model = made("llama")
    ids = texts(model)
    rows = spans("last")
    whole = list(collect(model, ids, ["L1.resid"], rows, batch_tokens=20))
    sizes = [len(chunk.rows) for chunk in whole]
    assert len(sizes) > 2
    runs = counted(model, monkeypatch)
    for skip in range(len(rows) + 1):
        runs.clear()
        left = list(collect(model, ids, ["L1.resid"], rows, batch_tokens=20, skip=skip))
        gone = sum(skip >= sum(sizes[: place + 1]) for place in range(len(sizes)))
        assert [chunk.rows.tolist() for chunk in left] == [c.rows.tolist() for c in whole[gone:]]
        assert len(runs) == len(left)


def counted(model: Model, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with each forward pass of the blocks."""
    runs: list[int] = []
    base = model.module.base_model
    forward = base.forward
    monkeypatch.setattr(base, "forward", lambda *a, **k: runs.append(1) or forward(*a, **k))
    return runs


def test_logits_are_those_after_each_text(model: Model) -> None:
    ids = texts(model)
    seen = []
    for chunk in collect(model, ids, ["L0.resid"], Rows.whole(ids), logits=True, batch_tokens=24):
        seen += chunk.texts.tolist()
        for text, logits in zip(chunk.texts.tolist(), chunk.logits, strict=True):
            with torch.no_grad():
                wanted = model.last_logits(model.batch([ids[text]]))[0]
            torch.testing.assert_close(logits, wanted, rtol=1e-4, atol=1e-4)
    assert sorted(seen) == list(range(len(ids)))


def test_no_logits_are_computed_unless_asked_for(model: Model) -> None:
    ids = texts(model)
    head = model.module.unembed if made("micro") is model else model.module.get_output_embeddings()
    calls: list[int] = []
    handle = head.register_forward_hook(lambda *_: calls.append(1))
    try:
        gather(model, ids, SITES, Rows.whole(ids))
        assert calls == []
        assert (
            len(list(collect(model, ids, SITES, Rows.whole(ids), logits=True))) == len(calls) == 1
        )
    finally:
        handle.remove()


def hooks(model: Model) -> list[tuple[int, int, bool]]:
    return [
        (len(m._forward_hooks), len(m._forward_pre_hooks), "forward" in vars(m))
        for m in model.module.modules()
    ]


def test_no_hook_is_left_however_it_ends(model: Model, monkeypatch) -> None:
    ids, before = texts(model), hooks(model)
    stream = collect(model, ids, SITES, Rows.whole(ids), batch_tokens=12)
    next(stream)
    assert hooks(model) == before, "none between two batches either"
    stream.close()
    assert hooks(model) == before

    def consume() -> None:
        for chunk in collect(model, ids, SITES, Rows.whole(ids), batch_tokens=12):
            raise RuntimeError(f"the consumer cannot use {len(chunk.rows)} rows")

    with pytest.raises(RuntimeError, match="the consumer cannot use"):
        consume()
    assert hooks(model) == before
    broken = "needlepoint.activations.reduce.Reducer.__call__"
    with monkeypatch.context() as patched:
        patched.setattr(broken, lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            gather(model, ids, SITES, Rows.whole(ids))
    assert hooks(model) == before


def test_a_row_must_lie_within_its_text() -> None:
    model = made("gpt2")
    ids = texts(model)

    def read(*row: int) -> None:
        gather(model, ids, ["L0.resid"], Rows.of(np.array([[0, 0, 1], row]), "mean"))

    with pytest.raises(DataError, match="row 1 ends at position 6 of text 0, which has 5 tokens"):
        read(0, 3, 6)
    with pytest.raises(DataError, match=r"starts at position -2; .* is -1, the first token"):
        read(0, -2, 3)
    with pytest.raises(DataError, match="row 1 is of text 6; there are 6 texts"):
        read(6, 0, 1)
    with pytest.raises(DataError, match="row 1 is of text -1"):
        read(-1, 0, 1)
    with pytest.raises(UnknownSiteError, match=r"L9\.resid does not exist"):
        gather(model, ids, ["L9.resid"], Rows.whole(ids))


def test_batches_hold_like_lengths_and_no_more_than_they_may() -> None:
    lengths = [3, 8, 1, 8, 2, 40]
    batches = list(length_batches(lengths, 20))
    assert sorted(text for batch in batches for text in batch) == list(range(6))
    assert batches[0] == [5], "a text longer than a batch goes alone"
    for batch in batches[1:]:
        assert len(batch) * (max(lengths[text] for text in batch) + 1) <= 20
    flat = [lengths[text] for batch in batches for text in batch]
    assert flat == sorted(flat, reverse=True)


def test_blocks_after_the_last_site_are_not_run() -> None:
    model = tiny_model("llama")
    ids = texts(model)
    with record(model, ["L1.resid"]) as kept:
        early = gather(model, ids, ["L0.resid", "L0.mlp.neurons"], Rows.whole(ids))
        assert not kept
        gather(model, ids, ["L0.resid", "L1.mlp.neurons"], Rows.whole(ids))
        assert not kept
        list(collect(model, ids, ["L0.resid"], Rows.whole(ids), logits=True))
        assert kept, "logits need every block"
    late = gather(model, ids, ["L0.resid", "L0.mlp.neurons", "L1.resid"], Rows.whole(ids))
    for site, values in early.items():
        assert torch.equal(values, late[site])
