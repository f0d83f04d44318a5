"""The sixteen tags of the reference, PART a negative only."""

from __future__ import annotations

import numpy as np
import pytest

from needlepoint._core.errors import DataError
from needlepoint.features.part_of_speech import FEATURES, SPEC, labels
from needlepoint.features.treebank import TaggedText

ROWS = [
    ("The", "DET"), ("cat", "NOUN"), ("wants", "VERB"), ("to", "PART"), ("sit", "VERB"),
    ("on", "ADP"), ("my", "PRON"), ("mat", "NOUN"), (".", "PUNCT"),
]  # fmt: skip


def test_the_features_are_those_of_the_reference():
    expected = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PRON PROPN PUNCT SCONJ SYM VERB X"
    assert sorted(FEATURES) == expected.split(" ")
    assert set(FEATURES) - set(SPEC.features) == {"X", "SYM"} == set(SPEC.card.shortfalls)
    assert SPEC.sources == ("packages", "hub", "path")


def test_part_is_a_negative_of_all_and_a_missing_tag_of_none():
    text = TaggedText(
        "d", "to go x", np.array([[0, 2], [3, 5], [6, 7]]), np.zeros(3, int),
        ("PART", "VERB", "_"), ("mark", "root", "_"), ("_", "_", "_"),
    )  # fmt: skip
    found = labels(text)
    assert (found[0] == 0).all()
    assert found[1].tolist() == [int(name == "VERB") for name in FEATURES]
    assert (found[2] == -1).all()


def test_a_treebank_file_is_loaded_by_its_path(tmp_path, encoder, monkeypatch):
    monkeypatch.setenv("NEEDLEPOINT_CACHE", str(tmp_path / "cache"))
    lines = [
        f"{i}\t{form}\t_\t{tag}\t_\t_\t0\tdep\t_\t_" for i, (form, tag) in enumerate(ROWS, start=1)
    ]
    path = tmp_path / "mine.conllu"
    path.write_text("".join(f"# newdoc id = {i}\n" + "\n".join(lines) + "\n\n" for i in range(30)))
    found = SPEC(encoder, source=str(path), n_per_feature=10)
    assert set(found.features) == {"NOUN", "VERB", "ADP", "PRON", "PUNCT"}, "the first are skipped"
    assert "mine.conllu" in found.card.description
    column = found.features.index("PUNCT")
    rows = found.rows[found.labels[:, column] & found.asked[:, column]]
    assert {"".join(encoder.pieces(list(found.ids[text][a:b]))).strip() for text, a, b in rows} == {
        "."
    }
    with pytest.raises(DataError, match="holds no treebank"):
        SPEC(encoder, source=str(tmp_path / "absent"))
