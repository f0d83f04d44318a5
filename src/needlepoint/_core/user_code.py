"""An object that a user's own Python file defines."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from needlepoint._core.errors import DataError

Kind = TypeVar("Kind")


def object_of_file(path: str | Path, name: str, kind: type[Kind]) -> Kind:
    """What a Python file has under a name, after running the file. Only that file is run.

    Args:
        path: The file. What it imports must be installed; its own folder is not searched.
        name: Name of the object at the top level of the file.
        kind: What it must be.

    Raises:
        DataError: If the file is not there, cannot be run, lacks the name, or has something else
            under it. The message has the line at which running it ended.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} is not a file; check the path.")
    module = ModuleType(f"needlepoint_user_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where the file's own dataclasses look for it
    try:
        exec(compile(path.read_bytes(), path, "exec"), vars(module))
    except SyntaxError as error:
        raise DataError(f"{path}, line {error.lineno}: {error.msg}.") from error
    except (Exception, SystemExit) as error:  # the user's own code can raise anything
        line = _line(path, error)
        where = f"{path}" if line is None else f"{path}, line {line}"
        raise DataError(f"{where}: {type(error).__name__}: {_first(error)}") from error
    if not hasattr(module, name):
        raise DataError(f"{path} has no {name}; define a {kind.__name__} under that name.")
    value = getattr(module, name)
    if not isinstance(value, kind):
        raise DataError(
            f"{path}: {name} is of type {type(value).__name__}; it must be a {kind.__name__}."
        )
    return value


def _line(path: Path, error: BaseException) -> int | None:
    """Last line of the file that was running when it ended."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return lines[-1] if lines else None


def _first(error: BaseException) -> str:
    text = str(error).strip() or "no message"
    return f"{text.splitlines()[0].rstrip('.')}."
