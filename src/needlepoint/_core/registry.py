"""Parts that are chosen by name: tasks, feature collections, head scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from needlepoint._core.errors import unknown_name

T = TypeVar("T")


class Registry(Generic[T]):
    """A set of named parts of one kind, in the order in which they were added.

    Example:
        >>> colours = Registry[int]("colour")
        >>> _ = colours.add("red")(0xFF0000)
        >>> colours["red"] == 0xFF0000, list(colours)
        (True, ['red'])
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._parts: dict[str, T] = {}

    def add(self, name: str) -> Callable[[T], T]:
        """Return a decorator that files a part under `name`."""

        def file(part: T) -> T:
            if name in self._parts:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._parts[name] = part
            return part

        return file

    def __getitem__(self, name: str) -> T:
        if name not in self._parts:
            raise unknown_name(self.kind, name, self._parts)
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def __len__(self) -> int:
        return len(self._parts)
