"""Real byte-level BPE tokenizers, trained in memory on a few lines of text and code."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import pyarrow as pa
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from needlepoint.features import sae_probes_wheel

LINES = [
    "the cat sat on the mat and the dog sat on the log",
    "def main(argument):\n    return argument + 1\n",
    "for (int i = 0; i < n; i++) {\n\tprintf(x);\r\n}\n",
    "Le café est déjà fermé. Das schöne Mädchen.",
    "日本語の文章",
]


class ByteLevelEncoder:
    """An `Encoder` around a byte-level BPE; offsets with or without the leading space."""

    def __init__(self, *, trim_offsets: bool) -> None:
        self.tokenizer = Tokenizer(models.BPE())
        self.tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self.tokenizer.decoder = decoders.ByteLevel()
        self.tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim_offsets)
        trainer = trainers.BpeTrainer(
            vocab_size=420,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        self.tokenizer.train_from_iterator(LINES * 3, trainer)

    def encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text).ids)

    def encode_with_offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        found = self.tokenizer.encode(text)
        return list(found.ids), list(found.offsets)

    def pieces(self, ids: list[int]) -> list[str]:
        return [self.tokenizer.decode([index]) for index in ids]


@pytest.fixture(scope="session")
def encoder() -> ByteLevelEncoder:
    return ByteLevelEncoder(trim_offsets=False)


@pytest.fixture(scope="session", params=[False, True], ids=["with space", "trimmed"])
def either_encoder(request: pytest.FixtureRequest) -> ByteLevelEncoder:
    return ByteLevelEncoder(trim_offsets=request.param)


MakeWheel = Callable[[dict[str, pd.DataFrame]], Path]


@pytest.fixture
def make_wheel(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> MakeWheel:
    """Writes data sets into a wheel like that of sae-probes, and into a folder of CSV files."""

    def packed(table: pd.DataFrame) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as out:
            out.write(table.to_csv(index=False).encode())
        return bytes(sink.getvalue())

    def make(sets: dict[str, pd.DataFrame]) -> Path:
        kinds = ["Binary Classification"] * len(sets)
        master = pd.DataFrame(
            {
                "Dataset name": ["things", *[None] * (len(sets) - 1)],
                "Dataset save name": [f"cleaned_data/{tag}.csv" for tag in sets],
                "Link": ["https://things.example", *[None] * (len(sets) - 1)],
                "Data type": kinds,
            }
        )
        wheel = tmp_path / "made.whl"
        folder = tmp_path / "repository"
        folder.mkdir()
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(sae_probes_wheel.MASTER, packed(master))
            for tag, table in sets.items():
                archive.writestr(f"{sae_probes_wheel.FOLDER}/{tag}.csv.zst", packed(table))
                table.to_csv(folder / f"{quote(tag)}.csv", index=False)
        monkeypatch.setattr(sae_probes_wheel, "fetch", lambda package: wheel)
        monkeypatch.setattr(sae_probes_wheel, "ADDRESS", str(folder / "{tag}.csv"))
        return wheel

    return make
