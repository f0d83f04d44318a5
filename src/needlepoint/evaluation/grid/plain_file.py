"""The plain values of a TOML, YAML or JSON file; what is more than plain values is refused."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from needlepoint._core.errors import DataError

LARGEST = 128 * 1024
"""Most bytes of a config: a thousand names with room to spare, and read within seconds."""
_MOST_DOTS = 1000
"""Dots of a line outside of quotes; reading a key takes as long as the square of its parts."""
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_PLAIN_TAGS = tuple(f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float"))


def plain_values(path: Path) -> Any:
    """What a file says, by the ending of its name.

    Raises:
        DataError: If it is not there, too large, of another kind, not UTF-8, or cannot be read as
            what its name says. The message has the line where that is known.
    """
    suffix = path.suffix.lower()
    if suffix not in READERS:
        kinds = ", ".join(READERS)
        raise DataError(f"{path} is of no kind that can be read; its name must end in {kinds}.")
    text = _text(path)
    try:
        return READERS[suffix](text)
    except RecursionError as error:
        raise DataError(f"{path} is nested too deeply; a config has tables two deep.") from error
    except (ValueError, yaml.YAMLError) as error:
        raise DataError(
            f"{path} cannot be read as {suffix[1:].upper()}: {_first(error)}"
        ) from error


def _text(path: Path) -> str:
    if not path.is_file():
        raise DataError(f"{path} is not a file; check the path of the config.")
    try:
        content = path.read_bytes() if path.stat().st_size <= LARGEST else None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error
    if content is None:
        raise DataError(f"{path} has more than {LARGEST // 1024} kB; a config is a few lines.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"line {line} of {path} is not UTF-8; save the file as UTF-8.") from error


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object none of whose keys stands twice, as the later would silently win."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{ascii(key)[:60]} stands twice")
        found[key] = value
    return found


def _toml(text: str) -> Any:
    for number, line in enumerate(text.split("\n"), start=1):
        if _QUOTED.sub("", line).count(".") > _MOST_DOTS:
            raise ValueError(f"a key has more than {_MOST_DOTS} parts (line {number})")
    return tomllib.loads(text)


class _PlainLoader(yaml.SafeLoader):  # type: ignore[misc]  # which has no types
    """YAML without aliases, tags, dates and merges, and with every key once.

    An alias can stand for an alias, and ten lines of them for a billion values.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012  (as the class above has it)
        first: [(tag, pattern) for tag, pattern in resolvers if tag in _PLAIN_TAGS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.MarkedYAMLError(
                problem="anchors and aliases are not read; write the values out",
                problem_mark=event.start_mark,
            )
        if getattr(event, "tag", None):
            raise yaml.MarkedYAMLError(
                problem="tags are not read; write plain values", problem_mark=event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        values = [self.construct_object(value, deep=True) for _, value in node.value]
        for key in keys:
            if not isinstance(key, str):
                raise ValueError(f"the key {ascii(key)[:60]} is not a text; put it in quotes")
        return _once(list(zip(keys, values, strict=True)))


def _yaml(text: str) -> Any:
    return yaml.load(text, Loader=_PlainLoader)


READERS: dict[str, Callable[[str], Any]] = {
    ".toml": _toml,
    ".yaml": _yaml,
    ".yml": _yaml,
    ".json": _json,
}


def _first(error: Exception) -> str:
    """What was wrong and where, in one line."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem:
        mark = error.problem_mark or error.context_mark
        where = f" (line {mark.line + 1})" if mark else ""
        return f"{error.problem}{where}."
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"{lines[0].rstrip('.')}."
