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
    assert read_neurons(tiny, toy(), seed=0).labels_of_documents
    assert not read_neurons(tiny, token_level, seed=0).labels_of_documents


def test_a_text_beyond_the_context_is_refused(tiny, toy) -> None:
    collection = toy()
    longer = (*collection.ids[:-1], (5,) * 256)
    rows = collection.rows.copy()
    rows[-1, 2] = 256
    collection = dataclasses.replace(collection, ids=longer, rows=rows)
    with pytest.raises(DataError, match="has 257 tokens, but tiny llama reads 256 at most"):
        read_neurons(tiny, collection, seed=0)
