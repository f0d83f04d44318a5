"""What can be had is read once; what cannot is named, and never silently swapped."""

from __future__ import annotations

from pathlib import Path

import pytest

from needlepoint._core.errors import SourceError
from needlepoint._core.packages import Package
from needlepoint.features import packaged_texts as module
from needlepoint.features.packaged_texts import (
    at_most,
    licences_in_words,
    packaged_texts,
    sources_in_words,
)
from needlepoint.features.windows import ClassText

WHEEL = Package("a-wheel", "1", "1" * 64, licence="MIT")
NPM = Package("an-npm", "2", "2" * 64, kind="npm", licence="ISC")
DEB = Package("a-deb", "3", "3" * 64, kind="deb", licence="GPL")
ALL = (WHEEL, NPM, DEB)


@pytest.fixture
def without(monkeypatch, own_cache):
    """Says which packages cannot be had."""
    gone: set[Package] = set()

    def fetch(package: Package) -> Path:
        if package in gone:
            raise SourceError(f"{package.name} is not to be had.")
        return own_cache / package.name

    monkeypatch.setattr(module, "fetch", fetch)
    return gone


def read(archives) -> list[ClassText]:
    return [
        ClassText(each.name, f"{each.name}/x", "c", f"text of {path.name}")
        for each, path in archives.items()
    ]


def test_texts_are_kept_and_made_again_when_damaged_or_of_another_version(own_cache, without):
    calls = []

    def make(archives):
        calls.append(sorted(each.name for each in archives))
        return read(archives)

    first = packaged_texts("some", version=1, packages=ALL, make=make)
    assert packaged_texts("some", version=1, packages=ALL, make=make) == first
    assert [text.group for text in first.texts] == ["a-wheel", "an-npm", "a-deb"]
    assert (len(calls), first.missing) == (1, {})
    [kept] = (own_cache / "features").glob("some-*.parquet")
    kept.write_bytes(kept.read_bytes()[:100])
    assert packaged_texts("some", version=1, packages=ALL, make=make) == first
    packaged_texts("some", version=2, packages=ALL, make=make)
    assert len(calls) == 3


def test_what_npm_and_apt_cannot_get_is_left_out_named_and_taken_up_later(without):
    without |= {DEB}
    part = packaged_texts("some", version=1, packages=ALL, make=read)
    assert part.missing == {"a-deb": "a-deb is not to be had."}
    assert [text.group for text in part.texts] == ["a-wheel", "an-npm"]
    without.clear()
    whole = packaged_texts("some", version=1, packages=ALL, make=read)
    assert len(whole.texts) == 3, "the kept file of fewer packages is not taken for this one"
    assert set(part.texts) < set(whole.texts)


def test_a_package_of_python_must_be_had(without):
    without |= {WHEEL}
    with pytest.raises(SourceError, match="a-wheel is not to be had"):
        packaged_texts("some", version=1, packages=ALL, make=read)


def test_nothing_at_all_is_an_error_with_the_first_reason(without):
    without |= {NPM, DEB}
    with pytest.raises(SourceError, match="no package of some can be had: an-npm is not"):
        packaged_texts("some", version=1, packages=(NPM, DEB), make=read)


def test_words_for_the_card():
    assert sources_in_words(ALL, {}) == "Published packages: a-wheel 1, an-npm 2, a-deb 3"
    left = sources_in_words(ALL, {"an-npm": "no npm."})
    assert left.startswith("Published packages: a-wheel 1, a-deb 3. Left out")
    assert left.endswith("an-npm: no npm.")
    assert licences_in_words((WHEEL, DEB)) == "a-wheel: MIT; a-deb: GPL"


def test_at_most_takes_turns_drops_copies_and_ignores_the_order_given():
    many = [ClassText("many", f"m{i}", "x", f"text {i}") for i in range(30)]
    few = [ClassText("few", f"f{i}", "x", f"other {i}") for i in range(3)]
    copies = [ClassText("copy", f"c{i}", "x", f"text {i}") for i in range(30)]
    other = [ClassText("many", f"o{i}", "y", f"why {i}") for i in range(2)]
    found = at_most([*many, *few, *copies, *other], 10)
    assert sum(text.label == "x" for text in found) == 10
    assert sum(text.label == "y" for text in found) == 2
    assert sum(text.group == "few" for text in found) == 3
    assert len({text.text for text in found}) == len(found)
    assert at_most([*other, *copies, *few, *many], 10) == found
