"""The study of neurons: which carry a feature, how few are enough, and do they do anything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Bool
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint._core.progress import Bar
from needlepoint._core.records import Record, cell_name
from needlepoint._core.seeds import seed_for
from needlepoint._core.text import Encoder
from needlepoint.evaluation.ablate_neurons import ablate_feature, ablation_frame
from needlepoint.evaluation.cautions import cautions
from needlepoint.evaluation.certify import Certificates, certify
from needlepoint.evaluation.configs import NeuronsConfig
from needlepoint.evaluation.equivalence import (
    EquivalenceSet,
    equivalence_frame,
    equivalence_sets,
)
from needlepoint.evaluation.false_discovery import LEVEL
from needlepoint.evaluation.held_out import Judged, Rivals, judge_feature
from needlepoint.evaluation.held_out_certified import certificate_frame
from needlepoint.evaluation.held_out_sizes import size_odds
from needlepoint.evaluation.label_nulls import null_frame
from needlepoint.evaluation.neuron_cards import Shown, excerpt_frame, histogram_frame
from needlepoint.evaluation.neuron_summary import (
    feature_summaries,
    find_answer,
    shuffled_summary,
)
from needlepoint.evaluation.neuron_tables import (
    curve_frame,
    depth_frame,
    neuron_arrays,
    neuron_frame,
)
from needlepoint.evaluation.read_neurons import NeuronData, cut_to_fit, read_neurons
from needlepoint.evaluation.search_neurons import (
    NeuronSearch,
    Search,
    search,
    search_single,
    shuffled_labels,
    sweep_options,
)
from needlepoint.evaluation.sparse_null import SparseNull, sparse_null_frame, sparse_nulls
from needlepoint.evaluation.study import Clock, Study
from needlepoint.evaluation.tested import Tested, by_k_frame, tests_frame
from needlepoint.evaluation.token_identity import token_rows
from needlepoint.evaluation.trivial_baselines import embedding_rows
from needlepoint.features import collection_spec, load_collection
from needlepoint.features.collection import Collection
from needlepoint.models.model import Model

NOT_ESTABLISHED = (
    "A neuron that tells a feature may tell something that goes with it; the confounds named in "
    "the card were not ruled out.",
    "Token identity is only the token of a row and the one before it; longer wordings, such as a "
    "phrase of three words, could explain more.",
    "Other neurons may do as well as the one named: those that validation texts cannot tell from "
    "it are in the table of equal neurons.",
    "Ablation says what a neuron does to the next-token loss here, not what it is for.",
)
BY_PLACE = (
    "Where labels vary within documents, p-values rest on labels moved round within each: a label "
    "and a neuron that both follow the place in the document go together by that alone."
)


def find_neurons(model: Model, config: NeuronsConfig | None = None) -> Study:
    """Find the MLP neurons that carry the features of a collection, and check what they do.

    Every neuron of every layer is read. Neurons, layer, k, penalty and cut are chosen on
    validation texts, and the chosen probes are tested once on texts of other documents, beside a
    dense probe, random neurons, random bases, the embedding layer, the identity of the tokens,
    shuffled labels and the majority call. The neurons found are then switched off, against random
    neurons that write as much.

    Returns:
        A study whose record is of kind `probe`; the design notes list its tables.

    Raises:
        UnknownNameError: If the collection is not known.
        DataError: If the texts or labels cannot be used.
        SourceError: If the sources of a built-in collection cannot be downloaded.

    Source:
        Gurnee et al. 2023 (arXiv 2305.01610), with a validation part, tests by document and
        nulls that the published study lacks.
    """
    config = config or NeuronsConfig()
    clock = Clock()
    with clock.part("loading texts"):
        collection = ask_collection(config, model.encoder)
    return judge_neurons(model, collection, config, clock)


def ask_collection(config: NeuronsConfig, encoder: Encoder) -> Collection:
    """The labelled text that a config asks for.

    Raises:
        UnknownNameError: If the collection is not known.
        DataError: If the texts or labels cannot be used, or a source is given for a file.
        SourceError: If the sources of a built-in collection cannot be had.
    """
    spec = collection_spec(config.features)
    if spec is None:
        if config.source:
            raise DataError(f"{config.features} is the source itself; leave out source.")
        return load_collection(config.features, encoder)
    return spec(
        encoder,
        n_per_feature=config.examples,
        n_tokens=config.tokens or None,
        seed=config.seed,
        source=config.source or None,
    )


def judge_neurons(
    model: Model, collection: Collection, config: NeuronsConfig, clock: Clock | None = None
) -> Study:
    """The study of `find_neurons` on texts that are at hand already."""
    clock = clock or Clock()
    collection = cut_to_fit(model, collection)
    with clock.part("reading neurons"):
        data = read_neurons(model, collection, seed=_seed(config, "split"))
    found, wrong, labels = _searches(data, model.shape.n_layers, config, clock)
    nulls = _sparse_nulls(data, model.shape.n_layers, config, clock)
    with clock.part("equal neurons"):
        ties = equivalence_sets(data, found.layers, found.neurons, _generator(config, "ties"))
    with clock.part("certifying probes"):
        certificates = certify(data, found, config.certify)
    with clock.part("testing"):
        embedding = embedding_rows(model, collection)
        rivals = Rivals(token_rows(collection), embedding, wrong, labels)
        judged = _judge(data, found, rivals, certificates, config)
    with clock.part("ablating neurons"):
        ablated = _ablate(model, data, found, config)
    neurons = neuron_frame(found, collection.features)
    with clock.part("reading excerpts"):
        shown = _shown(neurons, collection, config.cards)
        excerpts = excerpt_frame(model, data, shown, _generator(config, "excerpts"))
    summary = _summary(model, data, found, wrong, judged, ties, nulls, ablated, config, clock)
    record = Record(
        cell=cell_name("probe", collection.card.name),
        kind="probe",
        status="done",
        seconds=clock.total,
        config=asdict(config),
        summary=summary,
    )
    named = [
        (name, one)
        for name, some in zip(collection.features, judged, strict=True)
        for one in some.tested
    ]
    tables = {
        "curve": curve_frame(found, collection.features, judged),
        "tests": tests_frame(named),
        "tests_by_k": by_k_frame(_by_k(collection.features, judged)),
        "certificates": _certificate_frame(collection.features, certificates, judged),
        "neurons": neurons,
        "equivalent": equivalence_frame(ties, collection.features),
        "null": null_frame(found.nulls, collection.features),
        "sparse_null": sparse_null_frame(nulls, collection.features),
        "depth": depth_frame(found, collection.features),
        "ablation": ablated,
        "excerpts": excerpts,
        "histograms": histogram_frame(data, shown),
    }
    return Study(record, tables, neuron_arrays(found))


def _seed(config: NeuronsConfig, use: str) -> int:
    """The seed of one use; of a file only the name counts, not where it lies."""
    return seed_for(config.seed, features=Path(config.features).name, use=use)


def _generator(config: NeuronsConfig, use: str) -> torch.Generator:
    return torch.Generator().manual_seed(_seed(config, use))


def _permutations(data: NeuronData, config: NeuronsConfig) -> int:
    """As many as asked for, and enough for the smallest p-value to count.

    That is one over the number and one; times the features it has to be able to reach the level.
    """
    return max(config.permutations, math.ceil(len(data.collection.features) / LEVEL))


def _searches(
    data: NeuronData, n_layers: int, config: NeuronsConfig, clock: Clock
) -> tuple[Search, NeuronSearch, Bool[Tensor, "example feature"]]:
    """The search, the same on shuffled labels, and these labels."""
    n_permutations, seed = _permutations(data, config), _seed(config, "permutations")
    with clock.part("fitting probes"):
        found = search(
            data,
            n_layers,
            max_k=config.max_k,
            method=config.method,
            ranking=config.ranking,
            deletion=config.deletion,
            n_permutations=n_permutations,
            seed=seed,
            label="fitting probes",
        )
    with clock.part("shuffled labels"):
        labels = shuffled_labels(data, _generator(config, "shuffle"))
        wrong = search_single(
            data,
            n_layers,
            labels=labels,
            n_permutations=n_permutations,
            seed=seed,
            label="shuffled labels",
        )
    return found, wrong, labels


def _sparse_nulls(
    data: NeuronData, n_layers: int, config: NeuronsConfig, clock: Clock
) -> tuple[SparseNull, ...]:
    """The null of the whole search for sparse probes, or for each feature why there is none."""
    with clock.part("null of sparse probes"):
        return sparse_nulls(
            data,
            n_layers,
            n_permutations=config.sparse_null,
            options=sweep_options(
                config.max_k,
                method=config.method,
                ranking=config.ranking,
                deletion=config.deletion,
                seed=_seed(config, "permutations"),
            ),
            seed=_seed(config, "sparse null"),
        )


def _judge(
    data: NeuronData,
    found: Search,
    rivals: Rivals,
    certificates: Sequence[Certificates],
    config: NeuronsConfig,
) -> list[Judged]:
    """The test of each feature, those of one layer together, as one layer is kept in memory."""
    order = sorted(range(len(found.choices)), key=lambda i: found.choices[i].sparse.layer)
    odds = size_odds(data, found.sizes)
    judged = {}
    with Bar("testing", total=len(order)) as bar:
        for feature in order:
            generator = _generator(config, f"test {feature}")
            judged[feature] = judge_feature(
                data,
                feature,
                found,
                rivals,
                generator,
                odds=odds[feature],
                certificates=certificates[feature] if certificates else None,
                prevalence=config.prevalence,
            )
            bar.advance()
    return [judged[feature] for feature in range(len(order))]


def _certificate_frame(
    features: Sequence[str], certificates: Sequence[Certificates], judged: Sequence[Judged]
) -> pd.DataFrame:
    """The table of certificates, without a row if none were asked for."""
    asked = list(features) if certificates else []
    tests = [one.certified for one in judged] if certificates else []
    return certificate_frame(asked, certificates, tests)


def _by_k(features: Sequence[str], judged: Sequence[Judged]) -> list[tuple[str, Tested]]:
    """The test results of each feature by k: sparse probes of every size, then the dense one."""
    return [
        (feature, one)
        for feature, some in zip(features, judged, strict=True)
        for one in (*some.by_k, some.by_name["dense"])
    ]


def _ablate(model: Model, data: NeuronData, found: Search, config: NeuronsConfig) -> pd.DataFrame:
    """Ablate the chosen neuron of each feature, or of the surest few if so configured."""
    order = sorted(range(len(found.choices)), key=lambda i: -found.choices[i].neuron.f1_validation)
    features = order[: config.ablate_features] if config.ablate_features else order
    if config.ablate_texts == 0:
        features = []
    rows: list[dict[str, object]] = []
    with Bar("ablating neurons", total=len(features)) as bar:
        for feature in features:
            kept = found.choices[feature].neuron
            rows += ablate_feature(
                model,
                data,
                feature,
                kept.layer,
                torch.tensor([kept.neuron]),
                n_texts=config.ablate_texts,
                n_random=config.random_neurons,
                generator=_generator(config, f"ablation {feature}"),
            )
            bar.advance()
    return ablation_frame(rows)


def _shown(neurons: pd.DataFrame, collection: Collection, cards: int) -> list[Shown]:
    top = neurons[neurons["rank"] < cards]
    columns = (top[name].tolist() for name in ("feature", "layer", "neuron", "sign"))
    return [
        Shown(collection.features.index(feature), layer, neuron, sign)
        for feature, layer, neuron, sign in zip(*columns, strict=True)
    ]


def _shifted(found: Search) -> bool:
    return any(null.scheme == "shift" for null in found.nulls)


def _summary(
    model: Model,
    data: NeuronData,
    found: Search,
    wrong: NeuronSearch,
    judged: Sequence[Judged],
    ties: Sequence[EquivalenceSet],
    nulls: Sequence[SparseNull],
    ablated: pd.DataFrame,
    config: NeuronsConfig,
    clock: Clock,
) -> dict[str, object]:
    collection = data.collection
    features = feature_summaries(data, found, judged, ties, nulls)
    n_features, n_layers = len(features), model.shape.n_layers
    return {
        "question": collection.question,
        "answer": find_answer(model.name, features, ablated),
        "not_established": [*NOT_ESTABLISHED, *([BY_PLACE] if _shifted(found) else [])],
        "collection": {
            **asdict(collection.card),
            "n_examples": len(collection.rows),
            "n_documents": len(set(collection.documents)),
            "n_features": n_features,
            "sha256": collection.sha256,
            "split": data.split.sizes,
        },
        "settings": {
            "neurons": n_layers * model.shape.d_mlp,
            "selection": "of the neurons of each layer with the best training F1, those within "
            "one standard error of the highest validation F1; of these the highest training F1; "
            "test texts read once",
            "permutations": _permutations(data, config),
            "sparse_null": config.sparse_null,
            "method": config.method,
            "prevalence": config.prevalence,
            "level": f"q-values (Benjamini-Hochberg over features) up to {LEVEL}",
        },
        "features": features,
        "cautions": cautions(features, collection.labels, collection.asked),
        "shuffled": shuffled_summary(wrong, n_features, _permutations(data, config)),
        "seconds": clock.seconds,
    }
