"""Successors: does the model go on with a sequence of days, months or numbers?

After "Monday Tuesday Wednesday" the next word is Thursday. The kinds of sequence are among those of
Gould et al., "Successor Heads: Recurring, Interpretable Attention Heads In The Wild", 2023 (arXiv
2312.09230), who ask it of single heads; the prompts, runs of several members, are in the manner
of Lan et al., "Towards Interpretable Sequence Continuation", 2023 (arXiv 2311.04131). Numerals
are left out: many tokenizers cut the space before a digit off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from needlepoint._core.errors import DataError
from needlepoint._core.registry import Registry
from needlepoint._core.text import Encoder
from needlepoint.tasks.draw import Marked, choose, generator, prompts_of, take_turns
from needlepoint.tasks.known_circuits import SUCCESSOR
from needlepoint.tasks.pairs import Pair, Prompts
from needlepoint.tasks.task import Task

NAME = "successor"
SEQUENCES: dict[str, tuple[str, ...]] = {
    "days": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "months": (
        "January", "February", "March", "April", "May", "June",
        "July", "August", "September", "October", "November", "December",
    ),
    "numbers": (
        "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
        "eleven", "twelve",
    ),
}  # fmt: skip
"""Number words end where those built from smaller ones begin (thirteen, fourteen)."""
CYCLIC = ("days", "months")
"""Sequences whose first member follows the last."""
LENGTHS = (3, 4)
"""How many members a prompt shows."""
LEADS = ("The list reads:", "She read out:", "Repeat after me:")
"""What stands before the run, so that its first member follows a space like all others."""
SEPARATORS = (", ", ", then ", " and then ")
LEAST = 10
"""Members of a sequence that is not cyclic; with fewer no other run might lack the answer."""
WORDS = {
    "broken": "in the corrupt prompt other members of the same sequence stand in no order, so "
    "that no member is the right answer",
    "shifted": "in the corrupt prompt the run begins elsewhere, so that another member, one of "
    "the wrong answers, is right",
}


class Scene(NamedTuple):
    """A run of a sequence that lacks its next member."""

    sequence: tuple[str, ...]
    start: int
    length: int
    lead: str
    separator: str

    @property
    def run(self) -> tuple[str, ...]:
        """The members of the run, and the one that follows, last."""
        size = len(self.sequence)
        return tuple(self.sequence[(self.start + i) % size] for i in range(self.length + 1))


Corruption = Callable[[Scene, Sequence[Scene], np.random.Generator], Sequence[str]]
CORRUPTIONS: Registry[Corruption] = Registry(f"corruption of {NAME}")


@CORRUPTIONS.add("broken")
def no_order(scene: Scene, scenes: Sequence[Scene], draw: np.random.Generator) -> tuple[str, ...]:
    """Members in an order in which none follows the one before, and neither answer is due."""
    size = len(scene.sequence)
    answer = (scene.start + scene.length) % size
    others = [i for i in range(size) if i != answer]
    while True:
        members = [others[i] for i in draw.permutation(len(others))[: scene.length]]
        steps = zip(members, [*members[1:], answer], strict=True)
        if all((b - a) % size not in {1, size - 1} for a, b in steps):
            return tuple(scene.sequence[i] for i in members)


@CORRUPTIONS.add("shifted")
def other_run(scene: Scene, scenes: Sequence[Scene], draw: np.random.Generator) -> tuple[str, ...]:
    """Another run of the same sequence and length that does not show the clean answer."""
    shown = [other.run[:-1] for other in scenes if other[2:] == scene[2:] and other != scene]
    runs = [members for members in shown if scene.run[-1] not in members]
    return choose(runs, draw)


def make(encoder: Encoder, *, n_pairs: int, seed: int = 0, corruption: str = "broken") -> Prompts:
    """Prompt pairs of successors: the next member against all other members of the sequence.

    Days, months and number words take turns while they last; a sequence counts as far
    as the tokenizer holds its members in one token. Under every corruption the clean prompts are
    the same.

    Returns:
        Prompts with the positions `first` and `last`, the outer members of the run, and `end`.

    Raises:
        DataError: If the tokenizer splits too many members, or so many distinct pairs do not
            exist.
        UnknownNameError: If there is no such corruption.
    """
    corrupted = CORRUPTIONS[corruption]
    groups = [_scenes(kind, members) for kind, members in _sequences(encoder).items()]
    draw = generator(NAME, seed, use=corruption)
    marked = []
    for scene in take_turns(groups, n_pairs, task=NAME, seed=seed):
        runs = next(group for group in groups if scene in group)
        marked.append(_marked(scene, corrupted(scene, runs, draw)))
    return prompts_of(
        marked,
        encoder,
        task=NAME,
        description=f"{TASK.description} Here, {WORDS[corruption]}.",
        question="Which attention heads let the model go on with a sequence?",
        corruption=corruption,
    )


def _sequences(encoder: Encoder) -> dict[str, tuple[str, ...]]:
    """The sequences, a cyclic one whole or not at all, another as far as its tokens go."""
    found = {}
    for kind, members in SEQUENCES.items():
        single = [len(encoder.encode(f" {member}")) == 1 for member in members]
        upto = len(members) if all(single) else single.index(False)
        if upto >= (len(members) if kind in CYCLIC else LEAST):
            found[kind] = members[:upto]
    if not found:
        raise DataError(
            f"the tokenizer holds none of the {len(SEQUENCES)} sequences of task {NAME!r} in one "
            "token for each member; give the task as a file of prompt pairs instead."
        )
    return found


def _scenes(kind: str, members: tuple[str, ...]) -> list[Scene]:
    """All runs of one sequence that have a next member."""
    return [
        Scene(members, start, length, lead, separator)
        for length, lead, separator in product(LENGTHS, LEADS, SEPARATORS)
        for start in range(len(members) if kind in CYCLIC else len(members) - length)
    ]


def _marked(scene: Scene, corrupt: Sequence[str]) -> Marked:
    *members, answer = scene.run
    clean = _text(scene, members)
    last = len(clean) - len(scene.separator.rstrip()) - len(members[-1])
    first = len(scene.lead) + 1
    spans = {"first": (first, first + len(members[0])), "last": (last, last + len(members[-1]))}
    wrong = tuple(f" {member}" for member in scene.sequence if member != answer)
    return Marked(Pair(clean, _text(scene, corrupt), f" {answer}", wrong), spans)


def _text(scene: Scene, members: Sequence[str]) -> str:
    return f"{scene.lead} {scene.separator.join(members)}{scene.separator.rstrip()}"


TASK = Task(
    name=NAME,
    title="Successor",
    description="A run of days, months or number words is given, and the next word is "
    "the member that follows.",
    source="Gould et al. 2023 (arXiv 2312.09230), the kinds of sequence; Lan et al. 2023 (arXiv "
    "2311.04131), the runs",
    make=make,
    corruptions=WORDS,
    answer_hidden=True,
    circuits=SUCCESSOR,
)
