"""Behaviours: prompt pairs that test whether a model does something a person can name."""

from __future__ import annotations

from pathlib import Path

from needlepoint._core.errors import DataError
from needlepoint._core.registry import Registry
from needlepoint._core.text import Encoder
from needlepoint._core.user_code import object_of_file
from needlepoint.tasks import (
    acronym,
    agreement,
    capital,
    closing,
    docstring,
    gendered_pronoun,
    greater_than,
    induction,
    ioi,
    successor,
)
from needlepoint.tasks.from_file import from_file
from needlepoint.tasks.pairs import Metric, Pair, Prompts, pair_prompts
from needlepoint.tasks.task import N_PAIRS, KnownCircuit, Task

__all__ = [
    "N_PAIRS",
    "TASKS",
    "KnownCircuit",
    "Metric",
    "Pair",
    "Prompts",
    "Task",
    "find_task",
    "from_file",
    "load_task",
    "pair_prompts",
]

TASKS: Registry[Task] = Registry("task")
for _task in (
    ioi.TASK,
    greater_than.TASK,
    docstring.TASK,
    induction.TASK,
    gendered_pronoun.TASK,
    agreement.TASK,
    agreement.ATTRACTOR_TASK,
    acronym.TASK,
    capital.TASK,
    successor.TASK,
    closing.TASK,
    closing.QUOTE_TASK,
):
    TASKS.add(_task.name)(_task)


def find_task(name_or_path: str | Path) -> Task | None:
    """The built-in task of a name, or the one a Python file defines; None for a JSONL file.

    A Python file is run, and has the task under the name `TASK`.

    Raises:
        UnknownNameError: If it is neither a name nor a file. The message names the nearest task.
        DataError: If the Python file cannot be run or has no such task.
    """
    path = Path(name_or_path)
    if str(name_or_path) in TASKS:
        return TASKS[str(name_or_path)]
    if path.suffix.lower() == ".py":
        return object_of_file(path, "TASK", Task)
    if path.suffix.lower() == ".jsonl" or path.exists():
        return None
    return TASKS[str(name_or_path)]


def load_task(
    name_or_path: str | Path,
    encoder: Encoder,
    *,
    n_pairs: int | None = None,
    seed: int = 0,
    corruption: str = "",
) -> Prompts:
    """The prompts of a built-in task, of one of a Python file, or of a JSONL file.

    Args:
        name_or_path: A name in `TASKS`; or a Python file that defines a `Task` named `TASK`, which
            is run; or a path that exists or ends in `.jsonl`.
        encoder: The tokenizer of the model to be asked.
        n_pairs: How many pairs: 200 of a built-in task and all of a file unless given.
        seed: The seed of the whole run; a file's pairs do not depend on it.
        corruption: How the corrupt prompts are made, of those that the task has; its first one
            unless given. A file has its corrupt prompts written out.

    Raises:
        UnknownNameError: If it is neither, or the task has no such corruption. The message names
            the nearest one.
        DataError: If the prompts cannot be used, or a corruption is asked of a file.
    """
    task = find_task(name_or_path)
    if task is None:
        if corruption:
            raise DataError(
                f"{name_or_path} has its corrupt prompts written out; leave the corruption "
                f"{corruption!r} away."
            )
        prompts = from_file(name_or_path, encoder)
        return prompts if n_pairs is None else prompts.first(n_pairs)
    wanted = N_PAIRS if n_pairs is None else n_pairs
    return task(encoder, n_pairs=wanted, seed=seed, corruption=corruption)
