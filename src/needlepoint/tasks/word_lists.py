"""Words that fill the slots of prompts: first names, places, and things that change hands.

A task keeps those that the model's tokenizer holds in one token.
"""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


WOMEN = _words(
    """
    Alice Amy Andrea Angela Anna Anne Barbara Carol Caroline Catherine Christine Claire Diana
    Elizabeth Emily Emma Helen Jane Jennifer Jessica Joan Julia Julie Karen Kate Katie Kelly Laura
    Linda Lisa Lucy Margaret Maria Marie Martha Mary Melissa Michelle Nancy Nicole Olivia Pamela
    Rachel Rebecca Rose Ruth Sandra Sarah Sophie Susan Victoria
    """
)
MEN = _words(
    """
    Adam Alan Albert Alex Andrew Anthony Arthur Ben Brian Carl Charles Charlie Chris Daniel David
    Eric Frank Fred George Henry Jack James Jason Jeff Jim Joe John Jonathan Joseph Josh Justin
    Kevin Leon Luke Mark Martin Matthew Michael Nick Oliver Patrick Paul Peter Philip Richard
    Robert Ryan Sam Scott Simon Stephen Steve Thomas Tim Tom Tony Victor William
    """
)
NAMES = WOMEN + MEN
"""First names of both genders, about as many of each."""

PLACES = _words(
    """
    store school park library station market museum beach hotel restaurant garden office theater
    airport bank farm church hospital house university gym zoo
    """
)
"""Each is natural after `the` and after `at the`."""

OBJECTS = _words(
    """
    book ticket letter pen key map phone coat gift lamp watch ball cake drink plate hat radio camera
    guitar bag box toy rose coin card necklace ring basket newspaper picture
    """
)
"""Each is natural after `a`, and can be given, shown or handed over."""
