"""A grid's config from a file or from `run.json`, and the schema that says what can be in it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from needlepoint._core.errors import DataError, NeedlepointError, unknown_name
from needlepoint.evaluation.grid.config import FROM_THE_GRID, GridConfig
from needlepoint.evaluation.grid.plain_file import plain_values

_KINDS = {dict: "a table", list: "a list", str: "a text", bool: "true or false", int: "a number"}


def read_config(path: Path) -> GridConfig:
    """The grid that a TOML, YAML or JSON file describes.

    Paths in it are as on the command line: from the folder in which the command is run.

    Raises:
        DataError: If the file cannot be read, or a value is of the wrong type or out of range.
        UnknownNameError: If there is no such setting; the message has the nearest.
    """
    values = plain_values(path)
    try:
        return config_of(values)
    except NeedlepointError as error:
        raise type(error)(f"{path}: {error}") from error


def config_of(values: Any) -> GridConfig:
    """The grid that plain values describe: tables, lists, texts and numbers.

    Numbers are not read out of texts, nor texts out of numbers.

    Raises:
        DataError: If a value is of the wrong type or out of range.
        UnknownNameError: If there is no such setting; the message has the nearest.

    Example:
        >>> config_of({"tasks": ["ioi"], "heads": {"score_pairs": 40}}).heads.score_pairs
        40
        >>> config_of({"taks": ["ioi"]})
        Traceback (most recent call last):
        ...
        needlepoint._core.errors.UnknownNameError: unknown setting 'taks': did you mean 'tasks'? ...
    """
    if not isinstance(values, Mapping):
        raise DataError(f"a config is a table of settings, not {_kind(values)}.")
    for part, name, axis in FROM_THE_GRID:
        if isinstance(values.get(part), Mapping) and name in values[part]:
            raise DataError(f"{part}.{name} comes from {axis} of the grid; leave it out.")
    try:
        text = json.dumps(values)
    except TypeError as error:  # a date or time, which TOML has and nothing here is
        raise DataError(f"{error}; put it in quotes.") from error
    except RecursionError as error:
        raise DataError("the config is nested too deeply; it has tables two deep.") from error
    try:
        config: GridConfig = _adapter().validate_json(text)
    except ValidationError as error:
        raise _sentence(error) from error
    return config


def values_of(config: GridConfig) -> dict[str, Any]:
    """The plain values that describe a grid: what `config_of` reads, with all defaults."""
    values = asdict(config)
    for part, name, _ in FROM_THE_GRID:
        del values[part][name]
    return values


@cache
def _adapter() -> Any:
    return TypeAdapter(GridConfig)


def json_schema() -> dict[str, Any]:
    """What a config can have in it, as a JSON schema, for editors and other programs.

    Example:
        >>> json_schema()["properties"]["repeats"]["default"]
        1
    """
    schema: dict[str, Any] = _adapter().json_schema()
    for part, setting, _ in FROM_THE_GRID:
        name = schema["properties"][part]["$ref"].rpartition("/")[2]
        del schema["$defs"][name]["properties"][setting]
    for part in (schema, *schema["$defs"].values()):
        _in_plain_words(part)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "A needlepoint grid",
        "anyOf": [{"required": ["tasks"]}, {"required": ["features"]}],
    }


def _in_plain_words(part: dict[str, Any]) -> None:
    """Keep the first sentences of the docstring, on one line; leave out titles and whole tables."""
    part["description"] = " ".join(part["description"].partition("\n\n")[0].split())
    for setting in part["properties"].values():
        setting.pop("title", None)
        if "$ref" in setting:
            setting.pop("default", None)
        setting["description"] = " ".join(setting["description"].split())


def _sentence(error: ValidationError) -> NeedlepointError:
    """The first fault in words, with the fix."""
    fault = error.errors(include_url=False)[0]
    where, value = [str(part) for part in fault["loc"]], fault["input"]
    if fault["type"] == "unexpected_keyword_argument":
        *above, name = where
        return unknown_name(f"setting{_of(above)}", _short(name), _settings(above))
    if fault["type"] == "json_invalid":
        return DataError(f"a value cannot be read: {fault['msg']}.")
    wanted = {
        "int_type": "a whole number, without quotes",
        "string_type": "a text, in quotes",
        "tuple_type": "a list, as in [...]",
        "dataclass_type": "a table of settings",
        "float_type": "a number, without quotes",
    }.get(fault["type"], fault["msg"])
    return DataError(f"{_place(fault['loc'])} is {_shown(value)}; it must be {wanted}.")


def _settings(above: Sequence[str]) -> list[str]:
    """Names of the settings of the config, or of one of its tables."""
    schema = json_schema()
    for name in above:
        reference = schema["properties"][name]["$ref"]
        schema = {**json_schema()["$defs"][reference.rpartition("/")[2]]}
    return list(schema["properties"])


def _of(above: Sequence[str]) -> str:
    return f" of {'.'.join(above)}" if above else ""


def _place(path: Sequence[str | int]) -> str:
    """Where a value stands.

    Example:
        >>> _place(("heads", "methods", 1))
        'item 2 of heads.methods'
    """
    names = ".".join(str(part) for part in path if isinstance(part, str))
    items = [part for part in path if isinstance(part, int)]
    return f"item {items[0] + 1} of {names}" if items else names


def _shown(value: Any) -> str:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return f"{_short(ascii(value))} ({_kind(value)})"
    return _kind(value)


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def _kind(value: Any) -> str:
    return "nothing" if value is None else _KINDS.get(type(value), "a number")
