"""Every registered collection and task, with the real tokenizer, keeps its contract."""

from __future__ import annotations

import platform
import shutil
import time

import pytest

from needlepoint.features import COLLECTIONS
from needlepoint.models.encoder import TokenizerEncoder
from needlepoint.models.load import load_encoder
from needlepoint.tasks import TASKS
from needlepoint.testing.contracts import collection_faults
from needlepoint.testing.task_contracts import task_faults

pytestmark = pytest.mark.journey


def missing() -> str:
    """What this machine lacks of all that the collections are fetched with; "" if nothing."""
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        system = {}
    if (system.get("ID"), system.get("VERSION_ID")) != ("debian", "12"):
        return "some collections are made from packages of Debian 12"
    return "" if shutil.which("npm") else "some collections are fetched with npm"


@pytest.fixture(scope="module")
def encoder() -> TokenizerEncoder:
    return load_encoder("smollm2")


@pytest.mark.skipif(bool(missing()), reason=missing())
@pytest.mark.parametrize("name", list(COLLECTIONS))
def test_a_collection_keeps_its_contract(name: str, encoder: TokenizerEncoder) -> None:
    begin = time.perf_counter()
    first = COLLECTIONS[name](encoder, n_per_feature=200)
    cold = time.perf_counter() - begin
    begin = time.perf_counter()
    assert COLLECTIONS[name](encoder, n_per_feature=200).sha256 == first.sha256
    warm = time.perf_counter() - begin
    print(f"\n{name}: {len(first.features)} features, {len(first.rows):,} rows, ", end="")
    print(f"first load {cold:.1f} s, later {warm:.1f} s")
    assert first.features == COLLECTIONS[name].features
    assert collection_faults(COLLECTIONS[name], encoder) == []


def test_there_are_130_features_without_a_network() -> None:
    """Collections of other people's benchmarks aside; all come from packages by default."""
    own = [name for name in COLLECTIONS if name != "sae_probes"]
    assert all(COLLECTIONS[name].sources[0] == "packages" for name in COLLECTIONS)
    assert sum(len(COLLECTIONS[name].features) for name in own) >= 130


@pytest.mark.parametrize("name", list(TASKS))
def test_a_task_keeps_its_contract(name: str, encoder: TokenizerEncoder) -> None:
    assert task_faults(TASKS[name], encoder) == []
