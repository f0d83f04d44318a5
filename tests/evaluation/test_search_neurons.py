"""The search finds what is there; its null is that of the whole search."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from needlepoint.evaluation.read_neurons import FeatureRows, NeuronData, read_neurons
from needlepoint.evaluation.search_neurons import Search, search, shuffled_labels
from needlepoint.features.split import Split
from needlepoint.probing.null import max_null
from needlepoint.probing.rankings import mean_difference_std

OPTIONS = {"max_k": 4, "n_permutations": 60, "seed": 0, "label": "toy"}


@pytest.fixture(scope="module")
def found(neuron_data) -> Search:
    return search(neuron_data, 3, **OPTIONS)


def test_the_real_feature_stands_out_and_the_tossed_one_does_not(found: Search) -> None:
    assert found.p_value(0) == 1 / 61
    assert found.p_value(1) > 0.05
    assert found.smallest_p(0) <= found.p_value(0)
    assert found.smallest_p(1) == min(float(layer[1].min()) for layer in found.p_values)


def test_p_values_are_against_the_largest_of_all_layers(neuron_data, found: Search) -> None:
    """Recomputed over all neurons side by side, as one wide layer."""
    train = neuron_data.train
    wide = torch.cat([neuron_data.layer(layer)[train] for layer in range(3)], dim=1)
    null = max_null(
        wide,
        neuron_data.labels[train],
        groups=neuron_data.documents[train],
        n_permutations=60,
        generator=torch.Generator().manual_seed(0),
    )
    torch.testing.assert_close(torch.cat(found.p_values, dim=1), null.p_value)


def test_fits_see_training_rows_and_choices_validation_rows(neuron_data, found: Search) -> None:
    train, validation = neuron_data.train, neuron_data.validation
    for layer, probes in enumerate(found.layers):
        acts = neuron_data.layer(layer)
        wanted = mean_difference_std(acts[train], neuron_data.labels[train])
        torch.testing.assert_close(probes.mean_difference_std, wanted)
        called = acts[validation, 5] > probes.threshold.threshold[0, 5]
        called = called if probes.threshold.sign[0, 5] > 0 else ~called
        truth = neuron_data.labels[validation, 0]
        f1 = 2 * (called & truth).sum() / (called.sum() + truth.sum())
        assert probes.f1_validation[0, 5].item() == pytest.approx(f1.item())
        assert probes.ks == (1, 2, 3, 4)


def test_labels_in_place_of_the_true_ones(neuron_data) -> None:
    """With the columns exchanged the features exchange their results."""
    swapped = search(neuron_data, 3, labels=neuron_data.labels.flip(1), **OPTIONS)
    plain = search(neuron_data, 3, **OPTIONS)
    assert swapped.choices[1].neuron == plain.choices[0].neuron
    assert swapped.choices[0].neuron == plain.choices[1].neuron


def test_shuffled_labels_keep_parts_documents_and_counts(neuron_data, generator) -> None:
    shuffled = shuffled_labels(neuron_data, generator)
    assert not torch.equal(shuffled, neuron_data.labels)
    for part in (neuron_data.train, neuron_data.validation, neuron_data.test):
        rows = neuron_data.labels[part].int().tolist()
        assert sorted(shuffled[part].int().tolist()) == sorted(rows), "both features move together"
    for document in range(40):
        of_document = shuffled[neuron_data.documents == document]
        assert (of_document == of_document[0]).all()
    assert torch.equal(neuron_data.labels, torch.from_numpy(neuron_data.collection.labels))


def test_shuffled_labels_find_nothing(neuron_data, generator) -> None:
    smallest = []
    for _ in range(8):
        labels = shuffled_labels(neuron_data, generator)
        options = {**OPTIONS, "max_k": 1}
        smallest.append(search(neuron_data, 3, labels=labels, **options).smallest_p(0))
    assert sum(p <= 0.05 for p in smallest) <= 2
    assert max(smallest) > 0.2


def test_labels_of_tokens_shift_within_documents(tiny, token_level, generator) -> None:
    data = read_neurons(tiny, token_level, seed=0)
    found = search(data, 3, **OPTIONS)
    assert found.nulls[0].scheme == "shift"
    assert found.p_value(0) <= 0.05
    shuffled = shuffled_labels(data, generator)
    for part in (data.train, data.validation, data.test):
        assert shuffled[part].sum() == data.labels[part].sum()
        assert not torch.equal(shuffled[part], data.labels[part])


def only(data: NeuronData, group: FeatureRows) -> NeuronData:
    """The rows and features of one group as if there were no others, on the same split."""
    rows, features = group.rows.numpy(), list(group.features)
    old = data.collection
    collection = replace(
        old,
        rows=old.rows[rows],
        labels=old.labels[rows][:, features],
        members=None,
        features=tuple(old.features[i] for i in features),
    )
    place = {int(row): i for i, row in enumerate(rows)}
    parts = (group.train, group.validation, group.test)
    split = Split(*(np.array([place[int(row)] for row in part]) for part in parts))
    extraction = replace(data.extraction, order=data.extraction.order[group.rows])
    labels = data.labels[group.rows][:, features]
    return NeuronData(collection, extraction, split, labels, data.documents[group.rows])


def test_each_feature_is_searched_as_if_its_rows_were_all_there_are(tiny, apart) -> None:
    data = read_neurons(tiny, apart, seed=0)
    found = search(data, 3, **OPTIONS)
    for group in data.groups:
        alone = search(only(data, group), 3, **OPTIONS)
        features = list(group.features)
        for layer in range(3):
            all_, own = found.layers[layer], alone.layers[layer]
            assert torch.equal(all_.threshold.f1[features], own.threshold.f1)
            assert torch.equal(all_.one_neuron.weight[features], own.one_neuron.weight)
            assert torch.equal(all_.f1_validation_k[features], own.f1_validation_k)
            for k in (1, 4):
                for place, feature in enumerate(features):
                    one, two = all_.path.probe(feature, k), own.path.probe(place, k)
                    assert torch.equal(one.support, two.support)
                    assert torch.equal(one.weight, two.weight)
            assert torch.equal(found.p_values[layer][features], alone.p_values[layer])
        for place, feature in enumerate(features):
            assert found.choices[feature].neuron == alone.choices[place].neuron
            assert found.choices[feature].sparse.k == alone.choices[place].sparse.k
    assert found.p_value(0) == found.p_value(2) == 1 / 61


def test_a_feature_whose_labels_cannot_be_moved_has_no_p_value_but_a_reason(tiny, apart) -> None:
    data = read_neurons(tiny, apart, seed=0)
    labels = data.labels.clone()
    row = data.of(0).train[0]
    other = data.of(0).train[data.documents[data.of(0).train] == data.documents[row]]
    assert len(other) > 1
    labels[row, 0] = ~labels[row, 0]
    found = search(replace(data, labels=labels), 3, **OPTIONS)
    assert [found.p_value(feature) is None for feature in range(3)] == [True, False, False]
    assert [found.smallest_p(feature) is None for feature in range(3)] == [True, False, False]
    assert "in so few of them" in found.nulls[0].reason
    assert [null.reason for null in found.nulls[1:]] == ["", ""]
    assert found.p_values[0][0].isnan().all()
    assert not found.p_values[0][1:].isnan().any()
