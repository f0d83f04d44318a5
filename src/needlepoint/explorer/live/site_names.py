"""Neurons and heads as people write them, and as the model knows them."""

from __future__ import annotations

import re

from needlepoint._core.errors import UnknownSiteError
from needlepoint.models.model import Model
from needlepoint.models.sites import Part, Site

_HEAD = re.compile(r"L(\d+)\.H(\d+)(?:\.z)?", re.IGNORECASE)
_NEURON = re.compile(r"L(\d+)\.N(\d+)", re.IGNORECASE)


def read_site(model: Model, text: str) -> Site:
    """The neuron or head of a model that a text names.

    Raises:
        UnknownSiteError: If it names neither, or the model does not have it.

    Example:
        >>> from needlepoint.models.micro import micro_model
        >>> str(read_site(micro_model(), " l0.h1 "))
        'L0.H1.z'
    """
    text = text.strip()
    if head := _HEAD.fullmatch(text):
        return model.site(Site.of(int(head[1]), Part.HEAD, int(head[2])))
    if neuron := _NEURON.fullmatch(text):
        return model.site(Site.of(int(neuron[1]), Part.NEURON, int(neuron[2])))
    shown = text if len(text) <= 40 else f"{text[:40]}..."
    raise UnknownSiteError(
        f"{shown!r} is neither a neuron nor a head; write a neuron as L12.N345, a head as L3.H5."
    )


def short_name(site: Site) -> str:
    """A head without the letter of what is read of it.

    Example:
        >>> short_name(Site.parse("L3.H5.z")), short_name(Site.parse("L12.N345"))
        ('L3.H5', 'L12.N345')
    """
    return str(site).removesuffix(".z")
