"""Every way in leads to the same documents; downloads are checked, kept, and refused if wrong."""

from __future__ import annotations

import numpy as np
import pytest

from needlepoint._core.errors import DataError, SourceError
from needlepoint.features import tagged_text, treebank_sources
from needlepoint.features.treebank import TaggedText
from needlepoint.features.treebank_sources import origin_of, tagged_texts

SENTENCE = "# newdoc id = {0}\n# sent_id = {0}\n1\tword\t_\tNOUN\t_\t_\t0\troot\t_\t_\n\n"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NEEDLEPOINT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def public(tmp_path, monkeypatch):
    """A public treebank of two files, in a folder instead of on the network."""
    folder = tmp_path / "public"
    folder.mkdir()
    (folder / "a.conllu").write_text(SENTENCE.format("one") + SENTENCE.format("two"))
    (folder / "b.conllu").write_text(SENTENCE.format("three"))
    monkeypatch.setattr(treebank_sources, "BASE", folder.as_uri())
    monkeypatch.setattr(treebank_sources, "FILES", {"a.conllu": 2, "b.conllu": 1})
    return folder


def names(source: str) -> list[str]:
    return [text.document for text in tagged_texts(source)]


def test_the_public_treebank_is_fetched_once_and_is_what_its_files_are(public):
    assert names("hub") == names(str(public)) == ["one", "two", "three"]
    for file in public.iterdir():
        file.unlink()
    assert names("hub") == ["one", "two", "three"]


def test_a_download_that_fails_or_is_cut_short_is_refused_and_not_kept(public, cache):
    (public / "b.conllu").unlink()
    with pytest.raises(SourceError, match=r"b\.conllu cannot be had .* leave the source out"):
        tagged_texts("hub")
    (public / "b.conllu").write_text("")
    with pytest.raises(SourceError, match="has 0 sentences where the release has 1"):
        tagged_texts("hub")
    assert not list(cache.rglob("b.conllu"))


def test_a_file_that_changed_is_read_again(tmp_path):
    path = tmp_path / "mine.conllu"
    path.write_text(SENTENCE.format("before"))
    assert names(str(path)) == ["before"]
    path.write_text(SENTENCE.format("after"))
    assert names(str(path)) == ["after"]


def test_records_of_files_are_kept(tmp_path, monkeypatch):
    path = tmp_path / "mine.conllu"
    path.write_text(SENTENCE.format("d"))
    assert names(str(path)) == ["d"]
    monkeypatch.setattr(treebank_sources, "read_treebank", None)
    assert names(str(path)) == ["d"]


def test_packages_are_the_silver_texts(monkeypatch):
    text = TaggedText("d", "a", np.array([[0, 1]]), np.array([0]), ("X",), ("root",), ("_",))
    monkeypatch.setattr(tagged_text, "silver_texts", lambda: [text])
    assert tagged_texts("packages") == [text]


def test_a_path_without_a_treebank_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no treebank"):
        tagged_texts(str(tmp_path))
    with pytest.raises(DataError, match="holds no treebank"):
        tagged_texts(str(tmp_path / "absent"))


def test_cards_say_plainly_who_tagged():
    assert "silver: those of a small tagger" in origin_of("packages").description
    assert "Confirm a finding on gold" in " ".join(origin_of("packages").confounds)
    assert "gold: those of the treebank's annotators" in origin_of("hub").description
    assert origin_of("some/folder/mine.conllu").source.endswith("mine.conllu")
    assert "some/folder" not in origin_of("some/folder/mine.conllu").source
