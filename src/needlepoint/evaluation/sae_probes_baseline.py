"""The sae-probes benchmark's probes on one layer of a model, by its own protocol."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from needlepoint._core.errors import OneClassError
from needlepoint.activations.reduce import Rows
from needlepoint.activations.stream import gather
from needlepoint.features.sae_probes import last_tokens
from needlepoint.features.sae_probes_protocol import (
    MOST_TOKENS,
    PENALTIES,
    SEED,
    SPARSE_KS,
    Drawn,
    MakeRegime,
    draw_rows,
    normal,
    set_labels,
    validation_splits,
)
from needlepoint.models.model import Model
from needlepoint.models.sites import Part, Site

MOST_STEPS = 1000
Acts = Float[np.ndarray, "example unit"]
HeldActs = Float[np.ndarray, "_ unit"]


@dataclass(frozen=True)
class ProbeAuc:
    """How well one probe of the benchmark does on one data set."""

    site: str
    k: int | None
    """Number of columns that the probe reads; all of them if None."""
    n_train: int
    n_test: int
    test_auc: float
    validation_auc: float
    """Of the chosen C; on the training rows themselves where there are three or fewer."""
    c: float
    """Inverse of the penalty, chosen on validation rows."""
    converged: bool
    """Whether the fit that is tested came to its end within 1000 steps."""
    columns: tuple[int, ...] = ()
    """The columns of a probe that reads `k`, the one furthest apart first."""


def sae_probes_baseline(
    model: Model,
    table: pd.DataFrame,
    *,
    layer: int,
    regime: MakeRegime = normal,
    ks: Sequence[int] = SPARSE_KS,
    seed: int = SEED,
    n_tokens: int = MOST_TOKENS,
) -> list[ProbeAuc]:
    """Test AUC of the benchmark's logistic regression on a layer, and of its k-sparse probes.

    The logistic regression reads the residual stream after the layer, at the last token of the
    prompt. The sparse ones read the `k` neurons of the layer whose class means are furthest
    apart, each neuron divided by its mean size where it is not 0: the benchmark does so with the
    latents of a sparse autoencoder, here they are neurons. Columns are not standardised. The
    benchmark's variant with an L1 penalty is left out.

    Args:
        model: A model that has passed `check_model`.
        table: A data set: `prompt` and `target`, as `read_set` gives it.
        layer: The layer to read.
        regime: Sizes of the parts, from the labels.
        ks: Numbers of neurons; none larger than the layer has.
        seed: Seed of rows, folds and fits; the benchmark's own is 42.
        n_tokens: Tokens of a prompt that are read, the model's first token included.

    Returns:
        The probe on the residual stream, then one for each k.

    Raises:
        DataError: If the set has not two classes or too few rows.
        OneClassError: If a part has one class only.

    References:
        Kantamneni et al., "Are Sparse Autoencoders Useful? A Case Study in Sparse Probing", 2025;
        the files of sae-probes 0.4.2 `run_baselines.py`, `run_sae_evals.py`, `utils_training.py`.
    """
    labels = set_labels(table)
    drawn = draw_rows(labels, regime(labels), seed=seed)
    residual, neurons = Site.of(layer, Part.RESID), Site.of(layer, Part.NEURONS)
    rows = np.concatenate([drawn.train, drawn.test])
    prompts = table["prompt"].iloc[rows].astype(str).tolist()
    acts = read_prompts(model, prompts, [residual, neurons], n_tokens=n_tokens)
    found = [fit_best(*_parts(acts[residual], drawn), site=str(residual), seed=seed)]
    train, test = np.split(acts[neurons], [len(drawn.train)])
    order = leading_columns(train, drawn.train_labels)
    for k in ks:
        if k <= len(order):
            some = order[:k]
            parts = (train[:, some], drawn.train_labels, test[:, some], drawn.test_labels)
            columns = tuple(some.tolist())
            found.append(fit_best(*parts, site=str(neurons), seed=seed, columns=columns))
    return found


def read_prompts(
    model: Model, prompts: Sequence[str], sites: Sequence[Site], *, n_tokens: int
) -> dict[Site, Acts]:
    """Activations at the last token of each prompt, of which the last `n_tokens` are read.

    A prompt that occurs more than once is read once.
    """
    once = {prompt: i for i, prompt in enumerate(dict.fromkeys(prompts))}
    longest = n_tokens - len(model.prefix)
    ids = [last_tokens(model.encoder, prompt, longest)[0] for prompt in once]
    acts = gather(model, ids, sites, Rows.whole(ids, "last"), label="reading prompts")
    place = [once[prompt] for prompt in prompts]
    return {site: acts[site].float().numpy()[place] for site in sites}


def leading_columns(acts: Acts, labels: Bool[np.ndarray, " example"]) -> Int[np.ndarray, " unit"]:
    """All columns, those first whose class means are furthest apart after scaling.

    Each column is divided by the mean size of its values that are not 0.

    Example:
        >>> acts = np.array([[1.0, 9.0], [1.0, 9.0], [3.0, 8.0], [3.0, 8.0]])
        >>> leading_columns(acts, np.array([False, False, True, True]))
        array([0, 1])
    """
    size = np.abs(acts).sum(0) / ((acts != 0).sum(0) + 1e-6)
    scaled = acts / (size + 1e-6)
    apart = np.abs(scaled[labels].mean(0) - scaled[~labels].mean(0))
    return np.argsort(-apart, kind="stable")


def fit_best(
    train: Acts,
    train_labels: Bool[np.ndarray, " example"],
    test: HeldActs,
    test_labels: Bool[np.ndarray, "_"],
    *,
    site: str = "",
    seed: int = SEED,
    columns: tuple[int, ...] = (),
) -> ProbeAuc:
    """The benchmark's logistic regression: C by validation AUC, then fitted on all of `train`.

    Raises:
        OneClassError: If a part has one class only.
    """
    for name, labels in (("training", train_labels), ("test", test_labels)):
        if labels.all() or not labels.any():
            raise OneClassError(f"the {name} rows are of one class; take more of them.")
    splits = validation_splits(train_labels, seed=seed)
    c: float | np.float64 = 1.0
    validation_auc = np.nan
    if splits:
        scores = [_validation_auc(train, train_labels, splits, c, seed) for c in PENALTIES]
        c, validation_auc = PENALTIES[np.argmax(scores)], float(np.max(scores))
    order = np.random.RandomState(seed).permutation(len(train))
    with _steps_may_run_out() as ran_out:
        probe = _fit(train[order], train_labels[order], c, seed)
    if not splits:
        validation_auc = float(roc_auc_score(train_labels, probe.decision_function(train)))
    return ProbeAuc(
        site=site,
        k=len(columns) or None,
        n_train=len(train),
        n_test=len(test),
        test_auc=float(roc_auc_score(test_labels, probe.predict_proba(test)[:, 1])),
        validation_auc=validation_auc,
        c=float(c),
        converged=not ran_out,
        columns=columns,
    )


def _parts(
    acts: Acts, drawn: Drawn
) -> tuple[HeldActs, Bool[np.ndarray, "_"], HeldActs, Bool[np.ndarray, "_"]]:
    train, test = np.split(acts, [len(drawn.train)])
    return train, drawn.train_labels, test, drawn.test_labels


def _validation_auc(
    acts: Acts,
    labels: Bool[np.ndarray, " example"],
    splits: Sequence[tuple[np.ndarray, np.ndarray]],
    c: float | np.float64,
    seed: int,
) -> float:
    """Mean AUC over the splits; one half where there is one class to fit on."""
    scores = []
    for fitted, held in splits:
        if len(np.unique(labels[fitted])) < 2:
            scores.append(0.5)
            continue
        with _steps_may_run_out():
            probe = _fit(acts[fitted], labels[fitted], c, seed)
        scores.append(float(roc_auc_score(labels[held], probe.predict_proba(acts[held])[:, 1])))
    return float(np.mean(scores))


def _fit(
    acts: Acts, labels: Bool[np.ndarray, " example"], c: float | np.float64, seed: int
) -> LogisticRegression:
    """The fit at one C; whether it is NumPy's float or Python's decides in what precision."""
    return LogisticRegression(C=c, random_state=seed, max_iter=MOST_STEPS).fit(acts, labels)


@contextmanager
def _steps_may_run_out() -> Iterator[list[warnings.WarningMessage]]:
    """Collect the warning that a fit ran out of steps, as the benchmark goes on without."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ConvergenceWarning)
        yield caught
