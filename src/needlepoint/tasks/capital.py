"""Capitals: does the model know the capital of a country?

After "The capital of France is" the next word is Paris. The answer is the whole name of the city:
a country is left out where the tokenizer cuts its name or its capital's, rather than asked for the
first piece, which says little of whether the city is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

from needlepoint._core.registry import Registry
from needlepoint._core.text import Encoder
from needlepoint.tasks.countries import CAPITALS, PLANETS
from needlepoint.tasks.draw import Marked, choose, generator, prompts_of, single_tokens, take_turns
from needlepoint.tasks.pairs import Pair, Prompts
from needlepoint.tasks.task import Task
from needlepoint.tasks.templates import fill

NAME = "capital"
TEMPLATES = (
    "The capital of {country} is",
    "The capital city of {country} is",
    "The capital of {country} is the city of",
    "The parliament of {country} is in the capital,",
    "As everyone knows, the capital of {country} is",
    "He has lived in {country} for years, in the capital,",
    "The government of {country} meets in its capital,",
    "Last spring we went to {country} and stayed in its capital,",
    "The national museum of {country} is in its capital,",
    "We took a train to the capital of {country},",
)
WORDS = {
    "planet": "in the corrupt prompt a planet stands for the country, so that no answer is right",
    "country": "in the corrupt prompt another country is named, so that another capital, one of "
    "the wrong answers, is right",
}


class Scene(NamedTuple):
    """A question for one capital."""

    template: str
    country: str


CORRUPTIONS: Registry[Callable[[str, Sequence[str], Sequence[str]], Sequence[str]]] = Registry(
    f"corruption of {NAME}"
)


@CORRUPTIONS.add("planet")
def planets(country: str, countries: Sequence[str], places: Sequence[str]) -> Sequence[str]:
    """Places that have no capital."""
    return places


@CORRUPTIONS.add("country")
def others(country: str, countries: Sequence[str], places: Sequence[str]) -> Sequence[str]:
    """The other countries."""
    return [other for other in countries if other != country]


def make(encoder: Encoder, *, n_pairs: int, seed: int = 0, corruption: str = "planet") -> Prompts:
    """Prompt pairs of capitals: the right one against those of all other countries in the task.

    The templates take turns. Under every corruption the clean prompts are the same.

    Returns:
        Prompts with the positions `country` and `end`.

    Raises:
        DataError: If the tokenizer splits too many names, or so many distinct pairs do not exist.
        UnknownNameError: If there is no such corruption.
    """
    instead = CORRUPTIONS[corruption]
    countries = _countries(encoder)
    places = single_tokens(PLANETS, encoder, task=NAME, kind="planets")
    groups = [[Scene(*scene) for scene in product([t], countries)] for t in TEMPLATES]
    draw = generator(NAME, seed, use=corruption)
    marked = []
    for scene in take_turns(groups, n_pairs, task=NAME, seed=seed):
        clean, spans = fill(scene.template, {"country": scene.country})
        choice = instead(scene.country, countries, places)
        corrupt, _ = fill(scene.template, {"country": choose(choice, draw)})
        wrong = tuple(f" {CAPITALS[other]}" for other in countries if other != scene.country)
        marked.append(Marked(Pair(clean, corrupt, f" {CAPITALS[scene.country]}", wrong), spans))
    return prompts_of(
        marked,
        encoder,
        task=NAME,
        description=f"{TASK.description} Here, {WORDS[corruption]}.",
        question="Which attention heads let the model name the capital of a country?",
        corruption=corruption,
    )


def _countries(encoder: Encoder) -> tuple[str, ...]:
    """Countries whose names, and the names of whose capitals, are one token."""
    cities = set(single_tokens(tuple(CAPITALS.values()), encoder, task=NAME, kind="capitals"))
    known = [country for country, city in CAPITALS.items() if city in cities]
    return single_tokens(known, encoder, task=NAME, kind="countries with such a capital")


TASK = Task(
    name=NAME,
    title="Capital of a country",
    description="A country is named, and the next word is its capital, held against the capitals "
    "of all other countries in the task.",
    source="own",
    make=make,
    corruptions=WORDS,
    answer_hidden=True,
)
