"""Saturation, shared neurons and features that are one are said; nothing else is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr

from needlepoint.evaluation.cautions import cautions, label_correlations


def feature(name: str, site: str, n_perfect: int = 0) -> dict[str, object]:
    return {"feature": name, "site": site, "n_perfect": n_perfect}


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    rng = np.random.default_rng(0)
    one = rng.random(60) < 0.4
    return np.column_stack([one, one ^ (np.arange(60) == 3), ~one, rng.random(60) < 0.5])


def test_correlations_are_on_rows_that_both_are_asked_on(labels) -> None:
    asked = np.ones_like(labels)
    asked[::3, 1] = False
    found = label_correlations(labels, asked)
    both = asked[:, 0] & asked[:, 1]
    assert found[0, 1] == pytest.approx(pearsonr(labels[both, 0], labels[both, 1]).statistic)
    assert found[0, 2] == -1
    assert np.array_equal(found, found.T)


def test_few_common_rows_or_one_class_say_nothing(labels) -> None:
    asked = np.ones_like(labels)
    asked[15:, 1] = False
    assert np.isnan(label_correlations(labels, asked)[0, 1])
    asked[:] = True
    asked[~labels[:, 0], 3] = False
    assert np.isnan(label_correlations(labels, asked)[0, 3]), "the first has one class there"


def test_each_caution_names_what_it_is_about(labels) -> None:
    features = [
        feature("a", "L1.N2", 7),
        feature("b", "L1.N2"),
        feature("c", "L0.N5"),
        feature("d", "L0.N6", 1),
    ]
    said = cautions(features, labels, np.ones_like(labels))
    assert "(a 7)" in said[0]
    assert said[1] == "L1.N2 is the best neuron of a and b: it does not tell them apart."
    assert said[2].startswith("a and b have nearly the same labels")
    assert said[3].startswith("a and c have nearly opposite labels")
    assert not any("d" in sentence.split() for sentence in said)


def test_there_may_be_nothing_to_say(labels) -> None:
    features = [feature("a", "L1.N2"), feature("d", "L0.N5")]
    assert cautions(features, labels[:, [0, 3]], np.ones((60, 2), dtype=bool)) == []
