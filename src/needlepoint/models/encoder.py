"""A model's tokenizer as tasks and features see it."""

from __future__ import annotations

import hashlib
from typing import Any

from needlepoint._core.errors import DataError
from needlepoint._core.text import Span

SHOWN = 60
"""Characters of a text that a message repeats."""


class TokenizerEncoder:
    """Wraps a `transformers` tokenizer as an `Encoder`: no special tokens are ever added."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        """Token ids of the text.

        Raises:
            DataError: If the tokenizer has no token for a part of the text, not even "unknown".
        """
        backend = self._backend()
        if backend is not None:
            return list(_cut(backend, text).ids)
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def encode_with_offsets(self, text: str) -> tuple[list[int], list[Span]]:
        """Token ids, and for each the characters `[start, end)` of the text it came from.

        Raises:
            DataError: As for `encode`.
        """
        backend = self._backend()
        if backend is not None:
            cut = _cut(backend, text)
            return list(cut.ids), list(cut.offsets)
        found = self.tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        return list(found["input_ids"]), [(a, b) for a, b in found["offset_mapping"]]

    def pieces(self, ids: list[int]) -> list[str]:
        """Each token as readable text, spaces kept; halves of a character show as U+FFFD."""
        return [self.tokenizer.decode([token]) for token in ids]

    def fingerprint(self) -> str | None:
        """Hash of all that decides how text is cut, or None where the tokenizer does not say it.

        Equal fingerprints give equal tokens, so that tokens can be kept and read again.
        """
        backend = self._backend()
        return None if backend is None else hashlib.sha256(backend.to_str().encode()).hexdigest()

    def first_token(self) -> int | None:
        """The token to put in front of every text: an attention sink, as in training.

        The tokenizer's own, if it adds one; else `<|endoftext|>` where the vocabulary has it;
        else the beginning-of-text token, if there is one.
        """
        own = self.tokenizer.encode("a", add_special_tokens=True)
        plain = self.encode("a")
        if len(own) > len(plain) and own[-len(plain) :] == plain:
            return int(own[0])
        end = self.tokenizer.convert_tokens_to_ids("<|endoftext|>")
        if end is not None and end != self.tokenizer.unk_token_id:
            return int(end)
        if self.tokenizer.convert_ids_to_tokens(0) == "<|endoftext|>":
            return 0
        bos = self.tokenizer.bos_token_id
        return None if bos is None else int(bos)

    def _backend(self) -> Any:
        """The compiled tokenizer inside, twice as fast without its wrapper; None if it has none."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is not None and backend.truncation is not None:
            backend.no_truncation()
        if backend is not None and backend.padding is not None:
            backend.no_padding()
        return backend


def _cut(backend: Any, text: str) -> Any:
    try:
        return backend.encode(text, add_special_tokens=False)
    except Exception as error:  # compiled tokenizers raise nothing narrower
        shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
        raise DataError(
            f"the tokenizer cannot cut {shown!r} ({error}); give text of words that it knows."
        ) from error
