"""Indirect object identification: who was given the thing?

After "When Mary and John went to the store, John gave a book to" the next word is Mary, the one of
the two who was not named again. Prompts are in the manner of Wang et al., "Interpretability in the
Wild: a Circuit for Indirect Object Identification in GPT-2 small", 2022, section 2; the
sentences are our own.

Of the corruptions, `abc`, `swap` and `random_names` are Wang et al.'s: the distribution p_ABC of
section 3, and "IO <- S2 replacement" and "random name flip" of appendix A. `third_name` is that of
the negatives of O'Neill and Bui, "Sparse Autoencoders Enable Scalable and Reliable Circuit
Identification in Language Models", 2024, as their code makes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from needlepoint._core.errors import DataError
from needlepoint._core.registry import Registry
from needlepoint._core.text import Encoder, Span
from needlepoint.tasks.draw import Marked, generator, prompts_of, single_tokens
from needlepoint.tasks.ioi_templates import TEMPLATES
from needlepoint.tasks.known_circuits import IOI
from needlepoint.tasks.pairs import MIN_PAIRS, Pair, Prompts
from needlepoint.tasks.task import Task
from needlepoint.tasks.templates import fill
from needlepoint.tasks.word_lists import NAMES, OBJECTS, PLACES

QUESTION = "Which attention heads let the model name the indirect object?"
LEAST_NAMES = 8
"""How many names the tokenizer must hold in one token."""
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
    "random_names": "in the corrupt prompt two other people play the same roles, so that neither "
    "answer is in it",
    "third_name": "in the corrupt prompt a third person comes in, the indirect object stands where "
    "the subject was introduced, and nobody is named twice",
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


@CORRUPTIONS.add("random_names")
def two_others(cast: Cast) -> Roles:
    """Two other people in the same roles: the pattern stays, and neither answer is in the text."""
    return Roles(io=cast.others[0], s1=cast.others[1], s2=cast.others[1])


@CORRUPTIONS.add("third_name")
def third_person(cast: Cast) -> Roles:
    """A third person instead of the indirect object, who in turn is put at the first mention."""
    return Roles(io=cast.others[0], s1=cast.io, s2=cast.s)


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
            has no answer; `swap` flips the answer by naming the other person second;
            `random_names` keeps the pattern with two other names; `third_name` names three
            people, both answers among them.

    Returns:
        Prompts with the positions `io`, `s1`, `s2` and `end` of the clean prompts. Under every
        corruption the corrupt prompts have their names at the same positions.

    Raises:
        DataError: If the tokenizer splits too many of the words, or so many distinct pairs
            do not exist.
        UnknownNameError: If there is no such corruption.
    """
    corrupted = CORRUPTIONS[corruption]
    if n_pairs < MIN_PAIRS:
        raise DataError(f"n_pairs is {n_pairs}; it must be at least {MIN_PAIRS}.")
    marked = []
    for scene in _scenes(encoder, n_pairs, seed):
        cast = scene.cast
        clean, spans = _sentence(scene, Roles(cast.io, cast.s, cast.s))
        corrupt, _ = _sentence(scene, corrupted(cast))
        marked.append(Marked(Pair(clean, corrupt, f" {cast.io}", f" {cast.s}"), spans))
    return prompts_of(
        marked,
        encoder,
        task="ioi",
        description="Indirect object identification: two people are introduced, one of them is "
        f"named again as the giver, and the next word is the other one; {WORDS[corruption]}.",
        question=QUESTION,
        corruption=corruption,
    )


def _scenes(encoder: Encoder, n_pairs: int, seed: int) -> list[Scene]:
    """Distinct scenes, drawn one after the other so that a longer list only adds to a shorter."""
    names = single_tokens(NAMES, encoder, task="ioi", kind="names", least=LEAST_NAMES)
    places = single_tokens(PLACES, encoder, task="ioi", kind="places")
    objects = single_tokens(OBJECTS, encoder, task="ioi", kind="objects")
    draw = generator("ioi", seed)
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


TASK = Task(
    name="ioi",
    title="Indirect object identification",
    description="Two people are introduced, one of them is named again as the giver, and the next "
    "word is the other one.",
    source="Wang et al. 2022 (arXiv 2211.00593), section 2",
    make=make,
    corruptions=WORDS,
    circuits=IOI,
)
