"""A real byte-level BPE tokenizer, trained in memory on the words of the tasks."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from needlepoint.tasks import closing, successor, word_lists
from needlepoint.tasks.agreement import VERBS
from needlepoint.tasks.countries import CAPITALS, PLANETS
from needlepoint.tasks.ioi_templates import TEMPLATES

BEHAVIOURS = (
    *(*word_lists.PLURAL_OF, *word_lists.PLURAL_OF.values(), "she", "he"),
    *(*CAPITALS, *CAPITALS.values(), *PLANETS),
    *(form.strip() for verb in VERBS for form in verb),
    *(member for members in successor.SEQUENCES.values() for member in members),
)
"""Words of the behaviours that bring their own lists."""
SENTENCES = [
    template.format(noun="bank", open=mark)
    for kind, marks in closing.CLOSER.items()
    for template in closing.TEMPLATES[kind]
    for mark in (*marks, closing.UNOPENED[kind])
]


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
    lists = [words for words in vars(word_lists).values() if isinstance(words, tuple)]
    words = (
        *(word for words in lists for word in words),
        *("cold", "hot", "big", "small", "Yes", "No"),
        *BEHAVIOURS,
    )
    lines = [f" {word} {word}" for word in words] + [*TEMPLATES, *SENTENCES]
    return ByteLevelEncoder(lines, vocabulary=8000)


@pytest.fixture(scope="session")
def bytes_only() -> ByteLevelEncoder:
    """A tokenizer that knows no word: every byte is a token."""
    return ByteLevelEncoder([], vocabulary=256)
