"""Where in a prompt its heads are read: over which positions their activations are reduced."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint._core.errors import DataError, unknown_name
from needlepoint.evaluation.configs import READINGS
from needlepoint.models.model import Model
from needlepoint.tasks.pairs import Prompts

_WORDS = {
    "mean": "mean over all positions",
    "mean_without_first": "mean over all positions but the first",
    "last": "last position",
}


def reading_words(reading: str) -> str:
    """What a reading is, in words that go on after "the".

    Example:
        >>> reading_words("last"), reading_words("S2")
        ('last position', "position 'S2'")
    """
    return _WORDS.get(reading, f"position '{reading}'")


def require_reading(reading: str, prompts: Prompts) -> None:
    """Make sure that prompts can be read so.

    Raises:
        UnknownNameError: If it is none of `READINGS` and the task names no such position.
    """
    known = [*READINGS, *(name for name in prompts.positions if name not in READINGS)]
    if reading not in known:
        raise unknown_name("reading", reading, known)


def position_weights(
    model: Model, prompts: Prompts, pairs: Sequence[int], reading: str
) -> Float[Tensor, "pair pos"]:
    """How much each position counts in the reading of some pairs; each row sums to 1.

    Positions are those that the model sees: its own first token, where it has one, is the first.

    Raises:
        DataError: If the first position is to be left out and a prompt has no other.
    """
    before = len(model.prefix)
    lengths = torch.tensor([before + prompts.lengths[pair] for pair in pairs])[:, None]
    places = torch.arange(int(lengths.max()))[None]
    if reading in ("mean", "mean_without_first"):
        inside = (places < lengths) & (places >= int(reading != "mean"))
        if not inside.any(1).all():
            raise DataError("a prompt of one token has no position but the first to be read.")
        return inside / inside.sum(1, keepdim=True)
    if reading == "last":
        return (places == lengths - 1).float()
    named = torch.tensor([before + prompts.positions[reading][pair] for pair in pairs])
    return (places == named[:, None]).float()
