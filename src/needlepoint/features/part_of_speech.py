"""Which part of speech is a word? Tokens of running text with universal part-of-speech tags."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int8

from needlepoint._core.text import Encoder
from needlepoint.features.collection import Collection
from needlepoint.features.treebank import TaggedText
from needlepoint.features.treebank_rows import TagKind, load_tags, one_of

FEATURES = (
    *("AUX", "ADP", "VERB", "ADJ", "X", "CCONJ", "PROPN", "NOUN", "INTJ", "SYM", "PRON", "DET"),
    *("SCONJ", "ADV", "PUNCT", "NUM"),
)
"""Universal tags, all but PART, whose words only serve as negatives."""


def labels(text: TaggedText) -> Int8[np.ndarray, "span feature"]:
    """Labels of the words of a text: each tag against all others."""
    return one_of(text.upos, FEATURES)


KIND = TagKind(
    name="part_of_speech",
    title="Part of speech",
    description="Tokens of running English text, each universal part of speech against all others.",
    question="Which neurons know what part of speech a word is?",
    features=FEATURES,
    labels=labels,
    confounds=(
        "Closed classes (AUX, ADP, CCONJ, DET, PRON) are short lists of words: a neuron that "
        "knows the words need not know the class.",
        "PUNCT, NUM and SYM can be told from the characters of a token.",
    ),
    not_silver={
        "X": "Left out of silver tags: the tagger's X is hardly ever the treebank's (F1 0.03).",
        "SYM": "Left out of silver tags: the tagger and the treebank agree too little (F1 0.62).",
    },
)


def load(
    encoder: Encoder, *, n_per_feature: int, n_tokens: int, seed: int, source: str
) -> Collection:
    """Tokens labelled by the part of speech of their words (see `load_tags`).

    Raises:
        DataError: If the treebank cannot be read, or has no rows of both kinds.
        SourceError: If the source cannot be had.
    """
    return load_tags(
        KIND, encoder, n_per_feature=n_per_feature, n_tokens=n_tokens, seed=seed, source=source
    )


SPEC = KIND.spec(load)
