"""What making prompts takes: words of one token, distinct scenes under a seed, and positions."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from needlepoint._core.errors import DataError
from needlepoint._core.seeds import seed_for
from needlepoint._core.text import Encoder, Span
from needlepoint.tasks.pairs import MIN_PAIRS, Metric, Pair, Prompts, pair_prompts

T = TypeVar("T", bound=Hashable)
TRIES_PER_PAIR = 50


class Marked(NamedTuple):
    """A pair, and the characters `[start, end)` of its clean prompt at which each role stands."""

    pair: Pair
    spans: Mapping[str, Span]


def generator(task: str, seed: int, use: str = "prompts") -> np.random.Generator:
    """The source of randomness for one use in one task, under the seed of the whole run."""
    return np.random.default_rng(seed_for(seed, task=task, use=use))


def choose(items: Sequence[T], draw: np.random.Generator) -> T:
    """One of the items, each as likely as any other."""
    return items[int(draw.integers(len(items)))]


def single_tokens(
    words: Sequence[str], encoder: Encoder, *, task: str, kind: str, least: int = 2
) -> tuple[str, ...]:
    """Those words that the tokenizer holds in one token after a space, each once, in order.

    Raises:
        DataError: If there are fewer than `least`. The message names the `kind` of word.
    """
    words = tuple(dict.fromkeys(words))
    kept = tuple(word for word in words if len(encoder.encode(f" {word}")) == 1)
    if len(kept) < least:
        raise DataError(
            f"the tokenizer holds {len(kept)} of {len(words)} {kind} in one token and task "
            f"{task!r} needs {least}; give the task as a file of prompt pairs instead."
        )
    return kept


def take_turns(groups: Sequence[Sequence[T]], n: int, *, task: str, seed: int) -> list[T]:
    """`n` distinct items: the groups take turns, each in a random order of its own.

    Where a group has run out, the others go on without it. The order does not depend on `n`, so
    the first n of a longer list are the list of n. For what can be listed in full; see
    `draw_distinct` for what cannot.

    Raises:
        DataError: If `n` is less than 2 or more than there are. The message says how many.

    Example:
        >>> items = take_turns([["a", "b", "c"], ["X"]], 4, task="letters", seed=0)
        >>> sorted(items[:2])[0], sorted(items)
        ('X', ['X', 'a', 'b', 'c'])
    """
    _enough(n)
    draw = generator(task, seed)
    distinct = [list(dict.fromkeys(group)) for group in groups]
    shuffled = [[group[i] for i in draw.permutation(len(group))] for group in distinct]
    longest = max(map(len, shuffled), default=0)
    taken = [group[i] for i in range(longest) for group in shuffled if i < len(group)]
    if len(taken) < n:
        raise _too_few(len(taken), task)
    return taken[:n]


def draw_distinct(
    draw_one: Callable[[np.random.Generator], T | None],
    n: int,
    *,
    task: str,
    seed: int,
    key: Callable[[T], Hashable] | None = None,
) -> list[T]:
    """`n` items drawn one after the other, a repeated one thrown away.

    The first n of a longer list are the list of n. For what is too many to be listed.

    Args:
        draw_one: Draws an item, or nothing where what came up cannot be used.
        n: How many, at least 2.
        task: Name of the task, for the seed and for messages.
        seed: The seed of the whole run.
        key: What must differ between items; the item itself unless given.

    Raises:
        DataError: If `n` is less than 2, or so many do not turn up in 50 tries for each. The
            message says how many did.
    """
    _enough(n)
    draw = generator(task, seed)
    found: dict[Hashable, T] = {}
    for _ in range(TRIES_PER_PAIR * n):
        item = draw_one(draw)
        if item is not None:
            found.setdefault(item if key is None else key(item), item)
        if len(found) == n:
            return list(found.values())
    raise _too_few(len(found), task)


def continues(encoder: Encoder, prompt: str, answer: str) -> bool:
    """Whether the tokenizer cuts the answer off from the prompt, as one token of its own.

    Where it does not, the model has never been trained to give that token there: a tokenizer
    that holds `NASA` in one token never shows `NAS` followed by `A`.
    """
    before, token = encoder.encode(prompt), encoder.encode(answer)
    return len(token) == 1 and encoder.encode(prompt + answer) == [*before, *token]


def positions_of(encoder: Encoder, text: str, spans: Mapping[str, Span]) -> dict[str, int]:
    """Index of the last token of each marked stretch of the text, and `end`, the last of all.

    A token of which any part lies in the stretch counts as its own.

    Raises:
        DataError: If no token lies in a stretch.
    """
    ids, offsets = encoder.encode_with_offsets(text)
    found = {}
    for role, (start, end) in spans.items():
        touching = [i for i, (low, high) in enumerate(offsets) if low < end and high > start]
        if not touching:
            raise DataError(
                f"no token stands at {role} ({text[start:end]!r}) in {text!r}; give the task as "
                "a file of prompt pairs instead."
            )
        found[role] = touching[-1]
    return {**found, "end": len(ids) - 1}


def prompts_of(
    marked: Sequence[Marked],
    encoder: Encoder,
    *,
    task: str,
    description: str,
    question: str,
    corruption: str,
    metric: Metric = "logit difference",
) -> Prompts:
    """Checked prompts of marked pairs, with a position for each role and for `end`.

    Raises:
        DataError: If a pair cannot be used; see `pair_prompts`.
    """
    at = [positions_of(encoder, pair.clean, spans) for pair, spans in marked]
    return pair_prompts(
        [pair for pair, _ in marked],
        encoder,
        task=task,
        description=description,
        question=question,
        corruption=corruption,
        metric=metric,
        positions={role: tuple(where[role] for where in at) for role in at[0]},
    )


def _enough(n: int) -> None:
    if n < MIN_PAIRS:
        raise DataError(f"n_pairs is {n}; it must be at least {MIN_PAIRS}.")


def _too_few(found: int, task: str) -> DataError:
    fix = f"ask for at most {found}"
    if found < MIN_PAIRS:
        fix = "give the task as a file of prompt pairs instead"
    return DataError(f"task {task!r} has only {found} distinct pairs with this tokenizer; {fix}.")
