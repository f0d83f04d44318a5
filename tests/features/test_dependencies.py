"""The 29 relations of the reference, each against all others, subtypes apart."""

from __future__ import annotations

import numpy as np

from needlepoint.features.dependencies import FEATURES, SPEC, labels
from needlepoint.features.treebank import TaggedText


def of(*deprel: str) -> np.ndarray:
    n = len(deprel)
    spans = np.column_stack([np.arange(n) * 2, np.arange(n) * 2 + 1])
    return labels(
        TaggedText("d", "a " * n, spans, np.zeros(n, int), ("X",) * n, deprel, ("_",) * n)
    )


def test_the_features_are_those_of_the_reference():
    expected = (
        "acl acl:relcl advcl advmod amod appos aux aux:pass case cc ccomp compound conj cop det "
        "flat list mark nmod nmod:poss nsubj nsubj:pass nummod obj obl parataxis punct root xcomp"
    )
    assert list(FEATURES) == expected.split(" ")
    assert len(FEATURES) == 29
    left_out = {"appos", "flat", "list", "parataxis"}
    assert set(FEATURES) - set(SPEC.features) == left_out == set(SPEC.card.shortfalls)
    assert all(reason for reason in SPEC.card.shortfalls.values())


def test_a_subtype_is_another_relation_and_no_relation_is_not_asked():
    found = of("nmod", "nmod:poss", "discourse", "_")
    nmod, poss = FEATURES.index("nmod"), FEATURES.index("nmod:poss")
    assert found[:, nmod].tolist() == [1, 0, 0, -1]
    assert found[:, poss].tolist() == [0, 1, 0, -1]
    assert found[:3].sum() == 2
