"""The 22 features of the reference, each asked on the words that the reference asks it on."""

from __future__ import annotations

import numpy as np
import pytest

from needlepoint.features.morphology import FEATURES, SPEC, labels, sentence_ends
from needlepoint.features.treebank import TaggedText


def text_of(*words: tuple[str, str, str, int]) -> TaggedText:
    """Words as (form, part of speech, features, sentence)."""
    forms, upos, feats, sentences = zip(*words, strict=True)
    ends = np.cumsum([len(form) + 1 for form in forms]) - 1
    return TaggedText(
        document="d",
        text=" ".join(forms),
        spans=np.column_stack([ends - [len(form) for form in forms], ends]),
        sentences=np.array(sentences),
        upos=upos,
        deprel=("dep",) * len(forms),
        feats=feats,
    )


def of_word(feature: str, upos: str, feats: str) -> int:
    return int(labels(text_of(("a", upos, feats, 0)))[0, FEATURES.index(feature)])


def test_the_features_are_those_of_the_reference():
    expected = (
        "VerbForm_Fin VerbForm_Inf VerbForm_Ger VerbForm_Part PronType_Art PronType_Dem "
        "PronType_Prs PronType_Rel PronType_Int Person_1 Person_2 Person_3 Gender_Masc Gender_Fem "
        "Gender_Neut Number_Plur Mood_Imp Tense_Past NumType_Card Voice_Pass eos_True "
        "first_eos_True"
    )
    assert list(FEATURES) == expected.split(" ")
    assert set(FEATURES) - set(SPEC.features) == {"VerbForm_Ger"} == set(SPEC.card.shortfalls)


@pytest.mark.parametrize(
    ("feature", "upos", "feats", "expected"),
    [
        ("Person_1", "PRON", "Person=1", 1),
        ("Person_1", "PRON", "Person=3", 0),
        ("Person_1", "NOUN", "Number=Plur", -1),
        ("Gender_Fem", "PRON", "Gender=Fem,Masc", 1),
        ("Gender_Neut", "PRON", "Gender=Fem,Masc", 0),
        ("PronType_Rel", "PRON", "PronType=Tot", 0),
        ("VerbForm_Ger", "NOUN", "_", -1),
        ("Number_Plur", "NOUN", "Number=Plur", 1),
        ("Number_Plur", "NOUN", "Number=Sing", 0),
        ("Number_Plur", "NOUN", "Number=Ptan", -1),
        ("Number_Plur", "VERB", "_", -1),
        ("Mood_Imp", "VERB", "Mood=Imp", 1),
        ("Mood_Imp", "VERB", "Mood=Ind", 0),
        ("Mood_Imp", "VERB", "Mood=Sub", -1),
        ("Tense_Past", "VERB", "Tense=Pres", 0),
        ("Tense_Past", "VERB", "Tense=Past|VerbForm=Part", 1),
        ("NumType_Card", "NUM", "NumType=Card", 1),
        ("NumType_Card", "ADJ", "NumType=Ord", 0),
        ("NumType_Card", "NOUN", "_", 0),
        ("Voice_Pass", "VERB", "Voice=Pass", 1),
        ("Voice_Pass", "VERB", "_", 0),
        ("Voice_Pass", "VERB", "Voice=Act", 0),
        ("Voice_Pass", "VERB", "Voice=_", -1),
        ("Voice_Pass", "AUX", "_", -1),
    ],
)
def test_each_feature_is_asked_where_the_reference_asks_it(feature, upos, feats, expected):
    assert of_word(feature, upos, feats) == expected


def test_ends_of_sentences_are_marks_and_only_the_first_is_first():
    text = text_of(
        ("Well", "INTJ", "_", 0),
        ("Mr.", "NOUN", "_", 1),
        ("No", "INTJ", "_", 1),
        ("?!", "PUNCT", "_", 1),
        ("see", "VERB", "_", 2),
        ("a.com", "X", "_", 2),
        ("Yes", "INTJ", "_", 3),
        (".", "PUNCT", "_", 3),
    )
    assert sentence_ends(text).tolist() == [0, 0, 0, 1, 0, -1, 0, 1]
    found = labels(text)
    assert found[:, FEATURES.index("eos_True")].tolist() == [0, 0, 0, 1, 0, -1, 0, 1]
    assert found[:, FEATURES.index("first_eos_True")].tolist() == [-1, -1, -1, 1, -1, -1, -1, 0]


def test_a_text_without_an_end_has_no_first():
    found = labels(text_of(("Well", "INTJ", "_", 0)))
    assert found[0, -2:].tolist() == [0, -1]
