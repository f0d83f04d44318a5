"""Labels of the tagger become universal ones where that follows, and stay unknown elsewhere."""

from __future__ import annotations

import pytest

from needlepoint.features.clear_to_ud import Parsed, features, relations


def parse(text: str) -> list[Parsed]:
    """Words written as form/tag/upos/dep/head; heads are counted from 0."""
    found = []
    for word in text.split():
        form, tag, upos, dep, head = word.split("/")
        found.append(Parsed(form, tag, upos, dep, int(head), {}))
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("She/PRP/PRON/nsubj/1 is/VBZ/AUX/ROOT/1 ill/JJ/ADJ/acomp/1", "nsubj cop root"),
        ("It/PRP/PRON/nsubj/1 's/VBZ/AUX/ROOT/1 a/DT/DET/det/3 cat/NN/NOUN/attr/1",
         "nsubj cop det root"),
        ("There/EX/PRON/expl/1 is/VBZ/VERB/ROOT/1 hope/NN/NOUN/attr/1", "expl root nsubj"),
        ("She/PRP/PRON/nsubj/1 is/VBZ/AUX/ROOT/1 in/IN/ADP/prep/1 Rome/NNP/PROPN/pobj/2",
         "nsubj _ case _"),
        ("cup/NN/NOUN/ROOT/0 of/IN/ADP/prep/0 tea/NN/NOUN/pobj/1", "root case nmod"),
        ("go/VB/VERB/ROOT/0 by/IN/ADP/prep/0 train/NN/NOUN/pobj/1", "root case obl"),
        ("seen/VBN/VERB/ROOT/0 by/IN/ADP/agent/0 him/PRP/PRON/pobj/1", "root case obl:agent"),
        ("go/VB/VERB/ROOT/0 after/IN/ADP/prep/0 eating/VBG/VERB/pcomp/1", "root mark advcl"),
        ("want/VBP/VERB/ROOT/0 him/PRP/PRON/nsubj/3 to/TO/PART/aux/3 go/VB/VERB/ccomp/0",
         "root obj mark xcomp"),
        ("say/VBP/VERB/ROOT/0 he/PRP/PRON/nsubj/3 will/MD/AUX/aux/3 go/VB/VERB/ccomp/0",
         "root nsubj aux ccomp"),
        ("things/NNS/NOUN/ROOT/0 to/TO/PART/aux/2 do/VB/VERB/relcl/0", "root mark acl"),
        ("Ann/NNP/PROPN/compound/1 Lee/NNP/PROPN/nsubj/2 left/VBD/VERB/ROOT/2", "_ _ root"),
        ("May/NNP/PROPN/ROOT/0 5/CD/NUM/nummod/0", "root _"),
        ("He/PRP/PRON/nsubj/1 left/VBD/VERB/ccomp/4 ,/,/PUNCT/punct/4 she/PRP/PRON/nsubj/4 "
         "said/VBD/VERB/ROOT/4", "nsubj _ punct nsubj _"),
        ("was/VBD/AUX/auxpass/1 seen/VBN/VERB/ROOT/1 his/PRP$/PRON/poss/3 dog/NN/NOUN/dobj/1",
         "aux:pass root nmod:poss obj"),
        ("odd/JJ/ADJ/meta/1 word/NN/NOUN/ROOT/1", "_ root"),
    ],
)  # fmt: skip
def test_relations(text, expected):
    assert relations(parse(text)) == expected.split()


@pytest.mark.parametrize(
    ("text", "word", "expected"),
    [
        ("was/VBD/AUX/auxpass/1 seen/VBN/VERB/ROOT/1", 1, "Voice=Pass"),
        ("has/VBZ/AUX/aux/1 seen/VBN/VERB/ROOT/1", 1, "Voice=Act"),
        ("tired/VBN/VERB/amod/1 dog/NN/NOUN/ROOT/1", 0, "Voice=_"),
        ("dog/NN/NOUN/ROOT/0 called/VBN/VERB/acl/0", 1, "Voice=Pass"),
        ("Come/VB/VERB/ROOT/0 here/RB/ADV/advmod/0", 0, "Mood=Imp|VerbForm=Fin"),
        ("will/MD/AUX/aux/1 come/VB/VERB/ROOT/1", 1, "_"),
        ("he/PRP/PRON/nsubj/1 came/VBD/VERB/ROOT/1", 1, "Mood=Ind"),
        ("Who/WP/PRON/nsubj/1 came/VBD/VERB/ROOT/1", 0, "PronType=Int"),
        ("man/NN/NOUN/ROOT/0 who/WP/PRON/nsubj/2 came/VBD/VERB/relcl/0", 1, "PronType=Rel"),
        ("know/VBP/VERB/ROOT/0 what/WP/PRON/dobj/2 came/VBD/VERB/ccomp/0", 1, "_"),
    ],
)
def test_features(text, word, expected):
    assert features(parse(text))[word] == expected


def test_the_form_of_an_ing_word_is_known_only_beside_an_auxiliary():
    tense = {"VerbForm": "Part", "Tense": "Pres"}
    alone = Parsed("eating", "VBG", "VERB", "ROOT", 0, tense)
    assert features([alone]) == ["_"]
    helped = [Parsed("is", "VBZ", "AUX", "aux", 1, {}), alone._replace(head=1)]
    assert features(helped)[1] == "Tense=Pres|VerbForm=Part"
