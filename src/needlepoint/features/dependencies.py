"""What is a word in its sentence? Tokens of running text with universal dependency relations."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int8

from needlepoint._core.text import Encoder
from needlepoint.features.collection import Collection
from needlepoint.features.treebank import TaggedText
from needlepoint.features.treebank_rows import TagKind, load_tags, one_of

FEATURES = (
    *("acl", "acl:relcl", "advcl", "advmod", "amod", "appos", "aux", "aux:pass", "case", "cc"),
    *("ccomp", "compound", "conj", "cop", "det", "flat", "list", "mark", "nmod", "nmod:poss"),
    *("nsubj", "nsubj:pass", "nummod", "obj", "obl", "parataxis", "punct", "root", "xcomp"),
)
"""Relations of a word to the word it depends on; all others only serve as negatives."""
LITTLE = "Left out of silver tags: what follows from the parser and the treebank agree too little"


def labels(text: TaggedText) -> Int8[np.ndarray, "span feature"]:
    """Labels of the words of a text: each relation against all others.

    A relation with a subtype is another one: `nmod:poss` is a negative of `nmod`.
    """
    return one_of(text.deprel, FEATURES)


KIND = TagKind(
    name="dependencies",
    title="Dependency relations",
    description="Tokens of running English text, each relation of a word to its head against all "
    "others.",
    question="Which neurons know what a word is in its sentence?",
    features=FEATURES,
    labels=labels,
    confounds=(
        "The relation often depends on words that follow, which a model that reads from left to "
        "right has not seen.",
        "Some relations nearly are a part of speech or a list of words (punct, det, case, cc, "
        "cop, mark, aux).",
        "A subtype is another relation, so that 'obl:agent' is a negative of 'obl'.",
    ),
    not_silver={
        "appos": f"{LITTLE} (F1 0.49).",
        "flat": "Left out of silver tags: the parser has no such relation.",
        "list": "Left out of silver tags: the parser has no such relation.",
        "parataxis": f"{LITTLE} (F1 0.13).",
    },
)


def load(
    encoder: Encoder, *, n_per_feature: int, n_tokens: int, seed: int, source: str
) -> Collection:
    """Tokens labelled by the relation of their words to their heads (see `load_tags`).

    Raises:
        DataError: If the treebank cannot be read, or has no rows of both kinds.
        SourceError: If the source cannot be had.
    """
    return load_tags(
        KIND, encoder, n_per_feature=n_per_feature, n_tokens=n_tokens, seed=seed, source=source
    )


SPEC = KIND.spec(load)
