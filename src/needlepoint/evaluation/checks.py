"""What can be found wrong with a question before a model is loaded for it."""

from __future__ import annotations

import re
import zlib

from needlepoint._core.text import Span
from needlepoint.evaluation.configs import HeadsConfig, NeuronsConfig

_WORD = re.compile(r"\s*\S+|\s+\Z")


class Words:
    """Stands in for a tokenizer: a text of a task is one token, a labelled text its words.

    It lets a file be read as it will be, but for what only the model's own tokens can show.
    """

    def encode(self, text: str) -> list[int]:
        """One number for the whole text, the same for the same text."""
        return [zlib.crc32(text.encode())]

    def encode_with_offsets(self, text: str) -> tuple[list[int], list[Span]]:
        """One token for each word with the white space before it."""
        offsets = [found.span() for found in _WORD.finditer(text)]
        return [zlib.crc32(text[start:end].encode()) for start, end in offsets], offsets

    def pieces(self, ids: list[int]) -> list[str]:
        """The numbers as text."""
        return [str(number) for number in ids]


def check_heads(config: HeadsConfig) -> None:
    """Refuse unknown methods and what is no task.

    Raises:
        UnknownNameError: If a method, task or corruption is not known.
        DataError: If a file cannot be used.
    """
    from needlepoint.evaluation.circuits.method_choice import chosen_methods

    chosen_methods(config.methods)
    check_task_name(config.task, config.corruption)


def check_task_name(name: str, corruption: str = "") -> None:
    """Refuse what is neither a task nor a file of prompt pairs, or has no such corruption.

    Raises:
        UnknownNameError: If the task or its corruption is not known.
        DataError: If the file cannot be used, or a corruption is asked of it.
    """
    from needlepoint.tasks import find_task, load_task

    task = find_task(name)
    if task is None:
        load_task(name, Words(), corruption=corruption)
    else:
        task.corruption_named(corruption)


def check_neurons(config: NeuronsConfig) -> None:
    """Refuse what is no collection.

    Raises:
        UnknownNameError: If the collection or its source is not known.
        DataError: If a file cannot be used.
    """
    from needlepoint.features import collection_spec, load_collection

    spec = collection_spec(config.features)
    if spec is None:
        load_collection(config.features, Words())
    else:
        spec.check_source(config.source or None)
