"""The language of a file is that of its ending, whichever way the file comes in."""

from __future__ import annotations

import json

import pytest

from needlepoint._core.errors import DataError, SourceError
from needlepoint.features import programming_language as collection
from needlepoint.features.hub import HubData
from needlepoint.features.packaged_texts import PackagedTexts
from needlepoint.features.windows import ClassText


def files(language: str, project: str, n: int, lines: int = 120) -> list[ClassText]:
    word = {"c": "int", "python": "def", "ruby": "end"}.get(language, language)
    return [
        ClassText(
            project,
            f"{project}/{i}.{language}",
            language,
            "".join(f"{word} name_{i}_{j} = {j}\n" for j in range(lines)),
        )
        for i in range(n)
    ]


@pytest.fixture
def offline(monkeypatch):
    found = [*files("python", "one", 12), *files("c", "two", 10), *files("ruby", "one", 5)]
    texts = PackagedTexts(found, {"some-go-dev": "apt-get is not here"})
    monkeypatch.setattr(collection, "packaged_texts", lambda *_, **__: texts)


def load(encoder, **options):
    return collection.SPEC(encoder, **{"n_per_feature": 20, "n_tokens": 16, **options})


@pytest.mark.usefixtures("offline")
def test_the_card_names_negatives_and_what_could_not_be_had(encoder):
    found = load(encoder)
    assert found.features == ("c", "python")
    assert "ruby only serve as negatives" in found.card.description
    assert "some-go-dev: apt-get is not here" in found.card.source
    assert found.card.shortfalls.keys() == {"c", "python"}, "12 documents are fewer than 20"
    assert found.card.shortfalls["c"].startswith("20 positive rows from 10 documents: ")


@pytest.mark.usefixtures("offline")
def test_requests_that_cannot_be_met_are_refused(encoder):
    with pytest.raises(DataError, match="fewer than two classes have 8 documents with 20 windows"):
        load(encoder, n_tokens=5000)
    with pytest.raises(DataError, match="n_tokens is 3; it must be at least 4"):
        load(encoder, n_tokens=3)
    with pytest.raises(DataError, match="n_per_feature is 5; it must be at least 6"):
        load(encoder, n_per_feature=5)
    with pytest.raises(DataError, match="has no source 'web'; it has packages and hub"):
        load(encoder, source="web")


def hub_folder(folder, column: str = "content"):
    rows = [
        {
            column: f"// opening\n{file.text}",
            "repo_name": file.group,
            "path": file.document,
            "language": name,
        }
        for i in range(30)
        for label, name in (("c", "C"), ("python", "Python"), ("cobol", "COBOL"))
        for file in files(label, f"me/{label}{i}", 1)
    ]
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return HubData(str(folder), "none")


@pytest.mark.parametrize("column", ["content", "code"])
def test_the_hub_gives_the_same_kind_of_rows(encoder, tmp_path, monkeypatch, column):
    monkeypatch.setattr(collection, "HUB_DATA", hub_folder(tmp_path / "data", column))
    found = load(encoder, source="hub")
    assert found.features == ("c", "python")
    assert found.labels.sum(0).tolist() == [20, 20]
    assert not any("cobol" in document for document in found.documents)
    assert not any(
        "opening" in text and y[0] for text, y in zip(found.texts, found.labels, strict=True)
    )
    assert found.card.source == str(tmp_path / "data")
    assert not any("Django" in confound for confound in found.card.confounds)


def test_the_hub_is_read_no_further_than_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(collection, "HUB_DATA", hub_folder(tmp_path / "data"))
    monkeypatch.setattr(collection, "HUB_LANGUAGES", {"C": "c", "Python": "python"})
    monkeypatch.setattr(collection, "FILES_PER_LANGUAGE", 7)
    found = list(collection.hub_files())
    assert [file.label for file in found] == ["c", "python"] * 7
    monkeypatch.setattr(collection, "HUB_ROWS", 4)
    assert len(list(collection.hub_files())) == 3


def test_a_data_set_that_is_not_there_is_said(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(collection, "HUB_DATA", HubData(str(tmp_path / "none"), "none"))
    with pytest.raises(SourceError, match="cannot be had"):
        load(encoder, source="hub")


def test_every_source_is_pinned_and_licensed():
    assert all(len(each.sha256) == 64 and each.licence for each in collection.PACKAGE_LIST)
    languages = {
        language
        for source in collection.SOURCES
        for language in (*source.suffixes.values(), *source.folders.values())
    }
    assert set(collection.FEATURES) <= languages
    assert collection.SPEC.features == collection.FEATURES
