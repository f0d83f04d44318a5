"""Universal dependencies and features from the labels of a parser in the CLEAR style.

Only what follows soundly is converted; the rest stays unknown. CLEAR hangs a noun under its
preposition and a predicate under its copula, where universal dependencies have it the other way
round, so that labels change their word. How far the result agrees with a treebank is measured by
`benchmarks/silver_agreement.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from needlepoint.features.treebank import UNKNOWN

UNCHANGED = [
    *("acl", "advcl", "advmod", "amod", "appos", "aux", "case", "cc", "ccomp", "compound", "conj"),
    *("csubj", "det", "expl", "mark", "nsubj", "nummod", "parataxis", "punct", "xcomp"),
]
SAME = {
    **{name: name for name in UNCHANGED},
    "ROOT": "root",
    "acomp": "xcomp",
    "auxpass": "aux:pass",
    "csubjpass": "csubj:pass",
    "dative": "iobj",
    "dobj": "obj",
    "intj": "discourse",
    "neg": "advmod",
    "npadvmod": "obl:unmarked",
    "nsubjpass": "nsubj:pass",
    "oprd": "xcomp",
    "attr": "xcomp",
    "poss": "nmod:poss",
    "preconj": "cc:preconj",
    "predet": "det:predet",
    "prt": "compound:prt",
    "relcl": "acl:relcl",
}
"""Labels that only change their name, if that."""
PREPOSITION = {"prep", "agent", "dative"}
NOMINAL = {"NOUN", "PROPN", "PRON", "NUM", "SYM", "DET"}
PREDICATE = {"VERB", "ADJ", "ADV"}
BE = {"be", "is", "are", "was", "were", "been", "being", "am", "'s", "'re", "'m", "s", "re", "m"}
HAVE = {"have", "has", "had", "having", "'ve", "'s", "'d", "ve", "s", "d"}
WH = {"who", "whom", "what", "which", "how", "why", "when", "where"}


class Parsed(NamedTuple):
    """A word as the parser leaves it."""

    form: str
    tag: str
    """Part of speech in the Penn tag set."""
    upos: str
    dep: str
    head: int
    """Number of the word it depends on; its own for the root."""
    feats: dict[str, str]


def relations(words: Sequence[Parsed]) -> list[str]:
    """The universal dependency relation of each word, `_` where it does not follow.

    Example:
        >>> tags = [("in", "IN", "ADP", "prep", 2), ("Paris", "NNP", "PROPN", "pobj", 0)]
        >>> tags += [("lives", "VBZ", "VERB", "ROOT", 2)]
        >>> relations([Parsed(*tag, {}) for tag in tags])
        ['case', 'obl', 'root']
    """
    below = _children(words)
    found = [SAME.get(word.dep, UNKNOWN) for word in words]
    for i, word in enumerate(words):
        if word.dep == "aux" and word.tag == "TO":
            found[i] = "mark"
        elif word.dep == "ccomp" and _has_no_own_subject(i, words, below):
            found[i] = "xcomp"
            for child in _with(below[i], words, {"nsubj"}):
                found[child] = "obj"
        elif word.dep == "relcl" and _infinitive(i, words, below):
            found[i] = "acl"
        elif word.dep == "nummod" and word.head < i:  # the day of a date, the number of a page
            found[i] = UNKNOWN
        elif word.dep == "ccomp" and i < word.head and not _with(below[i], words, {"mark"}):
            found[i] = found[word.head] = UNKNOWN  # sentences run together, or speech
        elif word.upos == "PROPN" and word.dep == "compound":
            # a name is flat and its first word is its head: who is a person is not known here
            found[i] = UNKNOWN
            if words[word.head].upos == "PROPN":
                found[word.head] = UNKNOWN
    for i, word in enumerate(words):
        if word.upos in ("ADP", "SCONJ") and word.dep in PREPOSITION | {"conj", "ROOT"}:
            _turn_preposition(i, words, below, found)
    for i in reversed(range(len(words))):
        if words[i].form.lower() in BE and words[i].dep not in ("aux", "auxpass"):
            _turn_copula(i, words, below, found)
    return found


def _turn_preposition(
    i: int, words: Sequence[Parsed], below: Sequence[Sequence[int]], found: list[str]
) -> None:
    """The noun takes the place of its preposition, which marks its case."""
    objects = _with(below[i], words, {"pobj"})
    clauses = _with(below[i], words, {"pcomp"})
    above = words[words[i].head]
    over_noun, over_predicate = above.upos in NOMINAL, above.upos in PREDICATE
    outer = found[i]
    found[i] = "case" if objects else "mark" if clauses else UNKNOWN
    if words[i].dep in ("conj", "ROOT"):
        noun = clause = outer
    elif words[i].dep == "agent":
        noun, clause = "obl:agent", "advcl"
    else:
        noun = "nmod" if over_noun else "obl" if over_predicate else UNKNOWN
        clause = "acl" if over_noun else "advcl" if over_predicate else UNKNOWN
    for child in objects:
        if found[child] == UNKNOWN and words[child].dep == "pobj" and not _named(child, words):
            found[child] = noun
    for child in clauses:
        found[child] = clause


def _named(i: int, words: Sequence[Parsed]) -> bool:
    return any(w.head == i and w.dep == "compound" and w.upos == "PROPN" for w in words)


def _turn_copula(
    i: int, words: Sequence[Parsed], below: Sequence[Sequence[int]], found: list[str]
) -> None:
    """The predicate takes the place of its copula."""
    predicates = _with(below[i], words, {"attr", "acomp"})
    if _with(below[i], words, {"expl"}):  # there is something: no copula
        for child in predicates:
            found[child] = "nsubj"
    elif predicates:
        found[predicates[0]] = found[i] if not _named(predicates[0], words) else UNKNOWN
        found[i] = "cop"
    else:
        found[i] = UNKNOWN
        for child in _with(below[i], words, {"prep", "advmod"}):
            for noun in _with(below[child], words, {"pobj"}):
                found[noun] = UNKNOWN
            if words[child].dep == "advmod":
                found[child] = UNKNOWN


def _has_no_own_subject(i: int, words: Sequence[Parsed], below: Sequence[Sequence[int]]) -> bool:
    """Whether a clause is "(wants him) to go" or "(makes him) go"."""
    marked = _with(below[i], words, {"mark"})
    modal = [child for child in _with(below[i], words, {"aux"}) if words[child].tag == "MD"]
    return words[i].tag == "VB" and not marked and not modal


def _infinitive(i: int, words: Sequence[Parsed], below: Sequence[Sequence[int]]) -> bool:
    return any(words[child].tag == "TO" for child in below[i])


def features(words: Sequence[Parsed]) -> list[str]:
    """The universal features of each word: those of the tagger, and what its parse adds.

    The form of "-ing" words and the voice of participles are given only where the parse tells,
    and are else unknown. Mood follows from tag and subject; whether "who" asks or refers follows
    from the clause it is in.
    """
    below = _children(words)
    found = []
    for i, word in enumerate(words):
        deps = {words[child].dep for child in below[i]}
        own = {**word.feats, **_verbal(word, deps, below[i], words), **_pronominal(word, words)}
        known = {key: value for key, value in sorted(own.items()) if value}
        found.append("|".join(f"{key}={value}" for key, value in known.items()) or UNKNOWN)
    return found


def _verbal(
    word: Parsed, deps: set[str], below: Sequence[int], words: Sequence[Parsed]
) -> dict[str, str]:
    """Features of a verb that depend on its surroundings; empty ones are taken away."""
    if word.upos not in ("VERB", "AUX"):
        return {}
    if word.tag in ("VBD", "VBP", "VBZ"):
        return {"Mood": "Ind"}
    if word.tag == "VB":
        bare = not deps & {"nsubj", "nsubjpass", "aux", "expl", "mark", "csubj"}
        return {"Mood": "Imp", "VerbForm": "Fin"} if word.dep == "ROOT" and bare else {}
    if word.tag == "VBG":
        return {} if "aux" in deps else {"VerbForm": "", "Tense": ""}
    if word.tag == "VBN" and word.upos == "VERB":
        perfect = any(words[c].dep == "aux" and words[c].form.lower() in HAVE for c in below)
        passive = "auxpass" in deps or (word.dep == "acl" and not perfect)
        return {"Voice": "Pass" if passive else "Act" if perfect else UNKNOWN}
    return {}


def _pronominal(word: Parsed, words: Sequence[Parsed]) -> dict[str, str]:
    """Whether a word of the kind of "who" asks (in a main clause) or refers (in a relative one)."""
    if word.form.lower() not in WH or not word.tag.startswith("W"):
        return {}
    above = words[word.head]
    above = words[above.head] if above.dep in ("prep", "dobj", "advmod", "attr") else above
    if above.dep == "relcl":
        return {"PronType": "Rel"}
    asks = above.dep == "ROOT" or word.form.lower() in ("how", "why")
    return {"PronType": "Int" if asks else ""}


def _children(words: Sequence[Parsed]) -> list[list[int]]:
    below: list[list[int]] = [[] for _ in words]
    for i, word in enumerate(words):
        if word.head != i:
            below[word.head].append(i)
    return below


def _with(below: Sequence[int], words: Sequence[Parsed], deps: set[str]) -> list[int]:
    return [child for child in below if words[child].dep in deps]
