"""One tree of errors, and the nearest name in each that is about a name."""

import pytest

from needlepoint._core import errors
from needlepoint._core.errors import DataError, NeedlepointError, UnknownNameError, unknown_name


def test_the_nearest_name_is_offered_and_all_are_listed() -> None:
    error = unknown_name("task", "iio", ["ioi", "docstring"])
    assert isinstance(error, UnknownNameError)
    assert str(error) == "unknown task 'iio': did you mean 'ioi'? Known: docstring, ioi."


def test_nothing_is_offered_when_nothing_is_near() -> None:
    assert str(unknown_name("task", "zzz", ["ioi"])) == "unknown task 'zzz'. Known: ioi."


MINE = errors.__name__
KINDS = [kind for kind in vars(errors).values() if getattr(kind, "__module__", "") == MINE]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if isinstance(kind, type)])
def test_every_error_is_one_that_the_command_line_shows_without_a_traceback(kind: type) -> None:
    assert issubclass(kind, NeedlepointError)
    assert not issubclass(kind, (RuntimeError, ValueError, OSError))


def test_no_name_of_a_stranger_steers_the_terminal_or_breaks_the_line() -> None:
    error = DataError("no column '\x1b[2J\r\nred\u202e'; caf\u00e9")
    assert str(error) == r"no column '\x1b[2J\r\nred\u202e'; caf\u00e9".replace(r"\u00e9", "\u00e9")
    assert str(error).isprintable()
