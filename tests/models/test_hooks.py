import pytest
import torch
from torch import Tensor

from needlepoint._core.errors import DataError, UnknownSiteError
from needlepoint.models.hooks import hook, record, replace, resume_from
from needlepoint.models.model import Batch, Model
from needlepoint.models.sites import Part, Site
from needlepoint.testing.tiny import TINY_FAMILIES

FAMILY_NAMES = [*TINY_FAMILIES, "plain"]
ALL = [
    "L1.attn.z",
    "L1.H3.z",
    "L1.H3.out",
    "L1.attn.out",
    "L1.mlp.neurons",
    "L1.N12",
    "L1.mlp.out",
    "L1.resid",
    "L1.resid.in",
]
WRITABLE = [address for address in ALL if not address.endswith("H3.out")]


def attached(model: Model) -> list[tuple[list[int], list[int], bool]]:
    """Hooks and replaced methods in place in each module; `transformers` may have some."""
    return [
        (list(m._forward_hooks), list(m._forward_pre_hooks), "forward" in vars(m))
        for m in model.module.modules()
    ]


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_left_behind(tiny):
    """After all tests here, every model has the hooks that it had before."""
    models = [tiny(name) for name in FAMILY_NAMES]
    before = [attached(model) for model in models]
    yield
    for model, hooks in zip(models, before, strict=True):
        assert attached(model) == hooks, model.name


@pytest.mark.parametrize("address", WRITABLE)
def test_every_site_but_one_can_be_written(model: Model, batch: Batch, address: str) -> None:
    """What is put in is there when it is read again, and it changes the logits."""
    plain = model.logits(batch)
    with record(model, [address]) as before:
        model.hidden(batch)
    wanted = torch.randn_like(before[Site.parse(address)]) + 1
    with replace(model, {address: wanted}), record(model, [address]) as kept:
        changed = model.logits(batch)
    assert torch.equal(kept[Site.parse(address)], wanted)
    assert (changed - plain).abs().max() > 1e-3
    assert torch.equal(model.logits(batch), plain)


def test_a_constant_in_the_stream_changes_what_comes_later_and_nothing_before(model, batch) -> None:
    parts = (Part.HEADS, Part.ATTENTION, Part.NEURONS, Part.MLP)
    before = [Site.of(layer, part) for layer in (0, 1) for part in parts]
    later = [Site.of(2, part) for part in parts]
    entry = Site.parse("L2.resid.in")
    with record(model, [*before, *later, entry]) as plain:
        model.hidden(batch)
    constant = torch.linspace(-1, 1, model.shape.d_model)
    with record(model, [*before, *later, entry]) as kept, replace(model, {"L1.resid": constant}):
        model.hidden(batch)
    for place in before:
        assert torch.equal(kept[place], plain[place])
    for place in later:
        assert (kept[place] - plain[place]).abs().max() > 0.01
    assert torch.equal(kept[entry], constant.expand_as(kept[entry]))


def test_writing_one_head_or_neuron_leaves_its_neighbours(model: Model, batch: Batch) -> None:
    with record(model, ["L1.attn.z", "L1.mlp.neurons"]) as plain:
        model.hidden(batch)
    with (
        replace(model, {"L1.H2.z": torch.tensor(7.0), "L1.N5": lambda value: value + 3}),
        record(model, ["L1.attn.z", "L1.mlp.neurons"]) as kept,
    ):
        model.hidden(batch)
    z, was = kept[Site.parse("L1.attn.z")], plain[Site.parse("L1.attn.z")]
    assert torch.equal(z[:, :, [0, 1, 3]], was[:, :, [0, 1, 3]])
    assert bool((z[:, :, 2] == 7).all())
    # The neurons change with the head, but of one another only the fifth was pushed.
    with replace(model, {"L1.H2.z": torch.tensor(7.0)}), record(model, ["L1.mlp.neurons"]) as only:
        model.hidden(batch)
    pushed = kept[Site.parse("L1.mlp.neurons")] - only[Site.parse("L1.mlp.neurons")]
    assert pushed[..., 5].sub(3).abs().max() < 1e-5
    pushed[..., 5] = 0
    assert pushed.abs().max() == 0


def test_starting_from_a_layer_gives_the_same_logits_exactly(model: Model, batch: Batch) -> None:
    entries = [Site.of(layer, Part.RESID_IN) for layer in range(model.shape.n_layers)]
    with record(model, entries) as kept:
        plain = model.logits(batch)
    other = Batch((batch.ids + 1) % 256, batch.lengths)
    assert not torch.equal(model.logits(other), plain)
    for entry in entries:
        with resume_from(model, entry.layer, kept[entry]):
            assert torch.equal(model.logits(other), plain)
            assert torch.equal(model.last_logits(other), model.last_logits(batch))


def test_the_blocks_below_the_start_do_not_run(tiny, batch_of_llama) -> None:
    model, batch = tiny("llama"), batch_of_llama
    ran = []
    handles = [
        block.self_attn.register_forward_hook(lambda *_, layer=layer: ran.append(layer))
        for layer, block in enumerate(model.blocks)
    ]
    with resume_from(model, 2, torch.zeros(*batch.ids.shape, 32)):
        model.hidden(batch)
    for handle in handles:
        handle.remove()
    assert ran == [2]


