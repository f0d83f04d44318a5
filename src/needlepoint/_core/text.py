"""What tasks and features need to know about a model: how it cuts text into tokens."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

Span = tuple[int, int]


@runtime_checkable
class Encoder(Protocol):
    """Cuts text into tokens. Adds no special tokens: the model puts its first token in front."""

    def encode(self, text: str) -> list[int]:
        """Token ids of the text."""
        ...

    def encode_with_offsets(self, text: str) -> tuple[list[int], list[Span]]:
        """Token ids, and for each the characters `[start, end)` of the text it came from."""
        ...

    def pieces(self, ids: list[int]) -> list[str]:
        """Each token as readable text; together they read as the decoded text."""
        ...
