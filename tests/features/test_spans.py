"""Labels sit on the tokens that overlap their stretch; rows are chosen by one shared priority."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from needlepoint._core.errors import DataError
from needlepoint.features.align import tokens_of_span
from needlepoint.features.collection import Card
from needlepoint.features.spans import SpanText, span_collection, with_shortfalls

CARD = Card("made", "", "", "", "", "", (), "")
PIECES = [
    "the",
    " cat",
    "é",
    "naïve",
    "😀",
    "👩\u200d🔬",
    "日本",
    "語",
    "\t",
    "\r\n",
    "  ",
    " ",
    "fn(x).",
]
TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=25).map("".join)


def collect(texts, encoder, **options):
    settled = {"features": ["yes"], "n_per_feature": 1000, "n_tokens": 400, "seed": 0}
    settled |= {"positive_share": 1e-3, "card": CARD, "question": ""}
    return span_collection(texts, encoder, **settled | options)


def labelled(text, spans, labels, document="d"):
    shaped = np.array(labels, dtype=np.int8).reshape(len(spans), 1 if labels == [] else -1)
    return SpanText(text, document, np.array(spans, dtype=np.int64).reshape(-1, 2), shaped)


def other():
    """A text with a negative, so that the feature is not of one class."""
    return labelled(".", [(0, 1)], [0], "other")


@given(text=TEXTS, data=st.data())
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("unit", ["token", "span"])
def test_labels_sit_on_the_tokens_that_overlap(either_encoder, unit, text, data):
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    _, offsets = either_encoder.encode_with_offsets(text)
    texts = [labelled(text, [(start, end)], [1]), other()]
    try:
        first, last = tokens_of_span(offsets, start, end, text=text)
    except DataError:  # nothing but white space: whatever is labelled is white space
        return
    found = collect(texts, either_encoder, unit=unit)
    mine = [i for i, document in enumerate(found.row_documents) if document == "d"]
    rows = found.rows[mine]
    assert found.labels[mine].all()
    if unit == "span":
        assert rows[:, 1:].tolist() == [[first, last]]
        return
    holders = [i for i in range(first, last) if offsets[i][0] < end and offsets[i][1] > start]
    assert set(rows[:, 1]) <= set(holders)
    spare = set(holders) - set(rows[:, 1])
    assert all(not text[slice(*offsets[i])].strip() for i in spare)


@given(text=TEXTS, n_tokens=st.integers(1, 12), keep=st.sampled_from(["first", "last"]))
@settings(max_examples=60, deadline=None)
def test_stretches_that_were_cut_off_are_in_no_row(encoder, text, n_tokens, keep):
    spans = [(i, i + 1) for i, sign in enumerate(text) if not sign.isspace()]
    if not spans:
        return
    texts = [labelled(text, spans, [1] * len(spans)), other()]
    ids, offsets = encoder.encode_with_offsets(text)
    low = max(len(ids) - n_tokens, 0) if keep == "last" else 0
    whole = {
        (first - low, last - low)
        for first, last in (tokens_of_span(offsets, *span, text=text) for span in spans)
        if first >= low and last <= low + n_tokens
    }
    if not whole:
        return
    found = collect(texts, encoder, unit="span", n_tokens=n_tokens, keep=keep)
    rows = {
        (a, b)
        for (text_, a, b), name in zip(found.rows.tolist(), found.row_documents, strict=True)
        if name == "d"
    }
    assert rows == whole
    assert all(len(ids) <= n_tokens for ids in found.ids)
    index = found.documents.index("d")
    assert tuple(ids[low:][: len(found.ids[index])]) == found.ids[index]


def test_a_token_of_two_stretches_takes_the_first_or_any(encoder):
    text = "the cat"
    _, offsets = encoder.encode_with_offsets(text)
    spans = [(0, 4), (4, 5), (5, 7)]
    texts = [labelled(text, spans, [0, 0, 1])]
    touched = [i for i, (a, b) in enumerate(offsets) if a < 7 and b > 5]
    shared = [i for i in touched if offsets[i][0] < 5]
    anywhere = collect(texts, encoder, merge="any")
    assert anywhere.rows[anywhere.labels[:, 0], 1].tolist() == touched
    if shared != touched:
        first = collect(texts, encoder)
        assert first.rows[first.labels[:, 0], 1].tolist() == [i for i in touched if i not in shared]


def many(n=30):
    """Documents of words, with a feature for each of two letters."""
    draw = np.random.default_rng(0)
    found = []
    for i in range(n):
        words = draw.choice(["cat", "dog", "log", "mat"], 40)
        text = " ".join(words)
        starts = np.arange(40) * 4
        labels = np.column_stack([words == "cat", words == "dog", words == "log"])
        spans = np.column_stack([starts, starts + 3])
        found.append(SpanText(text, f"d{i}", spans, labels.astype(np.int8)))
    return found


NAMES = ["cat", "dog", "log"]


def test_shares_priorities_and_opposites(encoder):
    options = {"features": NAMES, "unit": "span", "n_per_feature": 40}
    found = collect(many(), encoder, **options, positive_share=0.2, n_documents=5)
    counts = found.counts().set_index("feature")
    assert counts["positives"].tolist() == [40] * 3
    assert counts["negatives"].tolist() == [160] * 3
    assert len(found.rows) < 0.6 * 3 * 200  # rows are shared
    paired = collect(
        many(), encoder, **options, positive_share=0.2, n_documents=5, pairs=[("cat", "dog")]
    )
    rows = paired.rows_of("cat")
    negative = rows[~paired.labels[rows, 0]]
    assert paired.labels[negative, 1].sum() >= 80
    natural = collect(many(), encoder, **options, positive_share=0.1, most_positive=0.5)
    counts = natural.counts().set_index("feature")
    share = counts["positives"] / (counts["positives"] + counts["negatives"])
    assert share.between(0.2, 0.3).all()  # one word in four
    capped = collect(many(), encoder, **options, positive_share=0.1, most_positive=0.15)
    assert (capped.counts()["negatives"] == round(40 / 0.15) - 40).all()


def test_texts_are_read_until_there_are_documents_enough(encoder):
    options = {"features": NAMES, "unit": "span", "n_per_feature": 6, "positive_share": 0.5}
    few = collect(many(), encoder, **options, n_documents=2)
    wide = collect(many(), encoder, **options, n_documents=25)
    assert len(set(few.documents)) <= 3 < 6 < len(set(wide.documents))


def test_the_seed_decides_and_rows_that_are_not_asked_do_not_count(encoder):
    options = {"features": NAMES, "n_per_feature": 20, "positive_share": 0.2}
    one = collect(many(), encoder, **options)
    assert one.sha256 == collect(many(), encoder, **options).sha256
    assert one.sha256 != collect(many(), encoder, **options, seed=1).sha256
    unasked = many(3)
    for text in unasked:
        text.labels[:20] = -1
    found = collect(unasked, encoder, features=NAMES, unit="span", positive_share=0.2)
    by_text = {text.document: encoder.encode_with_offsets(text.text)[1] for text in unasked}
    for row, document in zip(found.rows, found.row_documents, strict=True):
        assert by_text[document][row[1]][0] >= 79


def test_first_tokens_are_skipped(encoder):
    found = collect(many(), encoder, features=NAMES, n_per_feature=20, skip=7, positive_share=0.2)
    assert found.rows[:, 1].min() >= 7


def test_stretches_on_the_same_tokens_give_one_row(encoder):
    texts = [labelled("the cat sat", [(0, 3), (0, 3), (4, 7)], [1, 0, 0])]
    found = collect(texts, encoder, unit="span", positive_share=0.2)
    assert found.labels.ravel().tolist() == [True, False]


def test_few_examples_are_told_on_the_card(encoder):
    found = collect(many(4), encoder, features=NAMES, n_per_feature=30, positive_share=0.2)
    told = with_shortfalls(found, "no more.", n=30, documents=20)
    assert set(told.card.shortfalls) == set(NAMES)
    assert told.card.shortfalls["cat"].endswith("from 4 documents: no more.")


def test_what_cannot_be_used_is_refused(encoder):
    with pytest.raises(DataError, match="stretch 2 to 4 does not fit a text of 3"):
        labelled("abc", [(2, 4)], [1])
    with pytest.raises(DataError, match="no labelled stretch"):
        collect([labelled("the cat", [], [])], encoder)
    with pytest.raises(DataError, match="no feature has rows with it and rows without it"):
        collect([labelled("the cat", [(0, 3)], [1])], encoder)
