"""Test figures agree with scikit-learn, and their intervals cover what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    matthews_corrcoef,
    precision_score,
    recall_score,
    roc_auc_score,
)

from needlepoint.evaluation import tested as results
from needlepoint.evaluation.held_out import FOUND, Rivals, f1_interval, judge_feature
from needlepoint.evaluation.held_out_sizes import size_odds
from needlepoint.evaluation.search_neurons import search, shuffled_labels
from needlepoint.evaluation.token_identity import token_rows
from needlepoint.evaluation.trivial_baselines import embedding_rows

PROBES = [
    "one neuron",
    "sparse",
    "dense",
    "random neurons",
    "random leading neurons",
    "random basis",
    "embedding",
    "current token",
    "previous token",
    "both tokens",
    "shuffled labels",
    "majority",
]


CALLS = {
    "f1": f1_score,
    "precision": precision_score,
    "recall": recall_score,
    "mcc": matthews_corrcoef,
    "balanced_accuracy": balanced_accuracy_score,
}


def draw(rng: np.random.Generator, n_documents: int = 40, n_rows: int = 6):
    """Calls and truth of rows in documents; each document is called rightly at its own rate."""
    rate = rng.beta(0.8, 0.4, n_documents)
    truth = np.arange(n_documents) % 3 == 0
    right = rng.random((n_documents, n_rows)) < rate[:, None]
    called = np.where(right, truth[:, None], ~truth[:, None])
    parts = called.ravel(), truth.repeat(n_rows), np.arange(n_documents).repeat(n_rows)
    return tuple(torch.from_numpy(part) for part in parts)


def test_intervals_cover_when_documents_differ_and_not_when_rows_are_drawn(generator) -> None:
    """Of 95 % intervals, simulated with the F1 of very many documents as the truth."""
    rng = np.random.default_rng(0)
    called, truth, _ = draw(rng, n_documents=60_000)
    exact = f1_score(truth, called)
    by_document, by_row = [], []
    for _ in range(150):
        called, truth, documents = draw(rng)
        for found, groups in ((by_document, documents), (by_row, torch.arange(len(truth)))):
            interval = f1_interval(called, truth, groups, generator)
            found.append(interval.low <= exact <= interval.high)
    assert np.mean(by_document) > 0.88
    assert np.mean(by_row) < 0.80


def test_no_draw_is_without_positives(generator) -> None:
    """Two documents of sixty have the feature; plain draws would miss both now and then."""
    documents = torch.arange(60)
    truth = documents < 2
    called = truth | (documents == 59)
    interval = f1_interval(called, truth, documents, generator)
    assert interval.estimate == pytest.approx(f1_score(truth, called))
    assert interval.low > 0.4
    assert interval.high == 1.0


def test_too_few_documents_have_no_interval(generator) -> None:
    documents = torch.arange(12) // 2
    assert f1_interval(documents < 2, documents < 2, documents, generator) is not None
    assert f1_interval(documents < 1, documents < 1, documents, generator) is None
    assert f1_interval(documents < 5, documents < 5, documents, generator) is None


def test_documents_of_both_kinds_of_rows_count_as_positive(generator) -> None:
    documents = torch.arange(40) // 4
    truth = torch.arange(40) % 4 == 0
    interval = f1_interval(truth, truth, documents, generator)
    assert interval == pytest.approx((1, 1, 1))


@pytest.fixture(scope="module")
def judged(tiny, neuron_data):
    """The search on the toy texts and the test results of its features."""
    rng = torch.Generator().manual_seed(1)
    options = {"n_permutations": 60, "seed": 0, "label": "toy"}
    found = search(neuron_data, 3, max_k=4, **options)
    labels = shuffled_labels(neuron_data, rng)
    wrong = search(neuron_data, 3, labels=labels, max_k=1, **options)
    collection = neuron_data.collection
    embedding = embedding_rows(tiny, collection)
    rivals = Rivals(token_rows(collection), embedding, wrong, labels)
    odds = size_odds(neuron_data, found.sizes)
    parts = [
        judge_feature(neuron_data, feature, found, rivals, rng, odds=odds[feature])
        for feature in range(2)
    ]
    return found, wrong, labels, parts


def test_figures_agree_with_scikit_learn(neuron_data, judged) -> None:
    found, wrong, labels, parts = judged
    tested = [list(part.tested) for part in parts]
    shuffled = PROBES.index("shuffled labels")
    test = neuron_data.test
    for feature in range(2):
        for place, choice, truth in (
            (0, found.choices[feature], neuron_data.labels),
            (shuffled, wrong.choices[feature], labels),
        ):
            kept, one = choice.neuron, tested[feature][place]
            values = neuron_data.layer(kept.layer)[test, kept.neuron].double()
            called = values > kept.threshold if kept.sign > 0 else values < kept.threshold
            wanted = truth[test, feature]
            assert one.f1_point == pytest.approx(f1_score(wanted, called))
            assert one.scores.recall == pytest.approx(recall_score(wanted, called))
            if called.any():
                assert one.scores.precision == pytest.approx(precision_score(wanted, called))
            assert one.scores.auc == pytest.approx(roc_auc_score(wanted, kept.sign * values))
            assert one.f1 is None or one.f1.estimate == pytest.approx(one.f1_point)
            assert one.neurons == (kept.neuron,)
        sparse = found.choices[feature].sparse
        odds = sparse.probe(neuron_data.layer(sparse.layer)[test])
        wanted = neuron_data.labels[test, feature]
        assert tested[feature][1].f1_point == pytest.approx(f1_score(wanted, odds > sparse.cut))
        assert tested[feature][1].scores.auc == pytest.approx(roc_auc_score(wanted, odds))


def test_the_probes_to_beat_are_what_they_say(neuron_data, judged) -> None:
    found, _, _, parts = judged
    for feature, part in enumerate(parts):
        assert [one.probe for one in part.tested] == PROBES
        by_name = part.by_name
        layer = found.choices[feature].sparse.layer
        assert by_name["dense"].neurons == tuple(range(48))
        assert by_name["dense"].layer == by_name["random neurons"].layer == layer
        assert len(by_name["random neurons"].neurons) == len(by_name["sparse"].neurons)
        share = neuron_data.labels[neuron_data.test, feature].double().mean().item()
        majority = by_name["majority"]
        assert majority.f1_point == pytest.approx(2 * share / (1 + share))
        assert (majority.scores.recall, majority.scores.precision) == (1, pytest.approx(share))
        assert majority.scores.auc is None
        assert majority.layer is None
        assert (by_name["random basis"].k, by_name["random basis"].neurons) == (1, ())
        assert by_name["random basis"].layer == by_name["one neuron"].layer
        assert by_name["embedding"].k == 32


def test_the_paper_cuts_log_odds_at_zero(neuron_data, judged) -> None:
    found, _, _, parts = judged
    test = neuron_data.test
    for feature, part in enumerate(parts):
        wanted = neuron_data.labels[test, feature]
        kept, sparse = found.choices[feature].neuron, found.choices[feature].sparse
        fits, values = found.layers[kept.layer].one_neuron, neuron_data.layer(kept.layer)[test]
        at = (feature, kept.neuron)
        line = fits.weight[at] * values[:, kept.neuron] + fits.bias[at]
        zero = part.by_name["one neuron"].at_zero
        assert zero.f1 == pytest.approx(f1_score(wanted, line > 0))
        odds = sparse.probe(neuron_data.layer(sparse.layer)[test])
        zero = part.by_name["sparse"].at_zero
        assert zero.f1 == pytest.approx(f1_score(wanted, odds > 0))
        assert part.by_name["majority"].at_zero is None


def test_probes_of_every_size_are_tested_at_both_cuts(neuron_data, judged) -> None:
    found, _, _, parts = judged
    test = neuron_data.test
    for feature, part in enumerate(parts):
        wanted = neuron_data.labels[test, feature].numpy()
        assert [one.k for one in part.by_k] == [1, 2, 3, 4]
        for kept, one in zip(found.sizes[feature], part.by_k, strict=True):
            assert (one.layer, one.neurons) == (kept.layer, tuple(kept.probe.support.tolist()))
            assert one.f1_validation == kept.f1_validation
            odds = kept.probe(neuron_data.layer(kept.layer)).numpy()[test]
            assert one.scores.auc == pytest.approx(roc_auc_score(wanted, odds))
            expected = average_precision_score(wanted, odds)
            assert one.scores.average_precision == pytest.approx(expected)
            for scores, called in ((one.scores, odds > kept.cut), (one.at_zero, odds > 0)):
                for name, score in CALLS.items():
                    value = getattr(scores, name)
                    if value is None:
                        assert called.all() or not called.any(), name
                    else:
                        assert value == pytest.approx(score(wanted, called)), name
            for name, point in (("f1", one.scores.f1), ("f1_zero", one.at_zero.f1)):
                interval = one.intervals[name]
                assert interval.low <= interval.estimate <= interval.high
                assert interval.estimate == pytest.approx(point)


def test_at_the_chosen_size_the_result_is_that_of_the_chosen_probe(judged) -> None:
    for choice, part in zip(judged[0].choices, judged[3], strict=True):
        (same,) = [one for one in part.by_k if one.k == choice.sparse.k]
        sparse = part.by_name["sparse"]
        assert same.neurons == sparse.neurons
        assert torch.equal(same.called, sparse.called)
        assert same.scores.f1 == sparse.scores.f1
        for name in ("f1", "mcc", "balanced_accuracy", "f1_zero"):
            assert same.intervals.get(name) == sparse.intervals.get(name), name


def test_what_is_there_is_found_at_every_size_and_what_is_not_at_none(judged) -> None:
    high, coin = ([one.f1_point for one in part.by_k] for part in judged[3])
    assert min(high) == 1
    assert max(coin) < 0.8


def test_differences_are_between_probes_chosen_on_validation(judged) -> None:
    for part in judged[3]:
        by_name = part.by_name
        assert by_name[part.best].f1_validation == max(
            by_name[name].f1_validation for name in FOUND
        )
        for difference, one, other in (
            (part.over_token, part.best, part.token),
            (part.over_majority, part.best, "majority"),
            (part.one_over_majority, "one neuron", "majority"),
        ):
            wanted = by_name[one].f1_point - by_name[other].f1_point
            assert difference.estimate == pytest.approx(wanted)
            assert difference.low <= difference.estimate <= difference.high


def test_what_is_there_is_found_and_what_is_not_is_not(judged) -> None:
    high, coin = ({one.probe: one.f1_point for one in part.tested} for part in judged[3])
    assert high["one neuron"] == high["dense"] == 1
    assert high["current token"] == high["embedding"] == 1
    assert coin["one neuron"] < 0.8
    for by_name in (high, coin):
        assert by_name["shuffled labels"] < 0.8


def test_the_table_has_a_row_for_each_and_says_which_neurons(judged) -> None:
    found, _, _, parts = judged
    named = [(name, one) for name, part in zip("ab", parts, strict=True) for one in part.tested]
    frame = results.tests_frame(named)
    assert frame["probe"].tolist() == PROBES * 2
    kept = found.choices[0].neuron
    assert frame["sites"][0] == f"L{kept.layer}.N{kept.neuron}"
    assert frame["k"].tolist()[2] == 48
    assert frame["sites"][2].split()[47] == f"L{int(frame['layer'][2])}.N47"
    majority = frame[frame["probe"] == "majority"]
    assert majority["layer"].isna().all()
    assert majority["auc"].isna().all()
    assert (majority["sites"] == "").all()
