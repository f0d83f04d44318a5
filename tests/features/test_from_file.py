"""Labelled text in three formats gives one collection, and each thing wrong with it is said."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from needlepoint._core.errors import DataError, OneClassError, UnknownNameError
from needlepoint.features import COLLECTIONS, from_file, load_collection

TEXTS = ["the cat sat", "the dog sat", "le café est", "das Mädchen", "on the mat", "fermé déjà"]
ENGLISH = ["yes", "yes", "no", "no", "yes", "no"]
SPANS = [[[4, 7, "animal"]], [[4, 7, "animal"]], [], [[4, 11, "person"]], [], []]


@pytest.fixture
def write(tmp_path):
    def write(rows, suffix=".csv"):
        frame, path = pd.DataFrame(rows), tmp_path / f"mine{suffix}"
        if suffix == ".csv":
            frame.to_csv(path, index=False)
        elif suffix == ".jsonl":
            path.write_text(
                "\n".join(json.dumps(row) for row in frame.to_dict("records")), encoding="utf-8"
            )
        else:
            frame.to_parquet(path, index=False)
        return path

    return write


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_yes_and_no_make_one_feature_in_every_format(write, encoder, suffix):
    collection = from_file(write({"text": TEXTS, "label": ENGLISH}, suffix), encoder)
    assert collection.features == ("label",)
    assert collection.labels[:, 0].tolist() == [value == "yes" for value in ENGLISH]
    assert collection.ids == tuple(tuple(encoder.encode(text)) for text in TEXTS)
    assert collection.texts == tuple(TEXTS)
    assert collection.rows.tolist() == [[i, 0, len(x)] for i, x in enumerate(collection.ids)]
    assert len(set(collection.documents)) == 6


@pytest.mark.parametrize(
    ("values", "suffix"),
    [
        ([1, 1, 0, 0, 1, 0], ".csv"),
        ([1, 1, 0, 0, 1, 0], ".parquet"),
        ([True, True, False, False, True, False], ".jsonl"),
        ([True, True, False, False, True, False], ".parquet"),
        ([1.0, 1.0, 0.0, 0.0, 1.0, 0.0], ".parquet"),
        (["Yes", "TRUE", "no", "False", "1", "0"], ".csv"),
    ],
)
def test_all_ways_to_say_yes_agree(write, encoder, values, suffix):
    path = write({"text": TEXTS, "english": values}, suffix)
    collection = from_file(path, encoder, label="english", reduce="max")
    assert collection.features == ("english",)
    assert collection.labels[:, 0].tolist() == [value == "yes" for value in ENGLISH]
    assert collection.reduce == "max"


def test_other_labels_are_one_against_the_rest(write, encoder):
    texts, labels = TEXTS * 3, ["en", "en", "fr", "de", "en", "fr"] * 3
    collection = from_file(write({"text": texts, "label": labels}), encoder)
    assert collection.features == ("de", "en", "fr")
    assert (collection.labels.sum(1) == 1).all()
    assert collection.labels.sum(0).tolist() == [3, 9, 6]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_spans_label_the_tokens_they_overlap(write, encoder, suffix):
    rows = {"text": TEXTS * 3, "spans": [json.dumps(s) for s in SPANS * 3]}
    if suffix == ".jsonl":
        rows["spans"] = SPANS * 3
    collection = from_file(write(rows, suffix), encoder)
    assert collection.features == ("animal", "person")
    assert collection.reduce == "last"
    assert len(collection.rows) == sum(map(len, collection.ids))
    assert (collection.rows[:, 2] - collection.rows[:, 1] == 1).all()

    def labelled(feature: int) -> set[str]:
        found: dict[int, list[int]] = {}
        for text, start, _ in collection.rows[collection.labels[:, feature]].tolist():
            found.setdefault(text, []).append(collection.ids[text][start])
        return {encoder.tokenizer.decode(ids) for ids in found.values()}

    assert labelled(0) == {" cat", " dog"}
    assert labelled(1) == {" Mädchen"}


def test_parquet_structs_are_spans_too(encoder, tmp_path):
    keys = ("start", "end", "name")
    spans = [[dict(zip(keys, span, strict=True)) for span in of_text] for of_text in SPANS * 3]
    path = tmp_path / "s.parquet"
    pd.DataFrame({"text": TEXTS * 3, "spans": spans}).to_parquet(path)
    as_json = tmp_path / "s.jsonl"
    lines = zip(TEXTS * 3, SPANS * 3, strict=True)
    as_json.write_text("\n".join(json.dumps({"text": t, "spans": s}) for t, s in lines))
    assert from_file(path, encoder).sha256 == from_file(as_json, encoder).sha256


def test_a_document_column_groups_rows(write, encoder):
    rows = {"text": TEXTS * 2, "label": ENGLISH * 2, "book": list("abcdefabcdef")}
    collection = from_file(write(rows), encoder, document="book")
    assert collection.row_documents == tuple("abcdefabcdef")


@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        ({"text": None}, {}, DataError, "no column 'text'; its columns are: label"),
        ({"label": None}, {}, DataError, "no column 'label'; its columns are: text"),
        ({}, {"document": "book"}, DataError, "no column 'book'; its columns are: text, label"),
        ({"label": ["yes"] * 6}, {}, OneClassError, "column 'label' is yes in all 6 rows"),
        ({"label": ["en"] * 6}, {}, OneClassError, "column 'label' is 'en' in all 6 rows"),
        ({"text": [*TEXTS[:5], " "]}, {}, DataError, r"row 6 of .* has an empty text; fill it"),
        ({"label": [*ENGLISH[:5], ""]}, {}, DataError, "row 6 of .* has no 'label'; give it a la"),
        ({"label": ["yes"] + ["no"] * 5}, {}, DataError, "'label' has 1 document with rows with"),
    ],
)
def test_a_bad_table_is_refused(write, encoder, change, options, error, message):
    rows = {"text": TEXTS, "label": ENGLISH, **change}
    path = write({name: column for name, column in rows.items() if column is not None})
    with pytest.raises(error, match=message):
        from_file(path, encoder, **options)


def test_too_many_labels_are_refused(write, encoder):
    rows = {"text": [f"the cat {i}" for i in range(51)], "label": [f"v{i}" for i in range(51)]}
    with pytest.raises(DataError, match="has 51 different values, such as 'v0'; labels are yes"):
        from_file(write(rows), encoder)


@pytest.mark.parametrize(
    ("span", "message"),
    [
        ([4, 99, "x"], r"row 1 of .*, 'x': span 4 to 99 does not fit a text of 11 .*has 'cat sat'"),
        ([5, 5, "x"], "span 5 to 5 does not fit"),
        ([3, 4, "x"], r"row 1 of .*'x': span 3 to 4 holds only white space"),
        ([0, 3], r"row 1 of .*: \[0, 3\] is not a span; write \[start, end, name\]"),
        (["a", 3, "x"], r"is not a span"),
        ([True, 3, "x"], r"is not a span"),
        (7, r"7 is not a span"),
    ],
)
def test_a_label_that_does_not_align_is_refused(write, encoder, span, message):
    path = write({"text": TEXTS, "spans": [[span], *SPANS[1:]]}, ".jsonl")
    with pytest.raises(DataError, match=message):
        from_file(path, encoder)


def test_spans_that_are_no_list_are_refused(write, encoder):
    with pytest.raises(DataError, match=r"row 1 of .*: its spans are not JSON"):
        from_file(write({"text": TEXTS, "spans": ["[[0", *["[]"] * 5]}), encoder)
    with pytest.raises(DataError, match=r"its spans are 3; write \[\[start, end, name\]"):
        from_file(write({"text": TEXTS, "spans": ["3", *["[]"] * 5]}), encoder)
    with pytest.raises(OneClassError, match="no labelled span in any text"):
        from_file(write({"text": TEXTS, "spans": ["[]"] * 6}), encoder)


def test_bad_files_are_refused(encoder, tmp_path):
    def refused(name: str, content: bytes, message: str) -> None:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            from_file(path, encoder)

    with pytest.raises(DataError, match=r"nowhere\.csv does not exist"):
        from_file(tmp_path / "nowhere.csv", encoder)
    refused("a.xlsx", b"x", r"is not a \.csv, \.jsonl, \.parquet file; convert it")
    refused("a.csv", b"text,label\n\xff,1\n", r"line 2 of .* is not UTF-8")
    refused("b.csv", b"", "is not a CSV table")
    refused("c.csv", b'text,label\n"a,1,2\nb,2,3\n', "is not a CSV table")
    refused("d.csv", b"text,label\n", "has no rows")
    refused("a.jsonl", b'{"text": "a"}\nnope\n', r"line 2 of .* is not JSON")
    refused("b.jsonl", b"[1]\n", r"line 1 of .* is not a JSON object")
    refused("a.parquet", b"PAR1 this is not one", r"a\.parquet (is damaged or not Parquet|cannot)")


def test_a_truncated_parquet_file_is_refused(write, encoder):
    path = write({"text": TEXTS, "label": ENGLISH}, ".parquet")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"mine\.parquet (is damaged or not Parquet|cannot)"):
        from_file(path, encoder)


def test_load_collection_takes_names_and_paths(write, encoder):
    assert "programming_language" in COLLECTIONS
    path = write({"text": TEXTS, "label": ENGLISH})
    assert load_collection(path, encoder).sha256 == from_file(path, encoder).sha256
    assert load_collection(str(path), encoder, reduce="last").reduce == "last"
    with pytest.raises(UnknownNameError, match="did you mean 'programming_language'"):
        load_collection("programing_language", encoder)
    with pytest.raises(DataError, match="does not exist"):
        load_collection("nowhere.csv", encoder)


def test_labels_are_a_boolean_matrix(write, encoder):
    collection = from_file(write({"text": TEXTS, "label": ENGLISH}), encoder)
    assert collection.labels.dtype == np.bool_
    assert np.issubdtype(collection.rows.dtype, np.integer)


def test_a_column_named_document_groups_rows_without_being_asked_for(tmp_path, encoder) -> None:
    path = tmp_path / "labelled.csv"
    lines = [f"text {i},{'yes' if i % 2 else 'no'},book {i // 4}" for i in range(24)]
    path.write_text("\n".join(["text,label,document", *lines]))
    assert set(from_file(path, encoder).row_documents) == {f"book {i}" for i in range(6)}
