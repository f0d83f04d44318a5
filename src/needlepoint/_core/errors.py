"""One small tree of errors; each message says what was wrong and what to type instead.

The command line shows a `NeedlepointError` as one sentence without a traceback and exits with
status 2. Anything else is a defect of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NeedlepointError(Exception):
    r"""Something a user can put right; the message says how, in one line.

    What files, labels and other libraries bring into a message cannot break the line, nor steer
    the terminal: characters that are not printed are spelled.

    Example:
        >>> print(NeedlepointError("no column '\x1b[2J'"))
        no column '\x1b[2J'
    """

    def __init__(self, *parts: object) -> None:
        super().__init__(*(_spelled(part) if isinstance(part, str) else part for part in parts))


class UnknownNameError(NeedlepointError):
    """A name that is not one of those known; the message lists the nearest ones."""


class UnknownSiteError(NeedlepointError):
    """A site that the model does not have, or an address that cannot be read."""


class ModelError(NeedlepointError):
    """A model that cannot be loaded, or would be read wrongly."""


class DataError(NeedlepointError):
    """Prompts, labels or text that cannot be used as they are."""


class OneClassError(DataError):
    """Labels of one class only: no score would mean anything."""


class BehaviourAbsentError(NeedlepointError):
    """The model does not do what a circuit was to be sought for."""


class SourceError(NeedlepointError):
    """A download that could not be had, or did not have the expected content."""


class StoreError(NeedlepointError):
    """An activation store or run folder that is damaged, foreign or of another version."""


class StoreBusyError(StoreError):
    """A store that another process is writing; it can be used when that has ended."""


class StorageFullError(NeedlepointError):
    """No space left on the device; nothing half-written was kept."""


class MemoryFullError(NeedlepointError):
    """Not enough memory for the smallest piece of the work."""


def _spelled(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def first_line(error: BaseException) -> str:
    r"""What another library said, in one line without a full stop; else the name of the error.

    Example:
        >>> first_line(ValueError("page header is damaged.\n  at byte 7")), first_line(EOFError())
        ('page header is damaged', 'EOFError')
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip().rstrip(".:")


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """The error for a name that is not known, with the nearest known ones in it.

    Example:
        >>> str(unknown_name("task", "iio", ["ioi", "docstring"]))
        "unknown task 'iio': did you mean 'ioi'? Known: docstring, ioi."
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f": did you mean {near[0]!r}?" if near else "."
    return UnknownNameError(f"unknown {kind} {name!r}{hint} Known: {', '.join(names)}.")