def test_starts_can_be_nested(tiny, batch_of_llama) -> None:
    model, batch = tiny("llama"), batch_of_llama
    stream = torch.randn(*batch.ids.shape, 32)
    with resume_from(model, 2, stream):
        outer = model.logits(batch)
        with resume_from(model, 1, stream):
            pass
        assert torch.equal(model.logits(batch), outer)


@pytest.fixture
def batch_of_llama(tiny, texts) -> Batch:
    return tiny("llama").batch(texts)


def test_hooks_are_gone_after_an_exception_in_the_block(model: Model, batch: Batch) -> None:
    stream = torch.zeros(*batch.ids.shape, model.shape.d_model)
    plain, before = model.logits(batch), attached(model)
    seen = []

    def fail() -> None:
        seen.append(attached(model))
        raise RuntimeError("in the block")

    with (
        pytest.raises(RuntimeError, match="in the block"),
        record(model, ALL),
        replace(model, {"L0.N1": torch.tensor(1.0)}),
        resume_from(model, 2, stream),
    ):
        fail()
    assert seen[0] != before
    assert attached(model) == before
    assert torch.equal(model.logits(batch), plain)


def test_hooks_are_gone_after_an_exception_in_a_hook(model: Model, batch: Batch) -> None:
    plain, before = model.logits(batch), attached(model)

    def fail(_: Tensor) -> None:
        raise RuntimeError("in a hook")

    for address in ALL:
        with pytest.raises(RuntimeError, match="in a hook"), hook(model, [(address, fail)]):
            model.hidden(batch)
        assert attached(model) == before
    assert torch.equal(model.logits(batch), plain)


def test_an_unknown_site_is_refused_before_any_hook_is_set(tiny) -> None:
    model = tiny("llama")
    before = attached(model)
    for manager in (
        record(model, ["L0.resid", "L9.resid"]),
        replace(model, {"L0.N99": torch.ones(1)}),
    ):
        with pytest.raises(UnknownSiteError, match="does not exist"), manager:
            pass
    with (
        pytest.raises(UnknownSiteError, match="layers 0 to 2"),
        resume_from(model, 3, torch.ones(1, 1, 1)),
    ):
        pass
    assert attached(model) == before


def test_what_a_head_writes_can_only_be_read(tiny, batch_of_llama) -> None:
    model = tiny("llama")
    message = r"L1.H3.out can only be read; replace L1.H3.z instead"
    with (
        pytest.raises(UnknownSiteError, match=message),
        replace(model, {"L1.H3.out": torch.zeros(32)}),
    ):
        pass
    with pytest.raises(UnknownSiteError, match=message), hook(model, [("L1.H3.out", lambda x: x)]):
        model.hidden(batch_of_llama)


@pytest.mark.parametrize("address", WRITABLE)
def test_a_replacement_of_another_shape_is_refused(model, batch, address) -> None:
    wrong = torch.zeros(2, 3, 5, 7, 11)
    for value in (wrong, lambda _: wrong):
        message = r"has shape .* here, but its replacement"
        with pytest.raises(DataError, match=message), replace(model, {address: value}):
            model.hidden(batch)


def test_a_start_from_a_stream_of_another_shape_is_refused(tiny, batch_of_llama) -> None:
    model = tiny("llama")
    with (
        pytest.raises(DataError, match=r"L1.resid.in has shape .* here, but its replacement"),
        resume_from(model, 1, torch.zeros(1, 2, 32)),
    ):
        model.hidden(batch_of_llama)


def test_functions_at_one_site_run_in_the_order_given(tiny, batch_of_llama) -> None:
    model = tiny("llama")
    edits = [("L1.resid", lambda x: x * 0 + 2), ("L1.resid", lambda x: x * 5)]
    with hook(model, edits), record(model, ["L2.resid.in"]) as kept:
        model.hidden(batch_of_llama)
    assert bool((kept[Site.parse("L2.resid.in")] == 10).all())


def test_a_gradient_flows_through_a_site(model: Model, batch: Batch) -> None:
    """The slope of the logits along a head's z is what a small step along it does."""
    with record(model, ["L1.H1.z"]) as kept:
        model.hidden(batch)
    z = kept[Site.parse("L1.H1.z")]
    with torch.enable_grad():
        step = torch.zeros((), requires_grad=True)
        with replace(model, {"L1.H1.z": lambda value: value * (1 + step)}):
            total = model.last_logits(batch)[:, 3].sum()
        (slope,) = torch.autograd.grad(total, step)

    def at(size: float) -> Tensor:
        with replace(model, {"L1.H1.z": z * (1 + size)}):
            return model.last_logits(batch)[:, 3].sum()

    assert slope.abs() > 1e-4
    torch.testing.assert_close((at(0.05) - at(-0.05)) / 0.1, slope, rtol=0.02, atol=1e-3)


def test_one_token_alone_can_be_read_and_written(model: Model) -> None:
    batch = model.batch([[3], [4]]).rows(slice(0, 2))
    short = Batch(batch.ids[:, 1:], batch.lengths - 1)
    with (
        replace(model, {"L1.N5": torch.tensor([[1.0], [2.0]])}),
        record(model, ["L1.N5", "L1.mlp.neurons", "L1.mlp.out"]) as kept,
    ):
        model.hidden(short)
    assert [tuple(value.shape) for value in kept.values()] == [(2, 1), (2, 1, 48), (2, 1, 32)]
    assert kept[Site.parse("L1.mlp.neurons")][:, 0, 5].tolist() == [1, 2]
