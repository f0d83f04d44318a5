"""Windows: of one length, real text of one document, spread over documents and groups."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from needlepoint._core.errors import DataError
from needlepoint.features.collection import Card
from needlepoint.features.windows import (
    ClassText,
    take_turns,
    window_collection,
    windows_of_class,
    windows_of_document,
)


def documents(label: str, group: str, n: int, lines: int = 120) -> list[ClassText]:
    return [
        ClassText(
            group,
            f"{group}/{i}.{label}",
            label,
            "".join(f"{label} name_{i}_{j} = {j}\n" for j in range(lines)),
        )
        for i in range(n)
    ]


def card(features, others) -> Card:
    described = f"{', '.join(features)}; besides {', '.join(others)}"
    return Card("small", "Small", described, "here", "none", "by hand", (), "mean")


def collect(found, encoder, **options):
    defaults = {"n_per_feature": 20, "n_tokens": 16, "seed": 0}
    return window_collection(found, encoder, card=card, question="?", **(defaults | options))


FOUND = [
    *documents("def", "one", 12),
    *documents("def", "two", 12),
    *documents("int", "one", 10),
    *documents("end", "one", 5),
]


def test_classes_are_balanced_and_the_rare_one_is_a_negative(encoder):
    found = collect(FOUND, encoder)
    assert found.features == ("def", "int")
    assert found.labels.sum(0).tolist() == [20, 20]
    assert (~found.labels.any(1)).sum() == 20
    assert found.card.description == "def, int; besides end"
    assert {len(ids) for ids in found.ids} == {16}
    assert found.rows.tolist() == [[i, 0, 16] for i in range(60)]
    groups = Counter(
        d.split("/")[0] for d, y in zip(found.documents, found.labels, strict=True) if y[0]
    )
    assert groups == {"one": 10, "two": 10}


def test_labels_agree_with_the_document_and_its_text(encoder):
    found = collect(FOUND, encoder)
    texts = {document.document: document.text for document in FOUND}
    for document, text, label in zip(found.documents, found.texts, found.labels, strict=True):
        assert text in texts[document]
        assert label.tolist() == [document.endswith(feature) for feature in found.features]


def test_the_seed_decides_and_order_of_the_documents_does_not_change_a_document(encoder):
    assert collect(FOUND, encoder).sha256 == collect(FOUND, encoder).sha256
    assert collect(FOUND, encoder).sha256 != collect(FOUND, encoder, seed=1).sha256
    alone = list(windows_of_document(FOUND[3], encoder, n_tokens=16, seed=0))
    assert alone == list(windows_of_document(FOUND[3], encoder, n_tokens=16, seed=0))


def test_too_little_text_is_refused(encoder):
    with pytest.raises(DataError, match="fewer than two classes have 8 documents with 20 windows"):
        collect(FOUND, encoder, n_tokens=5000)
    with pytest.raises(DataError, match="ask for a smaller n_tokens or n_per_feature"):
        collect(FOUND[:7] + FOUND[24:31], encoder)


def test_windows_do_not_overlap_and_start_where_a_line_starts(encoder):
    windows = list(windows_of_document(FOUND[0], encoder, n_tokens=16, seed=0))
    assert len(windows) >= 4
    covered = np.zeros(len(FOUND[0].text), dtype=int)
    for window in windows:
        start = FOUND[0].text.index(window.text)
        assert start == 0 or FOUND[0].text[start - 1] == "\n"
        covered[start : start + len(window.text)] += 1
        assert encoder.encode(window.text)[:8] == list(window.ids[:8])
    assert covered.max() == 1


def test_every_document_gives_one_window_before_any_gives_two(encoder):
    ten = documents("def", "one", 10)
    seven = windows_of_class(ten, encoder, n=7, n_tokens=16, seed=0)
    assert len({window.of for window in seven}) == 7
    fifteen = windows_of_class(ten, encoder, n=15, n_tokens=16, seed=0)
    assert sorted(Counter(window.of for window in fifteen).values()) == [1] * 5 + [2] * 5
    assert len(windows_of_class(ten, encoder, n=99, n_tokens=16, seed=0)) == 40
    assert len(windows_of_class(ten, encoder, n=99, n_tokens=16, seed=0, most=1)) == 10


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("aé漢😀\t\r\n .", min_size=0, max_size=30), max_size=30))
def test_any_text_gives_whole_windows_of_it(encoder, lines):
    text = "\n".join(lines)
    document = ClassText("g", "d", "x", text)
    for window in windows_of_document(document, encoder, n_tokens=4, seed=0):
        assert len(window.ids) == 4
        assert window.text in text


def test_groups_take_turns():
    groups = {"b": documents("x", "b", 3), "a": documents("x", "a", 1)}
    assert [document.group for document in take_turns(groups)] == ["a", "b", "b", "b"]
    assert all(one.document < two.document for one, two in pairwise(take_turns(groups)[1:]))
