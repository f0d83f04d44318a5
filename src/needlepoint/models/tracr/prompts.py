"""Clean and corrupt inputs of a compiled program, both of them inputs that it is made for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from needlepoint._core.errors import DataError
from needlepoint._core.registry import Registry
from needlepoint._core.seeds import seed_for
from needlepoint.models.tracr.compiled import OUTPUT, RIVAL, TracrModel
from needlepoint.models.tracr.programs import Program
from needlepoint.tasks.pairs import MIN_PAIRS, Pair, Prompts, pair_prompts

TRIES = 300
"""Draws without a new pair after which there are taken to be no more."""
ROUNDING = 1e-6
"""Numbers that differ by less are taken to be equal."""
Words = tuple[str, ...]
Corrupt = Callable[[Words, Program, np.random.Generator], Words]
CORRUPTIONS: Registry[Corrupt] = Registry("corruption of Tracr inputs")


@CORRUPTIONS.add("redrawn")
def redrawn(clean: Words, program: Program, rng: np.random.Generator) -> Words:
    """Another input, drawn on its own."""
    return _draw(program, rng)


@CORRUPTIONS.add("shuffled")
def shuffled(clean: Words, program: Program, rng: np.random.Generator) -> Words:
    """The same tokens in another order."""
    return tuple(clean[place] for place in rng.permutation(len(clean)))


@CORRUPTIONS.add("one token")
def one_token(clean: Words, program: Program, rng: np.random.Generator) -> Words:
    """Another token at one position."""
    place = int(rng.integers(len(clean)))
    taken = clean if program.unique else clean[place : place + 1]
    others = [word for word in map(str, program.vocabulary) if word not in taken]
    return (*clean[:place], str(rng.choice(others)), *clean[place + 1 :]) if others else clean


def tracr_prompts(
    tracr: TracrModel, *, n_pairs: int = 32, seed: int = 0, corruption: str = "redrawn"
) -> Prompts:
    """Pairs of inputs of a program that have different outputs at the last position.

    Both are of the length that the program was compiled for, so that no activation ever comes
    from an input that the program is not made for. The answer is the clean input's output by the
    program's own definition, the wrong answer the corrupt input's. For a numerical program the
    answer is `<output>` and the wrong answer `<zero>`, so that the logit difference is the output
    itself: above 0 on the clean input, and lower on the corrupt one. The clean inputs do not
    depend on the corruption beyond which of them have one.

    A corrupt prompt of equal length leaves positions and lengths as they are: parts of a circuit
    that carry only those are needed, but resampling from it cannot show it.

    Args:
        tracr: The compiled program.
        n_pairs: How many pairs; they are distinct.
        seed: Root of the draw.
        corruption: `redrawn`, `shuffled` (the same tokens in another order) or `one token`.

    Returns:
        Prompts with one named position, `end`.

    Raises:
        UnknownNameError: If there is no such corruption.
        DataError: If there are fewer than 2 pairs, or so many distinct ones are not found.
    """
    change = CORRUPTIONS[corruption]
    name = tracr.program.name
    if n_pairs < MIN_PAIRS:
        raise DataError(f"n_pairs is {n_pairs}; it must be at least {MIN_PAIRS}.")
    rng = np.random.default_rng(seed_for(seed, task=f"tracr {name}", use=corruption))
    found: dict[tuple[Words, Words], Pair] = {}
    misses = 0
    while len(found) < n_pairs and misses < TRIES:
        clean = _draw(tracr.program, rng)
        corrupt = change(clean, tracr.program, rng)
        pair = None if (clean, corrupt) in found else _pair(tracr, clean, corrupt)
        misses = misses + 1 if pair is None else 0
        if pair is not None:
            found[clean, corrupt] = pair
    if len(found) < n_pairs:
        raise DataError(
            f"only {len(found)} distinct pairs of {name} with {corruption!r} corruption and "
            f"different outputs at the last position were found; ask for fewer than {n_pairs}, "
            "or for another corruption."
        )
    return pair_prompts(
        list(found.values()),
        tracr.model.encoder,
        task=f"tracr {name}",
        description=f"The RASP program {name}: {tracr.program.description}. The output at the "
        "last position is asked for.",
        question=f"Which parts of the compiled model carry out the program {name}?",
        corruption=corruption,
        positions={"end": (tracr.program.length - 1,) * n_pairs},
    )


def _draw(program: Program, rng: np.random.Generator) -> Words:
    places = rng.choice(len(program.vocabulary), program.length, replace=not program.unique)
    return tuple(str(program.vocabulary[place]) for place in places)


def _pair(tracr: TracrModel, clean: Words, corrupt: Words) -> Pair | None:
    """The pair, or None where its outputs do not differ as they should."""
    right, wrong = (tracr.expected(words)[-1] for words in (clean, corrupt))
    if tracr.program.numerical:
        assert isinstance(right, int | float)
        assert isinstance(wrong, int | float)
        if right - max(wrong, 0) < ROUNDING:
            return None
        return Pair(_text(clean), _text(corrupt), OUTPUT, RIVAL)
    if right == wrong or None in (right, wrong):
        return None
    return Pair(_text(clean), _text(corrupt), str(right), str(wrong))


def _text(words: Sequence[str]) -> str:
    return " ".join(words)
