"""Windows end in the compound or in its parts apart, in fixed shares, each asked of its own."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from needlepoint._core.errors import DataError
from needlepoint.features import compound_words as collection
from needlepoint.features import pile
from needlepoint.features.compound_words import compound_collection, kinds_of_tokens

FILL = "on the log and the mat sat the dog on the log and sat"


def texts(n=20):
    return [
        (f"d{i}", f"{FILL} the cat {FILL} and dog cat {FILL} The mat {FILL} the log sat")
        for i in range(n)
    ]


def ends(found, column=0):
    """The last two words of each window, and its label."""
    return [
        (tuple(text.lower().split()[-2:]), bool(label))
        for text, label in zip(found.texts, found.labels[:, column], strict=True)
    ]


def test_windows_are_of_three_kinds_in_their_shares(encoder):
    found = compound_collection("the", "cat", texts(), encoder, n_per_feature=10, n_tokens=8)
    assert {len(ids) for ids in found.ids} == {8}
    assert (found.rows[:, 1:] == [7, 8]).all()
    assert found.reduce == "last"
    kinds = {"compound": 0, "second": 0, "first": 0}
    for (before, last), label in ends(found):
        assert label == (before == "the" and last == "cat")
        kinds["compound" if label else "second" if last == "cat" else "first"] += 1
        assert label or (before == "the") != (last == "cat")
    assert kinds == {"compound": 10, "second": 20, "first": 20}
    for ids, text in zip(found.ids, found.texts, strict=True):
        assert "".join(encoder.pieces(list(ids))) == text
    again = compound_collection("the", "cat", texts(), encoder, n_per_feature=10, n_tokens=8)
    assert again.sha256 == found.sha256


def test_case_and_space_do_not_matter_but_pieces_of_words_do(encoder):
    text = "the cat the dog"
    _, offsets = encoder.encode_with_offsets(text)
    assert kinds_of_tokens(offsets, text, "the", "cat").tolist() == [-1, 0, -1, 2]
    upper = text.upper()
    assert kinds_of_tokens(offsets, upper, "the", "cat").tolist() == [-1, 0, -1, 2]


def test_compounds_that_do_not_occur_are_refused(encoder):
    with pytest.raises(DataError, match="no compound occurs with its words as single tokens"):
        compound_collection("living", "room", texts(), encoder, n_per_feature=10)


@pytest.fixture
def wheel(own_cache, monkeypatch):
    monkeypatch.setattr(collection, "COMPOUNDS", ("the-cat", "the-dog"))

    def read(tags):
        assert tags == ["65_the-cat", "66_the-dog"]
        found = {}
        for tag, word, wrong in (("65_the-cat", "cat", "dog"), ("66_the-dog", "dog", "cat")):
            prompts = []
            for i in range(40):
                start = f"{i} {FILL} "
                prompts += [f"{start}the {word}", f"{start}and {word}", f"{start}the {wrong}"]
            found[tag] = pd.DataFrame({"prompt": prompts * 2, "target": "bigram"})
        return found

    monkeypatch.setattr(collection, "read_sets", read)


@pytest.mark.usefixtures("wheel")
def test_each_compound_is_asked_on_its_own_prompts(encoder):
    found = collection.load(encoder, n_per_feature=10, n_tokens=12, seed=0, source="packages")
    assert found.features == ("the-cat", "the-dog")
    assert (found.asked.sum(1) == 1).all()
    counts = found.counts()
    assert counts["positives"].tolist() == [10, 10]
    assert counts["negatives"].tolist() == [40, 40]
    assert len(set(found.documents)) == len(found.documents)
    for column, word in enumerate(("cat", "dog")):
        rows = found.rows_of(found.features[column])
        for row in rows:
            before, last = found.texts[row].split()[-2:]
            assert found.labels[row, column] == (before == "the" and last == word)
    assert max(map(len, found.ids)) == 12
    assert set(found.card.shortfalls) == {"the-cat", "the-dog"}
    assert "10 documents" in found.card.shortfalls["the-cat"]


def test_the_hub_is_searched_for_the_compounds(encoder, tmp_path, monkeypatch):
    rows = [{"text": text, "meta": {"pile_set_name": "ArXiv"}} for _, text in texts()]
    (tmp_path / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.setattr(collection, "COMPOUNDS", ("the-cat",))
    monkeypatch.setattr(pile, "PILE", dataclasses.replace(pile.PILE, repo=str(tmp_path)))
    found = collection.load(encoder, n_per_feature=10, n_tokens=8, seed=0, source="hub")
    assert found.counts()["positives"].tolist() == [10]
    assert all(document.startswith("pile/") for document in found.documents)


def test_the_paper_has_21_compounds():
    assert len(collection.COMPOUNDS) == 21 == np.unique(collection.COMPOUNDS).size
