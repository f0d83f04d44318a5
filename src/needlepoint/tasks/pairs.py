"""Prompt pairs: a clean prompt, its corrupt counterpart, and the two answers between them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from needlepoint._core.errors import DataError
from needlepoint._core.text import Encoder

Metric = Literal["logit difference", "probability difference"]
"""Mean logit of the right tokens minus that of the wrong; or sums of their probabilities."""
DEFAULT_METRIC: Metric = "logit difference"

MIN_PAIRS = 2
"""Fewer pairs than this have no spread, so nothing measured on them has an interval."""


@dataclass(frozen=True)
class Pair:
    """Two prompts of equal token length that differ in what the right next token is."""

    clean: str
    """The prompt on which the behaviour is seen."""
    corrupt: str
    """The same prompt with the information that the behaviour needs taken out."""
    answer: str | tuple[str, ...]
    """Right next token after `clean`, as text with its leading space; several where all are."""
    wrong: str | tuple[str, ...]
    """The token, or the tokens, that `answer` is held against."""

    @property
    def answers(self) -> tuple[str, ...]:
        """All right next tokens."""
        return (self.answer,) if isinstance(self.answer, str) else self.answer

    @property
    def wrongs(self) -> tuple[str, ...]:
        """All wrong next tokens."""
        return (self.wrong,) if isinstance(self.wrong, str) else self.wrong


@dataclass(frozen=True)
class Prompts:
    """Checked prompt pairs of one task, as text and as tokens.

    Token ids leave out the first token that some models want in front; the model adds it.
    """

    task: str
    description: str
    question: str
    """What a circuit of this task answers, as one sentence with a question mark."""
    corruption: str
    """Name of the way in which the corrupt prompts were made."""
    pairs: tuple[Pair, ...]
    clean_ids: tuple[tuple[int, ...], ...]
    corrupt_ids: tuple[tuple[int, ...], ...]
    """As long as `clean_ids`, pair by pair."""
    answer_ids: tuple[tuple[int, ...], ...]
    """The right next tokens of each pair, one or more."""
    wrong_ids: tuple[tuple[int, ...], ...]
    metric: Metric = "logit difference"
    """What is measured on the next token, unless a study asks for another metric."""
    positions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Named token positions, one for each pair, counted from 0 without any first token."""

    @property
    def n_pairs(self) -> int:
        """How many pairs there are."""
        return len(self.pairs)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens in each pair's clean prompt, which its corrupt prompt has too."""
        return tuple(len(ids) for ids in self.clean_ids)

    @property
    def sha256(self) -> str:
        """Hash of what a model is given and asked: ids of the prompts and answers, and the metric.

        The same pairs cut by another tokenizer hash differently; names and descriptions do not
        count, and neither does the metric where it is the logit difference.
        """
        content: list[object] = [self.clean_ids, self.corrupt_ids, self.answer_ids, self.wrong_ids]
        if self.metric != DEFAULT_METRIC:
            content.append(self.metric)
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def first(self, n: int) -> Prompts:
        """The first `n` pairs, or all where there are no more.

        Raises:
            DataError: If `n` is less than 2.
        """
        return self._part(slice(None, n), n)

    def last(self, n: int) -> Prompts:
        """The last `n` pairs, or all where there are no more.

        Raises:
            DataError: If `n` is less than 2.
        """
        return self._part(slice(-n, None), n)

    def _part(self, part: slice, n: int) -> Prompts:
        if n < MIN_PAIRS:
            raise DataError(f"n_pairs is {n}; it must be at least {MIN_PAIRS}.")
        return replace(
            self,
            pairs=self.pairs[part],
            clean_ids=self.clean_ids[part],
            corrupt_ids=self.corrupt_ids[part],
            answer_ids=self.answer_ids[part],
            wrong_ids=self.wrong_ids[part],
            positions={name: where[part] for name, where in self.positions.items()},
        )


