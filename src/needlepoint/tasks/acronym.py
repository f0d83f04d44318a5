"""Acronyms: does the model write the third letter of a three-word name?

After "The Chief Executive Officer (CE" the next letter is O. After García-Carrasco et al., "How
does GPT-2 Predict Acronyms? Extracting and Understanding a Circuit via Mechanistic
Interpretability", 2024 (arXiv 2405.04156), where the words are drawn at random too; here each is
one token.
"""

from __future__ import annotations

from collections.abc import Callable
from string import ascii_uppercase
from typing import NamedTuple

import numpy as np

from needlepoint._core.registry import Registry
from needlepoint._core.text import Encoder, Span
from needlepoint.tasks.draw import Marked, continues, draw_distinct, prompts_of, single_tokens
from needlepoint.tasks.known_circuits import ACRONYM
from needlepoint.tasks.pairs import Pair, Prompts
from needlepoint.tasks.task import Task
from needlepoint.tasks.templates import fill
from needlepoint.tasks.word_lists import TITLE_WORDS

NAME = "acronym"
TEMPLATE = "The {first} {second} {third} ({letters}"
WORDS = {
    "word": "in the corrupt prompt the third word is another one, so that another letter, one of "
    "the wrong answers, is right",
    "letters": "in the corrupt prompt the two letters are not those of the words, so that no "
    "third letter is right, though a model may copy the third initial all the same",
}


class Scene(NamedTuple):
    """A name of three words, and what may stand in its place."""

    first: str
    second: str
    third: str
    other_third: str
    """A word with another initial than any of the three."""
    other_letters: str
    """Two letters with which none of the four words begins."""

    @property
    def letters(self) -> str:
        """The first two letters of the acronym."""
        return self.first[0] + self.second[0]


CORRUPTIONS: Registry[Callable[[Scene], dict[str, str]]] = Registry(f"corruption of {NAME}")


@CORRUPTIONS.add("letters")
def other_letters(scene: Scene) -> dict[str, str]:
    """The words stay, the letters are unrelated to them."""
    return {**_slots(scene), "letters": scene.other_letters}


@CORRUPTIONS.add("word")
def other_word(scene: Scene) -> dict[str, str]:
    """The third word is another one; the letters before the answer stay."""
    return {**_slots(scene), "third": scene.other_third}


def make(encoder: Encoder, *, n_pairs: int, seed: int = 0, corruption: str = "word") -> Prompts:
    """Prompt pairs of acronyms: the right letter against the 25 others.

    The three initials differ, so the answer is not in the prompt as a letter of the acronym. Names
    whose acronym the tokenizer would cut in another way than before the third letter are left
    out. Under every corruption the clean prompts are the same.

    Returns:
        Prompts with the positions `word1`, `word2`, `word3`, `letters` (the last token of the two)
        and `end`, the same token as `letters`.

    Raises:
        DataError: If the tokenizer splits too many words, or so many distinct pairs are not found.
        UnknownNameError: If there is no such corruption.
    """
    corrupted = CORRUPTIONS[corruption]
    words = single_tokens(TITLE_WORDS, encoder, task=NAME, kind="title words", least=8)

    def draw_one(draw: np.random.Generator) -> Scene | None:
        return _scene(words, draw, encoder)

    scenes = draw_distinct(draw_one, n_pairs, task=NAME, seed=seed, key=lambda scene: scene[:3])
    return prompts_of(
        [_marked(scene, corrupted(scene)) for scene in scenes],
        encoder,
        task=NAME,
        description=f"{TASK.description} Here, {WORDS[corruption]}.",
        question="Which attention heads let the model write the third letter of an acronym?",
        corruption=corruption,
    )


def _scene(words: tuple[str, ...], draw: np.random.Generator, encoder: Encoder) -> Scene | None:
    """A scene, or nothing where initials coincide or tokens would not line up."""
    first, second, third, other = (words[i] for i in draw.choice(len(words), 4, replace=False))
    initials = {word[0] for word in (first, second, third, other)}
    if len(initials) < 4:
        return None
    free = [letter for letter in ascii_uppercase if letter not in initials]
    scene = Scene(first, second, third, other, "".join(draw.choice(free, 2, replace=False)))
    clean, corrupt = (fill(TEMPLATE, slots)[0] for slots in (_slots(scene), other_letters(scene)))
    aligned = len(encoder.encode(clean)) == len(encoder.encode(corrupt))
    return scene if aligned and continues(encoder, clean, third[0]) else None


def _slots(scene: Scene) -> dict[str, str]:
    return {
        "first": scene.first,
        "second": scene.second,
        "third": scene.third,
        "letters": scene.letters,
    }


def _marked(scene: Scene, corrupt: dict[str, str]) -> Marked:
    clean, at = fill(TEMPLATE, _slots(scene))
    spans: dict[str, Span] = {
        "word1": at["first"],
        "word2": at["second"],
        "word3": at["third"],
        "letters": at["letters"],
    }
    answer = scene.third[0]
    wrong = tuple(letter for letter in ascii_uppercase if letter != answer)
    return Marked(Pair(clean, fill(TEMPLATE, corrupt)[0], answer, wrong), spans)


TASK = Task(
    name=NAME,
    title="Acronym, third letter",
    description="A name of three words is followed by the first two letters of its acronym, and "
    "the next token is the third letter.",
    source="García-Carrasco et al. 2024 (arXiv 2405.04156), their third letter; the words are our "
    "own",
    make=make,
    corruptions=WORDS,
    answer_hidden=True,
    circuits=ACRONYM,
)
