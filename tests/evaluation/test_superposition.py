"""The study of a compound on a tiny model that reads letters: `x` after `a` is the compound."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from needlepoint._core.errors import DataError, UnknownNameError
from needlepoint.evaluation.case_studies import firing_tokens, superposition
from needlepoint.evaluation.case_studies.configs import SuperpositionConfig, parse_layers
from needlepoint.evaluation.case_studies.firing_tokens import (
    Tokens,
    firing_frames,
    firing_pairs,
    firing_row,
    read_texts,
    read_tokens,
)
from needlepoint.evaluation.case_studies.one_feature import commonest_feature, only_feature
from needlepoint.evaluation.case_studies.superposition import (
    Compound,
    judge_superposition,
    layers_of,
    load_compound,
)
from needlepoint.evaluation.case_studies.superposition_words import verdict
from needlepoint.evaluation.study import Study
from needlepoint.features.collection import Collection
from needlepoint.testing.tiny import byte_tokenizer

CONFIG = SuperpositionConfig(
    word="a-x", k=3, bases=2, random_sums=10, shuffles=40, rounds=3, other_texts=10
)
A, X, *REST = byte_tokenizer().encode("axbcdefgh")


def two_words(card) -> Collection:
    """Windows for the words a-x and x-a: the compound, and either of its words alone at the end."""
    rng = np.random.default_rng(0)
    ids, documents, labels, members = [], [], [], []
    for place in range(240):
        first, second, column = (A, X, 0) if place % 3 else (X, A, 1)
        kind = place % 4
        end = [
            (first, second),
            (rng.choice(REST), second),
            (first, rng.choice(REST)),
            (rng.choice(REST), second),
        ][kind]
        ids.append((*rng.choice(REST, 6).tolist(), *map(int, end)))
        documents.append(f"document {place}")
        labels.append([kind == 0 and column == 0, kind == 0 and column == 1])
        members.append([column == 0, column == 1])
    rows = np.array([[text, 7, 8] for text in range(240)])
    return Collection(
        card,
        "Which?",
        tuple(ids),
        tuple(documents),
        rows,
        "last",
        ("a-x", "x-a"),
        np.array(labels),
        members=np.array(members),
    )


@pytest.fixture(scope="module")
def windows(toy) -> Collection:
    return two_words(toy().card)


@pytest.fixture(scope="module")
def compound(windows) -> Compound:
    rows = windows.rows_of("x-a")
    ids, documents = ([of[row] for row in rows] for of in (windows.ids, windows.documents))
    return Compound("a", "x", only_feature(windows, "a-x"), tuple(ids), tuple(documents))


@pytest.fixture(scope="module")
def study(tiny, compound) -> Study:
    return judge_superposition(tiny, compound, (0, 1), CONFIG)


def test_one_feature_keeps_its_rows_texts_and_labels(windows) -> None:
    one = only_feature(windows, "x-a")
    rows = windows.rows_of("x-a")
    assert one.ids == tuple(windows.ids[row] for row in rows)
    assert one.labels[:, 0].tolist() == windows.labels[rows, 1].tolist()
    assert one.features == ("x-a",)
    assert one.rows[:, 0].tolist() == list(range(len(rows)))
    with pytest.raises(UnknownNameError, match="unknown feature 'a-y': did you mean 'a-x'"):
        only_feature(windows, "a-y")


def test_the_commonest_compound_has_the_most_positives(windows) -> None:
    counts = windows.labels.sum(0)
    assert commonest_feature(windows) == windows.features[int(counts.argmax())]


def test_every_table_is_there_and_the_sum_is_of_the_layers_asked(study) -> None:
    summary = study.record.summary
    assert set(study.tables) == {
        "sums",
        "controls",
        "bases",
        "basis_paths",
        "pruning",
        "firing",
        "firing_pairs",
    }
    assert summary["sum"]["layer"] in (0, 1)
    assert len(summary["sum"]["sites"]) == 3
    assert study.record.cell == "superposition.a-x"
    assert set(study.tables["bases"]["layer"]) == {0, 1}
    assert len(study.tables["pruning"]) == 4
    assert study.tables["controls"].groupby("control").size().tolist() == [10, 40]
    assert summary["random_sums"]["p_value"] >= 1 / 11
    assert len(study.tables["firing"]) == 1 + 3 + 1


def test_the_same_seed_gives_the_same_tables(study, tiny, compound) -> None:
    again = judge_superposition(tiny, compound, (0, 1), CONFIG)
    for name, table in study.tables.items():
        assert table.equals(again.tables[name]), name


def test_tokens_are_read_with_what_stands_before_them(tiny) -> None:
    texts = [[A, X, REST[0]], [X, A]]
    tokens = read_tokens(tiny, texts, [0, 2], "a", "x")
    assert tokens.pairs == (("", "a"), ("a", "x"), ("x", "b"), ("", "x"), ("x", "a"))
    assert tokens.target.tolist() == [False, True, False, False, False]
    assert {layer: tuple(acts.shape) for layer, acts in tokens.acts.items()} == {
        0: (5, 48),
        2: (5, 48),
    }
    with pytest.raises(DataError, match="no other texts to read"):
        read_tokens(tiny, [], [0], "a", "x")


def test_texts_that_were_read_before_are_not_read_again(tiny, monkeypatch) -> None:
    texts = [[A, X, REST[0]], [X, A], [A, REST[1], X, A]]
    fresh = read_tokens(tiny, texts, [0, 2], "a", "x")
    known = read_texts(tiny, [texts[2], texts[0], texts[2]], [0, 1, 2])
    assert known.texts == (tuple(texts[2]), tuple(texts[0]))
    again = read_tokens(tiny, texts, [0, 2], "a", "x", known)
    assert again.pairs == fresh.pairs
    assert again.document.tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 2]
    two = read_tokens(tiny, texts, [0], "a", "x", known, documents=("one", "two", "one"))
    assert two.document.tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 0]
    for layer in (0, 2):
        torch.testing.assert_close(again.acts[layer], fresh.acts[layer])
    monkeypatch.setattr(firing_tokens, "gather", None)
    only = read_tokens(tiny, [texts[0]], [1], "a", "x", known)
    torch.testing.assert_close(only.acts[1], known.acts[1][4:])


def test_firing_counts_pairs_and_leaves_the_compound_out() -> None:
    pairs = (("a", "x"), ("b", "c"), ("b", "c"), ("d", "e"), ("a", "x"))
    target = torch.tensor([True, False, False, False, True])
    tokens = Tokens(pairs, target, torch.tensor([0, 0, 1, 1, 2]), {})
    values = torch.tensor([5.0, 2.0, 3.0, 9.0, 0.0])
    row = firing_row(tokens, "sum", values, 1.0)
    assert (row["fires"], row["fires_on_compound"], row["compounds"]) == (4, 1, 2)
    assert (row["precision"], row["pairs"]) == (0.25, 2)
    found = firing_pairs(tokens, "sum", values, 1.0)
    assert [(one["token"], one["fires"], one["value"]) for one in found] == [
        ("c", 2, 2.5),
        ("e", 1, 9.0),
    ]
    silent = firing_row(tokens, "sum", values, 99.0)
    assert silent["precision"] is None
    frames = firing_frames([silent], firing_pairs(tokens, "sum", values, 99.0))
    assert [len(frame) for frame in frames] == [1, 0]


def test_layers_and_width_are_looked_at_first(tiny) -> None:
    assert layers_of(tiny, SuperpositionConfig()) == (0, 1, 2)
    assert layers_of(tiny, SuperpositionConfig(layers="1-2")) == (1, 2)
    with pytest.raises(DataError, match="has layers 0 to 2; layer 6 was asked for"):
        layers_of(tiny, SuperpositionConfig(layers="0-6"))
    with pytest.raises(DataError, match=r"48 neurons in a layer, too few .* up to 24"):
        layers_of(tiny, SuperpositionConfig(k=25))


@pytest.mark.parametrize("text", ["a", "3-1", "1-2-3", "-1", "1,,2", "1.5"])
def test_layers_that_are_no_numbers_are_refused(text) -> None:
    with pytest.raises(DataError, match="give them as in 0-6 or 1,2,3"):
        SuperpositionConfig(layers=text)


def test_layers_are_read_as_ranges_and_lists() -> None:
    assert parse_layers("") == ()
    assert parse_layers("2, 0-1, 1") == (0, 1, 2)


def test_numbers_that_are_too_small_are_refused() -> None:
    with pytest.raises(DataError, match="k is 1; it must be at least 2"):
        SuperpositionConfig(k=1)
    with pytest.raises(DataError, match="shuffles is 18; it must be at least 19"):
        SuperpositionConfig(shuffles=18)


def test_the_word_that_is_asked_for_is_loaded_or_the_commonest(windows, tiny, monkeypatch) -> None:
    asked = []

    def spec(encoder, **options) -> Collection:
        asked.append(options["n_per_feature"])
        return windows

    monkeypatch.setattr(superposition, "COLLECTIONS", {"compound_words": spec})
    found = load_compound(tiny.encoder, SuperpositionConfig(word="x-a", examples=9))
    assert (found.first, found.second, found.name) == ("x", "a", "x-a")
    assert set(found.others) == {windows.ids[row] for row in windows.rows_of("a-x")}
    assert asked == [9]
    found = load_compound(tiny.encoder, SuperpositionConfig(examples=9))
    assert found.name == commonest_feature(windows)
    with pytest.raises(UnknownNameError, match="unknown feature 'no-word'"):
        load_compound(tiny.encoder, SuperpositionConfig(word="no-word"))


def test_verdicts_follow_their_rules() -> None:
    def numbers(p_value: float, summand: float | None, neuron: float, token: float = 0.5):
        return {
            "sum": {"f1": {"estimate": 0.9}},
            "shuffled": {"p_value": p_value},
            "last_token": {"f1": {"estimate": token}},
            "best_summand": {"gap": {"low": summand}},
            "best_neuron": {"gap": {"low": neuron}},
        }

    assert verdict(numbers(0.02, 0.1, 0.1)) == "sum of polysemantic neurons"
    assert verdict(numbers(0.02, 0.1, 0.0)) == "one neuron is enough"
    assert verdict(numbers(0.02, None, 0.1)) == "one neuron is enough"
    assert verdict(numbers(0.2, 0.1, 0.1)) == "no sum found"
    assert verdict(numbers(0.02, 0.1, 0.1, token=0.95)) == "no sum found"
