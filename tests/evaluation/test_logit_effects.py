"""Direct effects on logits, against the model itself with nothing after the neuron."""

import pytest
import torch

from needlepoint.evaluation.logit_effects import effect_frame, logit_effects
from needlepoint.models.folded import mlp_writes, unembedding
from needlepoint.models.hooks import replace
from needlepoint.models.micro import micro_model
from needlepoint.testing.tiny import tiny_model


def test_the_effect_is_what_one_more_unit_does_to_the_logits() -> None:
    # the last layer of a model without a final norm: the direct effect is the whole effect
    model = micro_model()
    batch = model.batch([[1, 2, 3]])
    found = logit_effects(model, 1, torch.tensor([0, 1, 2]))
    with torch.no_grad():
        plain = model.last_logits(batch)
        for neuron in range(3):
            with replace(model, {f"L1.N{neuron}": lambda activation: activation + 1}):
                change = (model.last_logits(batch) - plain)[0]
            torch.testing.assert_close(found.effects[neuron], change - change.mean())


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma3"])
def test_z_is_over_the_neurons_of_the_layer(family) -> None:
    model = tiny_model(family)
    every = mlp_writes(model, 1) @ unembedding(model)
    expected = (every - every.mean(0)) / every.std(0, correction=0)
    found = logit_effects(model, 1, torch.tensor([5, 7]))
    torch.testing.assert_close(found.z, expected[[5, 7]], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.effects, every[[5, 7]], rtol=1e-4, atol=1e-5)


def test_a_neuron_that_writes_one_token_singles_it_out() -> None:
    model = tiny_model("gpt2")
    reads = unembedding(model)
    with torch.no_grad():
        model.mlp_output(2).weight[4] = 3 * reads[:, 65] / reads[:, 65].norm()
    found = logit_effects(model, 2, torch.tensor([4, 5]))
    frame = effect_frame(model, "L2.N4", found.effects[0], found.z[0])
    top = frame[(frame["side"] == "promoted") & (frame["rank"] == 0)].iloc[0]
    assert top["token_id"] == 65
    assert found.skew()[0] > found.skew()[1]


def test_shape_over_the_vocabulary_is_that_of_scipy() -> None:
    from scipy import stats

    found = logit_effects(tiny_model("llama"), 0, torch.tensor([3]))
    values = found.effects[0].double().numpy()
    assert float(found.kurtosis()[0]) == pytest.approx(stats.kurtosis(values))
    assert float(found.skew()[0]) == pytest.approx(stats.skew(values))
