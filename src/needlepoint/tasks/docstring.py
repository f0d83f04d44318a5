"""Docstring completion: which argument is documented next?

A method with six arguments is defined, its docstring describes two of them, and the next word is
the argument that comes after these in the definition. The form of the prompts and their parameters
are those of Heimersheim and Janiak, "A circuit for Python docstrings in a 4-layer attention-only
transformer", 2023: style "rest", three matching arguments, two before them and one after them in
the definition, three words about the method and two about each argument. The words are our own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from needlepoint._core.registry import Registry
from needlepoint._core.text import Encoder
from needlepoint.tasks.draw import Marked, draw_distinct, prompts_of, single_tokens
from needlepoint.tasks.known_circuits import DOCSTRING
from needlepoint.tasks.pairs import Pair, Prompts
from needlepoint.tasks.task import Task
from needlepoint.tasks.templates import fill
from needlepoint.tasks.word_lists import COMMON_WORDS, VARIABLES

NAME = "docstring"
TEMPLATE = '''
def {method}(self, {before_1}, {before_2}, {def_a}, {def_b}, {def_c}, {after}):
    """{about_1} {about_2} {about_3}

    :param {doc_a}: {about_a_1} {about_a_2}
    :param {doc_b}: {about_b_1} {about_b_2}
    :param'''
VARIABLE_SLOTS = ("method", "before_1", "before_2", "def_a", "def_b", "def_c", "after")
ABOUT_SLOTS = (
    *("about_1", "about_2", "about_3"),
    *("about_a_1", "about_a_2", "about_b_1", "about_b_2"),
)
POSITIONS = ("def_a", "def_b", "def_c", "doc_a", "doc_b")
N_OTHERS = 5
"""Variables of a scene that are in its corrupt prompts alone."""
WORDS = {
    "random_random": "in the corrupt prompt the three matching arguments and the two documented "
    "ones are replaced by other names, so that the answer is not in it",
    "random_answer": "in the corrupt prompt the answer alone is replaced in the definition",
    "random_def": "in the corrupt prompt the two arguments before the answer are replaced in the "
    "definition, so that the docstring matches nothing there",
    "random_doc": "in the corrupt prompt the two documented arguments are replaced, so that they "
    "match nothing in the definition",
}


class Scene(NamedTuple):
    """The names and words of one pair."""

    variables: tuple[str, ...]
    """The method and its six arguments, in order."""
    about: tuple[str, ...]
    others: tuple[str, ...]
    """Further names: three for the definition, two for the docstring."""


Slots = dict[str, str]
CORRUPTIONS: Registry[Callable[[Slots, Slots], Slots]] = Registry(f"corruption of {NAME}")


@CORRUPTIONS.add("random_random")
def all_replaced(slots: Slots, others: Slots) -> Slots:
    """Other matching arguments in the definition, and again others in the docstring."""
    return slots | others


@CORRUPTIONS.add("random_answer")
def answer_replaced(slots: Slots, others: Slots) -> Slots:
    """Another third matching argument in the definition."""
    return slots | {"def_c": others["def_c"]}


@CORRUPTIONS.add("random_def")
def definition_replaced(slots: Slots, others: Slots) -> Slots:
    """Other first and second matching arguments in the definition; the answer stays."""
    return slots | {"def_a": others["def_a"], "def_b": others["def_b"]}


@CORRUPTIONS.add("random_doc")
def documentation_replaced(slots: Slots, others: Slots) -> Slots:
    """Other arguments in the docstring; the definition stays."""
    return slots | {"doc_a": others["doc_a"], "doc_b": others["doc_b"]}


def make(
    encoder: Encoder, *, n_pairs: int, seed: int = 0, corruption: str = "random_random"
) -> Prompts:
    """Prompt pairs of docstring completion, cut by this tokenizer.

    The wrong answers are the five other arguments of the definition; the code that goes with the
    source adds the names that stand in corrupt prompts alone, which are easier to rule out. Under
    every corruption the clean prompts are the same, and no word of a description is the name of a
    variable.

    Args:
        encoder: Variables and words are kept if it holds them in one token after a space.
        n_pairs: How many pairs, at least 2.
        seed: The seed of the whole run.
        corruption: `random_random` is the published one; `random_answer`, `random_def` and
            `random_doc` replace less, and are the published generator's too.

    Returns:
        Prompts with the positions `def_a`, `def_b`, `def_c` (where the answer stands in the
        definition), `doc_a`, `doc_b` and `end`.

    Raises:
        DataError: If the tokenizer splits too many of the words, or so many distinct pairs do not
            exist.
        UnknownNameError: If there is no such corruption.
    """
    corrupted = CORRUPTIONS[corruption]
    n_variables = len(VARIABLE_SLOTS) + N_OTHERS
    variables = single_tokens(
        VARIABLES, encoder, task=NAME, kind="variable names", least=n_variables
    )
    about = single_tokens(
        COMMON_WORDS, encoder, task=NAME, kind="common words", least=len(ABOUT_SLOTS)
    )

    def draw_one(draw: np.random.Generator) -> Scene:
        names = [variables[i] for i in draw.choice(len(variables), n_variables, replace=False)]
        words = [about[i] for i in draw.choice(len(about), len(ABOUT_SLOTS), replace=False)]
        split = len(VARIABLE_SLOTS)
        return Scene(tuple(names[:split]), tuple(words), tuple(names[split:]))

    scenes = draw_distinct(
        draw_one, n_pairs, task=NAME, seed=seed, key=lambda scene: (scene.variables, scene.about)
    )
    return prompts_of(
        [_marked(scene, corrupted) for scene in scenes],
        encoder,
        task=NAME,
        description=f"{TASK.description} Here, {WORDS[corruption]}.",
        question="Which attention heads let the model document the next argument of a method?",
        corruption=corruption,
    )


def _marked(scene: Scene, corrupted: Callable[[Slots, Slots], Slots]) -> Marked:
    names = dict(zip(VARIABLE_SLOTS, scene.variables, strict=True))
    words = dict(zip(ABOUT_SLOTS, scene.about, strict=True))
    slots = names | words | {"doc_a": names["def_a"], "doc_b": names["def_b"]}
    clean, spans = fill(TEMPLATE, slots)
    corrupt, _ = fill(TEMPLATE, corrupted(slots, dict(zip(POSITIONS, scene.others, strict=True))))
    wrong = tuple(f" {names[slot]}" for slot in ("def_a", "def_b", "before_1", "before_2", "after"))
    pair = Pair(clean, corrupt, f" {names['def_c']}", wrong)
    return Marked(pair, {role: spans[role] for role in POSITIONS})


TASK = Task(
    name=NAME,
    title="Docstring completion",
    description="A Python method is defined, its docstring describes two of the arguments, and "
    "the next word is the argument that follows them in the definition.",
    source="Heimersheim and Janiak 2023, A circuit for Python docstrings in a 4-layer "
    "attention-only transformer",
    make=make,
    corruptions=WORDS,
    circuits=DOCSTRING,
)
