"""All that one neuron shows on the texts that were read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from needlepoint.evaluation.dossier.corpus import TokenCorpus
from needlepoint.evaluation.dossier.excerpts import MISTAKE_COLUMNS, excerpt_frame, mistake_frame
from needlepoint.evaluation.dossier.firing import Firing, firing_of
from needlepoint.evaluation.dossier.gram_table import ngrams_of
from needlepoint.evaluation.dossier.labelled import Held, reduced_rows
from needlepoint.evaluation.dossier.reading import Reading
from needlepoint.evaluation.dossier.similar import similar_frame
from needlepoint.evaluation.dossier.strata import histogram_frame, strata_frame, token_auc
from needlepoint.models.model import Model
from needlepoint.models.sites import Site


@dataclass(frozen=True, eq=False)
class Described:
    """One neuron's part of the record."""

    firing: Firing
    feature: str | None
    summary: dict[str, Any]
    tables: dict[str, pd.DataFrame]


def describe(
    model: Model,
    corpus: TokenCorpus,
    reading: Reading,
    site: Site,
    label: tuple[str, int] | None,
    held: Held | None,
    draw: np.random.Generator,
) -> Described:
    """What excites a neuron, by excerpts, n-grams, strata; and the neurons that are like it.

    Args:
        model: The model.
        corpus: The texts.
        reading: Activations on them.
        site: The neuron.
        label: The feature it is held against, and the side on which it means yes.
        held: The collection of that feature.
        draw: Source of randomness.
    """
    values, encoder, name = reading.values(site), model.encoder, str(site)
    feature = None if label is None else label[0]
    plain = values[: corpus.starts[len(corpus.plain.ids)]]
    firing = firing_of(plain if len(plain) else values)
    grams = ngrams_of(name, values, firing, corpus, encoder, draw)
    tables = {
        "excerpts": excerpt_frame(name, feature, values, firing, corpus, encoder, draw),
        "ngrams": grams.frame,
        "similar": similar_frame(model, reading, site),
        **_spread(corpus, name, values, firing, label, held, draw),
        "mistakes": pd.DataFrame(columns=MISTAKE_COLUMNS),
    }
    summary: dict[str, Any] = {
        "site": name,
        "firing": _firing(firing, values),
        "ngrams": grams.summary,
        "feature": None,
        "feature_reason": "no labelled collection was asked for",
    }
    if label is not None:
        towards = label[1] * values
        tables["mistakes"] = mistake_frame(name, label[0], towards, corpus, encoder, values)
        labels = corpus.asked(label[0])
        asked = labels >= 0
        summary["feature"] = {
            "name": label[0],
            "sign": label[1],
            "n_tokens": int(asked.sum()),
            "prevalence": float((labels[asked] == 1).mean()),
            "token_auc": token_auc(towards[asked], labels[asked]),
        }
        del summary["feature_reason"]
    return Described(firing, feature, summary, tables)


def _spread(
    corpus: TokenCorpus,
    name: str,
    values: Float[np.ndarray, " row"],
    firing: Firing,
    label: tuple[str, int] | None,
    held: Held | None,
    draw: np.random.Generator,
) -> dict[str, pd.DataFrame]:
    """Tenths and histograms: of all tokens, or of the labelled ones by class."""
    everything = np.ones(len(values), dtype=np.int8)
    if label is None or held is None:
        up, documents = firing.turned(values), corpus.row_documents
        return {
            "strata": strata_frame(name, None, up, everything, documents, draw),
            "histograms": histogram_frame(name, None, "token", values, everything),
        }
    feature, sign = label
    labels = corpus.asked(feature)
    asked = labels >= 0
    first = corpus.starts[len(corpus.plain.ids) :]
    rows, classes = reduced_rows(held.collection, held.chosen, feature, values, first)
    kinds = [("token", values[asked], labels[asked])]
    if (held.collection.rows[:, 2] - held.collection.rows[:, 1]).max() > 1:
        kinds.append(("row", rows, classes.astype(np.int8)))
    return {
        "strata": strata_frame(
            name, feature, sign * values[asked], labels[asked], corpus.row_documents[asked], draw
        ),
        "histograms": pd.concat(
            [histogram_frame(name, feature, *kind) for kind in kinds], ignore_index=True
        ),
    }


def _firing(firing: Firing, values: Float[np.ndarray, " row"]) -> dict[str, Any]:
    fires = firing.fires(values)
    return {
        "sign": firing.sign,
        "median": firing.median,
        "strongest": firing.strongest,
        "cut": None if firing.constant else firing.cut,
        **({"cut_reason": "it is constant on these texts"} if firing.constant else {}),
        "share": float(fires.mean()),
        "n_tokens": len(values),
    }
