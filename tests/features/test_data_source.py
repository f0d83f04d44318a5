"""Every register is read from where its package has it, without what gives it away."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from needlepoint._core.errors import SourceError
from needlepoint.features import data_source as collection
from needlepoint.features import registers
from needlepoint.features.hub import HubData
from needlepoint.features.packaged_texts import PackagedTexts
from needlepoint.features.windows import ClassText


def archive(path: Path, files: dict[str, str | bytes]) -> Path:
    with tarfile.open(path, "w:gz") as made:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return path


def only(texts) -> ClassText:
    [text] = texts
    return text


def test_manuals_plain_and_compressed(tmp_path):
    source = ".TH A 1\n.SH NAME\na \\- do it\n"
    made = archive(
        tmp_path / "p.npm",
        {
            "package/man/man1/a.1": source,
            "./usr/share/man/man7/b.7.gz": gzip.compress(source.encode()),
            "package/man/readme.md": "no manual",
        },
    )
    found = list(registers.manuals(made, "p"))
    assert [text.document for text in found] == ["p/a.1", "p/b.7.gz"]
    assert {(text.text, text.label) for text in found} == {("a - do it", "manual")}


def test_licences(tmp_path):
    record = {"name": "X", "licenseText": "Permission is hereby\ngranted to all.\n\nShort one."}
    made = archive(
        tmp_path / "p.npm",
        {"package/licenses/X.json": json.dumps(record), "package/package.json": "{}"},
    )
    text = only(registers.licences(made, "p"))
    assert text == ClassText("p", "p/X", "licence", "Permission is hereby granted to all.")


def test_mail_and_advertisement_without_headers_and_quotations(tmp_path):
    letter = "From: jo\nSubject: x\n\n> You asked this before?\n\nI do think\nit is so.\n-- \nJo\n"
    made = archive(
        tmp_path / "p.npm",
        {
            "package/data/easy-ham-1/00001.abc.txt": letter,
            "package/data/spam-2/00002.def.txt": letter.replace("think", "sell"),
            "package/data/hard-ham-1/00003.ghi.txt": letter,
            "package/docs/usage.txt": letter,
        },
    )
    mail, advertisement = registers.mail(made, "p")
    assert (mail.label, mail.text) == ("mail", "I do think it is so.")
    assert mail.document == "p/easy-ham-1/00001.abc"
    assert (advertisement.label, advertisement.text) == ("advertisement", "I do sell it is so.")


def test_speeches_are_grouped_by_president_and_chapters_are_not(tmp_path):
    made = archive(
        tmp_path / "p.npm",
        {
            "package/data/1861_abraham_lincoln_r.json": json.dumps(
                {"text": "Fellow citizens of it all."}
            ),
            "package/data/chapter_7.json": json.dumps({"text": "It was a ship of old."}),
            "package/data/chapter_7.txt": "CHAPTER 7. It was a ship of old.",
        },
    )
    speech = only(registers.speeches(made, "p"))
    assert (speech.group, speech.label) == ("p/abraham_lincoln_r", "speech")
    chapter = only(registers.novel(made, "p"))
    assert chapter == ClassText("p", "p/chapter_7", "novel", "It was a ship of old.")


def test_one_project_gives_releases_documentation_and_code(tmp_path):
    code = "".join(f"value_{i} = {i}\n" for i in range(40))
    made = archive(
        tmp_path / "p.sdist",
        {
            "django-5/docs/releases/1.8.txt": "=====\n1.8\n=====\n\nThis one is new here.\n",
            "django-5/docs/ref/models/fields.txt": "Fields are said to be of use.\n",
            "django-5/docs/releases/index.txt": "This is only a list.\n",
            "django-5/django/db/models.py": "# Copyright\n" + code,
            "django-5/django/conf/locale/de/formats.py": code,
            "django-5/tests/x.py": code,
        },
    )
    found = list(registers.releases_documentation_and_code(made, "p"))
    assert {(text.label, text.document): text.text for text in found} == {
        ("release_notes", "p/docs/releases/1.8.txt"): "This one is new here.",
        ("documentation", "p/docs/ref/models/fields.txt"): "Fields are said to be of use.",
        ("code", "p/django/db/models.py"): code,
    }


def test_dictionary_and_encyclopaedia(tmp_path):
    data = "".join(f"0000000{i} 03 n 01 bank 0 000 | sense {i}  \n" for i in range(1, 7))
    index = "bank n 6 0 6 0" + "".join(f" 0000000{i}" for i in range(1, 7)) + "  \n"
    made = archive(
        tmp_path / "p.npm",
        {
            "package/dict/data.noun": data,
            "package/dict/index.noun": index,
            "./usr/share/dictd/x.dict.dz": gzip.compress(b"ape\n\n   An {ape} is a\n   primate.\n"),
        },
    )
    entry = only(registers.dictionary(made, "p"))
    assert (entry.document, entry.label) == ("p/bank", "dictionary")
    article = only(registers.encyclopaedia(made, "p"))
    assert article == ClassText("p", "p/ape", "encyclopaedia", "An ape is a primate.")


def test_short_and_foreign_documents_are_not_used():
    long = "A sentence of English words. " * 40
    given = [
        ClassText("g", str(i), "x", text) for i, text in enumerate(("short", long, "これは" * 400))
    ]
    assert [text.document for text in registers.usable(iter(given))] == ["1"]


def test_broken_records_are_said(tmp_path):
    made = archive(tmp_path / "p.npm", {"package/licenses/X.json": "{"})
    with pytest.raises(SourceError, match=r"p\.npm is damaged \(package/licenses/X\.json: "):
        list(registers.licences(made, "p"))


def test_the_collection_labels_documents_and_says_what_was_missing(encoder, monkeypatch):
    texts = [
        ClassText("g", f"g/{i}.{label}", label, f"{label} line {i} of this text\n" * 40)
        for label in ("mail", "manual")
        for i in range(10)
    ]
    had = PackagedTexts(texts, {"manpages": "no apt-get"})
    monkeypatch.setattr(collection, "packaged_texts", lambda *_, **__: had)
    found = collection.SPEC(encoder, n_per_feature=20, n_tokens=16)
    assert found.features == ("mail", "manual")
    assert "manpages: no apt-get" in found.card.source
    for document, label in zip(found.row_documents, found.labels, strict=True):
        assert label.tolist() == [document.endswith(feature) for feature in found.features]


def test_the_hub_is_the_pile_part_by_part(encoder, tmp_path, monkeypatch):
    parts = [*collection.SUBSETS, "Ubuntu IRC"]
    rows = [
        {"text": f"{part} {i} says this and that\n" * 60, "meta": {"pile_set_name": part}}
        for i in range(12)
        for part in parts
    ]
    rows.insert(0, {"text": "too short", "meta": {"pile_set_name": "ArXiv"}})
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(collection, "PILE", HubData(str(tmp_path), "none", split="test"))
    found = collection.SPEC(encoder, source="hub", n_per_feature=10, n_tokens=16)
    assert found.features == tuple(sorted(collection.SUBSETS.values()))
    names = {feature: part for part, feature in collection.SUBSETS.items()}
    for text, label in zip(found.texts, found.labels, strict=True):
        [feature] = [name for name, yes in zip(found.features, label, strict=True) if yes]
        assert text.startswith(names[feature][:5])
    monkeypatch.setattr(collection, "PER_REGISTER", 2)
    assert len(list(collection.pile_parts())) == 18


def test_packages_are_pinned_and_licensed_and_features_are_those_read():
    assert all(len(each.sha256) == 64 and each.licence for each in collection.PACKAGE_LIST)
    assert collection.SPEC.features == tuple(sorted(collection.FEATURES))
