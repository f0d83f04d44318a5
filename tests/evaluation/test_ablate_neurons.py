"""What switching neurons off does to the loss, against the plain way of computing it."""

from __future__ import annotations

from functools import cache

import pandas as pd
import pytest
import torch
from torch.nn.functional import cross_entropy

from needlepoint.evaluation import ablate_neurons as module
from needlepoint.evaluation.ablate_neurons import (
    Ablation,
    ablate_feature,
    ablation_frame,
    loss_increases,
    matched_neurons,
    token_losses,
)
from needlepoint.models.families import input_major_weight
from needlepoint.models.hooks import hook, record, replace
from needlepoint.models.micro import micro_model
from needlepoint.models.model import Model
from needlepoint.models.sites import Part, Site
from needlepoint.testing.tiny import tiny_model

FAMILIES = ("gpt2", "llama", "gemma2", "opt")
LENGTHS = (9, 2, 6)


@cache
def made(family: str) -> Model:
    return micro_model() if family == "micro" else tiny_model(family)


def texts(model: Model) -> list[list[int]]:
    rng = torch.Generator().manual_seed(4)
    most = min(model.module.config.vocab_size, 256)
    return [torch.randint(most, (n,), generator=rng).tolist() for n in LENGTHS]


def losses_alone(model: Model) -> torch.Tensor:
    found = []
    for row in texts(model):
        batch = model.batch([row])
        with torch.no_grad():
            logits = model.logits(batch)[0]
        found.append(cross_entropy(logits[:-1], batch.ids[0, 1:]))
    return torch.stack(found)


@pytest.mark.parametrize("family", [*FAMILIES, "micro"])
def test_losses_are_those_of_each_text_alone(family: str) -> None:
    model = made(family)
    with torch.no_grad():
        found = token_losses(model, model.batch(texts(model)))
    torch.testing.assert_close(found, losses_alone(model), rtol=1e-4, atol=1e-5)
    assert (found > 0.5).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_increases_are_those_of_replacing_the_neurons(family: str) -> None:
    model = made(family)
    batch, alone = model.batch(texts(model)), losses_alone(model)
    ablations = [
        Ablation(1, torch.tensor([3]), torch.tensor([0.0])),
        Ablation(1, torch.tensor([40, 7]), torch.tensor([1.5, -2.0])),
    ]
    found = loss_increases(model, batch, 1, ablations)
    assert found.shape == (2, 3)
    for increases, ablation in zip(found, ablations, strict=True):

        def off(values: torch.Tensor, ablation: Ablation = ablation) -> torch.Tensor:
            values = values.clone()
            for neuron, constant in zip(ablation.neurons, ablation.values, strict=True):
                values[:, 1:, neuron] = constant
            return values

        with replace(model, {"L1.mlp.neurons": off}):
            wanted = losses_alone(model) - alone
        torch.testing.assert_close(increases, wanted, rtol=1e-3, atol=2e-5)
    assert found.abs().max() > 1e-3


def test_no_neurons_and_a_neuron_at_its_own_constant_change_nothing() -> None:
    model = tiny_model("gpt2")
    up = model.blocks[1].mlp.c_fc
    with torch.no_grad():
        up.weight[:, 5] = 0
        up.bias[5] = 0.8
    batch = model.batch(texts(model))
    with record(model, ["L1.N5"]) as kept:
        model.hidden(batch)
    constant = kept[Site.parse("L1.N5")].flatten()
    assert constant.std() < 1e-6
    nothing = Ablation(1, torch.tensor([], dtype=torch.long), torch.tensor([]))
    own = Ablation(1, torch.tensor([5]), constant[:1])
    zero = Ablation(1, torch.tensor([5]), torch.zeros(1))
    found = loss_increases(model, batch, 1, [nothing, own, zero])
    assert torch.equal(found[0], torch.zeros(3))
    assert found[1].abs().max() < 1e-5
    assert found[2].abs().min() > 1e-4, "or else nothing could be seen"


def test_the_first_token_keeps_its_neurons() -> None:
    """At the first position nothing is set, so what is predicted there is as before."""
    model = made("llama")
    batch = model.batch(texts(model))
    edit = module._setter(Ablation(0, torch.tensor([2]), torch.tensor([50.0])), len(model.prefix))
    with torch.no_grad():
        plain = model.logits(batch)
        with hook(model, [("L0.mlp.neurons", edit)]):
            found = model.logits(batch)
    torch.testing.assert_close(found[:, 0], plain[:, 0])
    assert (found[:, 1:] - plain[:, 1:]).abs().amax(-1).min() > 1e-3


def written(model: Model, layer: int, acts: torch.Tensor) -> torch.Tensor:
    return acts.std(0) * input_major_weight(model.mlp_output(layer)).detach().norm(dim=1)


