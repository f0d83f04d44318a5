"""Weights by depth: the planted curve is described as it is, and undefined is said, not 0."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from needlepoint._core.errors import UnknownNameError
from needlepoint.evaluation.case_studies.configs import WeightsConfig
from needlepoint.evaluation.case_studies.weights_by_depth import (
    depth_frame,
    early_minus_late,
    find_weights_by_depth,
)
from needlepoint.evaluation.weight_statistics import weight_statistics
from needlepoint.testing.tiny import tiny_model


def with_biases(early: float, late: float):
    """A GPT-NeoX whose MLP biases are shifted, the first half of the layers apart."""
    model = tiny_model("gpt_neox", num_hidden_layers=8)
    with torch.no_grad():
        for layer, block in enumerate(model.blocks):
            block.mlp.dense_h_to_4h.bias += early if layer < 4 else late
    return model


@pytest.mark.parametrize(
    ("early", "late", "words"),
    [
        (-2.0, 0.0, "as published, it is more negative early than late"),
        (0.0, -2.0, "unlike the published curve, it is less negative early than late"),
        (0.0, 0.0, "the published shape, more negative early than late, is not seen"),
    ],
)
def test_the_shape_that_was_planted_is_the_one_described(early, late, words) -> None:
    study = find_weights_by_depth(with_biases(early, late))
    assert words in study.record.summary["answer"]
    gap = study.record.summary["norm_bias_early_minus_late"]
    assert gap["low"] <= gap["estimate"] <= gap["high"]


@pytest.mark.parametrize(("family", "reason"), [("llama", "gated MLP"), ("qwen3", "gated MLP")])
def test_what_is_not_defined_has_a_reason_and_no_rows(family, reason) -> None:
    study = find_weights_by_depth(tiny_model(family))
    summary = study.record.summary
    assert summary["norm_bias_early_minus_late"] is None
    assert reason in summary["norm_bias_early_minus_late_reason"]
    assert f"not defined for tiny {family}" in summary["answer"]
    assert "norm_bias" not in set(study.tables["depth_weights"]["statistic"])


def test_percentiles_are_those_of_the_neurons() -> None:
    model = tiny_model("gpt_neox")
    statistics = weight_statistics(model)
    frame = depth_frame(statistics, 3)
    own = statistics[statistics["layer"] == 1]["norm_bias"]
    row = frame[(frame["layer"] == 1) & (frame["statistic"] == "norm_bias")].iloc[0]
    for name, point in (("p0_5", 0.005), ("p20", 0.2), ("p50", 0.5), ("p99_5", 0.995)):
        assert row[name] == pytest.approx(np.quantile(own, point))
    assert row["depth"] == 0.5
    scaled = frame[frame["statistic"] == "norm_bias"]["scaled"].astype(float)
    assert scaled.abs().max() == pytest.approx(1.0)


def test_the_interval_is_of_neurons_and_covers_the_difference() -> None:
    rng = np.random.default_rng(0)
    layers = np.repeat(np.arange(8), 200)
    values = rng.normal(size=1600) + np.where(layers < 2, -1.0, 0.0)
    frame = pd.DataFrame({"layer": layers, "norm_bias": values})
    found = early_minus_late(frame, "norm_bias", 8, rng)
    assert found.low < -1.0 < found.high
    assert found.high < 0
    nothing = pd.DataFrame({"layer": layers, "norm_bias": rng.normal(size=1600)})
    null = early_minus_late(nothing, "norm_bias", 8, rng)
    assert null.low < 0 < null.high


def test_an_untrained_copy_stands_beside() -> None:
    table = find_weights_by_depth(tiny_model("gpt_neox")).tables["depth_weights"]
    bias = table[(table["weights"] == "untrained") & (table["statistic"] == "norm_bias")]
    assert (bias["p50"] == 0).all()
    assert bias["scaled"].isna().all()
    assert set(table["weights"]) == {"trained", "untrained"}


def test_an_unknown_way_to_fold_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown way to fold 'fold'"):
        WeightsConfig(fold="fold")
