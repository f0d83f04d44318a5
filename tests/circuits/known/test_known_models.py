"""Every known model does its task, and what resampling can see of it is worked out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from needlepoint._core.errors import DataError, UnknownNameError
from needlepoint.circuits.known.models import KNOWN_MODELS, known_model
from needlepoint.circuits.known.seen import seen_edges
from needlepoint.circuits.metric import Answers
from needlepoint.models.tracr.library import has_tracr

SEEN = {
    "planted induction": {
        ("embed", "L0.V2"), ("embed", "L1.V3"), ("L0.H2", "L1.K3"), ("L1.H3", "logits"),
    },
    "planted rules": {
        ("embed", "L0.V1"), ("embed", "L1.mlp"), ("embed", "logits"), ("L0.H5", "L1.mlp"),
        ("L1.mlp", "logits"),
    },
    "tracr reverse": {("embed", "L3.V0"), ("L3.H0", "logits")},
    "tracr frac_prevs": {("embed", "L0.mlp"), ("L0.mlp", "L1.V0"), ("L1.H0", "logits")},
}  # fmt: skip
"""Worked out by hand: positions, lengths and the last letters of the induction prompts are the
same on both prompts of a pair."""


def needs_tracr(name: str) -> None:
    if name.startswith("tracr") and not has_tracr():
        pytest.skip("needs the extra needlepoint[tracr]")


@pytest.mark.parametrize("name", list(KNOWN_MODELS))
def test_the_model_does_what_its_prompts_ask(name) -> None:
    needs_tracr(name)
    known = known_model(name, n_pairs=6)
    with torch.no_grad():
        clean, corrupt = (
            known.model.last_logits(batch) for batch in (known.pairs.clean, known.pairs.corrupt)
        )
    answers = Answers.of(known.prompts)
    assert bool(answers.right_above_wrong(clean).all())
    assert bool((answers(clean) > answers(corrupt)).all())
    assert bool(known.heads(known.nodes).any())
    assert int(known.wired.sum()) < known.graph.n_edges


@pytest.mark.parametrize("name", list(SEEN))
def test_what_resampling_can_see_is_what_differs(name) -> None:
    needs_tracr(name)
    known = known_model(name, n_pairs=8)
    assert set(known.named(known.seen)) == SEEN[name]
    writers = {writer for writer, _ in SEEN[name]}
    seen = zip(known.graph.writers, known.seen_nodes.tolist(), strict=True)
    assert {node.name for node, there in seen if there} == writers


def test_equal_prompts_show_no_edge() -> None:
    known = known_model("planted induction", n_pairs=4)
    same = replace(known.pairs, corrupt=known.pairs.clean)
    with pytest.raises(DataError, match="no edge can be seen; give prompts with different answers"):
        seen_edges(known.model, same, known.wired)


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(UnknownNameError, match="unknown known model 'planted'"):
        known_model("planted")
