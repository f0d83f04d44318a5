"""Reading the wheel of the sae-probes benchmark, and its repository, from made files."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from needlepoint._core.errors import SourceError, UnknownNameError
from needlepoint.features.sae_probes_wheel import (
    FOLDER,
    list_sets,
    read_set,
    read_sets,
    set_records,
)

SETS = {
    "1_is big": pd.DataFrame({"prompt": ["An ant", "A whale, said «Ō»"], "target": [0, 1]}),
    "2_is_old": pd.DataFrame({"prompt": [" now\t", "then\nthen"], "target": [False, True]}),
}
MakeWheel = Callable[[dict[str, pd.DataFrame]], Path]


def test_sets_are_listed_with_their_kind_and_inherited_link(make_wheel: MakeWheel) -> None:
    make_wheel(SETS)
    found = list_sets()
    assert found["tag"].tolist() == list(SETS)
    assert set(found["kind"]) == {"binary"}
    assert set(found["link"]) == {"https://things.example"}


def test_a_set_is_read_as_it_stands(make_wheel: MakeWheel) -> None:
    make_wheel(SETS)
    for tag, table in SETS.items():
        pd.testing.assert_frame_equal(read_set(tag), table, check_dtype=False)


def test_an_unknown_set_is_named_with_its_nearest(make_wheel: MakeWheel) -> None:
    make_wheel(SETS)
    with pytest.raises(UnknownNameError, match=r"did you mean '2_is_old'"):
        read_sets(["2_is_odd"])


def test_a_wheel_that_lacks_a_file_says_which(make_wheel: MakeWheel, tmp_path: Path) -> None:
    wheel = make_wheel(SETS)
    short = tmp_path / "short.whl"
    with zipfile.ZipFile(wheel) as full, zipfile.ZipFile(short, "w") as out:
        for name in full.namelist():
            if name != f"{FOLDER}/2_is_old.csv.zst":
                out.writestr(name, full.read(name))
    short.replace(wheel)
    with pytest.raises(SourceError, match=r"no file .*2_is_old.*; remove .* and try again"):
        read_set("2_is_old")


def test_wheel_and_repository_give_the_same_records(make_wheel: MakeWheel) -> None:
    make_wheel(SETS)
    from_wheel = set_records("made", list(SETS), version=1, source="packages")
    from_hub = set_records("made", list(SETS), version=1, source="hub")
    pd.testing.assert_frame_equal(from_wheel, from_hub, check_dtype=False)
    assert from_wheel["target"].tolist() == ["0", "1", "False", "True"]
