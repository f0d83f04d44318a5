"""Context neurons token by token: their values in texts of each class, and what one token tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.activations.reduce import Rows
from needlepoint.activations.stream import gather
from needlepoint.evaluation.case_studies.scored import scored
from needlepoint.evaluation.clustered import Resamples
from needlepoint.evaluation.read_neurons import NeuronData
from needlepoint.models.model import Model
from needlepoint.models.sites import Part, Site
from needlepoint.probing.scores import best_cut, roc_auc
from needlepoint.probing.select import NeuronChoice

PERCENTILES = (0.5, 25.0, 50.0, 75.0, 99.5)
ELSEWHERE = "none of these"
"""Texts that have no feature."""
N_RESAMPLES = 500


@dataclass(frozen=True, eq=False)
class TokenValues:
    """Some neurons on every token of validation and test texts."""

    text: Int[Tensor, " example"]
    """Number of the text that each token is of, in the collection."""
    values: Float[Tensor, "example unit"]
    """One column for each feature: its neuron, turned so that high means the feature."""
    test: Bool[Tensor, " example"]
    """Whether the token is of a test text; else of a validation text."""


def require_whole_texts(data: NeuronData) -> None:
    """Make sure that each row of a collection is a text of its own.

    Raises:
        DataError: If a text has several rows, or rows that are part of it: contexts are of texts.
    """
    collection = data.collection
    text, start, end = collection.rows.T
    lengths = [len(collection.ids[one]) for one in text]
    if len(set(text.tolist())) < len(text) or start.any() or (end != lengths).any():
        raise DataError(
            f"{collection.card.name} labels parts of texts, but a context is of a whole text; "
            "give a collection such as natural_language, or a table with a column 'label'."
        )


def read_token_values(
    model: Model, data: NeuronData, neurons: Sequence[NeuronChoice]
) -> TokenValues:
    """Read the neuron of each feature on every token of validation and test texts."""
    rows = torch.cat([data.validation, data.test])
    texts = torch.from_numpy(data.collection.rows[rows.numpy(), 0])
    ids = [data.collection.ids[text] for text in texts.tolist()]
    sites = [Site.of(one.layer, Part.NEURON, one.neuron) for one in neurons]
    found = gather(model, ids, list(dict.fromkeys(sites)), Rows.each(ids), label="reading tokens")
    signs = torch.tensor([one.sign for one in neurons])
    values = torch.stack([found[site].float() for site in sites], dim=1) * signs
    lengths = torch.tensor([len(row) for row in ids])
    place = torch.repeat_interleave(torch.arange(len(ids)), lengths)
    return TokenValues(texts[place], values, place >= len(data.validation))


def class_of_texts(data: NeuronData) -> dict[str, Bool[Tensor, " example"]]:
    """For each class which rows are of it: the features, then rows that have none of them."""
    found = {name: data.labels[:, place] for place, name in enumerate(data.collection.features)}
    rest = ~data.labels.any(1)
    return {**found, ELSEWHERE: rest} if bool(rest.any()) else found


def value_frame(data: NeuronData, found: TokenValues) -> pd.DataFrame:
    """Box statistics of each neuron over the test tokens of each class of text.

    Values are as the neuron has them after its nonlinearity, turned so that high means the
    feature.
    """
    row_of = _row_of_text(data)
    quantiles = torch.tensor(PERCENTILES, dtype=torch.float64) / 100
    rows = []
    for name, member in class_of_texts(data).items():
        here = found.test & member[row_of[found.text]]
        if not bool(here.any()):
            continue
        values = found.values[here].double()
        boxes = torch.quantile(values, quantiles, dim=0)
        for place, feature in enumerate(data.collection.features):
            box = {
                f"p{point:g}".replace(".", "_"): float(value)
                for point, value in zip(PERCENTILES, boxes[:, place], strict=True)
            }
            mean = float(values[:, place].mean())
            rows.append({"feature": feature, "texts": name, "n": len(values), "mean": mean, **box})
    return pd.DataFrame(rows)


def token_scores(
    data: NeuronData, found: TokenValues, generator: torch.Generator
) -> list[dict[str, object]]:
    """How well one token's value tells the class of its text: cut on validation, judged on test.

    Intervals resample documents, as tokens of one text are anything but independent.
    """
    row_of = _row_of_text(data)
    token_row = row_of[found.text]
    rows: list[dict[str, object]] = []
    for place, feature in enumerate(data.collection.features):
        truth, values = data.labels[token_row, place], found.values[:, place].double()
        cut = best_cut(values[~found.test, None], truth[~found.test, None])[0]
        known = roc_auc(values[~found.test, None], truth[~found.test, None])[0]
        own, wanted = values[found.test], truth[found.test]
        documents = data.documents[token_row[found.test]]
        resamples = Resamples.draw(documents, wanted, generator, n_resamples=N_RESAMPLES)
        measured = scored(own, float(cut), wanted, resamples, "token_")
        chosen = {"token_auc_validation": float(known), "token_cut": float(cut)}
        rows.append({"feature": feature, **chosen, **measured})
    return rows


def _row_of_text(data: NeuronData) -> Int[Tensor, "_"]:
    """The row of each text of a collection with one row for each."""
    texts = torch.from_numpy(data.collection.rows[:, 0])
    rows = torch.zeros(int(texts.max()) + 1, dtype=torch.long)
    rows[texts] = torch.arange(len(texts))
    return rows
