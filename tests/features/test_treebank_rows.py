"""Sentences of a document are joined while they fit, and tags come to lie on the right tokens."""

from __future__ import annotations

import numpy as np
import pytest

from needlepoint.features import treebank_rows
from needlepoint.features.treebank import TaggedText
from needlepoint.features.treebank_rows import SKIP, TagKind, load_tags, one_of, passages


def tagged(document: str, sentences: list[list[tuple[str, str]]]) -> TaggedText:
    """A document of words with their parts of speech, parted by single spaces."""
    words = [word for sentence in sentences for word in sentence]
    ends = np.cumsum([len(form) + 1 for form, _ in words]) - 1
    starts = ends - [len(form) for form, _ in words]
    upos = tuple(tag for _, tag in words)
    return TaggedText(
        document=document,
        text=" ".join(form for form, _ in words),
        spans=np.column_stack([starts, ends]),
        sentences=np.repeat(np.arange(len(sentences)), [len(s) for s in sentences]),
        upos=upos,
        deprel=upos,
        feats=("_",) * len(words),
    )


def animals(document: str, n: int = 12) -> TaggedText:
    words = [("the", "DET"), ("cat", "NOUN"), ("sat", "VERB"), ("on", "ADP"), ("mat", "_")]
    return tagged(document, [words] * n)


KIND = TagKind(
    name="kind",
    title="Kind",
    description="Words.",
    question="Which?",
    features=("NOUN", "VERB", "INTJ", "X"),
    labels=lambda text: one_of(text.upos, ("NOUN", "VERB", "INTJ", "X")),
    confounds=("One.",),
    not_silver={"X": "Left out of silver tags."},
)


def load(encoder, monkeypatch, texts, **options):
    monkeypatch.setattr(treebank_rows, "tagged_texts", lambda source: texts)
    given = {"n_per_feature": 20, "n_tokens": 40, "seed": 0, "source": "packages", **options}
    return load_tags(KIND, encoder, **given)


def test_passages_are_whole_sentences_that_fit_and_lose_nothing(either_encoder):
    text = animals("d")
    parts = list(passages(text, either_encoder, 30))
    assert len(parts) > 1
    assert "".join(part.text for part in parts) == text.text
    assert sum((part.upos for part in parts), ()) == text.upos
    for part in parts:
        assert len(either_encoder.encode(part.text)) <= 30
        assert len(part.spans) % 5 == 0, "a sentence was cut"
        assert [part.text[start:end] for start, end in part.spans[:2]] == ["the", "cat"]
    whole = len(either_encoder.encode(parts[0].text)) + len(either_encoder.encode(" the cat sat"))
    assert whole > 24, "another sentence would have fitted"


def test_a_sentence_that_is_too_long_stands_alone(encoder):
    long = [("cat", "NOUN")] * 30
    text = tagged("d", [[("the", "DET")], long, [("mat", "NOUN")]])
    assert [len(part.spans) for part in passages(text, encoder, 10)] == [1, 30, 1]


def test_labels_sit_on_the_tokens_of_their_words(either_encoder, monkeypatch):
    found = load(either_encoder, monkeypatch, [animals(str(i)) for i in range(30)])
    assert found.features == ("NOUN", "VERB")
    assert (found.labels & found.asked).sum(0).tolist() == [20, 20]
    assert found.asked.sum(0).tolist() == [100, 100]
    assert found.rows[:, 1].min() >= SKIP
    for (text, start, end), labels, asked in zip(
        found.rows, found.labels, found.asked, strict=True
    ):
        assert end == start + 1
        before = "".join(either_encoder.pieces(list(found.ids[text][: start + 1])))
        word = ["the", "cat", "sat", "on", "mat"][(len(before.split()) - 1) % 5]
        assert word != "mat", "a word without a tag was asked"
        assert before.split()[-1] == word[: len(before.split()[-1])]
        if asked[0]:
            assert labels[0] == (word == "cat")
        if asked[1]:
            assert labels[1] == (word == "sat")


def test_cards_name_what_is_short_and_why(encoder, monkeypatch):
    found = load(encoder, monkeypatch, [animals("a", 3), animals("b", 3)])
    short = found.card.shortfalls
    assert short["X"] == "Left out of silver tags."
    assert short["INTJ"] == "The tagged texts have none to tell apart."
    assert "the tagged texts have no more" in short["NOUN"]
    many = [animals(str(i)) for i in range(60)]
    found = load(encoder, monkeypatch, many, n_per_feature=100)
    assert found.card.shortfalls.keys() == {"X", "INTJ"}
    assert KIND.features_from("packages") == ("NOUN", "VERB", "INTJ")
    assert KIND.features_from("hub") == KIND.features


def test_the_seed_decides(encoder, monkeypatch):
    texts = [animals(str(i)) for i in range(30)]
    one, same, other = (load(encoder, monkeypatch, texts, seed=seed).sha256 for seed in (1, 1, 2))
    assert one == same != other


@pytest.mark.parametrize("tags", [["_", "_"], ["A", "B"]])
def test_tags_that_are_no_features_are_negatives_and_missing_ones_are_not_asked(tags):
    expected = -1 if tags[0] == "_" else 0
    assert (one_of(tags, ["NOUN"]) == expected).all()
