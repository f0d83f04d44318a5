"""Packages are taken by hash or not at all; no test here reaches a network."""

from __future__ import annotations

import hashlib
import importlib.util
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from needlepoint._core.errors import SourceError
from needlepoint._core.packages import Package, fetch

CONTENT = b"the content of a wheel"
GOOD = Package("some-data", "1.0", hashlib.sha256(CONTENT).hexdigest(), licence="MIT")


class Pip:
    """Stands in for pip: leaves files in the folder that it is told, or complains."""

    def __init__(self, *contents: bytes, complaint: str = "") -> None:
        self.contents = contents
        self.complaint = complaint
        self.calls: list[list[str]] = []
        self.wanted = ""

    def __call__(self, command, **_):
        self.calls.append(command)
        self.wanted = Path(command[command.index("--requirement") + 1]).read_text()
        folder = Path(command[command.index("--dest") + 1])
        for number, content in enumerate(self.contents):
            (folder / f"file{number}.whl").write_bytes(content)
        return subprocess.CompletedProcess(command, int(bool(self.complaint)), "", self.complaint)


@pytest.fixture(autouse=True)
def _cache(own_cache: Path) -> None:
    pass


def pip(monkeypatch: pytest.MonkeyPatch, *contents: bytes, complaint: str = "") -> Pip:
    made = Pip(*contents, complaint=complaint)
    monkeypatch.setattr(subprocess, "run", made)
    return made


def kept(cache: Path) -> list[str]:
    return [path.name for path in (cache / "packages").iterdir() if path.suffix != ".lock"]


def test_a_package_is_fetched_once_without_dependencies_and_by_hash(monkeypatch) -> None:
    made = pip(monkeypatch, CONTENT)
    path = fetch(GOOD)
    assert path.read_bytes() == CONTENT
    assert fetch(GOOD) == path
    (command,) = made.calls
    assert {"--no-deps", "--require-hashes", "--only-binary"} <= set(command)
    assert made.wanted == f"some-data==1.0 --hash=sha256:{GOOD.sha256}\n"


def test_a_source_archive_is_asked_for_as_one(monkeypatch) -> None:
    made = pip(monkeypatch, CONTENT)
    assert fetch(Package("some-data", "1.0", GOOD.sha256, kind="sdist")).suffix == ".sdist"
    assert "--no-binary" in made.calls[0]


def test_other_content_is_refused_and_not_kept(monkeypatch, own_cache) -> None:
    pip(monkeypatch, b"something else")
    with pytest.raises(
        SourceError, match=f"expected content .*{GOOD.sha256[:16]}.*it was not used"
    ):
        fetch(GOOD)
    assert kept(own_cache) == []


def test_a_cached_copy_that_has_changed_is_fetched_again(monkeypatch) -> None:
    made = pip(monkeypatch, CONTENT)
    fetch(GOOD).write_bytes(b"rotten")
    assert fetch(GOOD).read_bytes() == CONTENT
    assert len(made.calls) == 2


@pytest.mark.parametrize("contents", [(), (CONTENT, CONTENT)])
def test_more_or_less_than_one_file_is_refused(monkeypatch, contents) -> None:
    pip(monkeypatch, *contents)
    with pytest.raises(SourceError, match=f"{len(contents)} files were left for some-data==1.0"):
        fetch(GOOD)


@pytest.mark.parametrize(
    ("complaint", "words"),
    [
        ("warning\nERROR: No matching distribution found for some-data==1.0\n", "No matching"),
        ("killed", "it ended with status 1"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES ...", "expected content"),
    ],
)
def test_what_pip_complains_of_is_said_in_one_sentence(
    monkeypatch, own_cache, complaint, words
) -> None:
    pip(monkeypatch, complaint=complaint)
    with pytest.raises(SourceError, match=words) as caught:
        fetch(GOOD)
    assert "\n" not in str(caught.value)
    assert "package index" in str(caught.value)
    assert kept(own_cache) == []


def test_a_python_without_pip_is_told_how_to_get_it(monkeypatch) -> None:
    pip(monkeypatch, CONTENT)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SourceError, match="run 'python -m ensurepip' once"):
        fetch(GOOD)


