"""A real byte-level BPE tokenizer, trained in memory on the words of the tasks."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from needlepoint.tasks.ioi_templates import TEMPLATES
from needlepoint.tasks.word_lists import NAMES, OBJECTS, PLACES


class ByteLevelEncoder:
    """An `Encoder` around a byte-level BPE trained on a few lines."""

    def __init__(self, lines: Iterable[str], *, vocabulary: int) -> None:
        self.tokenizer = Tokenizer(models.BPE())
        self.tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self.tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        self.tokenizer.train_from_iterator(lines, trainer)

    def encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text).ids)

    def encode_with_offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        found = self.tokenizer.encode(text)
        return list(found.ids), list(found.offsets)

    def pieces(self, ids: list[int]) -> list[str]:
        return [self.tokenizer.decode([index]) for index in ids]


@pytest.fixture(scope="session")
def encoder() -> ByteLevelEncoder:
    words = (*NAMES, *PLACES, *OBJECTS, "cold", "hot", "big", "small", "Yes", "No")
    lines = [f" {word} {word}" for word in words] + list(TEMPLATES)
    return ByteLevelEncoder(lines, vocabulary=4000)


@pytest.fixture(scope="session")
def bytes_only() -> ByteLevelEncoder:
    """A tokenizer that knows no word: every byte is a token."""
    return ByteLevelEncoder([], vocabulary=256)
