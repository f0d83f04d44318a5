"""What switching a context neuron off does to texts of every class, and to which next tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint.evaluation.ablate_neurons import Ablation, loss_changes, matched_neurons
from needlepoint.evaluation.case_studies.token_activations import class_of_texts
from needlepoint.evaluation.intervals import Interval, bootstrap_means
from needlepoint.evaluation.read_neurons import NeuronData
from needlepoint.models.model import Batch, Model
from needlepoint.probing.select import NeuronChoice

ABLATION = [
    "feature",
    "site",
    "texts",
    "own",
    "n_texts",
    *(
        f"{name}{end}"
        for name in ("zero", "mean", "random", "gap")
        for end in ("", "_low", "_high")
    ),
    "n_random",
]
EFFECTS = ["feature", "site", "direction", "rank", "before", "token", "change", "document"]


@dataclass(frozen=True, eq=False)
class ClassTexts:
    """Some test texts of one class, and the documents they are of."""

    name: str
    rows: Int[Tensor, " example"]
    batch: Batch
    documents: Int[Tensor, " example"]


def draw_texts(
    model: Model, data: NeuronData, n: int, generator: torch.Generator
) -> tuple[ClassTexts, ...]:
    """At most `n` test texts of each class; a class without test texts is left out."""
    found = []
    for name, member in class_of_texts(data).items():
        rows = data.test[member[data.test]]
        rows = rows[torch.randperm(len(rows), generator=generator)[:n]].sort().values
        if len(rows):
            texts = data.collection.rows[rows.numpy(), 0].tolist()
            batch = model.batch([data.collection.ids[text] for text in texts])
            found.append(ClassTexts(name, rows, batch, data.documents[rows]))
    return tuple(found)


@dataclass(frozen=True, eq=False)
class Ablated:
    """Rows of both tables for one neuron."""

    increases: list[dict[str, object]]
    effects: list[dict[str, object]]


def ablate_classes(
    model: Model,
    data: NeuronData,
    feature: int,
    kept: NeuronChoice,
    texts: tuple[ClassTexts, ...],
    *,
    n_random: int,
    n_effects: int,
    generator: torch.Generator,
) -> Ablated:
    """Switch one neuron off on texts of every class, beside random neurons that write as much.

    The neuron is set to 0, and to its mean over the training rows; the random ones to their
    means. `gap` is the increase by the mean of the neuron minus the mean increase by the random
    ones, on the same texts. Intervals resample documents; a class with one document has none.
    """
    acts = data.layer(kept.layer)[data.of(feature).train]
    own = torch.tensor([kept.neuron])
    drawn = matched_neurons(model, kept.layer, acts, own, n_random, generator)
    means = acts.mean(0)
    tried = [Ablation(kept.layer, own, torch.zeros(1))]
    tried += [Ablation(kept.layer, one, means[one]) for one in (own, *drawn)]
    name = data.collection.features[feature]
    common: dict[str, object] = {"feature": name, "site": f"L{kept.layer}.N{kept.neuron}"}
    rows: list[dict[str, object]] = []
    effects: list[dict[str, object]] = []
    for some in texts:
        changes = loss_changes(model, some.batch, kept.layer, tried)
        measured = _intervals(changes.nanmean(2), some.documents, generator)
        facts = {"texts": some.name, "own": some.name == name, "n_texts": len(some.rows)}
        rows.append({**common, **facts, **measured, "n_random": n_random})
        if some.name == name:
            effects = _effects(model, data, some, changes[1], common, n_effects)
    return Ablated(rows, effects)


def ablation_frames(
    found: list[Ablated],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables `class_ablation` and `token_effects`, with their columns even without rows."""
    increases = [row for one in found for row in one.increases]
    effects = [row for one in found for row in one.effects]
    frame = pd.DataFrame(increases, columns=ABLATION)
    ends = [name for name in ABLATION if name.endswith(("_low", "_high"))]
    return frame.astype(dict.fromkeys(ends, "Float64")), pd.DataFrame(effects, columns=EFFECTS)


def _intervals(
    increases: Float[Tensor, "resample example"], documents: Tensor, generator: torch.Generator
) -> dict[str, object]:
    """Increases by zero, by the mean, by random neurons, and the gap of the last two."""
    random = increases[2:].mean(0)
    columns = {
        "zero": increases[0],
        "mean": increases[1],
        "random": random,
        "gap": increases[1] - random,
    }
    table = torch.stack(list(columns.values()), dim=1)
    if len(torch.unique(documents)) < 2:
        return {name: float(values.mean()) for name, values in columns.items()}
    found = bootstrap_means(table, generator=generator, groups=documents)
    return _named({name: found.of(place) for place, name in enumerate(columns)})


def _named(intervals: Mapping[str, Interval]) -> dict[str, object]:
    return {
        f"{name}{end}": value
        for name, one in intervals.items()
        for end, value in (("_low", one.low), ("", one.estimate), ("_high", one.high))
    }


def _effects(
    model: Model,
    data: NeuronData,
    some: ClassTexts,
    changes: Float[Tensor, "example pos"],
    common: Mapping[str, object],
    n: int,
) -> list[dict[str, object]]:
    """The next tokens whose loss rises most, then those whose loss falls most, with what precedes.

    A position's change is that of predicting the token after it. Of each token only its largest
    change is kept, so that one frequent token does not fill the list.
    """
    first = len(model.prefix)
    rows: list[dict[str, object]] = []
    for direction, sign in (("worse", 1), ("better", -1)):
        filled = (sign * changes).nan_to_num(nan=-torch.inf)
        order = filled.flatten().argsort(descending=True).tolist()
        seen: set[int] = set()
        for flat in order:
            text, pos = divmod(flat, changes.shape[1])
            ids = some.batch.ids[text].tolist()
            if len(seen) == n or float(filled[text, pos]) <= 0:
                break
            if ids[pos + 1] in seen:
                continue
            seen.add(ids[pos + 1])
            pieces = model.encoder.pieces(ids[max(first, pos - 3) : pos + 1])
            (token,) = model.encoder.pieces([ids[pos + 1]])
            rows.append(
                {
                    **common,
                    "direction": direction,
                    "rank": len(seen) - 1,
                    "before": "".join(pieces),
                    "token": token,
                    "change": float(changes[text, pos]),
                    "document": data.collection.documents[
                        int(data.collection.rows[int(some.rows[text]), 0])
                    ],
                }
            )
    return rows
