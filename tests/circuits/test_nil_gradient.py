"""Methods that ask for a gradient where there is none by construction refuse; others do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.circuits.attribution import (
    attribution_patching,
    attribution_patching_gim,
    eap,
    eap_gim,
    eap_ig_activations,
    eap_ig_activations_gim,
    eap_ig_inputs,
    eap_ig_inputs_gim,
    hisp,
    nil_gradient,
)
from needlepoint.circuits.attribution.nil_gradient import require_gradient
from needlepoint.circuits.methods import CIRCUIT_METHODS, Found, Question
from needlepoint.circuits.metric import Answers, Custom, Divergence
from needlepoint.circuits.pair_batch import corrupt_metric, from_clean
from needlepoint.circuits.patching.effects import node_effects
from needlepoint.circuits.search import path_patching
from needlepoint.evaluation.paper_faithfulness import of_clean
from needlepoint.testing.pairs import random_pairs
from needlepoint.testing.tiny import tiny_model

Method = Callable[[Question], Found]
AT_CLEAN: list[Method] = [attribution_patching, attribution_patching_gim, hisp, eap, eap_gim]
ELSEWHERE: list[Method] = [eap_ig_inputs, eap_ig_activations, path_patching]
MODIFIED: list[Method] = [eap_ig_inputs_gim, eap_ig_activations_gim]
"""On the same paths, with scores that are no derivatives of what they are held against here."""
REASON = (
    r"gradient on the clean prompts, where KL divergence.* is at its least and its gradient nil, "
    r".* rounding noise: use eap_ig_inputs, .*, exact patching .*, or the task's own metric\.$"
)


def divergence(family: str, *, denoised: bool = False) -> Question:
    """How far is each prediction from the clean one, starting there, or on the corrupt prompt."""
    model = tiny_model(family)
    pairs = from_clean(model, random_pairs(model, n=8, ragged=True))
    return Question(model, pairs.swapped() if denoised else pairs)


def agreement(found: Found, exact: torch.Tensor) -> float:
    """Correlation with the exact effects of heads and MLPs: the embedding alone would give one."""
    both = torch.stack([found.nodes.double()[1:], exact[1:]])
    return float(torch.corrcoef(both)[0, 1])


def test_the_divergence_is_flat_at_its_reference_and_nowhere_else() -> None:
    """Its derivative in the logits is the prediction less the reference."""
    rng = torch.Generator().manual_seed(0)
    reference, other = torch.randn(2, 4, 30, generator=rng)
    for at, flat in ((reference, True), (other, False)):
        logits = at.clone().requires_grad_()
        measure = Divergence(reference)
        (gradient,) = torch.autograd.grad(measure(logits).sum(), logits)
        torch.testing.assert_close(gradient, at.softmax(-1) - reference.softmax(-1))
        assert bool(gradient.abs().max() < 1e-6) is flat
        assert bool((measure(at) == measure.least).all()) is flat


@pytest.mark.parametrize("family", ["gemma3", "gpt2", "phi"])
@pytest.mark.parametrize("method", AT_CLEAN)
def test_methods_that_start_on_the_clean_prompt_refuse_the_divergence_from_it(
    method: Method, family: str
) -> None:
    with pytest.raises(DataError, match=REASON):
        method(divergence(family))


@pytest.mark.parametrize("family", ["gemma3", "gpt2", "phi"])
@pytest.mark.parametrize("method", ELSEWHERE)
def test_methods_whose_path_leaves_the_clean_prompt_see_what_moves_the_prediction(
    method: Method, family: str
) -> None:
    question = divergence(family)
    found = method(question)
    assert found.nodes[1:].abs().max() > 0.05
    assert agreement(found, node_effects(question.model, question.pairs).mean) > 0.9


@pytest.mark.parametrize("method", AT_CLEAN)
def test_on_the_corrupt_prompts_the_same_divergence_has_a_gradient(method: Method) -> None:
    question = divergence("gpt2", denoised=True)
    found = method(question)
    assert found.nodes.abs().max() > 0.01
    if method is attribution_patching:
        clean = from_clean(question.model, random_pairs(question.model, n=8, ragged=True))
        exact = node_effects(question.model, clean, denoise=True).mean
        assert agreement(found, exact) > 0.9


@pytest.mark.parametrize("method", MODIFIED)
def test_modified_gradients_on_such_a_path_are_not_refused(method: Method) -> None:
    assert method(divergence("gpt2")).nodes[1:].abs().max() > 0.05


def test_every_method_by_gradients_is_either_refused_or_leaves_the_clean_prompt() -> None:
    """Learned masks have a divergence of their own, on prompts that are ablated in part."""
    names = {name for name in CIRCUIT_METHODS if CIRCUIT_METHODS[name].gradients}
    known = {method.__name__ for method in (*AT_CLEAN, *ELSEWHERE, *MODIFIED)}
    assert names - known == {"subnetwork_probing", "edge_pruning"}


def test_the_other_divergence_is_refused_too() -> None:
    model = tiny_model("llama")
    with pytest.raises(DataError, match="KL divergence of the clean prediction is at its least"):
        eap(Question(model, of_clean(model, random_pairs(model))))


@pytest.mark.parametrize(("noise", "refused"), [(1e-5, True), (1e-1, False)])
def test_rounding_of_the_reference_is_no_gradient(noise: float, refused: bool) -> None:
    question = divergence("llama")
    reference = question.pairs.answers.reference
    rng = torch.Generator().manual_seed(0)
    moved = Divergence(reference + noise * torch.randn(reference.shape, generator=rng))
    off = replace(question, pairs=replace(question.pairs, answers=moved))
    assert (off.pairs.answers(reference) > 0).all(), "or else this test tells nothing"
    if refused:
        with pytest.raises(DataError, match=REASON):
            require_gradient(off)
    else:
        require_gradient(off)


def test_other_metrics_are_not_even_run(monkeypatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the clean prompts were run")

    monkeypatch.setattr(nil_gradient, "clean_metric", never)
    model = tiny_model("llama")
    pairs = random_pairs(model)
    assert isinstance(pairs.answers, Answers)
    plain = Custom(lambda logits: logits.amax(-1), len(pairs), "largest logit", "logits")
    for question in (Question(model, pairs), Question(model, replace(pairs, answers=plain))):
        require_gradient(question)


def test_a_custom_metric_can_say_where_it_is_flat() -> None:
    model = tiny_model("llama")
    pairs = random_pairs(model)
    with torch.no_grad():
        clean = model.last_logits(pairs.clean)
    squared = Custom(
        lambda logits, wanted: (logits - wanted).square().mean(-1),
        len(pairs),
        "squared distance",
        "squared logits",
        targets=clean,
        least=0.0,
    )
    question = Question(model, replace(pairs, answers=squared))
    assert corrupt_metric(model, question.pairs).min() > 0.01
    with pytest.raises(DataError, match="squared distance is at its least"):
        eap(question)
    silent = replace(pairs, answers=replace(squared, least=None))
    assert eap(Question(model, silent)).nodes.abs().max() < 1e-5
