"""What switching one neuron off does to the loss, against neurons that are like it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.evaluation.ablate_neurons import (
    MIN_RANDOM,
    Ablation,
    loss_changes,
    matched_by_rate,
    resampled,
)
from needlepoint.evaluation.dossier.corpus import TokenCorpus
from needlepoint.evaluation.dossier.firing import Firing
from needlepoint.evaluation.dossier.reading import Reading
from needlepoint.evaluation.intervals import bootstrap_means
from needlepoint.models.model import Batch, Model
from needlepoint.models.sites import Site

MODES = ("zero", "mean", "resample")
BEFORE, AFTER = 32, 8
"""Tokens of a context before and after the one that it is chosen for."""
COLUMNS = [
    "feature", "sites", "mode", "texts", "positions", "neurons", "loss_increase", "low", "high",
    "n_texts", "n_positions", "n_random", "p_value",
]  # fmt: skip


@dataclass(frozen=True)
class Context:
    """Some consecutive rows of one text."""

    start: int
    end: int


def chosen_contexts(
    corpus: TokenCorpus,
    up: Float[np.ndarray, " row"],
    fires: Bool[np.ndarray, " row"],
    labels: Int[np.ndarray, " row"] | None,
    n: int,
    draw: np.random.Generator,
) -> dict[str, list[Context]]:
    """Contexts that speak for the neuron, and contexts that do not, each of another document.

    With labels: drawn at random around tokens with the feature, and without it. Without labels:
    around the neuron's strongest activations, and around random tokens of texts in which it does
    not fire (or, if there are none, fires least).
    """
    if labels is not None:
        orders = {
            "positive": draw.permutation(np.flatnonzero(labels == 1)),
            "negative": draw.permutation(np.flatnonzero(labels == 0)),
        }
    else:
        highest = np.maximum.reduceat(up, corpus.starts[:-1])[corpus.texts]
        silent = np.flatnonzero(~np.isin(corpus.texts, np.unique(corpus.texts[fires])))
        orders = {
            "positive": (-up).argsort(kind="stable"),
            "negative": draw.permutation(silent) if len(silent) else highest.argsort(kind="stable"),
        }
    return {name: _contexts(corpus, order.tolist(), n) for name, order in orders.items()}


def _contexts(corpus: TokenCorpus, order: Sequence[int], n: int) -> list[Context]:
    """Contexts around the first rows of an order that are of different documents."""
    found: dict[int, Context] = {}
    for row in order:
        document = int(corpus.row_documents[row])
        if document in found:
            continue
        text = corpus.texts[row]
        first, last = int(corpus.starts[text]), int(corpus.starts[text + 1])
        end = min(last, max(row + AFTER + 1, first + BEFORE + AFTER))
        start = max(first, end - BEFORE - AFTER)
        if end - start > 1:
            found[document] = Context(start, end)
        if len(found) == n:
            break
    return list(found.values())


def ablation_frame(
    model: Model,
    corpus: TokenCorpus,
    reading: Reading,
    site: Site,
    firing: Firing,
    feature: str | None,
    *,
    n_texts: int,
    n_random: int,
    draw: np.random.Generator,
) -> pd.DataFrame:
    """Zero, mean and resample ablation of one neuron, and of random ones like it.

    Means and the activations to draw from are of all texts read, the latter of other texts than
    those ablated on. The neuron is changed at every position of a context but the first token
    that the model puts in front; losses are in float32. `positions` says which losses count: all,
    or those of the tokens that come right after the neuron fires. Intervals are over contexts, at
    most `n_texts` of each kind and a third of the texts, so that others are left to draw from.
    """
    acts = reading.layers[site.layer]
    values = reading.values(site)
    fires = firing.fires(values)
    labels = None if feature is None else corpus.asked(feature)
    n_texts = max(2, min(n_texts, (len(corpus.starts) - 1) // 3))
    contexts = chosen_contexts(corpus, firing.turned(values), fires, labels, n_texts, draw)
    rng = torch.Generator().manual_seed(int(draw.integers(2**62)))
    mine = torch.tensor([site.index])
    sets = [mine, *matched_by_rate(model, site.layer, acts, mine, n_random, rng)]
    kinds = [(texts, one) for texts, found in contexts.items() for one in found]
    changes = _changes(model, corpus, acts, site.layer, sets, [one for _, one in kinds], rng)
    real = ~changes[0, 0].isnan()
    near = _firing_mask([one for _, one in kinds], fires, real, len(model.prefix))
    rows: list[dict[str, object]] = []
    for texts in contexts:
        here = torch.tensor([kind == texts for kind, _ in kinds])
        for mode, change in zip(MODES, changes, strict=True):
            common = {"feature": feature, "sites": str(site), "mode": mode, "texts": texts}
            for positions, mask in (("all", real), ("after firing", near)):
                rows += _rows({**common, "positions": positions}, change, mask & here[:, None], rng)
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.astype({"p_value": "Float64", "loss_increase": float, "low": float, "high": float})


def _changes(
    model: Model,
    corpus: TokenCorpus,
    acts: Float[Tensor, "row neuron"],
    layer: int,
    sets: Sequence[Int[Tensor, " k"]],
    contexts: Sequence[Context],
    rng: torch.Generator,
) -> Float[Tensor, "mode resample example pos"]:
    """Changes of the loss: of every mode, for every set of neurons, at every position."""
    batch = model.batch([corpus.tokens[one.start : one.end].tolist() for one in contexts])
    taken = {int(corpus.texts[one.start]) for one in contexts}
    others = torch.from_numpy(np.flatnonzero(~np.isin(corpus.texts, list(taken))))
    if not len(others):
        raise DataError(
            "all texts are needed as contexts, and none is left to draw from; add some."
        )
    tried = [
        Ablation(layer, neurons, _values(mode, acts, neurons, others, batch, rng))
        for mode in MODES
        for neurons in sets
    ]
    changes = loss_changes(model, batch, layer, tried)
    return changes.reshape(len(MODES), len(sets), *changes.shape[1:])


def _values(
    mode: str,
    acts: Float[Tensor, "row neuron"],
    neurons: Int[Tensor, " k"],
    others: Int[Tensor, " value"],
    batch: Batch,
    rng: torch.Generator,
) -> Float[Tensor, "... k"]:
    if mode == "zero":
        return torch.zeros(len(neurons))
    pool = acts[:, neurons]
    return pool.mean(0) if mode == "mean" else resampled(pool[others], batch, rng)


def _firing_mask(
    contexts: Sequence[Context], fires: np.ndarray, real: Tensor, shift: int
) -> Bool[Tensor, "example pos"]:
    """Positions whose loss is of the token right after one on which the neuron fires."""
    mask = torch.zeros_like(real)
    for place, one in enumerate(contexts):
        mask[place, shift : shift + one.end - one.start] = torch.from_numpy(
            fires[one.start : one.end].copy()
        )
    return mask & real


def _rows(
    common: dict[str, object],
    change: Float[Tensor, "resample example pos"],
    mask: Bool[Tensor, "example pos"],
    rng: torch.Generator,
) -> list[dict[str, object]]:
    """One row for the neuron and one for the random ones, the mean of each over texts."""
    kept = mask.any(1)
    rows: list[dict[str, object]] = []
    if int(kept.sum()) < 2:
        return rows
    mask = mask[kept]
    texts = (change[:, kept].nan_to_num() * mask).sum(2) / mask.sum(1)
    own, drawn = texts[:1], texts[1:]
    for neurons, part in (("found", own), ("random", drawn.mean(0, keepdim=True))):
        interval = bootstrap_means(part.T, generator=rng).of(0)
        rows.append(
            {
                **common,
                "neurons": neurons,
                "loss_increase": interval.estimate,
                "low": interval.low,
                "high": interval.high,
                "n_texts": len(mask),
                "n_positions": int(mask.sum()),
                "n_random": len(drawn),
                "p_value": _p_of_size(own, drawn) if neurons == "found" else None,
            }
        )
    return rows


def _p_of_size(
    own: Float[Tensor, "1 example"], drawn: Float[Tensor, "resample example"]
) -> float | None:
    """Share of random neurons that move the mean loss as far, up or down, itself counted."""
    if len(drawn) < MIN_RANDOM:
        return None
    as_far = drawn.mean(1).abs() >= own.mean().abs()
    return (1 + int(as_far.sum())) / (1 + len(drawn))
