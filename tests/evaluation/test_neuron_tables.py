"""The tables of a search say what its layers say."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from needlepoint.evaluation import neuron_tables, tested
from needlepoint.evaluation.held_out import Judged
from needlepoint.evaluation.label_nulls import FeatureNull
from needlepoint.evaluation.neuron_tables import (
    curve_frame,
    depth_frame,
    neuron_arrays,
    neuron_frame,
)
from needlepoint.evaluation.search_neurons import Search, search

NAMES = ("high", "coin")


@pytest.fixture(scope="module")
def found(neuron_data) -> Search:
    return search(neuron_data, 3, max_k=4, n_permutations=20, seed=0, label="toy")


def all_neurons(layer: int, f1: float) -> Judged:
    scores = tested.Scores(f1, f1, f1, f1, f1, f1)
    dense = tested.Tested("dense", layer, (), scores, {}, f1, auc_validation=0.5, k=48)
    return Judged((dense,), "dense", "current token", None, None, None, None)


def test_the_curve_has_every_layer_and_k_and_marks_the_one_kept(found: Search) -> None:
    judged = [all_neurons(choice.sparse.layer, 0.7) for choice in found.choices]
    frame = curve_frame(found, NAMES, judged)
    assert len(frame) == 2 * (3 * 4 + 1)
    whole, frame = frame[frame["k"] == 48], frame[frame["k"] != 48]
    assert whole["layer"].tolist() == [choice.sparse.layer for choice in found.choices]
    assert whole["f1_validation"].tolist() == [0.7, 0.7]
    assert not whole["selected"].any()
    for row in frame.itertuples():
        feature, layer = NAMES.index(row.feature), found.layers[row.layer]
        place = layer.ks.index(row.k)
        assert row.f1_validation == float(layer.f1_validation_k[feature, place])
        assert row.auc_validation == float(layer.auc_validation_k[feature, place])
    chosen = frame[frame["selected"]]
    assert list(chosen[["feature", "layer", "k"]].itertuples(index=False, name=None)) == [
        (name, choice.sparse.layer, choice.sparse.k)
        for name, choice in zip(NAMES, found.choices, strict=True)
    ]


def test_the_chosen_neuron_leads_and_the_rest_go_by_validation(found: Search) -> None:
    frame = neuron_frame(found, NAMES)
    for number, name in enumerate(NAMES):
        rows = frame[frame["feature"] == name]
        kept = found.choices[number].neuron
        first = rows.iloc[0]
        assert (first["layer"], first["neuron"], first["sign"]) == (
            kept.layer,
            kept.neuron,
            kept.sign,
        )
        assert first["threshold"] == kept.threshold
        assert rows["rank"].tolist() == list(range(50))
        assert rows["site"].is_unique
        assert rows["f1_validation"][1:].is_monotonic_decreasing


def test_every_figure_is_that_of_its_neuron(found: Search) -> None:
    for row in neuron_frame(found, NAMES).itertuples():
        layer, at = found.layers[row.layer], (NAMES.index(row.feature), row.neuron)
        assert row.site == f"L{row.layer}.N{row.neuron}"
        assert row.mean_difference == pytest.approx(float(layer.mean_difference[at]))
        assert row.mean_difference_std == pytest.approx(float(layer.mean_difference_std[at]))
        assert row.logistic_weight == float(layer.one_neuron.weight[at])
        assert row.logistic_bias == float(layer.one_neuron.bias[at])
        assert row.logistic_loss == float(layer.one_neuron.loss[at])
        assert row.f1_train == float(layer.threshold.f1[at])
        assert row.f1_validation == float(layer.f1_validation[at])


def test_only_neurons_that_are_good_on_training_texts_lead(found: Search, monkeypatch) -> None:
    monkeypatch.setattr(neuron_tables, "LEADING", 5)
    frame = neuron_frame(found, NAMES)
    assert len(frame) == 10
    for number, name in enumerate(NAMES):
        train = torch.cat([layer.threshold.f1[number] for layer in found.layers])
        least = train.sort(descending=True).values[19]
        assert (frame[frame["feature"] == name]["f1_train"] >= float(least)).all()


def test_depth_is_the_best_neuron_of_each_layer_on_training_texts(found: Search) -> None:
    frame = depth_frame(found, NAMES)
    assert len(frame) == 6
    for row in frame.itertuples():
        feature, layer = NAMES.index(row.feature), found.layers[row.layer]
        neuron = int(row.site.split("N")[1])
        assert layer.threshold.f1[feature, neuron] == layer.threshold.f1[feature].max()
        assert row.f1_validation == float(layer.f1_validation[feature, neuron])


def test_arrays_hold_every_neuron_of_every_layer(found: Search) -> None:
    arrays = neuron_arrays(found)
    table = neuron_frame(found, NAMES)
    for name, values in arrays.items():
        assert values.shape == (2, 3, 48), name
        assert values.dtype == "float32"
        if name in table:
            for row in table.itertuples():
                held = values[NAMES.index(row.feature), row.layer, row.neuron]
                assert held == pytest.approx(getattr(row, name), rel=1e-6), name
    assert arrays["p_value"][1, 2, 7] == pytest.approx(float(found.p_values[2][1, 7]))
    none = FeatureNull(None, "not asked for", None, None, None)
    without = replace(found, nulls=(none, none))
    assert "p_value" not in neuron_arrays(without)
