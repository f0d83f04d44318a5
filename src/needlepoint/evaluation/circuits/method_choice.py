"""Which methods a study compares: by name, or by a word for several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from needlepoint._core.errors import unknown_name
from needlepoint.circuits.registered import CIRCUIT_METHODS
from needlepoint.circuits.scores import HEAD_SCORES

FAST = ("attribution_patching", "eap", "information_flow")
"""Circuit methods that a study compares unless others are asked for."""
CONTROLS = (
    "mean_difference",
    "effect_size",
    "linear_probe",
    "output_norm",
    "layer_index",
    "random",
)
"""What any method has to beat, at next to no cost once the heads have been read."""
PREFERRED = "change_and_answer"
"""The score whose heads are put forward where nothing is ablated: docs/circuits.md says why."""


@dataclass(frozen=True)
class Choice:
    """Names of the scores that read activations, and of the methods that run the model."""

    scores: tuple[str, ...]
    methods: tuple[str, ...]
    controls: tuple[str, ...] = ()
    """Further scores that nobody asked for, shown behind all others: what these have to beat."""


def chosen_methods(names: Sequence[str] = ()) -> Choice:
    """The methods that some names stand for, in the order of the registries, and their controls.

    `CONTROLS` come with everything, as the heads are read in any case and one can only see what a
    method is worth beside them; only where nothing but head scores is named are these compared
    as they are. With `sae` come all nine controls of codes: these six, and `untrained_codes`,
    `kmeans_codes` and `distinct_codes`.

    Args:
        names: Names of head scores and circuit methods; `sae` stands for all scores made of the
            published codes, their controls, and `change_and_answer`, `fast` for all scores that
            are not on request and the quickest methods, and `all` for everything but the variants
            of circuit methods that are on request. Nothing is `fast`. Calibrated codes are not in
            `sae`: `calibrated_sae` alone takes longer than all that is.

    Raises:
        UnknownNameError: If a name is none of these; the message names the nearest.

    Example:
        >>> chosen_methods(["random", "layer_index"])
        Choice(scores=('layer_index', 'random'), methods=(), controls=())
        >>> chosen_methods(["eap"]).controls == CONTROLS
        True
    """
    wanted: set[str] = set()
    for name in names or ("fast",):
        wanted |= _stands_for(name)
    scores_alone = bool(names) and all(name in HEAD_SCORES for name in names)
    added = () if scores_alone else tuple(name for name in CONTROLS if name not in wanted)
    return Choice(
        tuple(name for name in HEAD_SCORES if name in wanted),
        tuple(name for name in CIRCUIT_METHODS if name in wanted),
        added,
    )


def _stands_for(name: str) -> set[str]:
    if name == "all":
        runs = {each for each in CIRCUIT_METHODS if not CIRCUIT_METHODS[each].on_request}
        return {*HEAD_SCORES, *runs}
    if name == "fast":
        return {each for each in HEAD_SCORES if not HEAD_SCORES[each].on_request} | {*FAST}
    if name == "sae":
        return {each for each in HEAD_SCORES if HEAD_SCORES[each].draws == "codes"} | {PREFERRED}
    if name not in HEAD_SCORES and name not in CIRCUIT_METHODS:
        known = ("all", "fast", "sae", *HEAD_SCORES, *CIRCUIT_METHODS)
        raise unknown_name("method", name, known)
    return {name}
