"""Closing brackets and quotation marks: does the model close with the kind that was opened?

After "The road was closed (see the map" the next token is ) and not ] or }; after 'She said "I will
come' it is " and not '. The sentences are our own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

from needlepoint._core.errors import DataError
from needlepoint._core.registry import Registry
from needlepoint._core.text import Encoder
from needlepoint.tasks.draw import Marked, choose, generator, prompts_of, take_turns
from needlepoint.tasks.pairs import Pair, Prompts
from needlepoint.tasks.task import Task
from needlepoint.tasks.templates import fill
from needlepoint.tasks.word_lists import BUILDINGS

BRACKET, QUOTE = "bracket", "quote"
CLOSER = {
    BRACKET: {" (": ")", " [": "]", " {": "}"},
    QUOTE: {' "': '"', " '": "'"},
}
"""What closes each opening mark; the mark is written with the space before it."""
UNOPENED = {BRACKET: ", ", QUOTE: " that "}
"""What stands in the place of the mark where nothing is opened."""
TEMPLATES = {
    BRACKET: (
        "The road to the {noun} was closed{open}see the map on the next page",
        "The price of the {noun} has gone up{open}as we had expected",
        "We visited the {noun} twice{open}once in spring and once in autumn",
        "The report on the {noun} is finished{open}it will be printed tomorrow",
        "Nobody knew who had built the {noun}{open}at least nobody in the village",
        "They repaired the {noun}{open}the work took almost a year",
        "The owner of the {noun} was fined{open}for the second time",
        "The {noun} is open to visitors{open}except on Mondays and holidays",
    ),
    QUOTE: (
        "She said{open}I will meet you at the {noun} tomorrow",
        "He answered{open}I have never seen the {noun} before",
        "My brother wrote{open}I went to the {noun} twice last week",
        "The teacher told us{open}we can visit the {noun} together",
        "Then the man shouted{open}they have found the {noun} already",
        "Her first words were{open}I am glad the {noun} is finished",
        "The mayor promised{open}the {noun} will be opened again",
        "The guide explained{open}the {noun} was built long ago",
    ),
}
WORDS = {
    "unopened": "in the corrupt prompt no mark is opened, so that no closing mark is right",
    "other": "in the corrupt prompt another mark is opened, so that one of the wrong answers is "
    "right",
}


class Scene(NamedTuple):
    """A sentence up to a closing mark."""

    template: str
    noun: str
    mark: str


CORRUPTIONS: Registry[Callable[[str, str], Sequence[str]]] = Registry("corruption of closing")


@CORRUPTIONS.add("unopened")
def nothing(kind: str, mark: str) -> Sequence[str]:
    """What can stand there without opening anything."""
    return [UNOPENED[kind]]


@CORRUPTIONS.add("other")
def other_mark(kind: str, mark: str) -> Sequence[str]:
    """The other opening marks."""
    return [other for other in CLOSER[kind] if other != mark]


def make(encoder: Encoder, *, n_pairs: int, seed: int = 0, corruption: str = "unopened") -> Prompts:
    """Prompt pairs of closing brackets: round, square and curly ones in turn.

    A sentence is left out where the tokenizer makes the prompts of unequal length. Under every
    corruption the clean prompts are the same.

    Returns:
        Prompts with the positions `open` and `end`.

    Raises:
        DataError: If a mark is more than one token, or so many distinct pairs do not exist.
        UnknownNameError: If there is no such corruption.
    """
    return _prompts(encoder, TASK, n_pairs, seed, corruption)


def make_quote(
    encoder: Encoder, *, n_pairs: int, seed: int = 0, corruption: str = "unopened"
) -> Prompts:
    """Prompt pairs of closing quotation marks, double and single ones in turn.

    For everything else see `make`.
    """
    return _prompts(encoder, QUOTE_TASK, n_pairs, seed, corruption)


def _prompts(encoder: Encoder, task: Task, n_pairs: int, seed: int, corruption: str) -> Prompts:
    instead = CORRUPTIONS[corruption]
    closer = _closers(encoder, task.name)
    draw = generator(task.name, seed, use=corruption)
    marked = []
    for scene in _scenes(encoder, task.name, n_pairs, seed):
        marks = instead(task.name, scene.mark)
        marked.append(_marked(scene, choose(marks, draw), closer))
    return prompts_of(
        marked,
        encoder,
        task=task.name,
        description=f"{task.description} Here, {task.corruptions[corruption]}.",
        question=f"Which attention heads let the model close a {task.name} with its own kind?",
        corruption=corruption,
    )


def _closers(encoder: Encoder, kind: str) -> Mapping[str, str]:
    for mark in CLOSER[kind].values():
        if len(encoder.encode(mark)) != 1:
            raise DataError(
                f"the tokenizer does not hold {mark!r} in one token and task {kind!r} needs it; "
                "give the task as a file of prompt pairs instead."
            )
    return CLOSER[kind]


def _scenes(encoder: Encoder, kind: str, n_pairs: int, seed: int) -> list[Scene]:
    """Distinct scenes, the marks in turn, that are as long whatever is opened in them."""
    marks = tuple(CLOSER[kind])
    groups: list[list[Scene]] = [[] for _ in marks]
    for template, noun in product(TEMPLATES[kind], BUILDINGS):
        scenes = [Scene(template, noun, mark) for mark in (*marks, UNOPENED[kind])]
        if len({len(encoder.encode(_text(scene)[0])) for scene in scenes}) == 1:
            for group, scene in zip(groups, scenes, strict=False):
                group.append(scene)
    return take_turns(groups, n_pairs, task=kind, seed=seed)


def _marked(scene: Scene, instead: str, closer: Mapping[str, str]) -> Marked:
    clean, (start, end) = _text(scene)
    corrupt, _ = _text(scene._replace(mark=instead))
    wrong = tuple(mark for opened, mark in closer.items() if opened != scene.mark)
    return Marked(Pair(clean, corrupt, closer[scene.mark], wrong), {"open": (start + 1, end)})


def _text(scene: Scene) -> tuple[str, tuple[int, int]]:
    """The sentence, and where its opening mark stands, the space before it counted."""
    text, spans = fill(scene.template, {"noun": scene.noun, "open": scene.mark})
    return text, spans["open"]


TASK = Task(
    name=BRACKET,
    title="Closing bracket",
    description="A bracket is opened, and the next token closes it with the same kind: ), ] or }.",
    source="own",
    make=make,
    corruptions=WORDS,
    answer_hidden=True,
)
QUOTE_TASK = Task(
    name=QUOTE,
    title="Closing quotation mark",
    description="A quotation is opened, and the next token closes it with the same mark, double "
    "or single.",
    source="own",
    make=make_quote,
    corruptions=WORDS,
    answer_hidden=True,
)
