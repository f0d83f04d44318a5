"""Induction: what came after this word the last time?

Ten random words are followed by the beginning of the same ten; the next word is the one that came
next the first time. This is the test of Olsson et al., "In-context Learning and Induction Heads",
2022, with words of one token instead of random token ids, so that the prompts are texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from needlepoint._core.registry import Registry
from needlepoint._core.text import Encoder, Span
from needlepoint.tasks.draw import Marked, draw_distinct, prompts_of, single_tokens
from needlepoint.tasks.known_circuits import INDUCTION
from needlepoint.tasks.pairs import Pair, Prompts
from needlepoint.tasks.task import Task
from needlepoint.tasks.word_lists import COMMON_WORDS

NAME = "induction"
N_WORDS = 10
"""Words that are repeated."""
LEAST = 60
"""How many words of one token it takes."""
WORDS = {
    "first_half": "in the corrupt prompt the first ten words are ten others, so that nothing is "
    "repeated and the answer is not in it",
    "all_random": "in the corrupt prompt all words are others, and nothing is repeated",
    "shuffled": "in the corrupt prompt the first ten words are in another order, in which no word "
    "is followed by the same as before",
}


class Scene(NamedTuple):
    """The words of one pair."""

    words: tuple[str, ...]
    n_repeated: int
    """How many of them stand before the answer in the second run."""
    first: tuple[str, ...]
    """As many other words, for the first run of a corrupt prompt."""
    second: tuple[str, ...]
    """Again others, for its second run."""
    order: tuple[int, ...]
    """An order of the words in which none is followed by its successor."""


Runs = tuple[Sequence[str], Sequence[str]]
CORRUPTIONS: Registry[Callable[[Scene], Runs]] = Registry(f"corruption of {NAME}")


@CORRUPTIONS.add("first_half")
def other_first_run(scene: Scene) -> Runs:
    """Other words in the first run; the second stays."""
    return scene.first, scene.words


@CORRUPTIONS.add("all_random")
def other_words(scene: Scene) -> Runs:
    """Other words everywhere, none of them twice: as in the code of O'Neill and Bui, 2024."""
    return scene.first, scene.second


@CORRUPTIONS.add("shuffled")
def other_order(scene: Scene) -> Runs:
    """The words of the first run in another order: the answer is there, but at no use."""
    return [scene.words[i] for i in scene.order], scene.words


def make(
    encoder: Encoder, *, n_pairs: int, seed: int = 0, corruption: str = "first_half"
) -> Prompts:
    """Prompt pairs of induction, cut by this tokenizer.

    The second run stops after one to nine of the ten words, each as likely. The wrong answers are
    the nine words that are not next. Under every corruption the clean prompts are the same.

    Args:
        encoder: Words are kept if it holds them in one token after a space.
        n_pairs: How many pairs, at least 2.
        seed: The seed of the whole run.
        corruption: `first_half` puts other words in the first run, `all_random` in both;
            `shuffled` puts the words of the first run in another order.

    Returns:
        Prompts with the positions `earlier`, where the last word stood the first time, `next`,
        where the answer stands after it, and `end`.

    Raises:
        DataError: If the tokenizer splits too many of the words, or so many distinct pairs do not
            exist.
        UnknownNameError: If there is no such corruption.
    """
    corrupted = CORRUPTIONS[corruption]
    words = single_tokens(COMMON_WORDS, encoder, task=NAME, kind="common words", least=LEAST)
    scenes = draw_distinct(
        lambda draw: _scene(words, draw),
        n_pairs,
        task=NAME,
        seed=seed,
        key=lambda scene: (scene.words, scene.n_repeated),
    )
    return prompts_of(
        [_marked(scene, corrupted) for scene in scenes],
        encoder,
        task=NAME,
        description=f"{TASK.description} Here, {WORDS[corruption]}.",
        question="Which attention heads let the model repeat a sequence of random words?",
        corruption=corruption,
    )


def _scene(words: Sequence[str], draw: np.random.Generator) -> Scene:
    drawn = [words[i] for i in draw.choice(len(words), 3 * N_WORDS, replace=False)]
    return Scene(
        words=tuple(drawn[:N_WORDS]),
        n_repeated=int(draw.integers(1, N_WORDS)),
        first=tuple(drawn[N_WORDS : 2 * N_WORDS]),
        second=tuple(drawn[2 * N_WORDS :]),
        order=_without_successors(draw),
    )


def _without_successors(draw: np.random.Generator) -> tuple[int, ...]:
    """A random order of the words in which no word is followed by the one that was next."""
    while True:
        order = draw.permutation(N_WORDS)
        if not np.any(np.diff(order) == 1):
            return tuple(int(i) for i in order)


def _marked(scene: Scene, corrupted: Callable[[Scene], Runs]) -> Marked:
    clean, spans = _text((scene.words, scene.words), scene.n_repeated)
    corrupt, _ = _text(corrupted(scene), scene.n_repeated)
    answer = scene.words[scene.n_repeated]
    wrong = tuple(f" {word}" for word in scene.words if word != answer)
    at = {"earlier": spans[scene.n_repeated - 1], "next": spans[scene.n_repeated]}
    return Marked(Pair(clean, corrupt, f" {answer}", wrong), at)


def _text(runs: Runs, n_repeated: int) -> tuple[str, list[Span]]:
    """The first run and the beginning of the second, and the characters of each word."""
    first, second = runs
    text, spans = "", []
    for word in (*first, *second[:n_repeated]):
        text += f" {word}"
        spans.append((len(text) - len(word), len(text)))
    return text, spans


TASK = Task(
    name=NAME,
    title="Induction",
    description="Ten random words are followed by the beginning of the same ten, and the next "
    "word is the one that came next the first time.",
    source="Olsson et al. 2022 (arXiv 2209.11895), with words for random tokens",
    make=make,
    corruptions=WORDS,
    circuits=INDUCTION,
)
