"""Windows of source code: balanced, of one length, labelled by file, from real text of the file."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from needlepoint._core.errors import DataError
from needlepoint.features import programming_language as collection
from needlepoint.features.source_files import SourceFile
from needlepoint.features.windows import windows_of_file, windows_of_language


def files(language: str, project: str, n: int, lines: int = 120) -> list[SourceFile]:
    word = {"c": "int", "python": "def", "ruby": "end"}.get(language, language)
    return [
        SourceFile(
            project,
            f"{i}.{language}",
            language,
            "".join(f"{word} name_{i}_{j} = {j}\n" for j in range(lines)),
        )
        for i in range(n)
    ]


@pytest.fixture
def offline(monkeypatch):
    found = [
        *files("python", "one", 12),
        *files("python", "two", 12),
        *files("c", "one", 10),
        *files("ruby", "one", 5),
    ]
    monkeypatch.setattr(collection, "records", lambda: found)


def load(encoder, **options):
    return collection.load(encoder, **{"n_per_feature": 20, "n_tokens": 16, **options})


@pytest.mark.usefixtures("offline")
def test_languages_are_balanced_and_the_rare_one_is_a_negative(encoder):
    found = load(encoder)
    assert found.features == ("c", "python")
    assert found.labels.sum(0).tolist() == [20, 20]
    assert (~found.labels.any(1)).sum() == 20
    assert "ruby only serve as negatives" in found.card.description
    assert {len(ids) for ids in found.ids} == {16}
    assert found.rows.tolist() == [[i, 0, 16] for i in range(60)]
    projects = Counter(
        d.split("/")[0] for d, y in zip(found.documents, found.labels, strict=True) if y[1]
    )
    assert projects == {"one": 10, "two": 10}


@pytest.mark.usefixtures("offline")
def test_labels_agree_with_the_text_and_the_document(encoder):
    found = load(encoder)
    for document, text, label in zip(found.documents, found.texts, found.labels, strict=True):
        language = document.rsplit(".", 1)[1]
        assert label.tolist() == [language == feature for feature in found.features]
        assert {"c": "int", "python": "def", "ruby": "end"}[language] in text


@pytest.mark.usefixtures("offline")
def test_the_seed_decides(encoder):
    assert load(encoder, seed=1).sha256 == load(encoder, seed=1).sha256
    assert load(encoder, seed=1).sha256 != load(encoder, seed=2).sha256


@pytest.mark.usefixtures("offline")
def test_requests_that_cannot_be_met_are_refused(encoder):
    with pytest.raises(DataError, match="fewer than two languages have 8 files with 20 windows"):
        load(encoder, n_tokens=5000)
    with pytest.raises(DataError, match="n_tokens is 3; it must be at least 4"):
        load(encoder, n_tokens=3)
    with pytest.raises(DataError, match="n_per_feature is 5; it must be at least 6"):
        load(encoder, n_per_feature=5)


def test_windows_are_of_the_file_do_not_overlap_and_start_lines(encoder):
    [file] = files("python", "one", 1)
    windows = list(windows_of_file(file, encoder, n_tokens=16, seed=0))
    assert len(windows) >= 4
    starts = sorted(file.text.index(window.text) for window in windows)
    assert all(start == 0 or file.text[start - 1] == "\n" for start in starts)
    covered = np.zeros(len(file.text), dtype=int)
    for window in windows:
        start = file.text.index(window.text)
        covered[start : start + len(window.text)] += 1
    assert covered.max() == 1


def test_every_file_gives_one_window_before_any_gives_two(encoder):
    ten = files("python", "one", 10)
    seven = windows_of_language(ten, encoder, n=7, n_tokens=16, seed=0)
    assert len({window.file for window in seven}) == 7
    fifteen = windows_of_language(ten, encoder, n=15, n_tokens=16, seed=0)
    assert sorted(Counter(window.file for window in fifteen).values()) == [1] * 5 + [2] * 5
    assert len(windows_of_language(ten, encoder, n=99, n_tokens=16, seed=0)) == 40


def test_records_are_kept_and_made_again_when_damaged(monkeypatch, tmp_path):
    calls = []

    def read(_sources):
        calls.append(1)
        return files("python", "one", 3)

    monkeypatch.setenv("NEEDLEPOINT_CACHE", str(tmp_path))
    monkeypatch.setattr(collection, "read_sources", read)
    first = collection.records()
    assert collection.records() == first == files("python", "one", 3)
    assert len(calls) == 1
    [kept] = (tmp_path / "features").glob("*.parquet")
    kept.write_bytes(kept.read_bytes()[:100])
    assert collection.records() == first
    assert len(calls) == 2
    monkeypatch.setattr(collection, "RECORDS_VERSION", 99)
    assert collection.records() == first
    assert len(calls) == 3


def test_every_source_is_pinned_and_licensed():
    packages = [source.package for source in collection.SOURCES]
    assert all(len(package.sha256) == 64 and package.licence for package in packages)
    languages = {
        language
        for source in collection.SOURCES
        for language in (*source.suffixes.values(), *source.folders.values())
    }
    assert len(languages) >= 8
