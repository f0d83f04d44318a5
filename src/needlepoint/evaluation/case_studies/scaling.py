"""The study of scaling: the same features in several models, with searches of equal size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from needlepoint._core.progress import say
from needlepoint._core.records import Record, cell_name
from needlepoint._core.seeds import seed_for
from needlepoint.evaluation.case_studies.configs import UNTRAINED, ScalingConfig
from needlepoint.evaluation.case_studies.model_scores import (
    FeatureScores,
    parts_of_documents,
    score_model,
    split_like,
)
from needlepoint.evaluation.case_studies.paired_models import (
    MEASURES,
    Documents,
    Sampled,
    mean_of,
    sample,
)
from needlepoint.evaluation.case_studies.published_scaling import published_frame, published_group
from needlepoint.evaluation.case_studies.scaled_models import (
    Scale,
    labels_of,
    open_model,
    scale_of,
)
from needlepoint.evaluation.case_studies.scaling_words import scaling_summary
from needlepoint.evaluation.case_studies.scored import columns, floats
from needlepoint.evaluation.configs import NeuronsConfig
from needlepoint.evaluation.find_neurons import ask_collection
from needlepoint.evaluation.read_neurons import NeuronData, cut_to_fit, read_neurons
from needlepoint.evaluation.study import Clock, Study
from needlepoint.models.model import Model


def compare_models(_: Model | None = None, config: ScalingConfig | None = None) -> Study:
    """Ask the same features of several models, each with as many candidates as the smallest has.

    In each model the best single neuron and a sparse probe are found for every feature, on
    training and validation documents, and tested once. Documents are in the same part for all
    models. Differences between models are on the same resamples of documents.

    Args:
        config: What to ask of which models. Models are loaded one after the other.

    Returns:
        A study whose record is of kind `scaling`; the design notes list its tables. The published
        curve stands beside, as it was published, with what was done otherwise.

    Raises:
        ModelError: If a model cannot be loaded.
        UnknownNameError: If a collection is not known.
        DataError: If the texts cannot be used, or the models share too few documents.

    References:
        Gurnee et al. 2023 (arXiv 2305.01610), section on scale, where the neuron with the best
        test F1 is taken out of however many there are.
    """
    config = config or ScalingConfig()
    clock = Clock()
    scales: list[Scale] = []
    read: dict[str, list[NeuronData]] = {name: [] for name in config.features}
    for name, label in zip(config.models, labels_of(config.models), strict=True):
        with clock.part("loading models"):
            model = open_model(name, config)
        say(f"Reading {model.name}.")
        scales.append(scale_of(model, label, trained=not name.startswith(UNTRAINED)))
        with clock.part("reading neurons"):
            for collection, done in read.items():
                done.append(_read(model, collection, config, done[:1]))
    size = min(one.neurons for one in scales)
    with clock.part("fitting probes"):
        found = {
            collection: [
                _scores(data, scale.layers, collection, config, size)
                for data, scale in zip(of_models, scales, strict=True)
            ]
            for collection, of_models in read.items()
        }
    return judge_scaling(scales, found, config, clock)


def judge_scaling(
    scales: Sequence[Scale],
    found: dict[str, list[tuple[FeatureScores, ...]]],
    config: ScalingConfig,
    clock: Clock | None = None,
) -> Study:
    """The study of `compare_models` on models that have been read already.

    Args:
        scales: The models, in the order asked for.
        found: For each collection the scores of each model, in the same order.
        config: What was asked.
        clock: Time spent so far.
    """
    clock = clock or Clock()
    rows: list[dict[str, Any]] = []
    means: list[dict[str, Any]] = []
    gaps: list[dict[str, Any]] = []
    with clock.part("intervals"):
        for collection, scores in found.items():
            generator = torch.Generator().manual_seed(_seed(config, collection, "intervals"))
            documents = Documents.draw(scores, generator)
            sampled = [
                {one.feature: sample(one, documents) for one in of_model} for of_model in scores
            ]
            name = Path(collection).name
            shared = _shared(sampled)
            for scale, of_model, own in zip(scales, scores, sampled, strict=True):
                rows += [_row(scale, name, one, own[one.feature]) for one in of_model]
                means += _means(scale, name, of_model, own, shared)
            gaps += _differences(scales, name, sampled, shared)
    groups = tuple(published_group(Path(name).name) for name in found)
    tables = {
        "models": pd.DataFrame([asdict(one) for one in scales]),
        "model_scores": floats(pd.DataFrame(rows)),
        "model_means": floats(pd.DataFrame(means)),
        "model_differences": _gap_frame(gaps),
        "published": published_frame(groups),
    }
    record = Record(
        cell=cell_name("scaling", " ".join(Path(name).name for name in found)),
        kind="scaling",
        status="done",
        seconds=clock.total,
        config=asdict(config),
        summary=scaling_summary(scales, tables, groups, config, clock),
    )
    return Study(record, tables)


def _read(
    model: Model, collection: str, config: ScalingConfig, first: Sequence[NeuronData]
) -> NeuronData:
    """The neurons of a model, documents in the parts where they are for the first model, if any."""
    asked = NeuronsConfig(
        features=collection, examples=config.examples, tokens=config.tokens, seed=config.seed
    )
    texts = cut_to_fit(model, ask_collection(asked, model.encoder))
    data = read_neurons(model, texts, seed=_seed(config, collection, "split"))
    return split_like(data, parts_of_documents(first[0])) if first else data


def _scores(
    data: NeuronData, n_layers: int, collection: str, config: ScalingConfig, size: int
) -> tuple[FeatureScores, ...]:
    return score_model(
        data,
        n_layers,
        size=size,
        draws=config.draws,
        max_k=config.max_k,
        generator=torch.Generator().manual_seed(_seed(config, collection, "subsets")),
    )


def _shared(sampled: Sequence[dict[str, dict[str, Sampled]]]) -> list[str]:
    """Features that every model was asked, in the order of the first."""
    return [name for name in sampled[0] if all(name in other for other in sampled)]


def _row(
    scale: Scale, collection: str, one: FeatureScores, sampled: dict[str, Sampled]
) -> dict[str, Any]:
    kept, share = one.neurons, float(one.truth.double().mean())
    row: dict[str, Any] = {
        "model": scale.model,
        "collection": collection,
        "feature": one.feature,
        "test_rows": len(one.truth),
        "test_positives": int(one.truth.sum()),
        "site": f"L{int(kept.layer[0])}.N{int(kept.neuron[0])}",
        "sign": int(kept.sign[0]),
        "depth": int(kept.layer[0]) / max(scale.layers - 1, 1),
        "f1_chosen": float(kept.f1_chosen[0]),
        "k": one.sparse.k,
        "k_matched": sum(probe.k for probe in one.matched) / len(one.matched),
        "best_test_f1": kept.best_test_f1,
        "baseline_f1": 2 * share / (1 + share),
    }
    for name, found in sampled.items():
        row |= {**columns(name, found.interval), name: found.estimate}
    return row


def _means(
    scale: Scale,
    collection: str,
    scores: Sequence[FeatureScores],
    sampled: dict[str, dict[str, Sampled]],
    shared: Sequence[str],
) -> list[dict[str, Any]]:
    """The mean of each measure over the features that all models were asked."""
    common = {"model": scale.model, "collection": collection, "n_features": len(shared)}
    rows: list[dict[str, Any]] = []
    for measure in MEASURES:
        mean = mean_of([sampled[name][measure] for name in shared])
        rows.append(
            {
                **common,
                "measure": measure,
                **columns("f1", mean.interval),
                "f1": mean.estimate,
            }
        )
    own = [one for one in scores if one.feature in shared]
    biased = sum(one.neurons.best_test_f1 for one in own) / len(own)
    rows.append({**common, "measure": "best_on_test", **columns("f1", None), "f1": biased})
    return rows


def _differences(
    scales: Sequence[Scale],
    collection: str,
    sampled: Sequence[dict[str, dict[str, Sampled]]],
    shared: Sequence[str],
) -> list[dict[str, Any]]:
    """The model with more neurons minus the other, for each feature and their mean.

    Of models of one size the trained one comes first.
    """
    order = sorted(range(len(scales)), key=lambda place: scales[place].size)
    rows: list[dict[str, Any]] = []
    for low, high in combinations(order, 2):
        for measure in MEASURES:
            small, large = (
                {name: sampled[place][name][measure] for name in shared} for place in (low, high)
            )
            gaps = {name: large[name].minus(small[name]) for name in shared}
            gaps["mean"] = mean_of(list(gaps.values()))
            rows += [
                {
                    "collection": collection,
                    "larger": scales[high].model,
                    "smaller": scales[low].model,
                    "measure": measure,
                    "feature": name,
                    **columns("difference", gap.interval),
                    "difference": gap.estimate,
                }
                for name, gap in gaps.items()
            ]
    return rows


def _gap_frame(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    names = ["collection", "larger", "smaller", "measure", "feature"]
    names += [f"difference{end}" for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=names).astype(dict.fromkeys(names[5:], "Float64"))


def _seed(config: ScalingConfig, collection: str, use: str) -> int:
    return seed_for(config.seed, features=Path(collection).name, use=use)
