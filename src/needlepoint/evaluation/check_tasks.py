"""How well a model does each task, on clean prompts and on corrupt ones, before any search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from needlepoint._core.errors import DataError
from needlepoint._core.seeds import seed_for
from needlepoint.circuits.metric import Answers
from needlepoint.evaluation.behaviour import Behaviour, measure_behaviour
from needlepoint.evaluation.configs import MIN_PAIRS
from needlepoint.evaluation.read_heads import read_answers
from needlepoint.models.model import Model
from needlepoint.tasks import TASKS, load_task
from needlepoint.tasks.pairs import Prompts

N_PAIRS = 100
"""Pairs on which a task is checked unless another number is asked for."""


@dataclass(frozen=True)
class TaskFigures:
    """What a model makes of one task."""

    task: str
    corruption: str
    n_pairs: int
    lengths: tuple[int, int]
    """Tokens of the shortest and of the longest prompt, without any first token."""
    n_answers: tuple[int, int]
    """Most right and most wrong tokens of a pair."""
    behaviour: Behaviour

    @property
    def fit(self) -> bool:
        """Whether a circuit of it can be looked for in this model."""
        return self.behaviour.present and self.n_pairs >= MIN_PAIRS

    @property
    def reason(self) -> str:
        """Why it is fit, or what is lacking, in one sentence.

        The task does what it must if the model does it, the corruption takes it away, and there
        are enough pairs. That every answer is one token was made sure of when it was made.
        """
        lacking = list(self.behaviour.shortfalls)
        if self.n_pairs < MIN_PAIRS:
            lacking.append(f"there are {self.n_pairs} pairs, and {MIN_PAIRS} are needed")
        if lacking:
            sentence = "; ".join(lacking)
            return f"{sentence[0].upper()}{sentence[1:]}."
        found = self.behaviour
        return (
            f"Right on {found.accuracy_clean.estimate:.0%} of clean prompts, and the corruption "
            f"lowers the {found.metric} from {found.metric_clean.estimate:+.2f} to "
            f"{found.metric_corrupt.estimate:+.2f}."
        )


@dataclass(frozen=True)
class UnmadeTask:
    """A task that has no prompts for this model, and why."""

    task: str
    reason: str
    fit: bool = False


def check_task(model: Model, prompts: Prompts, *, seed: int = 0) -> TaskFigures:
    """How well a model does a task, and whether its circuit can be looked for.

    It reads the next-token logits of each prompt once and no activations: seconds for a hundred
    pairs. It says nothing about which heads do it.

    Args:
        model: The model to ask.
        prompts: Pairs cut by the tokenizer of this model.
        seed: Root of the bootstrap over pairs.

    Raises:
        DataError: If a prompt is longer than the model reads.

    Example:
        >>> from needlepoint.models.planted import planted_model, planted_prompts
        >>> planted = planted_model()
        >>> found = check_task(planted.model, planted_prompts(planted, n_pairs=16))
        >>> found.fit, found.behaviour.accuracy_clean.estimate
        (True, 1.0)
    """
    answers = Answers.of(prompts)
    clean, corrupt = (
        read_answers(model, ids, answers, f"{prompts.task}, {name}")
        for name, ids in (("clean", prompts.clean_ids), ("corrupt", prompts.corrupt_ids))
    )
    rng = torch.Generator().manual_seed(seed_for(seed, task=prompts.task, use="behaviour"))
    behaviour = measure_behaviour(
        clean, corrupt, generator=rng, metric=prompts.metric, chance=answers.chance
    )
    return TaskFigures(
        prompts.task,
        prompts.corruption,
        prompts.n_pairs,
        (min(prompts.lengths), max(prompts.lengths)),
        (answers.right.shape[1], answers.wrong.shape[1]),
        behaviour,
    )


def check_tasks(
    model: Model,
    names: Sequence[str] = (),
    *,
    n_pairs: int = N_PAIRS,
    seed: int = 0,
) -> Iterator[TaskFigures | UnmadeTask]:
    """How well a model does each of several tasks, one after the other.

    A task that cannot be made for the tokenizer, or not in so many pairs, gives the reason
    instead of figures and does not keep the others from being checked.

    Args:
        model: The model to ask.
        names: Built-in tasks, or files as for `load_task`; every built-in task unless given.
        n_pairs: How many pairs of each; all of a file that has fewer.
        seed: The seed of the whole run.

    Raises:
        UnknownNameError: If a name is neither a task nor a file.
    """
    for name in names or tuple(TASKS):
        try:
            prompts = load_task(name, model.encoder, n_pairs=n_pairs, seed=seed)
            yield check_task(model, prompts, seed=seed)
        except DataError as error:
            yield UnmadeTask(name, str(error))