def pair_prompts(
    pairs: Sequence[Pair],
    encoder: Encoder,
    *,
    task: str,
    description: str,
    question: str,
    corruption: str,
    metric: Metric = "logit difference",
    positions: Mapping[str, tuple[int, ...]] | None = None,
    lines: Sequence[int] | None = None,
    source: str = "",
) -> Prompts:
    """Tokenize pairs and make sure that each can be used.

    It does not ask whether a model shows the behaviour: that needs a model.

    Args:
        pairs: The pairs, in the order to keep.
        encoder: Cuts text into tokens, adding none of its own.
        task: Name of the task.
        description: What the prompts are, in one or two sentences.
        question: What a circuit of the task answers.
        corruption: Name of how the corrupt prompts were made.
        metric: What is measured on the next token.
        positions: Named token positions, one for each pair.
        lines: Line of each pair in `source`, for messages.
        source: File the pairs came from, for messages.

    Raises:
        DataError: If a text is empty, an answer is not exactly one token, the answers are the
            same, the two prompts differ in length, or there are fewer than 2 pairs. The
            message names the pair and says what to change.
    """
    if len(pairs) < MIN_PAIRS:
        found = f"{source} has" if source else "there is" if len(pairs) == 1 else "there are"
        noun = "pair" if len(pairs) == 1 else "pairs"
        raise DataError(f"{found} {len(pairs)} {noun}; at least {MIN_PAIRS} are needed.")
    clean_ids, corrupt_ids, answer_ids, wrong_ids = [], [], [], []
    for index, pair in enumerate(pairs):
        where = f"pair {index + 1}"
        if lines is not None:
            where += f" (line {lines[index]} of {source})"
        clean, corrupt = _prompt_ids(pair, encoder, where)
        clean_ids.append(clean)
        corrupt_ids.append(corrupt)
        answer, wrong = _answer_ids(pair, encoder, where)
        answer_ids.append(answer)
        wrong_ids.append(wrong)
    return Prompts(
        task=task,
        description=description,
        question=question,
        corruption=corruption,
        pairs=tuple(pairs),
        clean_ids=tuple(clean_ids),
        corrupt_ids=tuple(corrupt_ids),
        answer_ids=tuple(answer_ids),
        wrong_ids=tuple(wrong_ids),
        metric=metric,
        positions=dict(positions or {}),
    )


def _prompt_ids(
    pair: Pair, encoder: Encoder, where: str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    for name, text in (("clean", pair.clean), ("corrupt", pair.corrupt)):
        if not text.strip():
            raise DataError(f"{where}: {name} is empty; give a prompt that ends before the answer.")
    clean, corrupt = tuple(encoder.encode(pair.clean)), tuple(encoder.encode(pair.corrupt))
    if len(clean) != len(corrupt):
        raise DataError(
            f"{where}: clean has {_tokens(len(clean))}, corrupt {len(corrupt)}; make them equal, "
            "for instance by swapping in names of as many tokens."
        )
    return clean, corrupt


def _answer_ids(
    pair: Pair, encoder: Encoder, where: str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    for name, texts in (("answer", pair.answers), ("wrong", pair.wrongs)):
        if not texts:
            raise DataError(f"{where}: {name} is empty; give the text of one token.")
    answers = tuple(_single_token("answer", text, encoder, where) for text in pair.answers)
    wrongs = tuple(_single_token("wrong", text, encoder, where) for text in pair.wrongs)
    for token, text in zip(answers, pair.answers, strict=True):
        if token in wrongs:
            raise DataError(
                f"{where}: answer and wrong are both {text!r}; give two different tokens."
            )
    return answers, wrongs


def _single_token(name: str, text: str, encoder: Encoder, where: str) -> int:
    if not text:
        raise DataError(f"{where}: {name} is empty; give the text of one token.")
    ids = encoder.encode(text)
    if len(ids) == 1:
        return ids[0]
    fix = "use a word that the tokenizer holds in one token"
    if not text[0].isspace() and len(encoder.encode(f" {text}")) == 1:
        fix = f"with a leading space, {' ' + text!r}, it is one: write it so"
    pieces = " + ".join(repr(piece) for piece in encoder.pieces(ids))
    raise DataError(f"{where}: {name} {text!r} is {_tokens(len(ids))} ({pieces}), not one; {fix}.")


def _tokens(count: int) -> str:
    return f"{count} token" if count == 1 else f"{count} tokens"
