"""Behaviours: prompt pairs that test whether a model does something a person can name."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from needlepoint._core.registry import Registry
from needlepoint._core.text import Encoder
from needlepoint.tasks import ioi
from needlepoint.tasks.from_file import from_file
from needlepoint.tasks.pairs import Pair, Prompts, pair_prompts

__all__ = ["N_PAIRS", "TASKS", "Pair", "Prompts", "Task", "from_file", "load_task", "pair_prompts"]

N_PAIRS = 200
"""Pairs of a built-in task unless another number is asked for."""


class Task(Protocol):
    """Makes the prompts of a built-in task."""

    def __call__(self, encoder: Encoder, *, n_pairs: int, seed: int = 0) -> Prompts:
        """Prompts for this tokenizer; the first n of a longer list are the list of n."""
        ...


TASKS: Registry[Task] = Registry("task")
TASKS.add("ioi")(ioi.make)


def load_task(
    name_or_path: str | Path, encoder: Encoder, *, n_pairs: int | None = None, seed: int = 0
) -> Prompts:
    """The prompts of a built-in task, or of a JSONL file.

    Args:
        name_or_path: A name in `TASKS`, or a path that exists or ends in `.jsonl`.
        encoder: The tokenizer of the model to be asked.
        n_pairs: How many pairs: 200 of a built-in task and all of a file unless given.
        seed: The seed of the whole run; a file's pairs do not depend on it.

    Raises:
        UnknownNameError: If it is neither. The message names the nearest task.
        DataError: If the prompts cannot be used.
    """
    path = Path(name_or_path)
    is_file = path.suffix.lower() == ".jsonl" or path.exists()
    if is_file and str(name_or_path) not in TASKS:
        prompts = from_file(path, encoder)
        return prompts if n_pairs is None else prompts.first(n_pairs)
    task = TASKS[str(name_or_path)]
    return task(encoder, n_pairs=N_PAIRS if n_pairs is None else n_pairs, seed=seed)
