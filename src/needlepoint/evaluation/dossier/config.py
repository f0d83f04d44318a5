"""What a dossier is asked for."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path

from needlepoint._core.errors import DataError, UnknownSiteError
from needlepoint.evaluation.configs import require
from needlepoint.models.sites import Part, Site


@dataclass(frozen=True)
class DossierConfig:
    """Which neurons to describe, and on which text.

    Raises:
        DataError: If no neuron is named, or a number is too small to be used.
        UnknownSiteError: If an address is not that of a neuron.
    """

    neurons: tuple[str, ...] = field(default=(), metadata={"positional": True})
    """Addresses of neurons, for instance L12.N345."""
    _: KW_ONLY
    features: str = ""
    """A collection, or one feature of it as COLLECTION:FEATURE, whose labels to hold the neurons
    against; a collection alone takes for each neuron the feature that it tells best."""
    text: str = ""
    """A file of text of your own (or a table with a column 'text') to read in place of the
    packaged prose, translations and source code."""
    texts: int = 64
    """Stretches of text to read, and most labelled texts of each class."""
    tokens: int = 64
    """Length of a stretch in tokens."""
    examples: int = 60
    """Texts for each feature, for built-in collections. The number that 'probe' was given keeps
    its test documents; more give more labelled tokens."""
    ablate_texts: int = 20
    """Contexts of each kind on which a neuron is switched off, each of another document; at most a
    third of the texts read."""
    random_neurons: int = 19
    """Matched random neurons to compare each ablation with."""
    seed: int = 0
    """The one number that all randomness follows from."""

    def __post_init__(self) -> None:
        if not self.neurons:
            raise DataError("no neuron is named; give one like L12.N345, or several.")
        for address in self.neurons:
            neuron_of(address)
        texts = {"texts": 8, "tokens": 8, "examples": 6, "ablate_texts": 2}
        require(self, {**texts, "random_neurons": 1})

    @property
    def sites(self) -> tuple[Site, ...]:
        """The neurons, each once, in the order given."""
        return tuple(dict.fromkeys(neuron_of(address) for address in self.neurons))

    @property
    def collection(self) -> str:
        """The collection whose labels are asked for; empty for none."""
        return _parted(self.features)[0]

    @property
    def feature(self) -> str:
        """The feature that is asked for; empty for the best of the collection."""
        return _parted(self.features)[1]


def neuron_of(address: str) -> Site:
    """The neuron at an address.

    Raises:
        UnknownSiteError: If it is not an address, or that of something else.

    Example:
        >>> str(neuron_of("L12.N345"))
        'L12.N345'
    """
    try:
        found = Site.parse(address)
    except UnknownSiteError as error:
        raise UnknownSiteError(
            f"{address!r} is not the address of a neuron; write one like L12.N345."
        ) from error
    if found.part is not Part.NEURON:
        raise UnknownSiteError(f"{found} is not a neuron; write one like L{found.layer}.N345.")
    return found


def _parted(features: str) -> tuple[str, str]:
    """Collection and feature; a colon within the path of a file that exists parts nothing."""
    if ":" not in features or Path(features).exists():
        return features, ""
    name, _, feature = features.rpartition(":")
    return name, feature
