"""Folded weights, held against what each family's own modules compute."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from needlepoint._core.errors import ModelError
from needlepoint.models.families import find, input_major_weight
from needlepoint.models.folded import mlp_reads, mlp_writes, norm_of, unembedding
from needlepoint.models.hooks import record
from needlepoint.models.micro import micro_model
from needlepoint.models.model import Model
from needlepoint.models.sites import Part, Site
from needlepoint.testing.tiny import TINY_FAMILIES, tiny_model

LAYER = 1


@pytest.fixture(params=sorted(TINY_FAMILIES))
def model(request: pytest.FixtureRequest, tiny: Callable[[str], Model]) -> Model:
    return tiny(request.param)


def seen(model: Model, module: torch.nn.Module) -> tuple[Tensor, Tensor]:
    """What a module is given and what it makes of it, on a few tokens."""
    kept: list[Tensor] = []

    def keep(_: object, args: tuple[Tensor, ...], out: Tensor) -> None:
        kept[:] = [args[0].detach().flatten(0, -2), out.detach().flatten(0, -2)]

    handle = module.register_forward_hook(keep)
    with torch.no_grad():
        model.logits(model.batch([list(range(40, 60))]))
    handle.remove()
    return kept[0], kept[1]


def divided(x: Tensor, *, centres: bool) -> Tensor:
    """A residual stream after the division of a norm, before its gain."""
    x = x - x.mean(-1, keepdim=True) if centres else x
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()


def norm_before(model: Model) -> torch.nn.Module:
    block = model.blocks[LAYER]
    return next(getattr(block, path) for path in model.family.mlp_norm if hasattr(block, path))


@pytest.mark.parametrize("fold", ["folded", "centred"])
def test_folded_maps_give_what_the_modules_give(model: Model, fold) -> None:
    reads = mlp_reads(model, LAYER, fold)
    x, _ = seen(model, norm_before(model))
    made = [seen(model, find(model.blocks[LAYER], path))[1] for path in model.family.mlp_reads]
    expected = made if len(made) == len(reads.weights) else list(made[0].chunk(2, -1))
    z = divided(x, centres=reads.centres)
    for place, (weight, out) in enumerate(zip(reads.weights, expected, strict=True)):
        bias = reads.bias if place == 0 and reads.bias is not None else 0.0
        torch.testing.assert_close(z @ weight + bias, out, rtol=2e-3, atol=2e-3)


def test_raw_maps_are_those_of_the_modules(model: Model) -> None:
    reads = mlp_reads(model, LAYER, "raw")
    first = find(model.blocks[LAYER], model.family.mlp_reads[0])
    n = reads.weights[0].shape[1]
    assert torch.equal(reads.weights[0], input_major_weight(first)[:, :n])


def test_captured_neurons_times_the_written_rows_are_the_mlp_output(model: Model) -> None:
    sites = [Site.of(LAYER, Part.NEURONS), Site.of(LAYER, Part.MLP)]
    with record(model, sites) as kept, torch.no_grad():
        model.logits(model.batch([list(range(40, 60))]))
    neurons, out = kept[sites[0]], kept[sites[1]]
    bias = model.mlp_output(LAYER).bias
    found = neurons @ input_major_weight(model.mlp_output(LAYER)) + (0.0 if bias is None else bias)
    torch.testing.assert_close(found, out, rtol=1e-4, atol=1e-4)
    after = getattr(model.blocks[LAYER], model.family.mlp_norm_after or "none", None)
    gain = 1.0 if after is None else norm_of(after, model.shape.d_model).gain
    raw = input_major_weight(model.mlp_output(LAYER)).detach()
    torch.testing.assert_close(mlp_writes(model, LAYER), raw * gain)


def test_the_unembedding_gives_differences_of_logits(model: Model) -> None:
    norm = find(model.module, model.family.final_norm)
    x, _ = seen(model, norm)
    _, logits = seen(model, model.module.get_output_embeddings())
    centres = norm_of(norm, model.shape.d_model).centres
    found = divided(x, centres=centres) @ unembedding(model)
    shifted = logits - logits.mean(-1, keepdim=True)
    torch.testing.assert_close(found - found[:1], shifted - shifted[:1], rtol=5e-3, atol=5e-3)


def test_a_gain_kept_as_its_distance_from_one_is_measured_in_full() -> None:
    model = tiny_model("gemma")
    norm = norm_before(model)
    found = norm_of(norm, model.shape.d_model)
    torch.testing.assert_close(found.gain, 1 + norm.weight.detach())
    assert not found.centres


def test_a_model_without_norms_has_nothing_to_fold() -> None:
    model = micro_model()
    assert torch.equal(mlp_reads(model, 0).weights[0], mlp_reads(model, 0, "raw").weights[0])
    expected = model.module.unembed.weight.T
    assert torch.equal(unembedding(model), (expected - expected.mean(1, keepdim=True)).detach())


def test_folding_changes_something_where_there_is_a_norm() -> None:
    model = tiny_model("gpt2")
    raw, folded = mlp_reads(model, 0, "raw"), mlp_reads(model, 0)
    assert not torch.allclose(raw.weights[0], folded.weights[0])
    assert raw.bias is not None
    assert folded.bias is not None
    assert not torch.allclose(raw.bias, folded.bias)


def test_norms_after_the_mlp_cannot_be_folded() -> None:
    model = tiny_model("opt", do_layer_norm_before=False)
    with pytest.raises(ModelError, match="norms after the MLP"):
        mlp_reads(model, 0)
    assert mlp_reads(model, 0, "raw").bias is not None
