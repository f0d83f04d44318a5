"""Subject-verb agreement: does the verb have the number of its subject?

After "The keys" the next word is are and not is. With an *attractor*, a noun of the other number
between subject and verb ("The keys near the cabinet"), the nearest noun no longer tells. Linzen et
al., "Assessing the Ability of LSTMs to Learn Syntax-Sensitive Dependencies", 2016 (arXiv
1611.01368), asked it of models first; Finlayson et al., "Causal Analysis of Syntactic Agreement
Mechanisms in Neural Language Models", 2021 (arXiv 2106.06087), of their parts. The sentences are
our own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from needlepoint._core.errors import unknown_name
from needlepoint._core.registry import Registry
from needlepoint._core.text import Encoder
from needlepoint.tasks.draw import Marked, choose, generator, prompts_of, single_tokens, take_turns
from needlepoint.tasks.pairs import Pair, Prompts
from needlepoint.tasks.task import Task
from needlepoint.tasks.templates import fill
from needlepoint.tasks.word_lists import ONE_FORM, PLURAL_OF

PLAIN, ATTRACTOR = "agreement", "agreement_attractor"
SOURCE = (
    "Linzen et al. 2016 (arXiv 1611.01368) and Finlayson et al. 2021 (arXiv 2106.06087); "
    "the sentences are our own"
)
VERBS = ((" is", " are"), (" was", " were"), (" has", " have"))
"""What may follow a singular and a plural subject; all forms of a number count as right."""
TEMPLATES = {
    PLAIN: (
        "The {subject}",
        "Yesterday we heard that the {subject}",
        "I think that the {subject}",
        "As far as I know, the {subject}",
        "It turned out that the {subject}",
        "Everybody can see that the {subject}",
        "She told us that the {subject}",
    ),
    ATTRACTOR: (
        "The {subject} near the {attractor}",
        "The {subject} behind the {attractor}",
        "The {subject} next to the {attractor}",
        "I think that the {subject} beside the {attractor}",
        "She told us that the {subject} in front of the {attractor}",
    ),
}
ATTRACTORS_PER_SUBJECT = 6
WORDS = {
    "neutral": "in the corrupt prompt the subject is a noun with one form for both numbers, so "
    "that neither answer is right",
    "swap": "in the corrupt prompt the subject has the other number, so that it has the opposite "
    "answer",
}
BOTH = {
    "swap_both": "in the corrupt prompt subject and attractor both have the other number, so that "
    "it has the opposite answer and the nearest noun still misleads",
}


class Noun(NamedTuple):
    """A noun in its two forms, and the number in which it is used."""

    singular: str
    plural: str
    number: int
    """0 for the singular, 1 for the plural."""

    @property
    def text(self) -> str:
        """The form of its number."""
        return self.plural if self.number else self.singular

    @property
    def swapped(self) -> Noun:
        """The same noun in the other number."""
        return self._replace(number=1 - self.number)


class Scene(NamedTuple):
    """A sentence up to its verb."""

    template: str
    subject: Noun
    attractor: Noun | None
    """A noun of the other number than the subject, in the task that has one."""


CORRUPTED: Registry[Callable[[Scene, str], Scene]] = Registry("corruption of agreement")


@CORRUPTED.add("neutral")
def one_form(scene: Scene, neutral: str) -> Scene:
    """The subject is a noun that looks the same in both numbers."""
    return scene._replace(subject=Noun(neutral, neutral, scene.subject.number))


@CORRUPTED.add("swap")
def other_number(scene: Scene, neutral: str) -> Scene:
    """The subject has the other number; an attractor stays and so agrees with it."""
    return scene._replace(subject=scene.subject.swapped)


@CORRUPTED.add("swap_both")
def both_numbers(scene: Scene, neutral: str) -> Scene:
    """Subject and attractor have the other number."""
    attractor = scene.attractor and scene.attractor.swapped
    return scene._replace(subject=scene.subject.swapped, attractor=attractor)


def make(encoder: Encoder, *, n_pairs: int, seed: int = 0, corruption: str = "neutral") -> Prompts:
    """Prompt pairs of agreement, without a noun between subject and verb.

    Singular and plural subjects take turns. Under every corruption the clean prompts are the same.

    Returns:
        Prompts with the positions `subject` and `end`, here the same token.

    Raises:
        DataError: If the tokenizer splits too many words, or so many distinct pairs do not exist.
        UnknownNameError: If there is no such corruption.
    """
    return _prompts(encoder, TASK, n_pairs, seed, corruption)


def make_attractor(
    encoder: Encoder, *, n_pairs: int, seed: int = 0, corruption: str = "neutral"
) -> Prompts:
    """Prompt pairs of agreement, with a noun of the other number next to the verb.

    Returns:
        Prompts with the positions `subject`, `attractor` and `end`; the last two are the same
        token. For everything else see `make`.
    """
    return _prompts(encoder, ATTRACTOR_TASK, n_pairs, seed, corruption)


def _prompts(encoder: Encoder, task: Task, n_pairs: int, seed: int, corruption: str) -> Prompts:
    if corruption not in task.corruptions:
        raise unknown_name(f"corruption of {task.name}", corruption, task.corruptions)
    neutral = single_tokens(ONE_FORM, encoder, task=task.name, kind="nouns with one form")
    verbs = _verbs(encoder, task.name)
    draw = generator(task.name, seed, use="corrupt")
    marked = []
    for scene in _scenes(encoder, task.name, n_pairs, seed):
        clean, spans = _sentence(scene)
        corrupt, _ = _sentence(CORRUPTED[corruption](scene, choose(neutral, draw)))
        right, wrong = verbs[scene.subject.number], verbs[1 - scene.subject.number]
        marked.append(Marked(Pair(clean, corrupt, right, wrong), spans))
    return prompts_of(
        marked,
        encoder,
        task=task.name,
        description=f"{task.description} Here, {task.corruptions[corruption]}.",
        question="Which attention heads let the model make the verb agree with its subject?",
        corruption=corruption,
    )


def _scenes(encoder: Encoder, task: str, n_pairs: int, seed: int) -> list[Scene]:
    """Distinct scenes, singular and plural subjects in turn."""
    singular = single_tokens(tuple(PLURAL_OF), encoder, task=task, kind="singular nouns")
    plural = set(single_tokens(tuple(PLURAL_OF.values()), encoder, task=task, kind="plural nouns"))
    nouns = [(word, PLURAL_OF[word]) for word in singular if PLURAL_OF[word] in plural]
    draw = generator(task, seed, use="attractors")
    groups = []
    for number in (0, 1):
        subjects = [Noun(*forms, number) for forms in nouns]
        beside = [(noun, other) for noun in subjects for other in _beside(noun, subjects, draw)]
        pairs = [(noun, None) for noun in subjects] if task == PLAIN else beside
        groups.append([Scene(t, *pair) for t, pair in product(TEMPLATES[task], pairs)])
    return take_turns(groups, n_pairs, task=task, seed=seed)


def _beside(noun: Noun, nouns: Sequence[Noun], draw: np.random.Generator) -> list[Noun]:
    """A few other nouns, in the other number."""
    others = [other.swapped for other in nouns if other != noun]
    return [others[i] for i in draw.permutation(len(others))[:ATTRACTORS_PER_SUBJECT]]


def _verbs(encoder: Encoder, task: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Singular and plural forms of those verbs of which the tokenizer splits neither."""
    forms = [form.strip() for verb in VERBS for form in verb]
    whole = single_tokens(forms, encoder, task=task, kind="verb forms")
    kept = [verb for verb in VERBS if {form.strip() for form in verb} <= set(whole)]
    return tuple(verb[0] for verb in kept), tuple(verb[1] for verb in kept)


def _sentence(scene: Scene) -> tuple[str, dict[str, tuple[int, int]]]:
    words = {"subject": scene.subject.text}
    if scene.attractor is not None:
        words["attractor"] = scene.attractor.text
    return fill(scene.template, words)


TASK = Task(
    name=PLAIN,
    title="Subject-verb agreement",
    description="A subject is given, and the next word is a verb of its number: is, was or has "
    "against are, were or have.",
    source=SOURCE,
    make=make,
    corruptions=WORDS,
    answer_hidden=True,
)
ATTRACTOR_TASK = Task(
    name=ATTRACTOR,
    title="Subject-verb agreement with an attractor",
    description="A subject is followed by a noun of the other number, and the next word is a verb "
    "of the subject's number: is, was or has against are, were or have.",
    source=SOURCE,
    make=make_attractor,
    corruptions={**WORDS, **BOTH},
    answer_hidden=True,
)