NPM = Package("@some/data", "1.0", GOOD.sha256, kind="npm")
DEB = Package("some-doc", "1:2.0-3", GOOD.sha256, kind="deb")


def program(folder: Path, name: str, *, complaint: str = "") -> None:
    """A stand-in on the search path, which notes what it was asked for."""
    folder.mkdir(exist_ok=True)
    made = folder / name
    made.write_text(
        f"#!{sys.executable}\nimport sys, pathlib\n"
        f"pathlib.Path({str(folder / 'asked')!r}).write_text(' '.join(sys.argv[1:]))\n"
        f"sys.stderr.write({complaint!r})\n"
        f"if {complaint!r}: sys.exit(1)\n"
        f"pathlib.Path('file').write_bytes({CONTENT!r})\n"
    )
    made.chmod(made.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


@pytest.mark.parametrize(
    ("package", "name", "asked", "kept_as"),
    [
        (NPM, "npm", "pack --silent --ignore-scripts @some/data@1.0", "some-data-1.0.npm"),
        (DEB, "apt-get", "download --quiet some-doc=1:2.0-3", "some-doc-1.2.0-3.deb"),
    ],
)
def test_packages_of_npm_and_debian_are_asked_for_by_version(
    programs, package, name, asked, kept_as
) -> None:
    program(programs, name)
    path = fetch(package)
    assert path.read_bytes() == CONTENT
    assert path.name == kept_as
    assert (programs / "asked").read_text() == asked
    (programs / name).unlink()
    assert fetch(package) == path, "it is not asked for again"


@pytest.mark.parametrize(
    ("package", "words"),
    [
        (NPM, "fetched with npm, which is not here; install Node.js, or give another source"),
        (DEB, "fetched with apt-get, which is not here; .*Debian or Ubuntu"),
    ],
)
@pytest.mark.usefixtures("programs")
def test_a_missing_program_is_named_with_the_way_out(package, words) -> None:
    with pytest.raises(SourceError, match=words):
        fetch(package)


@pytest.mark.parametrize(
    ("package", "name", "complaint", "words"),
    [
        (NPM, "npm", "npm error 404 Not Found\n", r"\(npm error 404 Not Found\)"),
        (DEB, "apt-get", "W: old\nE: Unable to locate package\n", "run 'apt-get update' once"),
        (DEB, "apt-get", "killed", "it ended with status 1"),
    ],
)
def test_what_npm_and_apt_complain_of_is_said(
    programs, own_cache, package, name, complaint, words
) -> None:
    program(programs, name, complaint=complaint)
    with pytest.raises(SourceError, match=words) as caught:
        fetch(package)
    assert "\n" not in str(caught.value)
    assert kept(own_cache) == []


def test_other_content_from_npm_is_refused(programs, own_cache) -> None:
    program(programs, "npm")
    with pytest.raises(SourceError, match=r"@some/data@1\.1 does not have the expected content"):
        fetch(Package("@some/data", "1.1", "0" * 64, kind="npm"))
    assert kept(own_cache) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "../../evil"},
        {"name": "--index-url=http://evil"},
        {"name": "@scope/../evil"},
        {"name": ""},
        {"version": "../1.0"},
        {"version": "1.0 --hash=sha256:ab"},
        {"version": "1.0\n--extra-index-url x"},
        {"version": "-rf"},
        {"sha256": "ab"},
        {"sha256": "a" * 64 + "\n"},
    ],
)
def test_what_cannot_be_a_package_never_reaches_a_command_or_a_file(changed) -> None:
    values = {"name": "some-data", "version": "1.0", "sha256": "a" * 64, **changed}
    with pytest.raises(SourceError, match=f"cannot be the {next(iter(changed))} of a package"):
        Package(**values)
    assert Package("@scope/name", "1.0+2~rc:1-3", "a" * 64, "npm").requirement
