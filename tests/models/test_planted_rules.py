"""Each neuron of the circuit fires on its two letters in a row and on neither alone."""

from __future__ import annotations

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.models.check import check_model
from needlepoint.models.hooks import record, replace
from needlepoint.models.planted import planted_model
from needlepoint.models.planted_parts import GAIN, LETTERS
from needlepoint.models.planted_rules import planted_rule_prompts, planted_rules
from needlepoint.models.sites import Part, Site


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module", params=[0, 1])
def planted(request):
    return planted_rules(seed=request.param)


def logits_after(planted, text: str) -> dict[str, float]:
    model = planted.model
    row = model.last_logits(model.batch([model.encoder.encode(text)]))[0]
    return dict(zip(model.encoder.pieces(list(range(len(row)))), row.tolist(), strict=True))


def test_every_rule_holds_and_needs_both_letters(planted) -> None:
    taken = {letter for rule in planted.rules for letter in (rule.before, rule.here, rule.after)}
    free = next(letter for letter in LETTERS if letter not in taken)
    for rule in planted.rules:
        both = logits_after(planted, f"{free} {rule.before} {rule.here}")
        assert max(both, key=both.get) == rule.after
        other = next(one for one in planted.rules if one != rule)
        for text in (f"{other.before} {rule.here}", f"{rule.before} {free} {rule.here}"):
            assert logits_after(planted, text)[rule.after] < both[rule.after] - 0.9 * GAIN
        alone = logits_after(planted, f"{free} {rule.before} {other.here}")
        assert alone[rule.after] < 0.5 * GAIN


def test_only_the_parts_of_the_circuit_affect_anything(planted) -> None:
    model, prompts = planted.model, planted_rule_prompts(planted, n_pairs=16)
    layers = range(model.shape.n_layers)
    sites = [*model.head_sites(), *(Site.of(layer, Part.MLP) for layer in layers)]
    with record(model, sites) as corrupt:
        model.hidden(model.batch(prompts.corrupt_ids))
    batch = model.batch(prompts.clean_ids)
    plain = model.last_logits(batch)
    inside = {*planted.heads, *(Site.of(layer, Part.MLP) for layer in planted.mlps)}
    for site, value in corrupt.items():
        with replace(model, {site: value}):
            moved = (model.last_logits(batch) - plain).abs().amax(1)
        assert bool((moved > 0.5 * GAIN).all()) if site in inside else float(moved.max()) < 1e-4


def test_prompts_share_all_but_the_last_two_letters(planted) -> None:
    prompts = planted_rule_prompts(planted, n_pairs=16, length=6)
    for pair in prompts.pairs:
        clean, corrupt = pair.clean.split(), pair.corrupt.split()
        assert len(clean) == 6
        assert clean[:-2] == corrupt[:-2]
        assert not {*clean[-2:]} & {*corrupt[-2:]}
        assert pair.answer != pair.wrong
    assert prompts.sha256 == planted_rule_prompts(planted, n_pairs=16, length=6).sha256


def test_shared_keys_and_values_leave_the_behaviour_as_it_is() -> None:
    for n_kv_heads in (1, 2, 6):
        planted = planted_model(n_kv_heads=n_kv_heads)
        model = planted.model
        assert model.shape.n_kv_heads == n_kv_heads
        assert all(check.passed for check in check_model(model))
        best = model.last_logits(model.batch([model.encoder.encode("q x 7 b x")])).argmax(-1)
        assert model.encoder.pieces(best.tolist()) == ["7"]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="cannot share 4 key/value heads evenly; give a divisor"):
        planted_model(n_kv_heads=4)
    with pytest.raises(DataError, match="needs 2 layers and 1 head in each, not 1 and 6"):
        planted_rules(n_layers=1)
    with pytest.raises(DataError, match="n_rules is 13; it must be from 2 to 12"):
        planted_rules(n_rules=13)
    with pytest.raises(DataError, match="length is 1; two letters make a rule"):
        planted_rule_prompts(planted_rules(), length=1)
