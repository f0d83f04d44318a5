"""A packaged tagger is unpacked inside its folder, and its words keep their characters."""

from __future__ import annotations

import importlib.util
import pickle
import zipfile

import pytest
import spacy
from spacy.tokens import Doc

from needlepoint._core.errors import SourceError
from needlepoint.features import packaged_prose, tagged_text
from needlepoint.features.packaged_prose import Prose
from needlepoint.features.tagged_text import load_tagger, silver_texts, tag, unpack_model


@pytest.fixture(scope="module")
def tagger():
    """A tagger without weights: sentences end at stops; a word in capitals is a proper noun."""
    found = spacy.blank("en")
    found.add_pipe("sentencizer")

    @spacy.Language.component("by_case")
    def by_case(doc: Doc) -> Doc:
        for word in doc:
            word.pos_ = "SPACE" if word.is_space else "PROPN" if word.text.isupper() else "NOUN"
            word.dep_ = "ROOT"
        return doc

    found.add_pipe("by_case")
    return found


def wheel(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def model_wheel(path, tagger):
    folder = path.parent / "model"
    tagger.to_disk(folder)
    files = {
        f"en_x/en_x-1/{file.relative_to(folder)}": file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }
    return wheel(path, {**files, "en_x/__init__.py": b"raise SystemExit", "en_x/en_x-1/ner/m": b""})


def test_words_keep_their_characters_and_sentences_end_with_their_paragraph(tagger):
    text = "One  TWO three. Four\nfive SIX.\n\nSeven"
    (found,) = tag([Prose("d", text)], tagger)
    words = [text[start:end] for start, end in found.spans]
    assert words == ["One", "TWO", "three", ".", "Four", "five", "SIX", ".", "Seven"]
    assert found.sentences.tolist() == [0, 0, 0, 0, 1, 2, 2, 2, 3]
    assert [word for word, upos in zip(words, found.upos, strict=True) if upos == "PROPN"] == [
        "TWO",
        "SIX",
    ]
    assert set(found.deprel) == {"root"}
    assert (found.document, found.text) == ("d", text)


def test_documents_stay_apart_and_in_order(tagger):
    documents = [Prose(str(i), f"Word {i}.\nMore of {i}.") for i in range(5)]
    found = list(tag(documents, tagger))
    assert [(text.document, text.text) for text in found] == documents


def test_a_packaged_model_is_loaded_without_unpickling_or_installing(tmp_path, tagger, monkeypatch):
    archive = model_wheel(tmp_path / "en_x-1.wheel", tagger)
    monkeypatch.setattr(tagged_text, "fetch", lambda package: archive)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was unpickled")

    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    assert load_tagger().pipe_names == ["sentencizer", "by_case"]
    assert importlib.util.find_spec("en_x") is None


def test_only_the_model_is_unpacked_and_nothing_outside_its_folder(tmp_path):
    folder = tmp_path / "inside"
    folder.mkdir()
    files = {"en_x/en_x-1/vocab/a": b"a", "en_x/en_x-1/ner/model": b"b", "en_x/__init__.py": b"c"}
    unpack_model(wheel(tmp_path / "a.wheel", files), folder)
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["a"]
    escaping = wheel(tmp_path / "b.wheel", {"en_x/en_x-1/../../../../out": b"x"})
    with pytest.raises(SourceError, match="has a file outside its folder"):
        unpack_model(escaping, folder)
    assert not (tmp_path / "out").exists()
    with pytest.raises(SourceError, match="holds no model for spaCy"):
        unpack_model(wheel(tmp_path / "c.wheel", {"readme": b""}), folder)


def test_without_spacy_one_is_told_what_to_install(monkeypatch):
    monkeypatch.setattr(tagged_text.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SourceError, match=r"run pip install 'needlepoint\[silver\]'"):
        load_tagger()


def test_the_tagger_runs_once(tmp_path, tagger, monkeypatch):
    monkeypatch.setenv("NEEDLEPOINT_CACHE", str(tmp_path))
    runs = []
    monkeypatch.setattr(tagged_text, "load_tagger", lambda: runs.append(1) or tagger)
    monkeypatch.setattr(packaged_prose, "read_prose", lambda: [Prose("d", "One TWO.")])
    first, second = silver_texts(), silver_texts()
    assert runs == [1]
    assert first[0].upos == second[0].upos == ("NOUN", "PROPN", "NOUN")
