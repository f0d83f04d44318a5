"""Gendered pronouns: does the model say she after a woman's name and he after a man's?

After "So Mary is a really great friend, isn't" the next word is she. The prompts are in the manner
of Mathwin et al., "Identifying a Preliminary Circuit for Predicting Gendered Pronouns in GPT-2
Small", a research report of January 2023; the first two templates are theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from needlepoint._core.registry import Registry
from needlepoint._core.text import Encoder
from needlepoint.tasks.draw import Marked, choose, generator, prompts_of, single_tokens, take_turns
from needlepoint.tasks.known_circuits import GENDERED_PRONOUN
from needlepoint.tasks.pairs import Pair, Prompts
from needlepoint.tasks.task import Task
from needlepoint.tasks.templates import fill
from needlepoint.tasks.word_lists import MEN, UNISEX, WOMEN

NAME = "gendered_pronoun"
TEMPLATES = (
    "So {name} is a really great friend, isn't",
    "So {name} is such a good cook, isn't",
    "So {name} was late for work again, wasn't",
    "I think {name} is a very kind person, isn't",
    "It seems that {name} was at the party last night, wasn't",
    "After the long meeting, {name} said that",
    "On the phone yesterday, {name} told me that",
    "Everyone likes {name} because",
)
PRONOUNS = {"woman": " she", "man": " he"}
WORDS = {
    "neutral": "in the corrupt prompt the person has a name that women and men both have, so that "
    "neither answer is right",
    "swap": "in the corrupt prompt the person is of the other gender, so that it has the opposite "
    "answer",
}


class Scene(NamedTuple):
    """A sentence about one person."""

    template: str
    name: str
    gender: str


Names = Mapping[str, Sequence[str]]
CORRUPTIONS: Registry[Callable[[str, Names], Sequence[str]]] = Registry(f"corruption of {NAME}")


@CORRUPTIONS.add("neutral")
def unisex(gender: str, names: Names) -> Sequence[str]:
    """Names that do not tell the gender."""
    return names["either"]


@CORRUPTIONS.add("swap")
def other_gender(gender: str, names: Names) -> Sequence[str]:
    """Names of the other gender."""
    return names["man" if gender == "woman" else "woman"]


def make(encoder: Encoder, *, n_pairs: int, seed: int = 0, corruption: str = "neutral") -> Prompts:
    """Prompt pairs of the gendered pronoun, cut by this tokenizer.

    Women and men take turns. Under every corruption the clean prompts are the same.

    Returns:
        Prompts with the positions `name` and `end`.

    Raises:
        DataError: If the tokenizer splits too many names, or so many distinct pairs do not exist.
        UnknownNameError: If there is no such corruption.
    """
    others = CORRUPTIONS[corruption]
    names = _names(encoder)
    draw = generator(NAME, seed, use=corruption)
    groups = [
        [Scene(template, name, gender) for template, name in product(TEMPLATES, names[gender])]
        for gender in PRONOUNS
    ]
    scenes = take_turns(groups, n_pairs, task=NAME, seed=seed)
    return prompts_of(
        [_marked(scene, others(scene.gender, names), draw) for scene in scenes],
        encoder,
        task=NAME,
        description=f"{TASK.description} Here, {WORDS[corruption]}.",
        question="Which attention heads let the model refer to a person as she or he?",
        corruption=corruption,
    )


def _names(encoder: Encoder) -> dict[str, tuple[str, ...]]:
    lists = {"woman": WOMEN, "man": MEN, "either": UNISEX}
    kept = {
        who: single_tokens(names, encoder, task=NAME, kind="names") for who, names in lists.items()
    }
    return {
        who: tuple(name for name in names if who == "either" or name not in UNISEX)
        for who, names in kept.items()
    }


def _marked(scene: Scene, others: Sequence[str], draw: np.random.Generator) -> Marked:
    clean, spans = fill(scene.template, {"name": scene.name})
    corrupt, _ = fill(scene.template, {"name": choose(others, draw)})
    wrong = PRONOUNS["man" if scene.gender == "woman" else "woman"]
    return Marked(Pair(clean, corrupt, PRONOUNS[scene.gender], wrong), spans)


TASK = Task(
    name=NAME,
    title="Gendered pronoun",
    description="A person is named, and the next word is the pronoun that goes with the name, "
    "she or he.",
    source="Mathwin et al., research report of January 2023 (not on arXiv): the first two "
    "templates; the other templates are our own",
    make=make,
    corruptions=WORDS,
    answer_hidden=True,
    circuits=GENDERED_PRONOUN,
)
