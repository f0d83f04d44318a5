"""Archives are read without touching the disk, and only files worth reading are kept."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from needlepoint._core.errors import SourceError
from needlepoint._core.packages import Package
from needlepoint.features.source_files import (
    FILES_PER_LANGUAGE,
    Source,
    files_of,
    read_sources,
    usable_text,
    without_opening_comment,
)

BODY = "".join(f"line_{i} = {i} * {i}\n" for i in range(40))
PYTHON = {".py": "python"}


def wheel(path: Path, files: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def sdist(path: Path, files: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            data = content.encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("p-1/link.py")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return path


def source(name: str = "p", kind: str = "wheel", suffixes=PYTHON, **options) -> Source:
    return Source(Package(name, "1", "0" * 64, kind=kind), suffixes, **options)


def test_labels_are_by_extension_or_by_folder(tmp_path):
    files = {"p-1/a/x.py": BODY, "p-1/ex/rb/y.txt": BODY + "1", "p-1/rb/z.txt": BODY + "2"}
    archive = sdist(tmp_path / "p.sdist", files)
    found = files_of(source(kind="sdist", folders={"ex/rb": "ruby"}), archive)
    assert {(file.document, file.label) for file in found} == {
        ("p/a/x.py", "python"),
        ("p/ex/rb/y.txt", "ruby"),
    }
    assert list(tmp_path.iterdir()) == [archive], "nothing was put on disk"


def test_files_not_worth_reading_are_left_out(tmp_path):
    files = {
        "p/good.py": BODY,
        "p/short.py": "x = 1\n",
        "p/long_line.py": "x = '" + "a" * 400 + "'\n" + BODY,
        "p/latin.py": b"# caf\xe9\n" + BODY.encode(),
        "p/vendor/other.py": BODY + "#",
        "p/x.min.py": BODY + "##",
        "p/x-rtl.py": BODY + "####",
        "p/locale/de.py": BODY + "###",
        "p/huge.py": BODY * 1000,
        "p/readme.txt": BODY,
        "p/licence_inside.py": BODY + "# Licensed under the same terms.\n",
    }
    found = files_of(source(), wheel(tmp_path / "p.wheel", files))
    assert [file.document for file in found] == ["p/p/good.py"]


@pytest.mark.parametrize(
    ("language", "opening"),
    [
        ("python", "#!/usr/bin/python\n# Copyright someone\n#\n# All rights reserved.\n\n"),
        ("c", "/* Copyright\n * someone */\n\n// more\n"),
        ("css", "\ufeff/*!\n * Licence\n */\n"),
        ("html", "<!-- Copyright -->\n{# someone #}\n{% comment %} x {% endcomment %}\n"),
        ("haskell", "{- Copyright -}\n-- someone\n"),
        ("scheme", ";; Copyright\n"),
        ("xml", '<?xml version="1.0"?>\n<!-- Copyright -->\n'),
        ("php", "<?php\n/**\n * Copyright\n */\n// more\n"),
    ],
)
def test_the_opening_comment_is_cut_and_nothing_else(language, opening):
    code = {"c": "#include <a.h>\n", "css": "#id { }\n", "html": "<p>\n", "xml": "<a>\n"}.get(
        language, "code\n"
    )
    kept = f"{code}/* inside */ # inside\n"
    assert without_opening_comment(opening + kept, language) == kept
    assert without_opening_comment(kept, language) == kept


def test_a_file_that_is_all_comment_is_not_used():
    assert usable_text(b"# only\n" * 200, "python") == ""
    assert usable_text(BODY.encode().replace(b"\n", b"\r\n"), "python") == BODY


def test_a_damaged_archive_is_refused(tmp_path):
    whole = sdist(tmp_path / "p.sdist", {f"p-1/{i}.py": BODY + str(i) for i in range(50)})
    whole.write_bytes(whole.read_bytes()[:-200])
    with pytest.raises(SourceError, match=r"p\.sdist is damaged .*remove it and try again"):
        files_of(source(kind="sdist"), whole)
    (tmp_path / "q.wheel").write_bytes(b"nothing")
    with pytest.raises(SourceError, match=r"q\.wheel is damaged"):
        files_of(source(), tmp_path / "q.wheel")


def test_projects_take_turns_and_copies_are_dropped(tmp_path):
    many = {f"many/{i}.py": BODY + f"# {i}" for i in range(300)}
    archives = {
        "many": wheel(tmp_path / "many.wheel", many),
        "few": wheel(tmp_path / "few.wheel", {f"few/{i}.py": BODY + "few" * i for i in range(9)}),
        "copy": wheel(tmp_path / "copy.wheel", many),
    }
    sources = [source(name) for name in (*archives, "missing")]
    had = {each.package: archives[each.package.name] for each in sources[:3]}
    found = read_sources(sources, had)
    assert len(found) == FILES_PER_LANGUAGE
    projects = [file.group for file in found]
    assert projects.count("few") == 9
    assert len(set(projects[:3])) == 3
    assert len({file.text for file in found}) == len(found)
    assert read_sources(sources, had) == found
