"""Records are made once, again for other content, and again where the file is damaged."""

from __future__ import annotations

import pandas as pd
import pytest

from needlepoint._core.packages import Package
from needlepoint.features.kept import kept_records

PACKAGE = Package("one", "1.0", "a" * 64)


@pytest.fixture
def made(own_cache):
    calls = []

    def make():
        calls.append(1)
        return pd.DataFrame({"text": ["a", "b"], "n": [len(calls)] * 2})

    return make, calls, own_cache


def test_records_are_made_once(made):
    make, calls, _ = made
    first = kept_records("x", version=1, packages=[PACKAGE], make=make)
    pd.testing.assert_frame_equal(
        first, kept_records("x", version=1, packages=[PACKAGE], make=make), check_dtype=False
    )
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("name", "version", "package"),
    [("y", 1, PACKAGE), ("x", 2, PACKAGE), ("x", 1, Package("one", "1.0", "b" * 64))],
)
def test_another_name_version_or_content_is_made_anew(made, name, version, package):
    make, calls, _ = made
    kept_records("x", version=1, packages=[PACKAGE], make=make)
    found = kept_records(name, version=version, packages=[package], make=make)
    assert found["n"].tolist() == [2, 2]
    assert len(calls) == 2


def test_a_damaged_file_is_made_again(made):
    make, calls, cache = made
    kept_records("x", version=1, packages=[PACKAGE], make=make)
    [path] = (cache / "features").glob("x-*.parquet")
    path.write_bytes(path.read_bytes()[:40])
    assert kept_records("x", version=1, packages=[PACKAGE], make=make)["n"].tolist() == [2, 2]
    assert kept_records("x", version=1, packages=[PACKAGE], make=make)["n"].tolist() == [2, 2]
    assert len(calls) == 2
