"""Languages are told apart by who wrote the file, and what stayed English is not in it."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from needlepoint._core.errors import SourceError
from needlepoint.features import natural_language as collection
from needlepoint.features.packaged_texts import PackagedTexts
from needlepoint.features.translations import (
    help_pages,
    message_files,
    messages,
    page_paragraphs,
)
from needlepoint.features.windows import ClassText


def archive(path: Path, files: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as made:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content.encode())
            made.addfile(info, io.BytesIO(content.encode()))
    return path


def page(*paragraphs: str) -> str:
    body = "".join(f"<p>{text}</p>" for text in paragraphs)
    return (
        '<page xmlns="http://projectmallard.org/1.0/"><info><credit><name>Jo of the team here'
        f"</name></credit><desc>{paragraphs[0]}</desc></info><section>{body}</section></page>"
    )


ENGLISH = ["This is how it is done now. " * 12, "Some words that nobody translated yet."]
GERMAN = ["So wird es jetzt gemacht, und zwar immer. " * 8]


def test_untranslated_paragraphs_and_short_pages_are_left_out(tmp_path):
    made = archive(
        tmp_path / "p.npm",
        {
            "./usr/share/help/C/book/one.page": page(*ENGLISH),
            "./usr/share/help/de/book/one.page": page(*GERMAN, ENGLISH[1]),
            "./usr/share/help/sv/book/one.page": page(*ENGLISH),
            "./usr/share/help/fr/book/two.page": page("Trop peu de mots ici."),
            "./usr/share/help/de/book/three.page": "<page>not closed",
            "./usr/share/help/xx/book/one.page": page(*GERMAN),
        },
    )
    codes = {"C": "en", "de": "de", "sv": "sv", "fr": "fr"}
    found = help_pages(made, codes, group="help")
    assert [(text.document, text.label) for text in found] == [
        ("help/book/one.de", "de"),
        ("help/book/one.en", "en"),
    ]
    assert "nobody translated" not in found[0].text
    assert "nobody translated" in found[1].text
    assert not any("Jo of the team" in text.text for text in found)
    assert found[0].text.count("\n") == 0, "a description that is also a paragraph is kept once"


def test_only_titles_descriptions_and_paragraphs_are_text():
    source = (
        b"<page><info><desc>What this is about.</desc></info><title>One two three four</title>"
        b"<p>Press <key>A</key>\n and  hold it.</p><code>some lines of code</code><p>No.</p></page>"
    )
    assert page_paragraphs(source) == [
        "What this is about.",
        "One two three four",
        "Press A and hold it.",
    ]


def test_messages_are_sentences_without_html_and_lists_of_places():
    record = {
        "a": "Click <a href='x'>this link</a> now.",
        "b": "OK",
        "c": "{name} of a school somewhere",
        "d": {"not": "text"},
    }
    assert messages(record) == ["Click this link now."]


def test_messages_equal_to_the_english_are_left_out(tmp_path):
    long = {f"k{i}": f"a sentence of number {i} here" for i in range(20)}
    made = archive(
        tmp_path / "p.npm",
        {
            "package/www/faq/en.json": json.dumps(long),
            "package/www/faq/de.json": json.dumps(
                long | {f"k{i}": f"ein {i} Satz auf Deutsch hier" for i in range(15)}
            ),
            "package/www/faq/sv.json": json.dumps(long),
            "package/package.json": "{}",
        },
    )
    found = message_files(made, {"en": "en", "de": "de", "sv": "sv"}, group="m")
    assert [text.document for text in found] == ["m/faq.de", "m/faq.en"]
    assert "sentence of number" not in found[0].text


def test_broken_messages_are_said(tmp_path):
    made = archive(tmp_path / "p.npm", {"package/www/faq/en.json": "{"})
    with pytest.raises(SourceError, match=r"p\.npm is damaged \(package/www/faq/en\.json: "):
        message_files(made, {"en": "en"}, group="m")


def test_both_packages_are_read_under_the_names_of_languages(tmp_path):
    pages = archive(
        tmp_path / "a.npm",
        {
            "./usr/share/help/C/book/one.page": page(*ENGLISH),
            "./usr/share/help/de/book/one.page": page(*GERMAN),
        },
    )
    long = {f"k{i}": f"en mening nummer {i} som är svensk" for i in range(20)}
    texts = archive(tmp_path / "b.npm", {"package/www/faq/sv.json": json.dumps(long)})
    archives = {collection.HELP: pages, collection.MESSAGES: texts}
    assert [text.label for text in collection._read(archives)] == ["english", "german", "swedish"]
    assert [text.label for text in collection._read({collection.MESSAGES: texts})] == ["swedish"]


def test_the_collection_labels_documents_and_says_what_was_missing(encoder, monkeypatch):
    texts = [
        ClassText("g", f"g/{i}.{label}", label, f"{label} line {i} of this text\n" * 40)
        for label in ("german", "swedish")
        for i in range(10)
    ]
    had = PackagedTexts(texts, {"gnome-user-docs": "no apt-get"})
    monkeypatch.setattr(collection, "packaged_texts", lambda *_, **__: had)
    found = collection.SPEC(encoder, n_per_feature=20, n_tokens=16)
    assert found.features == ("german", "swedish")
    assert "gnome-user-docs: no apt-get" in found.card.source
    for document, label in zip(found.row_documents, found.labels, strict=True):
        assert label.tolist() == [document.endswith(feature) for feature in found.features]


@pytest.fixture
def europarl(tmp_path, monkeypatch):
    """Every part of the corpus in a folder of its own, named as the configuration is."""
    for code in collection.LANGUAGES:
        first, second = sorted((code, "en" if code != "en" else "de"))
        folder = tmp_path / f"{first}-{second}"
        folder.mkdir(exist_ok=True)
        rows = [
            {"translation": {each: f"{each} sentence {i} is spoken" for each in (first, second)}}
            for i in range(500)
        ]
        (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def data(repo, licence, config):
        return collection_hub_data(str(tmp_path / config), licence)

    collection_hub_data = collection.HubData
    monkeypatch.setattr(collection, "HubData", data)


@pytest.mark.usefixtures("europarl")
def test_the_hub_gives_each_side_its_own_language(encoder):
    found = collection.SPEC(encoder, source="hub", n_per_feature=10, n_tokens=16)
    assert found.features == collection.FEATURES
    codes = {language: code for code, language in collection.LANGUAGES.items()}
    for text, label in zip(found.texts, found.labels, strict=True):
        [language] = [name for name, yes in zip(found.features, label, strict=True) if yes]
        assert f"{codes[language]} sentence" in text
    runs = list(collection.debates("sv"))
    assert len(runs) == 13
    assert {len(run.text.split("\n")) for run in runs} == {40, 20}
    assert "Europarl" in found.card.size


def test_packages_are_pinned_and_licensed():
    assert all(len(each.sha256) == 64 and each.licence for each in collection.PACKAGE_LIST)
