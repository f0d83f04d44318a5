"""Statistics of weights, against the same written out for single neurons."""

import numpy as np
import pytest

from needlepoint.evaluation.weight_statistics import (
    STATISTICS,
    norm_bias_reason,
    weight_statistics,
    within_layer,
)
from needlepoint.models.micro import micro_model
from needlepoint.testing.tiny import tiny_model


def test_a_neuron_of_the_micro_model_by_hand() -> None:
    # layer 0, neuron 1 reads (1, 0, 1, -1) with bias 1 and writes (0, 0, 1, 0)
    found = weight_statistics(micro_model()).loc[1]
    assert found["input_norm"] == pytest.approx(3**0.5)
    assert found["output_norm"] == 1
    assert found["cosine"] == pytest.approx(3**-0.5)
    assert found["norm_bias"] == pytest.approx(3**0.5)
    assert np.isnan(found["up_norm"])


def test_norm_and_bias_of_gpt2_with_the_norm_folded_by_hand() -> None:
    model = tiny_model("gpt2")
    block = model.blocks[2]
    weight, gain = block.mlp.c_fc.weight.detach(), block.ln_2.weight.detach()
    folded = gain[:, None] * weight
    bias = block.mlp.c_fc.bias.detach() + block.ln_2.bias.detach() @ weight
    found = weight_statistics(model, layers=[2])
    expected = folded.norm(dim=0) * bias
    np.testing.assert_allclose(found["norm_bias"], expected.numpy(), rtol=1e-4, atol=1e-5)
    centred = weight_statistics(model, "centred", layers=[2])
    expected = (folded - folded.mean(0)).norm(dim=0) * bias
    np.testing.assert_allclose(centred["norm_bias"], expected.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "phi3", "gemma2"])
def test_norm_times_bias_of_gated_mlps_is_not_defined_and_never_0(family) -> None:
    model = tiny_model(family)
    found = weight_statistics(model)
    assert found["norm_bias"].isna().all()
    assert "product of two maps" in norm_bias_reason(model)
    assert found[["input_norm", "up_norm", "cosine", "up_cosine"]].notna().all().all()


def test_every_neuron_of_every_layer_has_a_row() -> None:
    model = tiny_model("phi")
    found = weight_statistics(model)
    assert len(found) == model.shape.n_neurons
    assert found.groupby("layer")["neuron"].apply(list).tolist() == [list(range(48))] * 3
    assert norm_bias_reason(model) == ""


def test_percentiles_are_within_the_layer() -> None:
    found = weight_statistics(tiny_model("gpt2"))
    ranked = within_layer(found)
    for _, layer in ranked.groupby("layer"):
        assert layer["output_norm"].max() == 100
        assert layer["output_norm"].min() == pytest.approx(100 / 48)
    assert ranked["up_norm"].isna().all()
    assert set(STATISTICS) <= set(ranked.columns)
