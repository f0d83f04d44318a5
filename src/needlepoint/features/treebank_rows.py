"""Rows of tokens to probe, made from text whose words are tagged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Int8

from needlepoint._core.text import Encoder
from needlepoint.features.collection import Card, Collection
from needlepoint.features.spans import SpanText, span_collection, with_shortfalls
from needlepoint.features.spec import N_PER_FEATURE, PACKAGES, CollectionSpec, Load
from needlepoint.features.treebank import UNKNOWN, TaggedText
from needlepoint.features.treebank_sources import SOURCES, Origin, origin_of, tagged_texts

N_TOKENS = 512
SKIP = 5
"""First tokens of a text that are in no row."""
MIN_DOCUMENTS = 20
Labels = Callable[[TaggedText], Int8[np.ndarray, "span feature"]]


@dataclass(frozen=True)
class TagKind:
    """What is asked of tagged words: one collection over the texts that all three share."""

    name: str
    title: str
    description: str
    question: str
    features: tuple[str, ...]
    labels: Labels
    """Labels of the words of a text, as `SpanText` has them: one column for each feature."""
    confounds: tuple[str, ...]
    not_silver: Mapping[str, str] = field(default_factory=dict)
    """Features that the tagger cannot give, and why."""

    def features_from(self, source: str) -> tuple[str, ...]:
        """The features that this source gives, in order."""
        left_out = self.not_silver if source == PACKAGES else {}
        return tuple(name for name in self.features if name not in left_out)

    def card(self, origin: Origin, shortfalls: Mapping[str, str]) -> Card:
        """What a reader must know, tags of this origin given."""
        return Card(
            name=self.name,
            title=self.title,
            description=f"{self.description} {origin.description}",
            source=origin.source,
            licence=origin.licence,
            how_labelled=f"{origin.how_labelled} A token that is part of a word, or of several, "
            "takes the tags of the first of them.",
            confounds=(*origin.confounds, *self.confounds),
            aggregation=f"one token, never one of the first {SKIP} of a text",
            size=origin.size,
            shortfalls=shortfalls,
        )

    def spec(self, load: Load) -> CollectionSpec:
        """The collection as it is listed, which `load` loads."""
        return CollectionSpec(
            card=self.card(origin_of(PACKAGES), self.not_silver),
            features=self.features_from(PACKAGES),
            load=load,
            n_tokens=N_TOKENS,
            sources=SOURCES,
        )


def load_tags(
    kind: TagKind, encoder: Encoder, *, n_per_feature: int, n_tokens: int, seed: int, source: str
) -> Collection:
    """Tokens of running text, labelled by the tags of the words they are in.

    Sentences of one document are joined up to `n_tokens` tokens. A feature is asked only where
    its category has some value, a fifth of its rows are positive where there are enough
    negatives, and one shared order of all tokens decides which are taken.

    Raises:
        DataError: If the treebank cannot be read, or has no rows of both kinds.
        SourceError: If the source cannot be had.

    References:
        Gurnee et al., "Finding Neurons in a Haystack", 2023, appendix on probing data sets.
    """
    origin = origin_of(source)
    names = kind.features_from(source)
    columns = [kind.features.index(name) for name in names]
    texts = [
        SpanText(part.text, part.document, part.spans, kind.labels(part)[:, columns])
        for text in tagged_texts(source)
        for part in passages(text, encoder, n_tokens)
    ]
    found = span_collection(
        texts,
        encoder,
        card=kind.card(origin, {}),
        question=kind.question,
        features=names,
        n_per_feature=n_per_feature,
        n_tokens=n_tokens,
        seed=seed,
        skip=SKIP,
    )
    found = with_shortfalls(
        found,
        "the tagged texts have no more tokens of it.",
        n=min(n_per_feature, N_PER_FEATURE),
        documents=MIN_DOCUMENTS,
    )
    missing = {
        name: kind.not_silver.get(name, "The tagged texts have none to tell apart.")
        for name in kind.features
        if name not in found.features
    }
    shortfalls = {**found.card.shortfalls, **missing}
    return replace(found, card=replace(found.card, shortfalls=shortfalls))


def passages(text: TaggedText, encoder: Encoder, n_tokens: int) -> Iterator[TaggedText]:
    """Whole sentences of a document, joined as long as they fit into so many tokens.

    A sentence that is longer stands alone. What stands between two passages begins the second.
    """
    _, offsets = encoder.encode_with_offsets(text.text)
    starts = np.array([start for start, _ in offsets], dtype=np.int64)
    last = text.last_words()
    tokens = np.searchsorted(starts, text.spans[last, 1]).tolist()  # up to each sentence's end
    ends = (last + 1).tolist()
    word = token = 0
    for before, (end, reached) in enumerate(zip(ends[:-1], tokens[1:], strict=True)):
        if reached - token > n_tokens:
            yield _part(text, word, end)
            word, token = end, tokens[before]
    yield _part(text, word, len(text.spans))


def _part(text: TaggedText, first: int, end: int) -> TaggedText:
    """Words `[first, end)` of a text, and what stands before them."""
    low = int(text.spans[first - 1, 1]) if first else 0
    return TaggedText(
        document=text.document,
        text=text.text[low : int(text.spans[end - 1, 1])],
        spans=text.spans[first:end] - low,
        sentences=text.sentences[first:end],
        upos=text.upos[first:end],
        deprel=text.deprel[first:end],
        feats=text.feats[first:end],
    )


def one_of(tags: Sequence[str], features: Sequence[str]) -> Int8[np.ndarray, "span feature"]:
    """Labels of words for each tag against all other tags; words without a tag are not asked.

    Example:
        >>> one_of(["NOUN", "VERB", "_", "X"], ["NOUN", "VERB"]).tolist()
        [[1, 0], [0, 1], [-1, -1], [0, 0]]
    """
    found = np.equal.outer(np.array(tags, dtype=object), np.array(features, dtype=object))
    labels: Int8[np.ndarray, "span feature"] = found.astype(np.int8)
    labels[[tag == UNKNOWN for tag in tags]] = -1
    return labels
