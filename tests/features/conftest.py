"""Real byte-level BPE tokenizers, trained in memory on a few lines of text and code."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

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
