"""What a neuron looks like: its values in both classes, and the texts that excite it, by token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from needlepoint.activations.reduce import Rows
from needlepoint.activations.stream import gather
from needlepoint.evaluation.read_neurons import NeuronData
from needlepoint.models.model import Model
from needlepoint.models.sites import Part, Site

BINS = 24
EXCERPTS = 4
"""Texts for each neuron: the ones it calls positive most strongly, then one drawn at random."""


@dataclass(frozen=True)
class Shown:
    """A neuron shown for a feature; `sign` says which side of it means yes."""

    feature: int
    layer: int
    neuron: int
    sign: int

    @property
    def site(self) -> Site:
        """Its address."""
        return Site.of(self.layer, Part.NEURON, self.neuron)


def histogram_frame(data: NeuronData, shown: Sequence[Shown]) -> pd.DataFrame:
    """How the rows of each neuron's feature are spread in both classes, over all three parts."""
    frames = []
    for one in shown:
        rows = data.of(one.feature).rows
        values = data.layer(one.layer)[rows, one.neuron].double().numpy()
        edges = np.histogram_bin_edges(values, BINS)
        for label in (True, False):
            mask = data.labels[rows, one.feature].numpy() == label
            counts, _ = np.histogram(values[mask], edges)
            frames.append(
                pd.DataFrame(
                    {
                        "feature": data.collection.features[one.feature],
                        "site": str(one.site),
                        "label": label,
                        "bin_left": edges[:-1],
                        "bin_right": edges[1:],
                        "count": counts,
                    }
                )
            )
    columns = ["feature", "site", "label", "bin_left", "bin_right", "count"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def excerpt_frame(
    model: Model, data: NeuronData, shown: Sequence[Shown], generator: torch.Generator
) -> pd.DataFrame:
    """The texts that excite each neuron most, of validation and test, activation by token.

    Only texts that no probe was fitted on, by their rows that the feature is asked on. A text
    counts as positive if one of these rows is. Beside them one text drawn at random, so that a
    reader sees what the neuron does elsewhere.
    """
    chosen = {one: _pick(data, one, generator) for one in shown}
    texts = sorted({text for found in chosen.values() for text in found})
    if not texts:
        return pd.DataFrame(columns=[*_COLUMNS])
    ids = [data.collection.ids[text] for text in texts]
    values = gather(model, ids, [one.site for one in shown], Rows.each(ids), label="reading texts")
    starts = dict(zip(texts, np.cumsum([0, *[len(row) for row in ids[:-1]]]).tolist(), strict=True))
    rows = []
    for one, found in chosen.items():
        for rank, text in enumerate(found):
            start, length = starts[text], len(data.collection.ids[text])
            rows.append(
                _excerpt(model, data, one, rank, text, values[one.site][start : start + length])
            )
    return pd.DataFrame(rows, columns=_COLUMNS)


_COLUMNS = ["feature", "site", "rank", "document", "label", "tokens", "activations"]


def _pick(data: NeuronData, one: Shown, generator: torch.Generator) -> list[int]:
    asked = data.of(one.feature)
    pool = torch.cat([asked.validation, asked.test])
    strength = one.sign * data.layer(one.layer)[pool, one.neuron]
    order = pool[strength.argsort(descending=True, stable=True)]
    found: list[int] = []
    for row in order.tolist():
        text = int(data.collection.rows[row, 0])
        if text not in found:
            found.append(text)
        if len(found) == EXCERPTS - 1:
            break
    draw = int(pool[torch.randint(len(pool), (1,), generator=generator)])
    other = int(data.collection.rows[draw, 0])
    return found if other in found else [*found, other]


def _excerpt(
    model: Model, data: NeuronData, one: Shown, rank: int, text: int, values: Tensor
) -> dict[str, object]:
    rows = data.of(one.feature).rows
    of_text = rows[torch.from_numpy(data.collection.rows[rows.numpy(), 0] == text)]
    return {
        "feature": data.collection.features[one.feature],
        "site": str(one.site),
        "rank": rank,
        "document": data.collection.documents[text],
        "label": bool(data.labels[of_text, one.feature].any()),
        "tokens": model.encoder.pieces(list(data.collection.ids[text])),
        "activations": values.float().tolist(),
    }
