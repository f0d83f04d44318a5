"""The benchmark's probes find what is planted at the last token, and nothing where nothing is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from needlepoint._core.errors import DataError, OneClassError
from needlepoint.evaluation.sae_probes_baseline import (
    fit_best,
    leading_columns,
    read_prompts,
    sae_probes_baseline,
)
from needlepoint.features.sae_probes_protocol import Regime, normal
from needlepoint.models.hooks import record
from needlepoint.models.micro import micro_model
from needlepoint.models.sites import Site

WORDS = ("zero", "one", "two", "three", "four")


def table(n: int, *, planted: bool, seed: int = 0) -> pd.DataFrame:
    """Prompts of the micro model; if planted, the last word says the class."""
    draw = np.random.default_rng(seed)
    prompts, targets = [], []
    for _ in range(n):
        high = bool(draw.integers(2))
        front = draw.choice(WORDS, size=int(draw.integers(2, 8)))
        last = draw.choice(WORDS[3:] if high else WORDS[:2]) if planted else draw.choice(WORDS)
        prompts.append(" ".join([*front, last]))
        targets.append("yes" if high else "no")
    return pd.DataFrame({"prompt": prompts, "target": targets})


def small(labels: np.ndarray) -> Regime:
    return normal(labels).capped(128, 64)


def test_a_class_that_the_last_word_tells_is_found() -> None:
    residual, one, three = sae_probes_baseline(
        micro_model(), table(300, planted=True), layer=0, regime=small, ks=(1, 3)
    )
    assert residual.test_auc > 0.95
    assert residual.validation_auc > 0.95
    assert three.test_auc > 0.95
    assert (residual.site, residual.k) == ("L0.resid", None)
    assert (one.site, one.k, len(one.columns)) == ("L0.mlp.neurons", 1, 1)
    assert three.columns[:1] == one.columns
    assert (residual.n_train, residual.n_test) == (128, 64)


def test_labels_that_mean_nothing_are_not_found() -> None:
    aucs = [
        sae_probes_baseline(
            micro_model(), table(400, planted=False, seed=seed), layer=1, regime=small, ks=()
        )[0].test_auc
        for seed in range(5)
    ]
    assert abs(np.mean(aucs) - 0.5) < 0.1


def test_more_columns_than_there_are_neurons_are_not_asked() -> None:
    found = sae_probes_baseline(
        micro_model(), table(300, planted=True), layer=0, regime=small, ks=(2, 4)
    )
    assert [probe.k for probe in found] == [None, 2]


def test_rows_are_the_last_token_of_each_prompt_and_repeats_are_equal() -> None:
    model = micro_model()
    site = Site.parse("L1.resid")
    prompts = ["one two three", "four", "one two three", "zero one two three"]
    acts = read_prompts(model, prompts, [site], n_tokens=8)[site]
    with record(model, [site]) as kept:
        model.logits(model.batch([[1, 2, 3]]))
    assert np.allclose(acts[0], kept[site][0, -1].numpy())
    assert (acts[0] == acts[2]).all()
    cut = read_prompts(model, prompts, [site], n_tokens=3)[site]
    assert np.allclose(cut[3], acts[0]), "only the last three tokens of the last were read"


def test_c_is_the_best_of_the_grid_and_the_probe_is_scikit_learns() -> None:
    draw = np.random.default_rng(0)
    labels, held = (draw.integers(0, 2, n) == 1 for n in (200, 100))
    train = draw.normal(size=(200, 12)) + 0.4 * labels[:, None]
    test = draw.normal(size=(100, 12)) + 0.4 * held[:, None]
    found = fit_best(train, labels, test, held)
    probe = LogisticRegression(C=found.c, max_iter=1000).fit(train, labels)
    assert found.test_auc == pytest.approx(
        roc_auc_score(held, probe.decision_function(test)), abs=2e-3
    )
    reached = [
        roc_auc_score(
            labels[160:],
            LogisticRegression(C=c, max_iter=1000)
            .fit(train[:160], labels[:160])
            .decision_function(train[160:]),
        )
        for c in np.logspace(5, -5, 10)
    ]
    assert found.validation_auc == pytest.approx(max(reached), abs=1e-9)
    assert found.converged


def test_three_rows_train_without_validation() -> None:
    train = np.array([[0.0], [1.0], [3.0]])
    found = fit_best(train, np.array([False, False, True]), train, np.array([False, False, True]))
    assert (found.c, found.validation_auc, found.test_auc) == (1.0, 1.0, 1.0)


def test_a_column_is_scaled_before_columns_are_compared() -> None:
    labels = np.array([False, True] * 50)
    acts = np.column_stack([1000 + labels * 5.0, labels * 0.1, np.zeros(100)])
    assert leading_columns(acts, labels).tolist() == [1, 0, 2]


def test_one_class_and_too_few_rows_are_refused() -> None:
    model, acts = micro_model(), np.zeros((8, 2))
    with pytest.raises(OneClassError, match="the training rows are of one class"):
        fit_best(acts, np.ones(8, dtype=bool), acts, np.arange(8) < 4)
    with pytest.raises(OneClassError, match="the test rows are of one class"):
        fit_best(acts, np.arange(8) < 4, acts, np.ones(8, dtype=bool))
    with pytest.raises(DataError, match="too small"):
        sae_probes_baseline(model, table(60, planted=True), layer=0)
