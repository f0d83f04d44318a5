"""Methods on pairs drawn anew: signal stays, noise does not, and what was not run says why."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.head_data import HeadData
from needlepoint.circuits.methods import Question
from needlepoint.circuits.scores import HEAD_SCORES
from needlepoint.evaluation.circuits.drawn_anew import DrawnAnew
from needlepoint.evaluation.circuits.method_runs import Ran, run_methods, run_scores
from needlepoint.evaluation.circuits.method_stability import COLUMNS, stability_frame
from needlepoint.evaluation.circuits.stability import (
    ranking_overlap,
    ranking_stability,
    stability_over_seeds,
)
from needlepoint.evaluation.configs import HeadsConfig

N_HEADS, SIGNAL = 40, 5
SCORES = ("mean_difference", "consistent_change", "linear_probe", "layer_index", "random")
METHODS = ("eap", "attribution_patching", "random_edges")


def heads(strength: float) -> HeadData:
    clean, corrupt = torch.randn(2, 40, N_HEADS, 3, generator=torch.Generator().manual_seed(1))
    clean[:, :SIGNAL] += strength
    weights = torch.eye(3, 6).repeat(N_HEADS, 1, 1)
    return HeadData(clean, corrupt, weights, torch.arange(N_HEADS) // 8)


def found(data: HeadData, question: Question, *, repeats: int = 0, scores=SCORES, methods=METHODS):
    """The table, with methods asked of the planted question, whose circuit is two heads."""
    ran = run_scores(question.model, data, scores, seed=0, task="toy")
    drawn = DrawnAnew(data, question, SIGNAL, 4, repeats, 0, "toy")
    merged = ran.merged(run_methods(question, methods))
    return stability_frame(merged, drawn).set_index(["method", "units"])


def test_scores_of_signal_are_stable_and_of_noise_are_not(question: Question) -> None:
    signal = found(heads(2.0), question, repeats=10, methods=())
    noise = found(heads(0.0), question, repeats=10, methods=())
    for name in ("mean_difference", "consistent_change", "linear_probe"):
        row, none = signal.loc[(name, "heads")], noise.loc[(name, "heads")]
        assert (row["verdict"], none["verdict"]) == ("stable", "unstable"), name
        assert row["jaccard"] > 0.9
        assert row["reason"] == none["reason"] == ""
        assert (row["k"], row["n_pairs"]) == (SIGNAL, 40)
    halves = noise.loc[("linear_probe", "heads")]
    assert (halves["how"], halves["n_resamples"]) == ("halves", 10)
    assert halves["jaccard"] == pytest.approx(halves["chance"], abs=0.1), "nothing in common"
    resampled = noise.loc[("mean_difference", "heads")]
    assert (resampled["how"], resampled["n_resamples"]) == ("bootstrap", 100)


def test_what_takes_long_is_run_on_request_only(question: Question, monkeypatch) -> None:
    data = heads(1.0)
    ran = run_scores(question.model, data, SCORES, seed=0, task="toy")
    ran = ran.merged(run_methods(question, METHODS))
    monkeypatch.setattr("needlepoint.circuits.methods.CircuitMethod.find", lambda *_: 1 / 0)
    frame = stability_frame(ran, DrawnAnew(data, question, SIGNAL, 4, 0, 0, "toy"))
    assert list(frame.columns) == list(COLUMNS)
    rows = frame.set_index(["method", "units"])
    known = rows.dropna(subset=["jaccard"])
    assert [name for name, _ in known.index] == ["mean_difference", "consistent_change"]
    for name in ("linear_probe", "eap", "attribution_patching"):
        assert "--stability 10" in rows.loc[(name, "heads"), "reason"]
    for name in ("layer_index", "random", "random_edges"):
        assert rows.loc[(name, "heads"), "reason"] == "it does not depend on the prompts"
    assert [name for name, units in rows.index if units == "edges"] == ["eap", "random_edges"]


def test_methods_on_halves_find_the_planted_heads_each_time(question: Question) -> None:
    data = heads(1.0)
    ran = run_methods(question, METHODS)
    frame = stability_frame(ran, DrawnAnew(data, question, 2, 4, 3, 0, "toy"))
    rows = frame.set_index(["method", "units"])
    for name in ("eap", "attribution_patching"):
        row = rows.loc[(name, "heads")]
        assert (row["jaccard"], row["low"], row["high"], row["verdict"]) == (1, 1, 1, "stable")
        assert (row["how"], row["n_pairs"], row["n_resamples"]) == ("halves", 6, 3)
    edges = rows.loc[("eap", "edges")]
    assert edges["k"] == 4
    assert edges["chance"] < 0.02 < edges["jaccard"]
    assert rows.loc[("random_edges", "edges"), "reason"] == "it does not depend on the prompts"


def test_a_row_does_not_depend_on_what_is_compared_beside(question: Question) -> None:
    whole = found(heads(0.2), question, repeats=2)
    alone = found(
        heads(0.2),
        question,
        repeats=2,
        scores=("linear_probe", "mean_difference"),
        methods=("eap",),
    )
    pd.testing.assert_frame_equal(whole.loc[alone.index], alone, check_dtype=False)


def test_what_cannot_be_run_on_halves_says_why(question: Question, monkeypatch) -> None:
    few = replace(question, pairs=question.pairs.rows(slice(0, 3)))
    data = heads(1.0)
    ran = run_scores(question.model, data, ("linear_probe",), seed=0, task="toy")
    ran = ran.merged(run_methods(few, ("eap",)))

    def refuse(*_: object) -> None:
        raise DataError("all pairs of this half are in one fold")

    monkeypatch.setattr("needlepoint.circuits.scores.HeadScore.score", refuse)
    frame = stability_frame(ran, DrawnAnew(data, few, SIGNAL, 4, 2, 0, "toy"))
    reasons = frame.set_index(["method", "units"])["reason"].to_dict()
    assert reasons["linear_probe", "heads"] == "all pairs of this half are in one fold"
    assert "stability needs at least 2 resamples and 4 pairs" in reasons["eap", "heads"]
    assert reasons["eap", "edges"] == reasons["eap", "heads"]
    assert frame["jaccard"].isna().all()


def test_one_head_has_no_order(question: Question) -> None:
    data = heads(1.0).take_heads(torch.arange(1))
    ran = run_scores(question.model, data, ("mean_difference", "linear_probe"), seed=0, task="toy")
    frame = stability_frame(ran, DrawnAnew(data, question, 0, 4, 2, 0, "toy"))
    assert frame["reason"].str.startswith("k is 0").all()
    assert len(stability_frame(Ran({}, {}), DrawnAnew(data, question, 0, 4, 2, 0, "toy"))) == 0


def test_rankings_that_tie_are_as_stable_as_chance(generator) -> None:
    ties = torch.ones(30)
    same = ranking_stability(ties, ties.repeat(200, 1), k=6, generator=generator)
    assert same.jaccard.estimate == pytest.approx(same.chance, abs=0.03)
    with pytest.raises(DataError, match="k is 30"):
        ranking_overlap(ties, ties, k=30, generator=generator)
    with pytest.raises(DataError, match="there are 1 resamples"):
        ranking_stability(ties, ties[None], k=6, generator=generator)


def coded(strength: float, *, n_seeds: int = 3) -> HeadData:
    """Heads of which the first have a part of their own on clean prompts, with an ensemble."""
    settings = Autoencoder(n_codes=12, n_steps=60, n_seeds=n_seeds, n_train_examples=20)
    return replace(heads(strength), autoencoder=settings)


ENSEMBLES = ("discrete_sae", "distinct_codes", "untrained_codes")
CALIBRATED = ("calibrated_sae", "code_information")


def test_seeds_agree_on_signal_and_not_on_noise(question: Question) -> None:
    scores = ("untrained_codes", *CALIBRATED)
    signal = found(coded(4.0), question, repeats=2, scores=scores, methods=())
    noise = found(coded(0.0), question, repeats=2, scores=scores, methods=())
    for name in CALIBRATED:
        row, none = signal.loc[(name, "heads")], noise.loc[(name, "heads")]
        assert (row["n_seeds"], row["seed_verdict"], row["seed_reason"]) == (3, "stable", ""), name
        assert row["seed_jaccard"] > 0.9
        assert none["seed_verdict"] == "unstable"
    blank = noise.loc[("untrained_codes", "heads")]
    assert blank["seed_jaccard"] == pytest.approx(blank["chance"], abs=0.25)


def test_seeds_that_were_trained_together_are_compared_without_training_anew(
    question: Question, monkeypatch
) -> None:
    data = coded(1.0)
    ran = run_scores(question.model, data, ENSEMBLES, seed=0, task="toy")
    monkeypatch.setattr("needlepoint.circuits.autoencoder.Autoencoder._train", lambda *_: 1 / 0)
    frame = stability_frame(ran, DrawnAnew(data, question, SIGNAL, 4, 0, 0, "toy"))
    assert (frame["n_seeds"] == 3).all()
    assert frame["seed_jaccard"].between(0, 1).all()


def test_what_has_no_second_seed_says_why(question: Question) -> None:
    scores = (*ENSEMBLES, *CALIBRATED, "mean_difference", "linear_probe", "kmeans_codes", "random")
    rows = found(coded(1.0, n_seeds=1), question, scores=scores, methods=(*METHODS, "code_edges"))
    reasons = rows["seed_reason"].xs("heads", level="units")
    assert all("--sae-seeds 3" in reasons[name] for name in ENSEMBLES)
    assert all("share folds" in reasons[name] for name in CALIBRATED)
    slow = (*CALIBRATED, "linear_probe", "kmeans_codes", "random", "random_edges", "code_edges")
    assert all("--stability 10" in reasons[name] for name in slow)
    none = ("mean_difference", "eap", "attribution_patching")
    assert all(reasons[name] == "nothing in it is drawn at random" for name in none)
    assert rows[["n_seeds", "seed_jaccard", "seed_verdict"]].isna().all(axis=None)


def test_slow_methods_are_run_with_other_seeds_on_request(question: Question) -> None:
    rows = found(
        coded(3.0), question, repeats=2, scores=("linear_probe", "random"), methods=METHODS
    )
    probe, order = (rows.loc[(name, "heads")] for name in ("linear_probe", "random"))
    assert (probe["n_seeds"], probe["seed_verdict"]) == (3, "stable")
    assert order["seed_verdict"] == "unstable"
    assert order["seed_jaccard"] == pytest.approx(order["chance"], abs=0.3)
    edges = rows.loc[("random_edges", "edges")]
    assert edges["n_seeds"] == 3
    assert edges["seed_jaccard"] < 0.3
    assert pd.isna(rows.loc[("eap", "heads"), "n_seeds"])


def test_by_each_dictionary_is_what_the_score_is_the_mean_of(question: Question) -> None:
    data = coded(1.0)
    for name in ("discrete_sae", "discrete_sae_edges", "untrained_codes", "distinct_codes"):
        part = HEAD_SCORES[name]
        each = part.by_seed(data, part.generator(0))
        assert each is not None
        assert each.shape == (3, data.n_heads)
        assert len(torch.unique(each, dim=0)) > 1, "dictionaries differ"
        torch.testing.assert_close(each.mean(0), part.score(data, part.generator(0)))
    assert HEAD_SCORES["calibrated_sae"].by_seed(data, torch.Generator()) is None


def test_one_seed_has_nothing_to_be_compared_with(generator) -> None:
    with pytest.raises(DataError, match="there is 1 seed"):
        stability_over_seeds([torch.arange(4.0)], k=2, generator=generator)


def test_one_repeat_is_refused() -> None:
    with pytest.raises(DataError, match="stability is 1; it must be at least 2"):
        HeadsConfig(stability=1)
