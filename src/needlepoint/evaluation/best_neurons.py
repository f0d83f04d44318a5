"""The best single neuron of each feature and its F1 on unseen documents, and nothing else."""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch

from needlepoint._core.seeds import seed_for
from needlepoint.evaluation.held_out_judge import Judge, one_neuron
from needlepoint.evaluation.read_neurons import NeuronData, read_neurons
from needlepoint.evaluation.search_neurons import search_single
from needlepoint.features.collection import Collection
from needlepoint.models.model import Model
from needlepoint.probing.select import NeuronChoice

COLUMNS = [
    "feature",
    "positives",
    "positive_documents",
    "rows",
    "site",
    "sign",
    "f1_validation",
    "f1",
    "f1_low",
    "f1_high",
    "baseline_f1",
    "test_rows",
]


def best_neurons(model: Model, collection: Collection, *, seed: int = 0) -> pd.DataFrame:
    """One row for each feature: the neuron that tells it best, and its F1 on test documents.

    Layer, neuron, sign and cut are chosen as `find_neurons` chooses them, on training and
    validation documents; test documents are read once. It is no study: there are no p-values, no
    shuffled labels and no ablation, so a high F1 is not shown to be more than luck or a confound.

    Args:
        model: The model to read.
        collection: Labelled text.
        seed: The seed of the whole run.

    Returns:
        A table with the columns of `COLUMNS`: counts over all rows that the feature is asked on;
        `f1` with its 95 % interval, documents resampled whole (empty where there are too few);
        `baseline_f1`, that of calling every row positive.

    Raises:
        DataError: If a text is too long for the model, or a feature is in too few documents.
    """
    name = collection.card.name
    data = read_neurons(model, collection, seed=seed_for(seed, features=name, use="split"))
    found = search_single(
        data, model.shape.n_layers, n_permutations=0, seed=seed, label="judging neurons"
    )
    order = sorted(range(len(found.neurons)), key=lambda feature: found.neurons[feature].layer)
    rows = {
        feature: _tested(data, feature, found.neurons[feature], seed_for(seed, use="test"))
        for feature in order
    }
    counts = collection.counts()
    counts["rows"] = counts["positives"] + counts["negatives"]
    tested = pd.DataFrame([rows[feature] for feature in range(len(rows))])
    frame = pd.concat([counts, tested], axis=1)[COLUMNS]
    return frame.astype({"f1_low": "Float64", "f1_high": "Float64"})


def _tested(data: NeuronData, feature: int, kept: NeuronChoice, seed: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    judge = Judge(data, feature, data.labels, generator)
    tested = one_neuron(judge, "one neuron", kept)
    truth = data.labels[judge.rows.test, feature]
    share = float(truth.double().mean())
    return {
        "site": f"L{kept.layer}.N{kept.neuron}",
        "sign": kept.sign,
        "f1_validation": kept.f1_validation,
        "f1": tested.f1_point,
        "f1_low": None if tested.f1 is None else tested.f1.low,
        "f1_high": None if tested.f1 is None else tested.f1.high,
        "baseline_f1": 2 * share / (1 + share),
        "test_rows": len(truth),
    }
