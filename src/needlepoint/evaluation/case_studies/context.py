"""The study of context neurons: one for each kind of text, token by token, and switched off."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from needlepoint._core.progress import Bar
from needlepoint._core.records import Record, cell_name
from needlepoint._core.seeds import seed_for
from needlepoint.evaluation.case_studies.class_ablation import (
    Ablated,
    ablate_classes,
    ablation_frames,
    draw_texts,
)
from needlepoint.evaluation.case_studies.configs import ContextConfig
from needlepoint.evaluation.case_studies.context_words import context_summary
from needlepoint.evaluation.case_studies.scored import floats, scored
from needlepoint.evaluation.case_studies.token_activations import (
    read_token_values,
    require_whole_texts,
    token_scores,
    value_frame,
)
from needlepoint.evaluation.clustered import Resamples
from needlepoint.evaluation.configs import NeuronsConfig
from needlepoint.evaluation.false_discovery import LEVEL
from needlepoint.evaluation.find_neurons import ask_collection
from needlepoint.evaluation.join_features import join_features
from needlepoint.evaluation.read_neurons import NeuronData, cut_to_fit, read_neurons
from needlepoint.evaluation.search_neurons import NeuronSearch, search_single
from needlepoint.evaluation.study import Clock, Study
from needlepoint.features.collection import Collection
from needlepoint.models.model import Model
from needlepoint.probing.select import score_neurons


def find_context_neurons(model: Model, config: ContextConfig | None = None) -> Study:
    """Find the neuron that is active throughout texts of each class, and see what it is for.

    The neuron of each class is chosen on training and validation documents by the mean over a
    text, and tested once. Beside that test stand how many other neurons do as well, how much
    a single token tells, and what switching the neuron off does to texts of every class, against
    random neurons that write as much.

    Returns:
        A study whose record is of kind `context`; the design notes list its tables.

    Raises:
        UnknownNameError: If the collection is not known.
        DataError: If its texts cannot be used, or its labels are not of whole texts.
        SourceError: If the sources of a built-in collection cannot be downloaded.

    References:
        Gurnee et al. 2023 (arXiv 2305.01610), section on context neurons, which has neither
        ablation of other neurons nor texts of other classes beside it.
    """
    config = config or ContextConfig()
    clock = Clock()
    with clock.part("loading texts"):
        collection = ask_collection(_as_neurons(config), model.encoder)
    return judge_context(model, collection, config, clock)


def judge_context(
    model: Model, collection: Collection, config: ContextConfig, clock: Clock | None = None
) -> Study:
    """The study of `find_context_neurons` on texts that are at hand already."""
    clock = clock or Clock()
    collection = cut_to_fit(model, collection)
    with clock.part("reading neurons"):
        data = read_neurons(model, collection, seed=_seed(config, "split"))
    require_whole_texts(data)
    with clock.part("choosing neurons"):
        found = search_single(
            data,
            model.shape.n_layers,
            n_permutations=_permutations(data, config),
            seed=_seed(config, "permutations"),
            label="choosing neurons",
        )
        perfect = count_perfect(data, model.shape.n_layers)
    with clock.part("reading tokens"):
        tokens = read_token_values(model, data, found.neurons)
        values = value_frame(data, tokens)
        by_token = token_scores(data, tokens, _generator(config, "token intervals"))
    neurons = _neuron_frame(data, found, perfect, by_token, _generator(config, "test"))
    with clock.part("ablating neurons"):
        increases, effects = ablation_frames(_ablate(model, data, found, neurons, config))
    summary = context_summary(model, data, neurons, values, increases, clock)
    record = Record(
        cell=cell_name("context", collection.card.name),
        kind="context",
        status="done",
        seconds=clock.total,
        config=asdict(config),
        summary={**summary, "permutations": _permutations(data, config)},
    )
    tables = {
        "class_neurons": neurons,
        "token_values": values,
        "class_ablation": increases,
        "token_effects": effects,
    }
    return Study(record, tables)


def count_perfect(data: NeuronData, n_layers: int) -> tuple[int, ...]:
    """For each feature how many neurons of all layers have F1 = 1 on validation rows.

    Their cuts are from training rows. Where there are many, F1 = 1 names none of them.
    """
    features = [list(group.features) for group in data.groups]
    total = torch.zeros(data.labels.shape[1], dtype=torch.long)
    for layer in range(n_layers):
        acts, scores = data.layer(layer), []
        for group, own in zip(data.groups, features, strict=True):
            labels = data.labels[:, own]
            fit, check = group.train, group.validation
            scores.append(score_neurons(acts[fit], labels[fit], acts[check], labels[check]))
        total += (join_features(scores, features).f1_validation == 1).sum(1)
    return tuple(total.tolist())


def _neuron_frame(
    data: NeuronData,
    found: NeuronSearch,
    perfect: Sequence[int],
    by_token: Sequence[dict[str, object]],
    generator: torch.Generator,
) -> pd.DataFrame:
    """One row for each class: its neuron, tested by text and by token."""
    rows: list[dict[str, Any]] = []
    for feature, kept in enumerate(found.neurons):
        test, name = data.of(feature).test, data.collection.features[feature]
        truth = data.labels[test, feature]
        values = kept.sign * data.layer(kept.layer)[test, kept.neuron].double()
        resamples = Resamples.draw(data.documents[test], truth, generator)
        share = float(truth.double().mean())
        rows.append(
            {
                "feature": name,
                "site": f"L{kept.layer}.N{kept.neuron}",
                "layer": kept.layer,
                "sign": kept.sign,
                "f1_validation": kept.f1_validation,
                **scored(values, kept.sign * kept.threshold, truth, resamples),
                "baseline_f1": 2 * share / (1 + share),
                "p_value": found.p_value(feature),
                "n_perfect": perfect[feature],
                **by_token[feature],
            }
        )
    return floats(pd.DataFrame(rows))


def _ablate(
    model: Model,
    data: NeuronData,
    found: NeuronSearch,
    neurons: pd.DataFrame,
    config: ContextConfig,
) -> list[Ablated]:
    """Ablate the neurons of the classes that a single validation token tells best, or of all."""
    known = neurons["token_auc_validation"].tolist()
    order = sorted(range(len(known)), key=lambda place: -known[place])
    chosen = sorted(order[: config.ablate_classes] if config.ablate_classes else order)
    texts = draw_texts(model, data, config.ablate_texts, _generator(config, "ablated texts"))
    done: list[Ablated] = []
    with Bar("ablating neurons", total=len(chosen)) as bar:
        for feature in chosen:
            done.append(
                ablate_classes(
                    model,
                    data,
                    feature,
                    found.neurons[feature],
                    texts,
                    n_random=config.random_neurons,
                    n_effects=config.effects,
                    generator=_generator(config, f"ablation {feature}"),
                )
            )
            bar.advance()
    return done


def _permutations(data: NeuronData, config: ContextConfig) -> int:
    """Enough for the smallest p-value, times the number of classes, to reach the level."""
    return max(config.permutations, math.ceil(len(data.collection.features) / LEVEL))


def _as_neurons(config: ContextConfig) -> NeuronsConfig:
    """The same request for labelled text."""
    return NeuronsConfig(
        features=config.features,
        examples=config.examples,
        tokens=config.tokens,
        source=config.source,
        seed=config.seed,
    )


def _seed(config: ContextConfig, use: str) -> int:
    """The seed of one use; of a file only the name counts, not where it lies."""
    return seed_for(config.seed, features=Path(config.features).name, use=use)


def _generator(config: ContextConfig, use: str) -> torch.Generator:
    return torch.Generator().manual_seed(_seed(config, use))
