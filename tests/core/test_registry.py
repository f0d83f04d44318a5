"""Parts are found by name, once each, in the order in which they were added."""

import pytest

from needlepoint._core.errors import UnknownNameError
from needlepoint._core.registry import Registry


def colours() -> Registry[int]:
    made = Registry[int]("colour")
    made.add("red")(0xFF0000)
    made.add("blue")(0x0000FF)
    return made


def test_parts_are_found_by_name_in_the_order_of_adding() -> None:
    found = colours()
    assert list(found) == ["red", "blue"]
    assert (found["blue"], len(found), "red" in found, "green" in found) == (255, 2, True, False)


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown colour 'rde': did you mean 'red'"):
        colours()["rde"]


def test_a_name_is_given_once() -> None:
    found = colours()
    with pytest.raises(ValueError, match="colour 'red' is registered twice"):
        found.add("red")(1)
    assert found["red"] == 0xFF0000
