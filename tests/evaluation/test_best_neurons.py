"""The light path gives the neurons and test figures of the whole study."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from needlepoint._core.seeds import seed_for
from needlepoint.evaluation.best_neurons import COLUMNS, best_neurons
from needlepoint.evaluation.read_neurons import read_neurons
from needlepoint.evaluation.search_neurons import search


def test_neurons_are_those_of_the_search_and_figures_those_of_test_rows(tiny, apart) -> None:
    frame = best_neurons(tiny, apart, seed=0)
    assert list(frame.columns) == COLUMNS
    data = read_neurons(tiny, apart, seed=seed_for(0, features="toy", use="split"))
    found = search(data, 3, max_k=1, n_permutations=20, seed=0, label="toy")
    for feature, row in enumerate(frame.itertuples()):
        kept = found.choices[feature].neuron
        assert row.site == f"L{kept.layer}.N{kept.neuron}"
        assert (row.sign, row.f1_validation) == (kept.sign, kept.f1_validation)
        rows = data.of(feature).test
        values = data.layer(kept.layer)[rows, kept.neuron]
        called = values > kept.threshold if kept.sign > 0 else values < kept.threshold
        truth = data.labels[rows, feature]
        assert row.f1 == pytest.approx(f1_score(truth, called))
        assert row.baseline_f1 == pytest.approx(f1_score(truth, torch.ones_like(truth)))
        assert row.f1_low <= row.f1 <= row.f1_high
        asked = apart.members[:, feature]
        assert (row.rows, row.test_rows) == (asked.sum(), len(rows))
        assert row.positives == (apart.labels[:, feature] & asked).sum()


def test_what_is_there_is_told_and_what_is_not_is_not(tiny, toy) -> None:
    high, coin = best_neurons(tiny, toy(), seed=1).itertuples()
    assert high.f1 == 1
    assert coin.f1 < 0.8
    assert (high.positives, high.positive_documents, high.rows) == (40, 20, 80)


def test_too_few_test_documents_have_no_interval(tiny, toy) -> None:
    """Six documents of each kind: the test part has one of each."""
    collection = toy(coin=False)
    kept = np.arange(12)
    small = replace(
        collection,
        ids=collection.ids[:12],
        documents=collection.documents[:12],
        rows=collection.rows[kept],
        labels=collection.labels[kept],
    )
    (row,) = best_neurons(tiny, small, seed=0).to_dict("records")
    assert row["f1_low"] is None
    assert row["f1_high"] is None
    assert 0 <= row["f1"] <= 1
