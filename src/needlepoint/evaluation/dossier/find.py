"""The study behind `needlepoint neuron`: a dossier of one neuron or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from needlepoint._core.progress import Bar
from needlepoint._core.records import Record, cell_name
from needlepoint._core.seeds import seed_for
from needlepoint.evaluation.dossier.ablation import ablation_frame
from needlepoint.evaluation.dossier.answer import answer_of
from needlepoint.evaluation.dossier.config import DossierConfig
from needlepoint.evaluation.dossier.corpus import (
    Texts,
    TokenCorpus,
    corpus_of_file,
    joined,
    packaged_corpus,
    without_duplicates,
)
from needlepoint.evaluation.dossier.labelled import Held, ask_labelled, hold
from needlepoint.evaluation.dossier.one_neuron import Described, describe
from needlepoint.evaluation.dossier.reading import read_corpus
from needlepoint.evaluation.dossier.weights import weight_facts
from needlepoint.evaluation.logit_effects import effect_frame, logit_effects
from needlepoint.evaluation.read_neurons import cut_to_fit
from needlepoint.evaluation.study import Clock, Study
from needlepoint.features.collection import Collection
from needlepoint.models.folded import unembedding
from needlepoint.models.model import Model

NOT_ESTABLISHED = (
    "What a neuron fires on in these texts is not all that it fires on: rarer wording, other "
    "languages and longer contexts were not read.",
    "N-grams are counted as unrelated by their spelling; one meaning in many words counts as many.",
    "Correlated neurons may share a cause without reading one another, and the loss under "
    "ablation does not show what takes over.",
    "The direct effect on logits leaves out all that later layers make of the neuron.",
)


def find_dossier(model: Model, config: DossierConfig) -> Study:
    """Describe neurons: what excites them, what they write, what the model uses them for.

    Plain text, and test documents of a labelled collection if one is named, are read in one
    forward pass for all neurons together.

    Returns:
        A study whose record is of kind `neuron`; the design notes list its tables.

    Raises:
        UnknownSiteError: If the model has no such layer or neuron.
        UnknownNameError: If the collection or its feature is not known.
        DataError: If the text or labels cannot be used.
        SourceError: If packaged text cannot be had.
    """
    for site in config.sites:
        model.site(site)
    clock = Clock()
    with clock.part("loading texts"):
        plain = plain_texts(model, config)
        collection = ask_labelled(config, model.encoder) if config.collection else None
    return write_dossier(model, plain, collection, config, clock)


def plain_texts(model: Model, config: DossierConfig) -> Texts:
    """The user's own text, or packaged text.

    Raises:
        DataError: If the user's file cannot be used.
        SourceError: If packaged text cannot be had.
    """
    size = {"n_texts": config.texts, "n_tokens": config.tokens, "seed": config.seed}
    if config.text:
        return corpus_of_file(Path(config.text), model.encoder, **size)
    return packaged_corpus(model.encoder, **size)


def write_dossier(
    model: Model,
    plain: Texts,
    collection: Collection | None,
    config: DossierConfig,
    clock: Clock | None = None,
) -> Study:
    """The study of `find_dossier` on texts that are at hand already."""
    clock = clock or Clock()
    held = None
    if collection is not None:
        collection = cut_to_fit(model, collection)
        with clock.part("choosing features"):
            held = hold(model, collection, config, seed=_split_seed(config))
            known = Texts(collection.ids, collection.documents, "")
            plain = without_duplicates(plain, known, model.encoder)
    corpus = joined(plain, collection, held.chosen if held else ())
    with clock.part("reading neurons"):
        reading = read_corpus(model, corpus, config.sites)
    found: list[Described] = []
    ablated = []
    with Bar("describing neurons", total=len(config.sites)) as bar:
        for place, site in enumerate(config.sites):
            draw = np.random.default_rng(seed_for(config.seed, site=str(site), use="dossier"))
            with clock.part("describing neurons"):
                one = describe(model, corpus, reading, site, _label(held, place), held, draw)
            with clock.part("ablating neurons"):
                ablated.append(
                    ablation_frame(
                        model,
                        corpus,
                        reading,
                        site,
                        one.firing,
                        one.feature,
                        n_texts=config.ablate_texts,
                        n_random=config.random_neurons,
                        draw=draw,
                    )
                )
            found.append(one)
            bar.advance()
    with clock.part("reading weights"):
        logits, effects = _effects(model, config, [one.firing.sign for one in found])
        facts, reason = weight_facts(model, config.sites)
    tables = {
        name: pd.concat([one.tables[name] for one in found], ignore_index=True)
        for name in found[0].tables
    }
    tables |= {"ablation": pd.concat(ablated, ignore_index=True), "logits": logits}
    neurons = [
        {**one.summary, "weights": facts[place], "logits": effects[place]}
        for place, one in enumerate(found)
    ]
    summary = _summary(model, corpus, collection, neurons, tables, reason, clock)
    cell = cell_name("neuron", "-".join(map(str, config.sites)))
    record = Record(cell, "neuron", "done", "", clock.total, asdict(config), summary)
    return Study(record, tables)


def _label(held: Held | None, place: int) -> tuple[str, int] | None:
    return None if held is None else (held.features[place], held.signs[place])


def _split_seed(config: DossierConfig) -> int:
    """The seed by which `find_neurons` splits the same collection."""
    return seed_for(config.seed, features=Path(config.collection).name, use="split")


def _effects(
    model: Model, config: DossierConfig, signs: Sequence[int]
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """The table of direct effects on logits, and their shape over the vocabulary.

    Effects are of one unit towards the side on which a neuron is strong.
    """
    reads = unembedding(model)
    frames, shapes = [], []
    for site, sign in zip(config.sites, signs, strict=True):
        assert site.index is not None
        found = logit_effects(model, site.layer, torch.tensor([site.index]), reads=reads)
        frames.append(effect_frame(model, str(site), sign * found.effects[0], sign * found.z[0]))
        skew = sign * float(found.skew()[0])
        shapes.append({"kurtosis": float(found.kurtosis()[0]), "skew": skew})
    return pd.concat(frames, ignore_index=True), shapes


def _summary(
    model: Model,
    corpus: TokenCorpus,
    collection: Collection | None,
    neurons: list[dict[str, Any]],
    tables: Mapping[str, pd.DataFrame],
    reason: str,
    clock: Clock,
) -> dict[str, Any]:
    sites = [neuron["site"] for neuron in neurons]
    named = sites[0] if len(sites) == 1 else f"{', '.join(sites[:-1])} and {sites[-1]}"
    card = None if collection is None else asdict(collection.card)
    return {
        "question": f"What do{'es' if len(sites) == 1 else ''} {named} respond to, and what "
        f"{'is it' if len(sites) == 1 else 'are they'} used for?",
        "answer": answer_of(neurons, tables),
        "not_established": list(NOT_ESTABLISHED),
        "corpus": {
            "plain": _part(corpus.plain),
            "labelled": _part(corpus.labelled),
            "n_tokens": len(corpus.tokens),
        },
        "collection": card,
        "neurons": neurons,
        "weights": {
            "norm_bias_reason": reason,
            "n_neurons": model.shape.d_mlp,
            "n_all": model.shape.n_neurons,
        },
        "seconds": clock.seconds,
    }


def _part(texts: Texts) -> dict[str, Any]:
    return {
        "description": texts.description,
        "n_texts": len(texts.ids),
        "n_documents": len(set(texts.documents)),
        "n_tokens": sum(map(len, texts.ids)),
        "documents": sorted(set(texts.documents)),
    }
