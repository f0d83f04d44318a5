"""Workers of a Ray cluster fill one store in object storage, and each block is committed once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from needlepoint.activations.extract import Reading
from needlepoint.activations.reduce import Rows
from needlepoint.activations.store import Store, open_or_create
from needlepoint.activations.writer import Writer
from needlepoint.evaluation.on_ray import Cluster
from needlepoint.evaluation.spread_extraction import extract_on_ray
from needlepoint.models.load import load_model
from needlepoint.models.sites import Site
from needlepoint.testing.tiny import byte_tokenizer, tiny_model

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore:os.fork")  # JAX's, if another test brought it in


@pytest.fixture
def cluster(s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A cluster whose workers have the credentials in their environment; the bucket's URL."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "error"}
    ray.init(address="local", num_cpus=2, **quiet)
    yield s3
    ray.shutdown()


def reading() -> Reading:
    rng = torch.Generator().manual_seed(1)
    lengths = torch.randint(2, 12, (24,), generator=rng).tolist()
    ids = [torch.randint(97, 123, (n,), generator=rng).tolist() for n in lengths]
    rows = Rows.of(np.array([[text, 0, n] for text, n in enumerate(lengths)]), "mean")
    return Reading(ids, (Site.parse("L0.mlp.neurons"), Site.parse("L1.resid")), rows, 32)


def test_two_workers_fill_a_store_in_object_storage(cluster: str, tmp_path: Path) -> None:
    tiny_model("llama").module.save_pretrained(tmp_path / "model")
    byte_tokenizer().save_pretrained(tmp_path / "model")
    model = load_model(str(tmp_path / "model"), dtype="float32")
    alone = open_or_create(reading().request(model), tmp_path / "alone", block_rows=4)
    with Writer(alone) as writer:
        reading().into(writer, model, 0, 24)
    url = f"{cluster}/together"
    open_or_create(reading().request(model), url, block_rows=4)
    found = extract_on_ray(Cluster(workers=2), str(tmp_path / "model"), reading(), url)
    assert Store(url).complete
    for site in alone.arrays:
        for block in range(alone.layout.blocks):
            key = alone.arrays[site].shard(block)
            assert found.store.place.read(key) == alone.place.read(key)
