"""Indirect object identification: who was given the thing?

After "When Mary and John went to the store, John gave a book to" the next word is Mary, the one of
the two who was not named again. Prompts are in the manner of Wang et al., "Interpretability in the
Wild: a Circuit for Indirect Object Identification in GPT-2 small", 2022, section 2; the
sentences are our own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from needlepoint._core.errors import DataError
from needlepoint._core.registry import Registry
from needlepoint._core.seeds import seed_for
from needlepoint._core.text import Encoder, Span
from needlepoint.tasks.ioi_templates import TEMPLATES, fill
from needlepoint.tasks.pairs import MIN_PAIRS, Pair, Prompts, pair_prompts
from needlepoint.tasks.word_lists import NAMES, OBJECTS, PLACES

QUESTION = "Which attention heads let the model name the indirect object?"
LEAST = {"names": 8, "places": 2, "objects": 2}
"""How many words of each kind the tokenizer must hold in one token."""
TRIES_PER_PAIR = 20


class Cast(NamedTuple):
    """Who plays in one pair."""

    io: str
    """The indirect object: the right answer to the clean prompt."""
    s: str
    """The subject, named twice in the clean prompt: the wrong answer."""
    others: tuple[str, str, str]
    """Three further people, none of them `io` or `s`."""


class Roles(NamedTuple):
    """The name that stands in each of the three places of a sentence."""

    io: str
    s1: str
    s2: str


class Scene(NamedTuple):
    """Everything about one pair except how its corrupt prompt is made."""

    template: str
    subject_first: bool
    """Order BABA (the subject is introduced first) rather than ABBA."""
    cast: Cast
    place: str
    object: str


WORDS = {
    "abc": "in the corrupt prompt three other people are named, nobody twice",
    "swap": "in the corrupt prompt the giver is the other person, so the answers trade places",
}
Corruption = Callable[[Cast], Roles]
CORRUPTIONS: Registry[Corruption] = Registry("corruption of ioi")


@CORRUPTIONS.add("abc")
def three_others(cast: Cast) -> Roles:
    """Three different other people: nobody is named twice, and neither answer is in the text."""
    return Roles(*cast.others)


@CORRUPTIONS.add("swap")
def other_subject(cast: Cast) -> Roles:
    """The second mention names the other person, so the right and the wrong answer trade places."""
    return Roles(io=cast.io, s1=cast.s, s2=cast.io)


def make(encoder: Encoder, *, n_pairs: int, seed: int = 0, corruption: str = "abc") -> Prompts:
    """Prompt pairs of indirect object identification, cut by this tokenizer.

    Half of the pairs introduce the subject first (BABA), half second (ABBA), and the templates
    take turns. Pairs are distinct, and the first n of a longer list are the list of n, under
    every corruption the same clean prompts.

    Args:
        encoder: Names, places and objects are kept if it holds them in one token.
        n_pairs: How many pairs, at least 2.
        seed: The seed of the whole run.
        corruption: `abc` puts three other names in the same slots, so that the corrupt prompt
            has no answer; `swap` flips the answer by naming the other person second.

    Returns:
        Prompts with the positions `io`, `s1`, `s2` and `end` of the clean prompts. Under either
        corruption the corrupt prompts have their names at the same positions.

    Raises:
        DataError: If the tokenizer splits too many of the words, or so many distinct pairs
            do not exist.
        UnknownNameError: If there is no such corruption.
    """
    corrupted = CORRUPTIONS[corruption]
    if n_pairs < MIN_PAIRS:
        raise DataError(f"n_pairs is {n_pairs}; it must be at least {MIN_PAIRS}.")
    pairs, positions = [], []
    for scene in _scenes(encoder, n_pairs, seed):
        cast = scene.cast
        clean, spans = _sentence(scene, Roles(cast.io, cast.s, cast.s))
        corrupt, _ = _sentence(scene, corrupted(cast))
        pairs.append(Pair(clean, corrupt, answer=f" {cast.io}", wrong=f" {cast.s}"))
        positions.append(_positions(encoder, clean, spans))
    return pair_prompts(
        pairs,
        encoder,
        task="ioi",
        description="Indirect object identification: two people are introduced, one of them is "
        f"named again as the giver, and the next word is the other one; {WORDS[corruption]}.",
        question=QUESTION,
        corruption=corruption,
        positions={name: tuple(at[name] for at in positions) for name in positions[0]},
    )


def single_tokens(words: Sequence[str], encoder: Encoder, kind: str) -> tuple[str, ...]:
    """Those words that the tokenizer holds in one token after a space.

    Raises:
        DataError: If there are fewer of them than the task needs.
    """
    kept = tuple(word for word in words if len(encoder.encode(f" {word}")) == 1)
    if len(kept) < LEAST[kind]:
        raise DataError(
            f"the tokenizer holds {len(kept)} of {len(words)} {kind} in one token and task 'ioi' "
            f"needs {LEAST[kind]}; give the task as a file of prompt pairs instead."
        )
    return kept


def _scenes(encoder: Encoder, n_pairs: int, seed: int) -> list[Scene]:
    """Distinct scenes, drawn one after the other so that a longer list only adds to a shorter."""
    names = single_tokens(NAMES, encoder, "names")
    places = single_tokens(PLACES, encoder, "places")
    objects = single_tokens(OBJECTS, encoder, "objects")
    draw = np.random.default_rng(seed_for(seed, task="ioi", use="prompts"))
    order = draw.permutation(len(TEMPLATES))
    scenes: list[Scene] = []
    seen: set[Scene] = set()
    for _ in range(TRIES_PER_PAIR * n_pairs):
        template = TEMPLATES[order[len(scenes) // 2 % len(order)]]
        people = [names[i] for i in draw.choice(len(names), size=5, replace=False)]
        cast = Cast(people[0], people[1], (people[2], people[3], people[4]))
        place, thing = places[draw.integers(len(places))], objects[draw.integers(len(objects))]
        scene = Scene(template, len(scenes) % 2 == 0, cast, place, thing)
        clean = scene._replace(cast=cast._replace(others=("", "", "")))
        if clean not in seen:
            seen.add(clean)
            scenes.append(scene)
        if len(scenes) == n_pairs:
            return scenes
    raise DataError(
        f"only {len(scenes)} distinct pairs were found with {len(names)} names, {len(places)} "
        f"places and {len(objects)} objects of one token; ask for at most {len(scenes)}."
    )


def _sentence(scene: Scene, roles: Roles) -> tuple[str, dict[str, Span]]:
    """The sentence of a scene, and where each role stands in it."""
    first, second = ("s1", "io") if scene.subject_first else ("io", "s1")
    words = {
        "A": getattr(roles, first),
        "B": getattr(roles, second),
        "S": roles.s2,
        "place": scene.place,
        "object": scene.object,
    }
    text, spans = fill(scene.template, words)
    return text, {first: spans["A"], second: spans["B"], "s2": spans["S"]}


def _positions(encoder: Encoder, text: str, spans: dict[str, Span]) -> dict[str, int]:
    """Token at which each role stands, and the last token of the text."""
    ids, offsets = encoder.encode_with_offsets(text)
    found = {"end": len(ids) - 1}
    for role, (start, end) in spans.items():
        touching = [i for i, (low, high) in enumerate(offsets) if low < end and high > start]
        if len(touching) != 1:
            raise DataError(
                f"the tokenizer cuts {text[start:end]!r} in {text!r} into {len(touching)} tokens "
                "although it is one alone; give the task as a file of prompt pairs instead."
            )
        found[role] = touching[0]
    return found
