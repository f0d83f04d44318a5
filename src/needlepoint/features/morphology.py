"""What form does a word have? Tokens of running text with universal morphological features."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Int8

from needlepoint._core.text import Encoder
from needlepoint.features.collection import Collection
from needlepoint.features.treebank import UNKNOWN, TaggedText
from needlepoint.features.treebank_rows import TagKind, load_tags

AMONG_OTHERS = {
    "VerbForm": ("Fin", "Inf", "Ger", "Part"),
    "PronType": ("Art", "Dem", "Prs", "Rel", "Int"),
    "Person": ("1", "2", "3"),
    "Gender": ("Masc", "Fem", "Neut"),
}
"""Values held against all other values of the same category."""
OPPOSITES = {"Number": ("Plur", "Sing"), "Mood": ("Imp", "Ind"), "Tense": ("Past", "Pres")}
"""Values held against one other of the same category."""
FEATURES = (
    *(f"{category}_{value}" for category, values in AMONG_OTHERS.items() for value in values),
    *(f"{category}_{value}" for category, (value, _) in OPPOSITES.items()),
    "NumType_Card",
    "Voice_Pass",
    "eos_True",
    "first_eos_True",
)
ENDS = frozenset(".!?")


def labels(text: TaggedText) -> Int8[np.ndarray, "span feature"]:
    """Labels of the words of a text.

    Values of VerbForm, PronType, Person and Gender are asked where the category has some value;
    Number, Mood and Tense where it has the value or its opposite; NumType on all words; Voice on
    verbs. `eos` is the last word of a sentence if it is a mark with one of `.!?`, asked on all
    words but those where the sentence ends in letters and a mark together, as an address does;
    `first_eos` is the first of these marks in the text, asked on them alone.
    """
    tags = list(zip(text.upos, text.feats, strict=True))
    found = np.array([_of_tags(*pair) for pair in tags], dtype=np.int8)
    ends = sentence_ends(text)
    first = np.where(ends == 1, 0, -1)
    first[np.flatnonzero(ends == 1)[:1]] = 1
    return np.column_stack([found, ends, first]).astype(np.int8)


def sentence_ends(text: TaggedText) -> Int8[np.ndarray, " span"]:
    """1 for the mark that ends a sentence, -1 where letters and a mark do, 0 for other words."""
    found = np.zeros(len(text.spans), dtype=np.int8)
    for word in text.last_words():
        start, end = text.spans[word]
        form = text.text[start:end]
        if not ENDS.isdisjoint(form):
            found[word] = -1 if any(char.isalnum() for char in form) else 1
    return found


@lru_cache(maxsize=4096)
def _of_tags(upos: str, feats: str) -> tuple[int, ...]:
    """Labels of a word for all features but the last two."""
    parts = (part.partition("=") for part in feats.split("|") if part != UNKNOWN)
    has = {category: values.split(",") for category, _, values in parts}
    found = []
    for category, values in AMONG_OTHERS.items():
        own = has.get(category)
        found += [-1 if own is None else int(value in own) for value in values]
    for category, (value, opposite) in OPPOSITES.items():
        own = has.get(category, [])
        found.append(1 if value in own else 0 if opposite in own else -1)
    voice = has.get("Voice", [])
    asked = upos == "VERB" and UNKNOWN not in voice
    passive = 1 if "Pass" in voice else 0 if asked else -1
    return (*found, int("Card" in has.get("NumType", [])), passive)


KIND = TagKind(
    name="morphology",
    title="Morphology",
    description="Tokens of running English text: verb forms, kinds of pronouns, person, gender, "
    "plural, imperative, past, numerals, passive, and ends of sentences.",
    question="Which neurons know what form a word has?",
    features=FEATURES,
    labels=labels,
    confounds=(
        "Gender, person and the kinds of pronouns are short lists of words in English.",
        "The last token of a word of several tokens often shows the ending, the first does not; "
        "both are rows.",
        "Most first ends of a sentence stand early in a text: their position tells them apart.",
    ),
    not_silver={
        "VerbForm_Ger": "Left out of silver tags: the tagger does not part gerunds from "
        "participles, and no rule on its parse does so as the treebank does.",
    },
)


def load(
    encoder: Encoder, *, n_per_feature: int, n_tokens: int, seed: int, source: str
) -> Collection:
    """Tokens labelled by the form of their words (see `load_tags`).

    Raises:
        DataError: If the treebank cannot be read, or has no rows of both kinds.
        SourceError: If the source cannot be had.
    """
    return load_tags(
        KIND, encoder, n_per_feature=n_per_feature, n_tokens=n_tokens, seed=seed, source=source
    )


SPEC = KIND.spec(load)
