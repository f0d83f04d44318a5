"""Which methods a study compares: by name, or by a word for several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from needlepoint._core.errors import unknown_name
from needlepoint.circuits.registered import CIRCUIT_METHODS
from needlepoint.circuits.scores import HEAD_SCORES

FAST = ("attribution_patching", "eap", "information_flow")
"""Circuit methods that a study compares unless others are asked for."""
CODES = ("change_and_answer", "mean_difference", "random")
"""Scores that `sae` shows beside those that are made of codes."""


@dataclass(frozen=True)
class Choice:
    """Names of the scores that read activations, and of the methods that run the model."""

    scores: tuple[str, ...]
    methods: tuple[str, ...]


def chosen_methods(names: Sequence[str] = ()) -> Choice:
    """The methods that some names stand for, in the order of the registries.

    Args:
        names: Names of head scores and circuit methods; `sae` stands for all scores made of codes
            with two controls beside them, `fast` for all scores and the quickest methods, and `all`
            for everything. Nothing is `fast`.

    Raises:
        UnknownNameError: If a name is none of these; the message names the nearest.

    Example:
        >>> chosen_methods(["eap", "random"])
        Choice(scores=('random',), methods=('eap',))
    """
    wanted: set[str] = set()
    for name in names or ("fast",):
        wanted |= _stands_for(name)
    return Choice(
        tuple(name for name in HEAD_SCORES if name in wanted),
        tuple(name for name in CIRCUIT_METHODS if name in wanted),
    )


def _stands_for(name: str) -> set[str]:
    if name == "all":
        return {*HEAD_SCORES, *CIRCUIT_METHODS}
    if name == "fast":
        return {*HEAD_SCORES, *FAST}
    if name == "sae":
        return {each for each in HEAD_SCORES if HEAD_SCORES[each].draws == "codes"} | {*CODES}
    if name not in HEAD_SCORES and name not in CIRCUIT_METHODS:
        known = ("all", "fast", "sae", *HEAD_SCORES, *CIRCUIT_METHODS)
        raise unknown_name("method", name, known)
    return {name}