def test_random_neurons_write_as_much_and_are_not_the_found_ones(generator, monkeypatch) -> None:
    model = made("llama")
    acts = torch.randn(50, 48, generator=generator) * torch.linspace(0.1, 5, 48)
    neurons = torch.tensor([30, 4, 31])
    monkeypatch.setattr(module, "NEAREST", 6)
    sets = matched_neurons(model, 1, acts, neurons, 200, generator)
    size = written(model, 1, acts)
    for drawn in sets:
        assert len(set(drawn.tolist())) == 3
        assert set(drawn.tolist()).isdisjoint(neurons.tolist())
    others = torch.tensor([i for i in range(48) if i not in neurons.tolist()])
    for place, neuron in enumerate(neurons.tolist()):
        near = others[(size[others] - size[neuron]).abs().argsort()[:6]].tolist()
        assert {int(drawn[place]) for drawn in sets} <= set(near)
        assert len({int(drawn[place]) for drawn in sets}) > 3


def test_the_nearest_is_taken_where_only_one_may_be(generator, monkeypatch) -> None:
    model = made("llama")
    acts = torch.randn(50, 48, generator=generator)
    monkeypatch.setattr(module, "NEAREST", 1)
    size = written(model, 0, acts)
    gaps = (size - size[9]).abs()
    gaps[9] = torch.inf
    (drawn,) = matched_neurons(model, 0, acts, torch.tensor([9]), 1, generator)
    assert drawn.tolist() == [int(gaps.argmin())]


def ablated(tiny, neuron_data, generator, n_random: int) -> pd.DataFrame:
    rows = ablate_feature(
        tiny,
        neuron_data,
        0,
        0,
        torch.tensor([20]),
        n_texts=4,
        n_random=n_random,
        generator=generator,
    )
    return ablation_frame(rows)


def test_the_table_has_every_mode_class_and_kind(tiny, neuron_data, generator) -> None:
    frame = ablated(tiny, neuron_data, generator, 19)
    found = set(frame[["mode", "texts", "neurons"]].itertuples(index=False, name=None))
    modes, texts_, kinds = ("zero", "mean"), ("positive", "negative"), ("found", "random")
    assert found == {(m, t, k) for m in modes for t in texts_ for k in kinds}
    assert len(frame) == 8
    assert set(frame["sites"]) == {"L0.N20"}
    assert set(frame["n_random"]) == {19}
    assert frame[frame["neurons"] == "random"]["p_value"].isna().all()
    p_values = frame[frame["neurons"] == "found"]["p_value"].astype(float)
    assert ((p_values * 20).round(6) % 1 == 0).all()
    assert p_values.between(0.05, 1).all()
    assert (frame["low"] <= frame["loss_increase"] + 1e-7).all()
    assert (frame["loss_increase"] <= frame["high"] + 1e-7).all()


def test_too_few_random_sets_have_no_p_value(tiny, neuron_data, generator) -> None:
    assert module.MIN_RANDOM == 19, "the fewest that can show p = 0.05"
    assert module._p_value(torch.ones(1, 4), torch.zeros(18, 4)) is None
    frame = ablated(tiny, neuron_data, generator, 2)
    assert frame["p_value"].isna().all()
    assert len(frame) == 8


def test_figures_are_those_of_test_texts_of_each_class(tiny, neuron_data, generator, monkeypatch):
    seen: list[set[tuple[int, ...]]] = []
    increases = module.loss_increases

    def noted(model, batch, layer, ablations):
        rows = zip(batch.ids.tolist(), batch.lengths.tolist(), strict=True)
        seen.append({tuple(row[1:n]) for row, n in rows})
        return increases(model, batch, layer, ablations)

    monkeypatch.setattr(module, "loss_increases", noted)
    frame = ablated(tiny, neuron_data, generator, 1)
    collection, test = neuron_data.collection, neuron_data.test.tolist()
    for shown, wanted in zip(seen, (True, False), strict=True):
        of_class = {collection.ids[row] for row in test if collection.labels[row, 0] == wanted}
        assert len(shown) == 4
        assert shown <= of_class
    acts = neuron_data.layer(0)[neuron_data.train]
    batch = tiny.batch([list(ids) for ids in seen[0]])
    mean = Ablation(0, torch.tensor([20]), acts.mean(0)[[20]])
    wanted_increase = loss_increases(tiny, batch, 0, [mean]).mean().item()
    chosen = frame[(frame["mode"] == "mean") & (frame["texts"] == "positive")]
    found = chosen[chosen["neurons"] == "found"]["loss_increase"].item()
    assert found == pytest.approx(wanted_increase, abs=1e-5)


def test_a_neuron_that_a_text_needs_has_a_small_p_value(generator) -> None:
    """The rule counts random sets that do as much: none of 19 gives 1 / 20."""
    drawn = torch.randn(19, 6, generator=generator)
    assert module._p_value(torch.full((1, 6), 9.0), drawn) == 1 / 20
    assert module._p_value(torch.full((1, 6), -9.0), drawn) == 1
    assert module._p_value(drawn[:1], drawn) >= 2 / 20


def test_no_rows_are_a_table_with_its_columns() -> None:
    frame = ablation_frame([])
    assert list(frame.columns) == module.COLUMNS
    assert frame.empty


def test_neurons_of_the_site_are_in_its_order() -> None:
    model = made("opt")
    with record(model, [Site.of(1, Part.NEURONS), "L1.N12"]) as kept:
        model.hidden(model.batch(texts(model)))
    assert torch.equal(kept[Site.of(1, Part.NEURONS)][..., 12], kept[Site.parse("L1.N12")])
