"""A tokenizer with one token for each word of a list, made in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def word_tokenizer(words: Sequence[str], *, first: str | None = None) -> Any:
    """A `transformers` tokenizer that cuts at white space; word `i` of the list is token `i`.

    There is no token for unknown words: `TokenizerEncoder` raises a DataError for one.

    Args:
        words: The vocabulary, in the order of the ids.
        first: The word among them that stands for the beginning of a text, if any. The tokenizer
            does not add it itself.

    Example:
        >>> tokenizer = word_tokenizer(["zero", "one", "two"])
        >>> tokenizer.encode("two one two")
        [2, 1, 2]
        >>> tokenizer.decode([1])
        'one'
    """
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    special = {} if first is None else {"bos_token": first}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
