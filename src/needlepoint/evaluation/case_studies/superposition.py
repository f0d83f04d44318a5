"""The study of a compound word: do a few neurons that mean many things mean one together?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int

from needlepoint._core.errors import DataError
from needlepoint._core.progress import Bar
from needlepoint._core.records import Record, cell_name
from needlepoint._core.seeds import seed_for
from needlepoint._core.text import Encoder
from needlepoint.evaluation.case_studies.basis_contrast import (
    Parts,
    path_contrast,
    path_frame,
    unit_contrast,
    unit_frame,
)
from needlepoint.evaluation.case_studies.configs import SuperpositionConfig, parse_layers
from needlepoint.evaluation.case_studies.firing_tokens import (
    ReadTexts,
    firing_frames,
    firing_pairs,
    firing_row,
    read_tokens,
)
from needlepoint.evaluation.case_studies.neuron_sums import SignedSum, best_sum
from needlepoint.evaluation.case_studies.one_feature import commonest_feature, only_feature
from needlepoint.evaluation.case_studies.prune_neurons import prune_neurons
from needlepoint.evaluation.case_studies.sum_tests import (
    Caller,
    Layers,
    RandomSums,
    callers_of,
    constant,
    last_token,
    score_random,
    score_shuffled,
    summands,
    sums_frame,
)
from needlepoint.evaluation.case_studies.superposition_words import superposition_summary
from needlepoint.evaluation.case_studies.token_precision import precision_columns
from needlepoint.evaluation.clustered import Resamples
from needlepoint.evaluation.read_neurons import NeuronData, read_neurons
from needlepoint.evaluation.search_neurons import shuffled_labels
from needlepoint.evaluation.study import Clock, Study
from needlepoint.features import COLLECTIONS
from needlepoint.features.collection import Collection
from needlepoint.models.model import Model
from needlepoint.models.sites import site
from needlepoint.probing.hadamard import RandomBasis

EARLY = 7
"""Layers searched unless others are asked for."""
ENOUGH = 5000
"""More windows of a compound than any source has; asked for to find the commonest compound."""
BEST = ", best neuron"
"""Behind the site of the best neuron among what fires."""


@dataclass(frozen=True, eq=False)
class Compound:
    """Windows that end in a compound or in one of its words, and windows of other compounds."""

    first: str
    second: str
    windows: Collection
    others: tuple[tuple[int, ...], ...]
    """Token ids of windows of other compounds, in the order in which they are read."""
    other_documents: tuple[str, ...]
    """The document of each of these."""

    @property
    def name(self) -> str:
        """The compound as the collection calls it."""
        return f"{self.first}-{self.second}"


def find_superposition(model: Model, config: SuperpositionConfig | None = None) -> Study:
    """Find a few neurons of early layers whose sum tells a compound word, and test the sum.

    Neurons, signs and layer come from training and validation documents; the sum is tested once,
    beside each of its neurons, sums of random neurons, the same search on shuffled labels, and
    the rule that looks at the last token alone. Then neurons are compared with the directions of
    random bases, the best neurons are taken away one by one, and it is read off other texts what
    else each neuron fires on.

    Returns:
        A study whose record is of kind `superposition`; the design notes list its tables.

    Raises:
        UnknownNameError: If there is no such compound.
        DataError: If a layer does not exist or has too few neurons, or the texts cannot be used.
        SourceError: If the prompts cannot be downloaded.

    References:
        Gurnee et al. 2023 (arXiv 2305.01610), section on compound words; its choices were made on
        test examples, without random sums or shuffled labels.
    """
    config = config or SuperpositionConfig()
    clock = Clock()
    layers = layers_of(model, config)
    with clock.part("loading texts"):
        compound = load_compound(model.encoder, config)
    return judge_superposition(model, compound, layers, config, clock)


def layers_of(model: Model, config: SuperpositionConfig) -> tuple[int, ...]:
    """The layers that a config asks for, made sure to exist and to be wide enough.

    Raises:
        DataError: If a layer does not exist, or its neurons are too few for the sum.
    """
    n, width = model.shape.n_layers, model.shape.d_mlp
    asked = parse_layers(config.layers) or tuple(range(min(EARLY, n)))
    if asked[-1] >= n:
        raise DataError(f"{model.name} has layers 0 to {n - 1}; layer {asked[-1]} was asked for.")
    if width < 2 * config.k:
        raise DataError(
            f"{model.name} has {width} neurons in a layer, too few for sums of {config.k} beside "
            f"random ones; ask for k up to {width // 2}."
        )
    return asked


def load_compound(encoder: Encoder, config: SuperpositionConfig) -> Compound:
    """The windows of the compound that a config asks for, the commonest unless one is named.

    Raises:
        UnknownNameError: If there is no such compound, or it is not two tokens of this tokenizer.
        SourceError: If the prompts cannot be had.
    """
    load = _loader(encoder, config)
    word = config.word or commonest_feature(load(n_per_feature=ENOUGH))
    return compound_of(load(n_per_feature=config.examples), word, config)


def compound_of(every: Collection, word: str, config: SuperpositionConfig) -> Compound:
    """The windows of one compound, and as many windows of others as are asked for.

    The others are drawn in one order for all compounds, so that most of them are shared. None is
    of a document that windows of the compound are of, or a copy of one of these.

    Raises:
        UnknownNameError: If there is no such compound.
    """
    windows = only_feature(every, word)
    generator = torch.Generator().manual_seed(seed_for(config.seed, use="other texts"))
    order = torch.randperm(len(every.rows), generator=generator).numpy()
    documents, texts = set(windows.row_documents), set(windows.ids)
    others = [
        text
        for text in every.rows[order, 0].tolist()
        if every.documents[text] not in documents and every.ids[text] not in texts
    ][: config.other_texts]
    first, second = word.split("-")
    return Compound(
        first,
        second,
        windows,
        tuple(every.ids[text] for text in others),
        tuple(every.documents[text] for text in others),
    )


def _loader(encoder: Encoder, config: SuperpositionConfig) -> partial[Collection]:
    spec = COLLECTIONS["compound_words"]
    return partial(spec, encoder, seed=config.seed, source=config.source or None)


def judge_superposition(
    model: Model,
    compound: Compound,
    layers: Sequence[int],
    config: SuperpositionConfig,
    clock: Clock | None = None,
    known: ReadTexts | None = None,
) -> Study:
    """The study of `find_superposition` on windows that are at hand already.

    Args:
        model: The model to read.
        compound: The compound, its windows and windows of others.
        layers: Layers to search.
        config: The numbers of everything that is drawn.
        clock: Time spent so far.
        known: Windows of others that were read before, in all these layers.
    """
    clock = clock or Clock()
    with clock.part("reading neurons"):
        seed = _seed(config, compound.name, "split")
        data = read_neurons(model, compound.windows, seed=seed, layers=layers)
        acts = {layer: data.extraction.read(f"L{layer}.mlp.neurons").float() for layer in layers}
    parts = parts_of(data, _generator(config, compound.name, "intervals"))
    with clock.part("finding the sum"):
        found = best_sum(list(acts.items()), parts.truth, parts.train, parts.validation, config.k)
        alone = summands(acts, found, parts)
        ids = torch.tensor([compound.windows.ids[text][-1] for text in _texts(compound.windows)])
        callers = [*callers_of(acts, found, parts), *alone, last_token(ids, parts)]
        generator = _generator(config, compound.name, "swaps")
        tests = sums_frame([*callers, constant(parts)], parts, generator)
    with clock.part("random sums and shuffled labels"):
        generator = _generator(config, compound.name, "random sums")
        random = score_random(acts, found, parts, config.random_sums, generator)
        generator = _generator(config, compound.name, "shuffles")
        shuffled = _shuffled(data, acts, parts, config, generator)
    with clock.part("random bases"):
        units, paths = _bases(acts, parts, config, _generator(config, compound.name, "bases"))
    with clock.part("taking neurons away"):
        pruned = prune_neurons(acts[found.layer], parts, k=config.k, rounds=config.rounds)
    with clock.part("reading other texts"):
        best = next(one for one in callers if one.probe == "best neuron")
        firing, pairs = _firing(model, compound, data, found, [*alone, best], config, known)
    summary = superposition_summary(
        model, compound.windows, found, tests, random, shuffled, units, pruned.frame, firing, clock
    )
    record = Record(
        cell=cell_name("superposition", compound.name),
        kind="superposition",
        status="done",
        seconds=clock.total,
        config=asdict(config),
        summary={**summary, "split": data.split.sizes, "layers": list(layers)},
    )
    tables = {
        "sums": tests,
        "controls": _controls_frame(random, shuffled),
        "bases": units,
        "basis_paths": paths,
        "pruning": pruned.frame.assign(
            site=[f"L{found.layer}.N{neuron}" for neuron in pruned.frame["neuron"]]
        ),
        "firing": firing,
        "firing_pairs": pairs,
    }
    return Study(record, tables)


def parts_of(data: NeuronData, generator: torch.Generator) -> Parts:
    """The rows of the one feature of some data, with resamples of its test documents."""
    rows, truth = data.of(0), data.labels[:, 0]
    resamples = Resamples.draw(data.documents[rows.test], truth[rows.test], generator)
    return Parts(truth, rows.train, rows.validation, rows.test, resamples)


def _shuffled(
    data: NeuronData,
    acts: Layers,
    parts: Parts,
    config: SuperpositionConfig,
    generator: torch.Generator,
) -> RandomSums:
    labels = [shuffled_labels(data, generator)[:, 0] for _ in range(config.shuffles)]
    return score_shuffled(acts, torch.stack(labels, dim=1), parts, config.k)


def _bases(
    acts: Layers, parts: Parts, config: SuperpositionConfig, generator: torch.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    width = next(iter(acts.values())).shape[1]
    bases = [RandomBasis.draw(width, generator) for _ in range(config.bases)]
    units: list[dict[str, object]] = []
    paths: list[dict[str, object]] = []
    with Bar("random bases", total=len(acts)) as bar:
        for layer, values in acts.items():
            units += unit_contrast(values, bases, parts, layer)
            paths += path_contrast(values, bases, parts, layer)
            bar.advance()
    return unit_frame(units), path_frame(paths)


def _firing(
    model: Model,
    compound: Compound,
    data: NeuronData,
    found: SignedSum,
    alone: Sequence[Caller],
    config: SuperpositionConfig,
    known: ReadTexts | None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What each fires on, in test windows and in windows of other compounds."""
    windows, n = compound.windows, config.other_texts
    test = _texts(windows)[data.of(0).test]
    texts = [*(windows.ids[text] for text in test), *compound.others[:n]]
    documents = [*(windows.documents[text] for text in test), *compound.other_documents[:n]]
    layers = [found.layer, *(site(one.sites[0]).layer for one in alone)]
    tokens = read_tokens(model, texts, layers, compound.first, compound.second, known, documents)
    fired = {"sum": (found(tokens.acts[found.layer]), found.cut)}
    for one in alone:
        place = site(one.sites[0])
        values = one.sign * tokens.acts[place.layer][:, place.index].double()
        name = f"{place}{BEST}" if one.probe == "best neuron" else str(place)
        fired[name] = (values, one.cut)
    precision = precision_columns(
        tokens,
        {name: values for name, (values, _) in fired.items()},
        total="sum",
        resampled=("sum", *(name for name in fired if name.endswith(BEST))),
        generator=_generator(config, compound.name, "token intervals"),
    )
    rows: list[dict[str, object]] = []
    pairs: list[dict[str, object]] = []
    for name, (values, cut) in fired.items():
        rows.append({**firing_row(tokens, name, values, cut), **precision[name]})
        pairs += firing_pairs(tokens, name, values, cut)
    return firing_frames(rows, pairs)


def _controls_frame(random: RandomSums, shuffled: RandomSums) -> pd.DataFrame:
    named = {"random neurons": random, "shuffled labels": shuffled}
    return pd.DataFrame(
        [
            {"control": name, "draw": draw, "f1": f1, "auc": auc}
            for name, found in named.items()
            for draw, (f1, auc) in enumerate(zip(found.f1, found.auc, strict=True))
        ]
    )


def _texts(windows: Collection) -> Int[np.ndarray, " example"]:
    """The text of each row."""
    return windows.rows[:, 0]


def _seed(config: SuperpositionConfig, word: str, use: str) -> int:
    return seed_for(config.seed, compound=word, use=use)


def _generator(config: SuperpositionConfig, word: str, use: str) -> torch.Generator:
    return torch.Generator().manual_seed(_seed(config, word, use))
