"""q-values bound the share of false findings, and leave what has no p-value alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from needlepoint.evaluation.false_discovery import LEVEL, q_values


@given(st.lists(st.one_of(st.none(), st.floats(0.001, 1)), max_size=12))
def test_known_ones_are_adjusted_among_themselves(p_values: list[float | None]) -> None:
    found = q_values(p_values)
    known = [p for p in p_values if p is not None]
    assert [q is None for q in found] == [p is None for p in p_values]
    if known:
        adjusted = [q for q in found if q is not None]
        assert adjusted == pytest.approx(false_discovery_control(known))
        assert all(q >= p for p, q in zip(known, adjusted, strict=True))


def test_the_share_of_false_findings_keeps_to_its_level() -> None:
    """Half of forty features are real; mean share of false ones among the found, 400 times."""
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(400):
        real = rng.random(20) * 1e-4
        found = np.array(q_values([*real, *rng.random(20)])) <= LEVEL
        shares.append(found[20:].sum() / max(found.sum(), 1))
    assert np.mean(shares) < LEVEL
    assert np.mean(shares) > 0.01, "far below the level would be another procedure"
