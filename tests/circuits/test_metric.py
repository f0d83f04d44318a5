"""The metrics are what they are by definition, and for one token what they always were."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, rel_entr, softmax

from needlepoint._core.errors import DataError
from needlepoint.circuits.metric import KL_ROWS, UNITS, Answers, Custom, Divergence, Measure, kl
from needlepoint.tasks.pairs import Pair, pair_prompts
from needlepoint.testing.tiny import tiny_model

N_PAIRS, VOCAB = 5, 40
SEEDS = st.integers(0, 10_000)
RIGHT = torch.tensor([[1, 2, 3], [4, -1, -1], [5, 6, -1], [7, 8, 9], [10, -1, -1]])
WRONG = torch.tensor([[11, 12], [13, -1], [14, 15], [16, -1], [17, 18]])
METRICS = tuple(UNITS)


def drawn(seed: int, scale: float = 3.0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return scale * torch.randn(N_PAIRS, VOCAB, generator=rng)


def listed(tokens: torch.Tensor) -> list[list[int]]:
    return [[token for token in row if token >= 0] for row in tokens.tolist()]


def by_hand(logits: torch.Tensor, metric: str) -> np.ndarray:
    values = logits.double().numpy()
    found = []
    for row, right, wrong in zip(values, listed(RIGHT), listed(WRONG), strict=True):
        if metric == "logit difference":
            found.append(np.mean(row[right]) - np.mean(row[wrong]))
        else:
            found.append(softmax(row)[right].sum() - softmax(row)[wrong].sum())
    return np.array(found)


@pytest.mark.parametrize("metric", METRICS)
@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_it_is_what_the_definition_gives(metric, seed) -> None:
    logits = drawn(seed)
    found = Answers(RIGHT, WRONG, metric)(logits)
    np.testing.assert_allclose(found.numpy(), by_hand(logits, metric), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("metric", METRICS)
@given(seed=SEEDS, shift=st.floats(-50, 50))
@settings(max_examples=20, deadline=None)
def test_adding_a_constant_to_all_logits_changes_nothing(metric, seed, shift) -> None:
    answers, logits = Answers(RIGHT, WRONG, metric), drawn(seed)
    torch.testing.assert_close(answers(logits + shift), answers(logits), rtol=0, atol=1e-4)


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_a_probability_difference_lies_between_its_ends_and_flips_with_the_answers(seed) -> None:
    logits = drawn(seed, scale=20.0)
    found = Answers(RIGHT, WRONG, "probability difference")(logits)
    assert (found.abs() <= 1 + 1e-6).all()
    torch.testing.assert_close(Answers(WRONG, RIGHT, "probability difference")(logits), -found)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_one_token_on_each_side_is_the_plain_difference_to_the_last_bit(dtype) -> None:
    logits = drawn(7).to(dtype)
    right, wrong = RIGHT[:, :1], WRONG[:, :1]
    rows = torch.arange(N_PAIRS)
    plain = (logits[rows, right[:, 0]] - logits[rows, wrong[:, 0]]).float()
    answers = Answers(right, wrong)
    assert torch.equal(answers(logits), plain)
    assert torch.equal(answers.right_above_wrong(logits), plain > 0)
    padded = Answers(
        torch.nn.functional.pad(right, (0, 2), value=-1),
        torch.nn.functional.pad(wrong, (0, 4), value=-1),
    )
    assert torch.equal(padded(logits), plain)
    assert torch.equal(padded.right_above_wrong(logits), plain > 0)


def test_right_is_the_best_right_above_the_best_wrong() -> None:
    logits = drawn(3)
    found = Answers(RIGHT, WRONG).right_above_wrong(logits).tolist()
    wanted = [
        max(row[token] for token in right) > max(row[token] for token in wrong)
        for row, right, wrong in zip(logits.tolist(), listed(RIGHT), listed(WRONG), strict=True)
    ]
    assert found == wanted
    assert len(set(found)) == 2, "or else this test tells nothing"
    assert not Answers(RIGHT, WRONG).right_above_wrong(torch.zeros(N_PAIRS, VOCAB)).any()


def test_the_mean_can_be_beaten_where_the_best_is_not() -> None:
    logits = torch.tensor([[0.0, 2.0, 3.0, -9.0]])
    metric, right = Answers(torch.tensor([[1]]), torch.tensor([[2, 3]])).judge(logits)
    assert metric.item() == 5
    assert not right.item()


@pytest.mark.parametrize("metric", METRICS)
def test_some_pairs_and_repeated_pairs_are_measured_as_all(metric) -> None:
    answers, logits = Answers(RIGHT, WRONG, metric), drawn(1)
    whole = answers(logits)
    assert torch.equal(answers.rows(slice(1, 4))(logits[1:4]), whole[1:4])
    assert torch.equal(answers.rows(torch.tensor([3, 0]))(logits[[3, 0]]), whole[[3, 0]])
    assert torch.equal(answers.repeat(3)(logits.repeat(3, 1)), whole.repeat(3))
    assert len(answers) == N_PAIRS
    assert answers.to(torch.device("cpu")).metric == metric


def test_chance_is_the_share_of_right_tokens_among_those_listed() -> None:
    shares = [3 / 5, 1 / 2, 2 / 4, 3 / 4, 1 / 3]
    assert Answers(RIGHT, WRONG).chance == pytest.approx(np.mean(shares))
    assert Answers(RIGHT[:, :1], WRONG[:, :1]).chance == 0.5
    rng = torch.Generator().manual_seed(0)
    draws = [
        Answers(RIGHT, WRONG).right_above_wrong(torch.randn(N_PAIRS, VOCAB, generator=rng))
        for _ in range(2000)
    ]
    assert torch.stack(draws).double().mean().item() == pytest.approx(np.mean(shares), abs=0.02)


def test_answers_of_prompts_are_their_tokens_in_any_order() -> None:
    pairs = [Pair("ab", "cd", ("x", "y"), "z"), Pair("e", "f", "p", ("q", "r", "s"))]
    labels = {"task": "t", "description": "d", "question": "q?", "corruption": "c"}
    encoder = tiny_model("llama").encoder
    prompts = pair_prompts(pairs, encoder, metric="probability difference", **labels)

    def tokens(text: str) -> list[int]:
        return encoder.encode(text)

    found = Answers.of(prompts)
    assert listed(found.right) == [tokens("xy"), tokens("p")]
    assert listed(found.wrong) == [tokens("z"), tokens("qrs")]
    assert (found.metric, found.unit) == ("probability difference", "probability")
    turned = Answers.of(prompts, [1, 0])
    assert listed(turned.right) == [tokens("p"), tokens("xy")]


def test_a_pair_without_an_answer_is_refused() -> None:
    none = torch.tensor([[1], [-1]])
    with pytest.raises(DataError, match=r"^pair 2 has no right answer; give it one\.$"):
        Answers(none, torch.tensor([[2], [3]]))
    with pytest.raises(DataError, match=r"^pair 2 has no wrong answer"):
        Answers(torch.tensor([[2], [3]]), none)


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_the_divergence_is_that_of_scipy(seed) -> None:
    logits, reference = drawn(seed), drawn(seed + 1)
    p, q = softmax(reference.double().numpy(), axis=1), softmax(logits.double().numpy(), axis=1)
    np.testing.assert_allclose(kl(logits, reference).numpy(), rel_entr(p, q).sum(1), rtol=1e-5)


@given(seed=SEEDS, shift=st.floats(-30, 30))
@settings(max_examples=20, deadline=None)
def test_the_divergence_is_0_for_equal_predictions_only(seed, shift) -> None:
    logits = drawn(seed)
    assert torch.equal(kl(logits, logits), torch.zeros(N_PAIRS))
    assert kl(logits + shift, logits).max() < 1e-6
    moved = logits.clone()
    moved[2, 5] += 1
    found = kl(moved, logits)
    assert (found >= 0).all()
    assert found.nonzero()[:, 0].tolist() == [2]


def test_a_small_divergence_is_not_lost_in_rounding() -> None:
    """It is half the variance of a small change of the logits, though the terms are far larger."""
    logits = drawn(0)
    change = 1e-4 * torch.randn(N_PAIRS, VOCAB, generator=torch.Generator().manual_seed(1)).double()
    p = np.exp(log_softmax(logits.double().numpy(), axis=1))
    mean = (p * change.numpy()).sum(1)
    wanted = 0.5 * ((p * change.numpy() ** 2).sum(1) - mean**2)
    found = kl(logits.double() + change, logits.double())
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-2)


def test_a_token_that_the_reference_rules_out_adds_nothing() -> None:
    reference = torch.tensor([[0.0, 0.0, -torch.inf]])
    assert kl(torch.zeros(1, 3), reference).item() == pytest.approx(np.log(1.5))
    assert kl(reference, reference).item() == 0


def test_many_predictions_are_compared_in_pieces() -> None:
    logits, reference = drawn(6).repeat(60, 1), drawn(7).repeat(60, 1)
    assert len(logits) > 2 * KL_ROWS
    assert torch.equal(kl(logits, reference), kl(drawn(6), drawn(7)).repeat(60))


def test_the_divergence_from_a_reference_is_a_metric_of_pairs() -> None:
    reference, logits = drawn(4), drawn(5)
    measure = Divergence(reference)
    whole = measure(logits)
    assert torch.equal(whole, kl(logits, reference))
    assert torch.equal(measure.rows(slice(2, 4))(logits[2:4]), whole[2:4])
    assert torch.equal(measure.repeat(2)(logits.repeat(2, 1)), whole.repeat(2))
    assert len(measure) == N_PAIRS


def custom(targets: torch.Tensor | None = None) -> Custom:
    if targets is None:
        return Custom(lambda logits: logits.amax(-1), N_PAIRS, "largest logit", "logits")
    return Custom(
        lambda logits, token: logits.gather(1, token)[:, 0],
        N_PAIRS,
        "logit of the target",
        "logits",
        targets,
    )


def test_any_function_of_the_logits_is_a_metric() -> None:
    logits = drawn(1)
    assert torch.equal(custom()(logits), logits.amax(-1))
    found = custom(RIGHT[:, :1])
    assert torch.equal(found(logits), logits.gather(1, RIGHT[:, :1])[:, 0])
    assert (found.name, found.unit, len(found)) == ("logit of the target", "logits", N_PAIRS)


@pytest.mark.parametrize("measure", [custom(), custom(RIGHT[:, :1]), Answers(RIGHT, WRONG)])
def test_every_metric_can_be_taken_apart_and_repeated(measure: Measure) -> None:
    logits, order = drawn(2), torch.tensor([3, 0, 0, 4])
    whole = measure(logits)
    assert isinstance(measure, Measure)
    assert len(measure.rows(order)) == 4
    torch.testing.assert_close(measure.rows(order)(logits[order]), whole[order])
    torch.testing.assert_close(measure.rows(slice(1, 3))(logits[1:3]), whole[1:3])
    twice = measure.repeat(2)
    assert len(twice) == 2 * N_PAIRS
    torch.testing.assert_close(twice(logits.repeat(2, 1)), whole.repeat(2))


def test_a_function_that_mixes_pairs_or_lacks_targets_is_refused() -> None:
    mixing = Custom(lambda logits: logits.mean(), N_PAIRS, "mean", "logits")
    with pytest.raises(DataError, match=r"'mean' gave numbers of shape \(\) for 5 pairs"):
        mixing(drawn(0))
    with pytest.raises(DataError, match="has targets for 2 of 5 pairs"):
        custom(RIGHT[:2])


def test_each_metric_says_its_name_and_unit() -> None:
    names = {
        (measure.name, measure.unit)
        for measure in (Answers(RIGHT, WRONG), Divergence(drawn(0)), custom())
    }
    assert names == {
        ("logit difference", "logits"),
        ("KL divergence", "nats"),
        ("largest logit", "logits"),
    }


def test_the_least_value_is_said_where_there_is_one_and_kept_by_parts() -> None:
    distance = Custom(lambda logits: logits.square().mean(-1), N_PAIRS, "d", "d", least=0.0)
    for measure in (Divergence(drawn(0)), distance):
        assert measure.least == measure.rows(slice(2)).least == measure.repeat(2).least == 0
        assert (measure(drawn(1)) >= measure.least).all()
    assert Answers(RIGHT, WRONG).least is None
    assert custom().least is None
