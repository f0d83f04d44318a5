"""Neurons and heads as people write them, and as the model knows them."""

from __future__ import annotations

import re

from needlepoint._core.errors import UnknownSiteError
from needlepoint.models.model import Model
from needlepoint.models.sites import Part, Site

_HEAD = re.compile(r"L(\d{1,9})\.H(\d{1,9})(?:\.z)?", re.IGNORECASE)
_NEURON = re.compile(r"L(\d{1,9})\.N(\d{1,9})", re.IGNORECASE)


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
    for pattern, part in ((_HEAD, Part.HEAD), (_NEURON, Part.NEURON)):
        if named := pattern.fullmatch(text):
            return _in_model(model, Site.of(int(named[1]), part, int(named[2])))
    shown = text if len(text) <= 40 else f"{text[:40]}..."
    raise UnknownSiteError(
        f"{shown!r} is neither a neuron nor a head; write a neuron as L12.N345, a head as L3.H5."
    )


def _in_model(model: Model, site: Site) -> Site:
    try:
        return model.site(site)
    except UnknownSiteError:
        shape = model.shape
        neurons = f" and neurons 0 to {shape.d_mlp - 1}" if shape.has_mlps else ", without MLPs"
        raise UnknownSiteError(
            f"{short_name(site)} does not exist: {model.name} has layers 0 to {shape.n_layers - 1}"
            f", and in each heads 0 to {shape.n_heads - 1}{neurons}."
        ) from None


def short_name(site: Site) -> str:
    """A head without the letter of what is read of it.

    Example:
        >>> short_name(Site.parse("L3.H5.z")), short_name(Site.parse("L12.N345"))
        ('L3.H5', 'L12.N345')
    """
    return str(site).removesuffix(".z")
