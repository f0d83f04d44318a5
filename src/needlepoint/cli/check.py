"""What `needlepoint check` does: say what is wrong with a task or collection of the user's own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from needlepoint._core.errors import DataError, NeedlepointError
from needlepoint._core.progress import progress_bars
from needlepoint._core.text import Encoder
from needlepoint._core.user_code import object_of_file
from needlepoint.evaluation.configs import too_few_pairs
from needlepoint.features import Collection, CollectionSpec, load_collection
from needlepoint.features.tables import SUFFIXES
from needlepoint.tasks import Prompts, Task, load_task
from needlepoint.testing.contracts import collection_faults
from needlepoint.testing.task_contracts import task_faults

Found = Task | CollectionSpec | Prompts | Collection


def check_file(path: Path, model: str) -> int:
    """Print what is wrong with a file, a sentence each, and return how many sentences that were.

    Only the tokenizer of the model is loaded.

    Raises:
        DataError: If the file is not one that can be checked.
    """
    from needlepoint.models.load import load_encoder

    if not path.is_file():
        raise DataError(f"{path} is not a file; check the path.")
    read = _reader(path)
    console = Console()
    with progress_bars():
        encoder = load_encoder(model)
        try:
            what, faults = _faults(read(encoder), encoder)
        except NeedlepointError as error:
            what, faults = "it", [str(error)]
    for fault in faults:
        console.print(Text(f"FAULT  {fault}"))
    if faults:
        number = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        console.print(Text(f"{path}: {number}."))
    else:
        console.print(Text(f"{path}: nothing is wrong with {what}."))
    return len(faults)


def _reader(path: Path) -> Callable[[Encoder], Found]:
    """What reads a file with a tokenizer; a Python file is run at once."""
    suffix = path.suffix.lower()
    if suffix == ".py":
        found = _defined(path)
        return lambda _: found
    if suffix not in SUFFIXES:
        known = ", ".join((*SUFFIXES, ".py"))
        raise DataError(f"{path} is of no kind that can be checked; its name must end in {known}.")
    if suffix == ".jsonl" and _has_pairs(path):
        return lambda encoder: load_task(path, encoder)
    return lambda encoder: load_collection(path, encoder)


def _defined(path: Path) -> Task | CollectionSpec:
    """The task or the collection that a Python file defines at its top level."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if re.search(r"^TASK\b", text, re.MULTILINE):
        return object_of_file(path, "TASK", Task)
    if re.search(r"^SPEC\b", text, re.MULTILINE):
        return object_of_file(path, "SPEC", CollectionSpec)
    raise DataError(
        f"{path} has neither a TASK nor a SPEC; define a needlepoint.tasks.Task or a "
        "needlepoint.features.CollectionSpec under that name."
    )


def _has_pairs(path: Path) -> bool:
    """Whether the first line that can be read is a prompt pair rather than a labelled text."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            return isinstance(entry, dict) and bool({"clean", "corrupt"} & set(entry))
    return False


def _faults(found: Found, encoder: Encoder) -> tuple[str, list[str]]:
    if isinstance(found, Task | Prompts):
        name = found.name if isinstance(found, Task) else found.task
        faults = task_faults(found, encoder)
        lacking = too_few_pairs(name, found.n_pairs) if isinstance(found, Prompts) else None
        return f"the task {name}", [*faults, *([lacking] if lacking else [])]
    return f"the collection {found.card.name}", collection_faults(found, encoder)
