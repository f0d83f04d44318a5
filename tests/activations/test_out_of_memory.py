"""A process that may not have more memory reads on in smaller batches, to the same numbers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from needlepoint._core.errors import MemoryFullError
from needlepoint.activations.extract import extract
from needlepoint.activations.reduce import Rows
from needlepoint.models.model import Batch, Model
from needlepoint.testing.tiny import tiny_model

TEXTS = [[1 + (text + place) % 250 for place in range(30 + text)] for text in range(12)]

READ_UNDER_A_LIMIT = """
import resource, sys
from pathlib import Path
from needlepoint._core.progress import progress_bars
from needlepoint.activations.extract import extract
from needlepoint.activations.reduce import Rows
from needlepoint.testing.tiny import tiny_model

model = tiny_model("llama", intermediate_size=15_000, num_hidden_layers=1)
ids = [[1 + (text + place) % 250 for place in range(250)] for text in range(16)]
rows, sites = Rows.whole(ids), ["L0.mlp.neurons"]
extract(model, ids[:1], sites, rows=Rows.whole(ids[:1]), path=Path(sys.argv[1]) / "warm")
if sys.argv[2] != "0":
    held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + int(sys.argv[2]), -1))
with progress_bars():
    extract(model, ids, sites, rows=rows, path=Path(sys.argv[1]) / "all", batch_tokens=4096)
"""
"""One batch has 4016 tokens, and an activation of it takes 241 MB."""


def in_another_process(folder: Path, room: int) -> str:
    command = [sys.executable, "-W", "ignore", "-c", READ_UNDER_A_LIMIT, str(folder), str(room)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are those of Linux")
def test_a_limit_of_the_system_makes_batches_smaller(tmp_path: Path) -> None:
    from needlepoint.activations.store import Store

    assert "out of memory" not in in_another_process(tmp_path / "free", 0)
    said = in_another_process(tmp_path / "tight", 400_000_000)
    assert "out of memory with 16 texts at once; going on with 8." in said
    free, tight = (
        Store(tmp_path / name / "all").read("L0.mlp.neurons") for name in ("free", "tight")
    )
    torch.testing.assert_close(tight, free)


def short_of_memory(monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """Let passes over more than so many texts fail, and note how many each one has."""
    sizes: list[int] = []
    whole = Model.hidden

    def hidden(model: Model, batch: Batch) -> None:
        sizes.append(len(batch.ids))
        if len(batch.ids) > most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        whole(model, batch)

    monkeypatch.setattr(Model, "hidden", hidden)
    return sizes


@pytest.mark.parametrize("each", [True, False])
def test_every_row_is_where_it_belongs(each: bool, tmp_path, monkeypatch) -> None:
    model = tiny_model("llama")
    rows = Rows.each(TEXTS) if each else Rows.whole(TEXTS)
    free = extract(model, TEXTS, ["L1.resid"], rows, path=tmp_path / "free", batch_tokens=300)
    sizes = short_of_memory(monkeypatch, 2)
    tight = extract(model, TEXTS, ["L1.resid"], rows, path=tmp_path / "tight", batch_tokens=300)
    assert max(sizes) > 2
    assert sizes.count(max(sizes)) == 1  # what did not fit once is not tried again
    torch.testing.assert_close(tight.read("L1.resid"), free.read("L1.resid"))


def test_a_text_that_does_not_fit_alone_is_named_by_an_error(tmp_path, monkeypatch) -> None:
    model = tiny_model("llama")
    short_of_memory(monkeypatch, 0)
    with pytest.raises(MemoryFullError, match="not enough memory for one of the texts alone"):
        extract(model, TEXTS, ["L1.resid"], Rows.whole(TEXTS), path=tmp_path / "s")
