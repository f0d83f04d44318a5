"""Sites: addresses of activations, read from text and printed back to it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from needlepoint._core.errors import UnknownSiteError


class Part(Enum):
    """What is read at a layer."""

    HEADS = "attn.z"
    HEAD = "z"
    HEAD_OUT = "out"
    ATTENTION = "attn.out"
    NEURONS = "mlp.neurons"
    NEURON = "neuron"
    MLP = "mlp.out"
    RESID = "resid"
    RESID_IN = "resid.in"


_PLAIN = {
    part.value: part
    for part in (
        Part.HEADS,
        Part.ATTENTION,
        Part.NEURONS,
        Part.MLP,
        Part.RESID,
        Part.RESID_IN,
    )
}
_ADDRESS = re.compile(r"L(\d+)\.(?:H(\d+)\.(z|out)|N(\d+)|([a-z.]+))")
_FORMS = "L3.attn.z, L3.H7.z, L3.H7.out, L3.attn.out, L3.mlp.neurons, L3.N12, L3.mlp.out, L3.resid"


@dataclass(frozen=True, order=True)
class Site:
    """The address of an activation in any model.

    Which modules it names is decided by the family of the model, in `families`; see the table
    of sites in the design notes for the shape behind each address.

    Example:
        >>> site = Site.parse("L3.H7.z")
        >>> site.layer, site.index, str(site)
        (3, 7, 'L3.H7.z')
    """

    layer: int
    name: str
    index: int | None = None

    @property
    def part(self) -> Part:
        """What is read at the layer."""
        return Part(self.name)

    @classmethod
    def of(cls, layer: int, part: Part, index: int | None = None) -> Site:
        """The site of a part of a layer; `index` is the head or neuron where there is one."""
        return cls(layer, part.value, index)

    @classmethod
    def parse(cls, text: str) -> Site:
        """Read an address.

        Raises:
            UnknownSiteError: If the text is not an address; the message lists the forms.

        Example:
            >>> Site.parse("L12.N345").part
            <Part.NEURON: 'neuron'>
        """
        match = _ADDRESS.fullmatch(text.strip())
        if match:
            layer, head, head_part, neuron, plain = match.groups()
            if head is not None:
                return cls(int(layer), head_part, int(head))
            if neuron is not None:
                return cls.of(int(layer), Part.NEURON, int(neuron))
            if plain in _PLAIN:
                return cls(int(layer), plain)
        raise UnknownSiteError(f"{text!r} is not a site; write one like {_FORMS}.")

    def __str__(self) -> str:
        if self.part is Part.NEURON:
            return f"L{self.layer}.N{self.index}"
        if self.index is not None:
            return f"L{self.layer}.H{self.index}.{self.name}"
        return f"L{self.layer}.{self.name}"


def site(address: Site | str) -> Site:
    """The site itself, or the one that the text names."""
    return address if isinstance(address, Site) else Site.parse(address)
