"""What is shown of a neuron is what the model computes on texts no probe was fitted on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from needlepoint.evaluation.neuron_cards import (
    BINS,
    EXCERPTS,
    Shown,
    excerpt_frame,
    histogram_frame,
)
from needlepoint.models.hooks import record

SHOWN = [Shown(0, 1, 5, 1), Shown(0, 1, 5, -1), Shown(1, 2, 40, 1)]


def test_histograms_count_every_row_once(neuron_data) -> None:
    frame = histogram_frame(neuron_data, SHOWN[1:])
    assert list(frame.columns) == ["feature", "site", "label", "bin_left", "bin_right", "count"]
    for one, feature in zip(SHOWN[1:], ("high", "coin"), strict=True):
        values = neuron_data.layer(one.layer)[:, one.neuron].double().numpy()
        labels = neuron_data.labels[:, one.feature].numpy()
        for label in (True, False):
            rows = frame[(frame["feature"] == feature) & (frame["label"] == label)]
            assert len(rows) == BINS
            assert rows["count"].sum() == (labels == label).sum()
            assert set(rows["site"]) == {f"L{one.layer}.N{one.neuron}"}
            edges = [*rows["bin_left"], rows["bin_right"].iloc[-1]]
            assert (edges[0], edges[-1]) == pytest.approx((values.min(), values.max()))
            assert np.array_equal(rows["count"], np.histogram(values[labels == label], edges)[0])


def test_excerpts_are_token_by_token_what_the_model_computes(tiny, neuron_data, generator) -> None:
    frame = excerpt_frame(tiny, neuron_data, SHOWN, generator)
    collection = neuron_data.collection
    by_document = {}
    for text, document in enumerate(collection.documents):
        by_document.setdefault(document, []).append(text)
    for row in frame.itertuples():
        texts = by_document[row.document]
        matches = [t for t in texts if tiny.encoder.pieces(list(collection.ids[t])) == row.tokens]
        assert matches
        with record(tiny, [row.site]) as kept:
            tiny.hidden(tiny.batch([list(collection.ids[matches[0]])]))
        (values,) = kept.values()
        assert row.activations == pytest.approx(values[0, 1:].tolist(), abs=1e-4)
        assert row.label == collection.labels[matches[0], collection.features.index(row.feature)]


def test_the_strongest_unfitted_texts_come_first(tiny, neuron_data, generator) -> None:
    data = neuron_data
    frame = excerpt_frame(tiny, data, SHOWN[:2], generator)
    unseen = torch.cat([data.validation, data.test])
    values = data.layer(1)[:, 5]
    blocks = [block for _, block in frame.groupby((frame["rank"] == 0).cumsum())]
    assert len(blocks) == 2
    for block, sign in zip(blocks, (1, -1), strict=True):
        means = [float(np.mean(row)) for row in block["activations"]]
        strongest = (sign * values[unseen]).sort(descending=True).values[: EXCERPTS - 1]
        assert [sign * mean for mean in means[: EXCERPTS - 1]] == pytest.approx(
            strongest.tolist(), abs=1e-4
        )
        assert len(block) in (EXCERPTS - 1, EXCERPTS)
        assert block["rank"].tolist() == list(range(len(block)))
    fitted = {data.collection.documents[row] for row in data.train.tolist()}
    assert fitted.isdisjoint(frame["document"])


def test_nothing_shown_is_two_empty_tables(tiny, neuron_data, generator) -> None:
    assert histogram_frame(neuron_data, []).empty
    frame = excerpt_frame(tiny, neuron_data, [], generator)
    assert frame.empty
    assert list(frame.columns)[-2:] == ["tokens", "activations"]
