"""A token's label is a function of the characters it came from, whatever the tokenizer."""

from __future__ import annotations

import dataclasses
import io
import json
import tarfile

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from needlepoint.features import pile
from needlepoint.features import text_features as collection
from needlepoint.features.packaged_prose import Prose
from needlepoint.features.packaged_texts import PackagedTexts
from needlepoint.features.windows import ClassText

WORDS = ["the", "Cat", "12", "x1", "ABC", "I", "A", "naïve", "日本", "😀", ",", "++", "\n", "\t"]
WORDS += ["fn", "USA", "2020", "Émile", "no"]


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (" 12", "contains_digit all_digits contains_whitespace has_leading_space"),
        ("x1", "contains_digit"),
        (" I", "contains_capital leading_capital contains_whitespace has_leading_space"),
        ("USA", "contains_capital leading_capital all_capitals"),
        ("cat", "no_leading_space_and_loweralpha"),
        ("\n\n", "contains_whitespace contains_all_whitespace is_not_alphanumeric"),
        (" ++", "contains_whitespace has_leading_space is_not_alphanumeric"),
        ("É", "leading_capital is_not_ascii"),
        ("日", "is_not_ascii"),
        ("😀", "is_not_alphanumeric is_not_ascii"),
        ("dEF", "contains_capital"),
        ("_", ""),
    ],
)
def test_rules(token, expected):
    found = {name for name, rule in collection.RULES.items() if rule(token)}
    assert found == set(expected.split())


@given(words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=12), space=st.booleans())
@settings(max_examples=60, deadline=None)
def test_strings_are_the_pieces_whether_offsets_have_the_space(either_encoder, words, space):
    text = (" " if space else "").join(words)
    ids, offsets = either_encoder.encode_with_offsets(text)
    strings = collection.token_strings(offsets, text)
    for string, piece in zip(strings, either_encoder.pieces(ids), strict=True):
        if "\ufffd" in piece:
            assert not string.isascii()
        elif piece.strip() or string:
            assert string == piece


@pytest.fixture
def made(own_cache, tmp_path, monkeypatch):
    text = " ".join(WORDS * 12)
    archive = tmp_path / "made.tar"
    with tarfile.open(archive, "w") as tar:
        for name in ("fra", "jpn", "xyz"):
            content = (
                f"<html><head><title>T</title></head><p>{text} &amp; {name}</p></html>".encode()
            )
            info = tarfile.TarInfo(f"package/declaration/{name}.html")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    prose = [Prose(f"mail/{i}", text + str(i)) for i in range(24)]
    code = [ClassText("p", "p/a.py", "python", "x = 1\n" * 200)]
    monkeypatch.setattr(collection, "fetch", lambda package: archive)
    monkeypatch.setattr(collection.packaged_prose, "read_prose", lambda: prose)
    monkeypatch.setattr(collection.programming_language, "records", lambda: PackagedTexts(code, {}))


@pytest.mark.usefixtures("made")
def test_rows_have_the_label_of_their_characters_and_shares_in_range(encoder):
    found = collection.SPEC(encoder, n_per_feature=20)
    assert found.features == collection.FEATURES
    assert "udhr/xyz" not in found.documents
    assert not any("<p>" in text for text in found.texts)
    for (text, start, end), labels, asked in zip(
        found.rows, found.labels, found.asked, strict=True
    ):
        assert end == start + 1
        assert start >= collection.SKIP
        offsets = encoder.encode_with_offsets(found.texts[text])[1]
        string = collection.token_strings(offsets, found.texts[text])[start]
        expected = [rule(string) for rule in collection.RULES.values()]
        assert [a for a, b in zip(labels, asked, strict=True) if b] == [
            a for a, b in zip(expected, asked, strict=True) if b
        ]
    counts = found.counts()
    share = counts["positives"] / (counts["positives"] + counts["negatives"])
    assert share.between(0.19, 0.51).all()
    assert found.sha256 == collection.SPEC(encoder, n_per_feature=20).sha256


def test_the_hub_gives_documents_of_the_pile(encoder, tmp_path, monkeypatch):
    text = " ".join(WORDS * 6)
    rows = [{"text": f"{text} {i}", "meta": {"pile_set_name": "ArXiv"}} for i in range(30)]
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    (tmp_path / "test.jsonl.zst").write_bytes(zstandard.compress(lines.encode()))
    monkeypatch.setattr(pile, "PILE", dataclasses.replace(pile.PILE, repo=str(tmp_path)))
    assert list(pile.pile_documents(n=2)) == [(f"pile/{i}", f"{text} {i}") for i in range(2)]
    assert list(pile.pile_documents(subset="FreeLaw", n=2)) == []
    found = collection.SPEC(encoder, n_per_feature=20, source="hub")
    assert set(found.documents) <= {f"pile/{i}" for i in range(30)}
    assert "Pile" in found.card.description
