"""What `needlepoint rank` does: a forward pass or two, and the leading neurons of each feature."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from needlepoint._core.cores import free_cores
from needlepoint._core.errors import DataError, StoreError, unknown_name
from needlepoint._core.files import storage_errors, write_text
from needlepoint._core.progress import progress_bars
from needlepoint.evaluation.checks import check_neurons
from needlepoint.evaluation.configs import NeuronsConfig

if TYPE_CHECKING:
    import pandas as pd

    from needlepoint.evaluation.first_pass import FirstPass
    from needlepoint.evaluation.neuron_rankings import Ranking
    from needlepoint.models.model import Model

_MEANING = {
    "mean_difference": "Score: mean with the feature minus mean without, in the neuron's units.",
    "mean_difference_std": "Score: difference of the class means in pooled standard deviations.",
    "f_statistic": "Score: F of the one-way analysis of variance.",
    "auc": "Score: AUC, below 0.5 where low activations speak for the feature.",
    "best_f1": "Score: F1 of the best cut between bins.",
    "best_mcc": "Score: absolute Matthews correlation of the best cut between bins.",
    "mutual_information": "Score: mutual information of bin and label, in nats.",
    "random": "Score: drawn at random, the control; it knows nothing of the labels.",
    "l1_logistic": (
        "Score: log-odds per standard deviation in a sparse classifier on the candidates of the "
        "layer; below 0 for neurons without a weight, by how near they are to one."
    ),
    "linear_svm": "Score: weight in a support vector machine on the candidates of the layer.",
}
_RANGE = "The exact figure of these rows lies in the range."
_LEGEND = (
    "Sign: + where high activations speak for the feature, - where low ones do. "
    "d: standardised difference of the class means, here and on validation texts. "
    "Nothing was tested: 'needlepoint probe' finds the neuron that holds on unseen texts."
)


@dataclass(frozen=True)
class RankAsked:
    """What a ranking was asked for."""

    collection: NeuronsConfig
    model: str
    by: str
    top: int
    bins: int
    candidates: int
    dtype: str
    out: Path | None

    def check(self) -> None:
        """Refuse what cannot be done, before a model is loaded.

        Raises:
            UnknownNameError: If the collection, its source or the ranking is not known.
            DataError: If a number is out of range, or a file cannot be used.
            StoreError: If there is something at `out`, or it cannot be written.
        """
        from needlepoint.activations.bins import MOST_BINS
        from needlepoint.evaluation.neuron_rankings import CANDIDATE_METHODS, METHODS
        from needlepoint.features import collection_spec

        names = METHODS + CANDIDATE_METHODS
        if self.by not in names:
            raise unknown_name("ranking", self.by, names)
        for option, number in (("--top", self.top), ("--candidates", self.candidates)):
            if number < 1:
                raise DataError(f"{option} is {number}; it must be at least 1.")
        if not 2 <= self.bins <= MOST_BINS:
            raise DataError(f"--bins is {self.bins}; it may be 2 to {MOST_BINS}.")
        if self.out is not None:
            _check_out(self.out)
        if collection_spec(self.collection.features) is None and self.collection.source:
            raise DataError(f"{self.collection.features} is the source itself; leave out --source.")
        check_neurons(self.collection)


def rank_neurons(asked: RankAsked) -> None:
    """Print the leading neurons of each feature over all layers, and write them if asked to.

    Raises:
        NeedlepointError: If it cannot be done; nothing is written then.
    """
    import torch

    from needlepoint.evaluation.find_neurons import ask_collection
    from needlepoint.evaluation.first_pass import first_pass
    from needlepoint.evaluation.neuron_rankings import CANDIDATE_METHODS
    from needlepoint.evaluation.read_neurons import cut_to_fit
    from needlepoint.models.load import load_model

    asked.check()
    torch.set_num_threads(free_cores())
    console, start, cost = Console(), time.monotonic(), ""
    with progress_bars():
        model = load_model(asked.model, dtype=asked.dtype)
        collection = cut_to_fit(model, ask_collection(asked.collection, model.encoder))
        found = first_pass(model, collection, seed=asked.collection.seed, n_bins=asked.bins)
        if asked.by in CANDIDATE_METHODS:
            ranking, cost = _rank_candidates(model, found, asked)
            found = replace(found, rankings=found.rankings.extended(asked.by, ranking))
    shape = model.shape
    console.print(
        Text(f"{collection.card.name}: ranked by {asked.by}, ").append(
            f"{found.rows:,} rows of {found.texts:,} texts, {shape.n_layers} layers x "
            f"{shape.d_mlp:,} neurons of {model.name}."
        )
    )
    console.print(_table(found.rankings.leading(asked.by, asked.top)))
    bounded = found.rankings.ranking(asked.by).low is not None
    for line in (_MEANING[asked.by], *([_RANGE] if bounded else []), cost, _LEGEND):
        if line:
            console.print(Text(line, style="dim"))
    if asked.out is not None:
        console.print(f"Written: {_write(found, asked, asked.out)}", soft_wrap=True, markup=False)
    console.print(f"Done in {time.monotonic() - start:.0f} s.", highlight=False)


def _rank_candidates(model: Model, found: FirstPass, asked: RankAsked) -> tuple[Ranking, str]:
    """A ranking of the candidates of a first pass, and what it is of and what it took, in words."""
    from needlepoint.evaluation.candidate_rankings import rank_candidates
    from needlepoint.evaluation.neuron_rankings import DEFAULT
    from needlepoint.evaluation.second_pass import Candidates, second_pass

    seed, start = asked.collection.seed, time.monotonic()
    candidates = Candidates.of(found.rankings, (DEFAULT,), asked.candidates)
    second = second_pass(model, found.collection, candidates, seed=seed)
    read = time.monotonic() - start
    ranking = rank_candidates(second, asked.by, n_neurons=model.shape.d_mlp, seed=seed)
    ranked = time.monotonic() - start - read
    return ranking, (
        f"Ranked among {ranking.among} only: in each layer the {asked.candidates} neurons that "
        f"lead by {DEFAULT} for each feature. Other neurons have no score. "
        f"Second pass: {second.sentence} It took {read:.0f} s, and the fits {ranked:.0f} s."
    )


def _table(leading: pd.DataFrame) -> Table:
    """The leading neurons, feature after feature."""
    table = Table(box=None, header_style="bold")
    table.add_column("feature", overflow="fold")
    table.add_column("neuron")
    bounded = bool(leading["low"].notna().any())
    headings = ["sign", "score", *(["range"] if bounded else []), "d", "d validation"]
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in leading.to_dict("records"):
        first = row["rank"] == 1
        cells = [
            Text(str(row["feature"]) if first else "", style="bold"),
            str(row["site"]),
            "+" if row["sign"] > 0 else "-",
            _number(row["score"]) if row["score_reason"] is None else "none",
            *([f"{row['low']:.3f} to {row['high']:.3f}"] if bounded else []),
            f"{row['difference']:+.2f}",
            f"{row['difference_validation']:+.2f}",
        ]
        table.add_row(*cells)
    return table


def _number(value: float) -> str:
    """Three digits after the point, or as many digits in all where the number is large or small."""
    return f"{value:.3f}" if value == 0 or 0.01 <= abs(value) < 1000 else f"{value:.3g}"


def _write(found: FirstPass, asked: RankAsked, out: Path) -> str:
    """One table, or in a folder one of each ranking; returns what was written."""
    rankings = found.rankings
    with storage_errors(out):
        if out.suffix == ".csv":
            out.parent.mkdir(parents=True, exist_ok=True)
            write_text(out, rankings.leading(asked.by, asked.top).to_csv(index=False))
            return str(out)
        out.mkdir(parents=True, exist_ok=True)
        for name in rankings.by:
            table = rankings.leading(name, asked.top).to_csv(index=False)
            write_text(out / f"{name}.csv", table)
    return f"{out}, a table for each of {len(rankings.by)} rankings"


def _check_out(out: Path) -> None:
    """Refuse to write over anything, or where it is not allowed."""
    if out.exists() and (not out.is_dir() or out.suffix == ".csv"):
        raise StoreError(f"{out} is there already; choose another file with --out, or remove it.")
    if out.is_dir() and any(out.iterdir()):
        raise StoreError(f"{out} is not empty; choose another folder with --out, or remove it.")
    if out.suffix not in ("", ".csv"):
        raise DataError(
            f"{out} is neither a table nor a folder; give --out a name that ends in .csv, or one "
            "without an ending."
        )
    above = next(part for part in (out, *out.absolute().parents) if part.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise StoreError(f"{above} cannot be written to; choose another place with --out.")
