"""The study of several compound words: for how many is a sum ahead of the best neuron?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import pandas as pd

from needlepoint._core.errors import DataError, unknown_name
from needlepoint._core.progress import say
from needlepoint._core.records import Record, cell_name
from needlepoint.evaluation.case_studies.compound_words import compounds_summary
from needlepoint.evaluation.case_studies.configs import ALL, CompoundsConfig
from needlepoint.evaluation.case_studies.firing_tokens import ReadTexts, read_texts
from needlepoint.evaluation.case_studies.superposition import (
    Compound,
    compound_of,
    judge_superposition,
    layers_of,
)
from needlepoint.evaluation.false_discovery import q_values
from needlepoint.evaluation.study import Clock, Study
from needlepoint.features import COLLECTIONS
from needlepoint.features.collection import Collection
from needlepoint.models.model import Model

TABLES = ("sums", "bases", "basis_paths", "pruning", "firing")
"""Tables of the single studies that are kept, each with a column `word`."""


def find_compounds(model: Model, config: CompoundsConfig | None = None) -> Study:
    """Look for a sum of neurons in several compounds, and count for how many it is worth it.

    Each compound is asked as `find_superposition` asks one. Windows of other compounds are read
    once for all. P-values are adjusted over the compounds (Benjamini-Hochberg).

    Returns:
        A study whose record is of kind `compounds`; the design notes list its tables.

    Raises:
        UnknownNameError: If there is no such compound, or it is not two tokens of this tokenizer.
        DataError: If a layer does not exist or has too few neurons, or no compound can be studied.
        SourceError: If the prompts cannot be downloaded.
    """
    config = config or CompoundsConfig()
    clock = Clock()
    layers = layers_of(model, config)
    with clock.part("loading texts"):
        spec = COLLECTIONS["compound_words"]
        load = partial(spec, model.encoder, seed=config.seed, source=config.source or None)
        every = load(n_per_feature=config.examples)
        compounds = [compound_of(every, word, config) for word in words_of(every, config)]
    return judge_compounds(model, compounds, layers, config, clock)


def words_of(every: Collection, config: CompoundsConfig) -> tuple[str, ...]:
    """The compounds that a config asks for, made sure to be there.

    Raises:
        UnknownNameError: If the collection has no such compound.
    """
    if config.compounds == (ALL,):
        return every.features
    for word in config.compounds:
        if word not in every.features:
            raise unknown_name("compound", word, every.features)
    return config.compounds


def judge_compounds(
    model: Model,
    compounds: Sequence[Compound],
    layers: Sequence[int],
    config: CompoundsConfig,
    clock: Clock | None = None,
) -> Study:
    """The study of `find_compounds` on windows that are at hand already.

    A compound that cannot be studied, say because it has too few windows, is left out with the
    reason.

    Raises:
        DataError: If that is so of all of them.
    """
    clock = clock or Clock()
    with clock.part("reading other texts"):
        known = read_others(model, compounds, layers)
    studies: dict[str, Study] = {}
    left_out: dict[str, str] = {}
    for place, one in enumerate(compounds):
        say(f"{one.name}, {place + 1} of {len(compounds)}.")
        try:
            studies[one.name] = judge_superposition(model, one, layers, config, None, known)
        except DataError as error:
            left_out[one.name] = str(error)
    return join_compounds(model.name, studies, layers, config, left_out, clock)


def join_compounds(
    model: str,
    studies: Mapping[str, Study],
    layers: Sequence[int],
    config: CompoundsConfig,
    left_out: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> Study:
    """The study of several compounds from the study of each, wherever it was made.

    Args:
        model: Name of the model.
        studies: The study of each compound by its name, all asked alike.
        layers: Layers that were searched.
        config: What was asked.
        left_out: Compounds that could not be studied, and why.
        clock: Time spent besides.

    Raises:
        DataError: If there are no studies.
    """
    left_out, clock = left_out or {}, clock or Clock()
    if not studies:
        reasons = "; ".join(f"{word}: {reason}" for word, reason in left_out.items())
        raise DataError(f"no compound could be studied. {reasons or 'None was given.'}")
    for study in studies.values():
        for part, seconds in study.record.summary["seconds"].items():
            clock.seconds[part] = round(clock.seconds.get(part, 0.0) + seconds, 3)
    frame = compounds_frame({word: study.record.summary for word, study in studies.items()})
    summaries = [study.record.summary for study in studies.values()]
    record = Record(
        cell=cell_name("compounds", " ".join(config.compounds)),
        kind="compounds",
        status="done",
        seconds=clock.total,
        config=asdict(config),
        summary=compounds_summary(model, frame, summaries, layers, left_out, config, clock),
    )
    joined = {
        name: pd.concat(
            [study.tables[name].assign(word=word) for word, study in studies.items()],
            ignore_index=True,
        )
        for name in TABLES
    }
    return Study(record, {"compounds": frame, **joined})


def compounds_frame(summaries: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """One row for each compound, from the summaries of its own study.

    `gap` is the test F1 of the sum less that of the best neuron, `p_value` that of swapping their
    calls and `q_value` over the compounds here; `ap`, `ap_gap`, `ap_p` and `ap_q` are the same of
    average precision over all tokens of test windows and of windows of other compounds.
    """
    frame = pd.DataFrame([{"word": word, **_row(found)} for word, found in summaries.items()])
    for adjusted, of in (("q_value", "p_value"), ("ap_q", "ap_p")):
        frame[adjusted] = q_values([None if pd.isna(one) else float(one) for one in frame[of]])
    words = ("word", "verdict", "sites", "neuron", "summand")
    whole = ("layer", "windows", "positives", "sum_pairs", "neuron_pairs", *_COUNTS)
    numbers = [name for name in frame.columns if name not in (*words, *whole)]
    return frame.astype(dict.fromkeys(numbers, "Float64"))


_COUNTS = ("basis_clear", "basis_reversed", "pruned_rounds")


def _row(found: Mapping[str, Any]) -> dict[str, Any]:
    total, neuron, summand = found["sum"], found["best_neuron"], found["best_summand"]
    firing, basis, pruning = found["firing"], found["basis"], found["pruning"]
    return {
        "verdict": found["verdict"],
        "windows": found["collection"]["n_examples"],
        "positives": found["collection"]["n_positive"],
        "layer": total["layer"],
        "sites": " ".join(total["sites"]),
        **_ends("f1", total["f1"]),
        "neuron": neuron["site"],
        **_ends("neuron_f1", neuron["f1"]),
        **_ends("gap", neuron["gap"]),
        "p_value": neuron["p_value"],
        "summand": summand["site"],
        **_ends("summand_f1", summand["f1"]),
        **_ends("summand_gap", summand["gap"]),
        "last_token_f1": found["last_token"]["f1"]["estimate"],
        **_ends("random_f1", found["random_sums"]["f1"]),
        "random_p": found["random_sums"]["p_value"],
        "shuffled_p": found["shuffled"]["p_value"],
        "basis_gap": basis["gap"],
        "basis_clear": basis["clear"],
        "basis_reversed": basis["reversed"],
        "pruned_rounds": pruning["rounds"],
        "pruned_first": pruning["f1_first"],
        "pruned_last": pruning["f1_last"],
        **_ends("pruned_change", pruning["change"]),
        **_ends("ap", firing["sum_ap"]),
        **_ends("neuron_ap", firing["best_neuron_ap"]),
        **_ends("ap_gap", firing["ap_gap"]),
        "ap_p": firing["ap_p_value"],
        "median_pairs": firing["median_pairs"],
        "sum_pairs": firing["sum_pairs"],
        "neuron_pairs": firing["best_neuron_pairs"],
    }


def _ends(name: str, found: Mapping[str, float | None]) -> dict[str, float | None]:
    """An interval of a record as the columns `NAME`, `NAME_low`, `NAME_high`."""
    ends = {name: "estimate", f"{name}_low": "low", f"{name}_high": "high"}
    return {column: found[end] for column, end in ends.items()}


def read_others(
    model: Model, compounds: Sequence[Compound], layers: Sequence[int]
) -> ReadTexts | None:
    """The windows of other compounds, read once if more than one compound needs them."""
    texts = [text for one in compounds for text in one.others]
    return read_texts(model, texts, layers) if len(compounds) > 1 and texts else None
