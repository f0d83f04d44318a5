"""What the probes read: every neuron of every row, its labels, its document and its part."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.evaluation.read_neurons import NeuronData, read_neurons
from needlepoint.models.hooks import record


def test_rows_are_the_means_over_their_texts_alone(tiny, neuron_data: NeuronData) -> None:
    collection = neuron_data.collection
    for layer in range(3):
        acts = neuron_data.layer(layer)
        assert acts.shape == (len(collection.rows), 48)
        for row in (0, 7, 79):
            with record(tiny, [f"L{layer}.mlp.neurons"]) as kept:
                tiny.hidden(tiny.batch([list(collection.ids[row])]))
            (values,) = kept.values()
            torch.testing.assert_close(acts[row], values[0, 1:].mean(0), rtol=1e-4, atol=1e-5)


def test_token_rows_are_the_activations_of_their_tokens(tiny, token_level) -> None:
    acts = read_neurons(tiny, token_level, seed=0).layer(1)
    with record(tiny, ["L1.mlp.neurons"]) as kept:
        tiny.hidden(tiny.batch([list(token_level.ids[5])]))
    (values,) = kept.values()
    torch.testing.assert_close(acts[5 * 8 : 6 * 8], values[0, 1:], rtol=1e-4, atol=1e-5)


def test_no_document_is_in_two_parts(neuron_data: NeuronData) -> None:
    parts = [neuron_data.train, neuron_data.validation, neuron_data.test]
    assert sorted(torch.cat(parts).tolist()) == list(range(80))
    documents = [set(neuron_data.documents[part].tolist()) for part in parts]
    assert sum(map(len, documents)) == len(set.union(*documents)) == 40
    names = np.asarray(neuron_data.collection.row_documents)
    for document in range(40):
        assert len(set(names[neuron_data.documents.numpy() == document])) == 1


def test_labels_are_those_of_the_collection(neuron_data: NeuronData) -> None:
    assert np.array_equal(neuron_data.labels.numpy(), neuron_data.collection.labels)


def test_whether_labels_belong_to_documents(tiny, toy, token_level) -> None:
    for collection, wanted in ((toy(), True), (token_level, False)):
        (group,) = read_neurons(tiny, collection, seed=0).groups
        assert group.labels_of_documents is wanted


def test_rows_of_all_features_are_one_group(neuron_data: NeuronData) -> None:
    (group,) = neuron_data.groups
    assert group.features == (0, 1)
    assert group.rows.tolist() == list(range(80))
    for part in ("train", "validation", "test"):
        assert torch.equal(getattr(group, part), getattr(neuron_data, part))


def test_features_with_the_same_rows_are_a_group(tiny, apart) -> None:
    data = read_neurons(tiny, apart, seed=0)
    assert [group.features for group in data.groups] == [(0, 2), (1,)]
    for feature in range(3):
        own = data.of(feature)
        assert own.rows.tolist() == np.flatnonzero(apart.members[:, feature]).tolist()
        for part in ("train", "validation", "test"):
            wanted = set(getattr(data, part).tolist()) & set(own.rows.tolist())
            assert getattr(own, part).tolist() == sorted(wanted)


def test_labels_of_documents_are_those_of_the_rows_asked(tiny, apart) -> None:
    """One row of another label, among the rows of the first group alone."""
    labels = apart.labels.copy()
    row = np.flatnonzero(apart.members[:, 0] & ~apart.members[:, 1])[0]
    labels[row, 0] = ~labels[row, 0]
    data = read_neurons(tiny, dataclasses.replace(apart, labels=labels), seed=0)
    assert [group.labels_of_documents for group in data.groups] == [False, True]


def test_a_text_beyond_the_context_is_refused(tiny, toy) -> None:
    collection = toy()
    longer = (*collection.ids[:-1], (5,) * 256)
    rows = collection.rows.copy()
    rows[-1, 2] = 256
    collection = dataclasses.replace(collection, ids=longer, rows=rows)
    with pytest.raises(DataError, match="has 257 tokens, but tiny llama reads 256 at most"):
        read_neurons(tiny, collection, seed=0)
