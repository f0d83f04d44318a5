"""What a built-in collection is before any of it is loaded: its card, its features, how to load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from needlepoint._core.errors import DataError
from needlepoint._core.text import Encoder
from needlepoint.features.collection import Card, Collection

N_PER_FEATURE = 200
"""Positive rows of each feature unless another number is asked for."""
PACKAGES = "packages"
"""The source that needs no hub: files that published packages carry."""
HUB = "hub"
"""The original public data set, fetched where there is a network."""


@runtime_checkable
class Load(Protocol):
    """Makes a built-in collection for one tokenizer."""

    def __call__(
        self, encoder: Encoder, *, n_per_feature: int, n_tokens: int, seed: int, source: str
    ) -> Collection:
        """The labelled rows; the same whenever tokenizer, numbers, seed and source are."""
        ...


@dataclass(frozen=True)
class CollectionSpec:
    """A collection that can be asked for by name. Nothing is downloaded until it is loaded."""

    card: Card
    """What is known beforehand; the card of what is loaded may say more."""
    features: tuple[str, ...]
    """Names of the features that the first source gives, in order."""
    load: Load
    n_tokens: int
    """Length of a text in tokens unless another is asked for: the most, or exactly so many."""
    sources: tuple[str, ...] = (PACKAGES,)
    """Ways in, the default first. Where one is `path`, the path of a file or folder is given."""

    def __call__(
        self,
        encoder: Encoder,
        *,
        n_per_feature: int = N_PER_FEATURE,
        n_tokens: int | None = None,
        seed: int = 0,
        source: str | None = None,
    ) -> Collection:
        """The collection for this tokenizer.

        Args:
            encoder: The tokenizer of the model to be probed.
            n_per_feature: Positive rows of each feature, where there are so many.
            n_tokens: Length of a text in tokens; the collection's own unless given.
            seed: The seed of the whole run.
            source: One of `sources`, or a path where these have one.

        Raises:
            DataError: If a number is too small, the source is unknown, or too little text fits.
            SourceError: If the source cannot be had.
        """
        n_tokens = self.n_tokens if n_tokens is None else n_tokens
        for name, value, least in (("n_per_feature", n_per_feature, 6), ("n_tokens", n_tokens, 4)):
            if value < least:
                raise DataError(f"{name} is {value}; it must be at least {least}.")
        source = self.check_source(source)
        return self.load(
            encoder, n_per_feature=n_per_feature, n_tokens=n_tokens, seed=seed, source=source
        )

    def check_source(self, source: str | None) -> str:
        """The source itself, the first one if none is given.

        Raises:
            DataError: If the collection has no such source.
        """
        source = self.sources[0] if source is None else source
        if source not in self.sources and "path" not in self.sources:
            raise DataError(
                f"{self.card.name} has no source {source!r}; it has {' and '.join(self.sources)}."
            )
        return source
