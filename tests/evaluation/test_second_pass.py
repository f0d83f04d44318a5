"""The second reading keeps the candidates only, and they are the columns of the whole layer."""

from __future__ import annotations

import pytest
import torch

from needlepoint._core.errors import DataError, UnknownNameError
from needlepoint._core.seeds import seed_for
from needlepoint.evaluation.first_pass import first_pass
from needlepoint.evaluation.read_neurons import read_neurons
from needlepoint.evaluation.second_pass import Candidates, second_pass


def test_candidates_are_the_columns_of_the_whole_layer(tiny, toy) -> None:
    collection = toy()
    first = first_pass(tiny, collection)
    candidates = Candidates.of(first.rankings, top=6)
    second = second_pass(tiny, collection, candidates)
    data = second.data
    for part in ("train", "validation", "test"):
        assert getattr(data, part).tolist() == getattr(first.split, part).tolist()
    whole = read_neurons(tiny, collection, seed=seed_for(0, features="toy", use="split"))
    for layer in range(3):
        neurons = candidates.neurons[layer]
        assert 6 <= len(neurons) <= 12
        assert neurons.diff().gt(0).all()
        assert torch.equal(data.layer(layer), whole.layer(layer)[:, neurons])
        assert candidates.site(layer, 2) == f"L{layer}.N{neurons[2]}"
    on_disk = sum(path.stat().st_size for path in data.extraction.store.path.rglob("c/*/0"))
    assert second.bytes == on_disk
    whole_path = whole.extraction.store.path
    assert second.bytes_of_all == sum(p.stat().st_size for p in whole_path.rglob("c/*/0"))
    assert second.bytes < 0.35 * second.bytes_of_all
    assert second.sentence.startswith(f"{len(candidates)} candidates in ")


def test_the_same_choice_is_computed_once_and_another_is_another_store(
    tiny, toy, monkeypatch
) -> None:
    rankings = first_pass(tiny, toy()).rankings
    one = second_pass(tiny, toy(), Candidates.of(rankings, top=3))
    other = second_pass(tiny, toy(), Candidates.of(rankings, by=("auc",), top=3))
    assert one.data.extraction.store.path != other.data.extraction.store.path

    def refuse(*_: object) -> None:
        raise AssertionError("the model was run again")

    monkeypatch.setattr(type(tiny), "hidden", refuse)
    again = second_pass(tiny, toy(), Candidates.of(rankings, top=3))
    assert again.data.extraction.store.path == one.data.extraction.store.path


def test_candidates_of_several_rankings_are_their_union(tiny, toy) -> None:
    rankings = first_pass(tiny, toy()).rankings
    parts = [Candidates.of(rankings, (name,), 4) for name in ("auc", "mean_difference")]
    both = Candidates.of(rankings, ("auc", "mean_difference"), 4)
    for layer in range(3):
        union = {n for part in parts for n in part.neurons[layer].tolist()}
        assert both.neurons[layer].tolist() == sorted(union)


def test_what_is_no_choice_is_refused(tiny, toy) -> None:
    rankings = first_pass(tiny, toy()).rankings
    with pytest.raises(DataError, match="name at least one"):
        Candidates.of(rankings, ())
    with pytest.raises(UnknownNameError, match="unknown ranking 'svm'"):
        Candidates.of(rankings, ("svm",))
    with pytest.raises(DataError, match="candidates of 1 layers for a model of 3"):
        second_pass(tiny, toy(), Candidates((torch.arange(4),)))
