"""A sum of five neurons that each answer to something else as well is found, and is better."""

from __future__ import annotations

import itertools

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.evaluation.case_studies.basis_contrast import Parts
from needlepoint.evaluation.case_studies.neuron_sums import (
    best_sum,
    fit_sum,
    forward_sum,
    random_sums,
)
from needlepoint.evaluation.case_studies.sum_tests import (
    callers_of,
    constant,
    last_token,
    score_random,
    score_shuffled,
    summands,
    sums_frame,
)
from needlepoint.evaluation.case_studies.superposition_words import sum_numbers, verdict
from needlepoint.evaluation.clustered import Resamples, f1_of
from needlepoint.probing.scores import roc_auc

FIVE = (3, 7, 11, 19, 31)
SIGNS = (1, 1, -1, 1, -1)


def planted(n: int = 900, width: int = 40, seed: int = 0) -> tuple[torch.Tensor, Parts]:
    """Five neurons fire on the feature, and each on a tenth of the rest that is its own."""
    rng = torch.Generator().manual_seed(seed)
    truth = torch.rand(n, generator=rng) < 0.25
    acts = torch.randn(n, width, generator=rng)
    other = torch.randint(10, (n,), generator=rng)
    for place, (neuron, sign) in enumerate(zip(FIVE, SIGNS, strict=True)):
        fires = truth | (~truth & (other == place))
        acts[:, neuron] = sign * (6.0 * fires + torch.randn(n, generator=rng))
    thirds = torch.arange(n).split(n // 3)
    resamples = Resamples.draw(thirds[2], truth[thirds[2]], rng, n_resamples=300)
    return acts, Parts(truth, *thirds, resamples)


def test_the_planted_neurons_are_found_with_their_signs() -> None:
    acts, parts = planted()
    found = forward_sum(acts[parts.train], parts.truth[parts.train], 5)
    assert tuple(found.tolist()) == FIVE
    total = fit_sum(acts, parts.truth, parts.train, parts.validation, found, layer=2)
    assert tuple(total.signs.tolist()) == SIGNS
    assert total.sites[0] == "L2.N3"


def test_the_sum_separates_what_no_neuron_alone_does() -> None:
    acts, parts = planted()
    layers = {0: torch.randn_like(acts), 2: acts}
    found = best_sum(list(layers.items()), parts.truth, parts.train, parts.validation, 5)
    assert found.layer == 2
    alone = summands(layers, found, parts)
    frame = sums_frame([*callers_of(layers, found, parts), *alone, constant(parts)], parts)
    f1 = frame.set_index("probe")["f1"]
    assert f1["sum"] > 0.97
    assert max(f1["summand"]) < 0.9
    assert (frame[frame["probe"] == "summand"]["gap_low"] > 0).all()
    assert (frame[frame["probe"] == "best neuron"]["gap_low"] > 0).all()
    share = float(parts.truth[parts.test].double().mean())
    assert f1["majority"] == pytest.approx(2 * share / (1 + share))


def test_random_sums_and_shuffled_searches_find_nothing() -> None:
    acts, parts = planted()
    layers, rng = {2: acts}, torch.Generator().manual_seed(1)
    found = best_sum(list(layers.items()), parts.truth, parts.train, parts.validation, 5)
    random = score_random(layers, found, parts, 40, rng)
    assert not set(found.neurons.tolist()) & {
        int(neuron)
        for one in random_sums(acts, parts.truth, parts.train, parts.validation, found, 5, rng)
        for neuron in one.neurons
    }
    assert max(random.auc) < 0.65
    shuffled = torch.stack(
        [parts.truth[torch.randperm(len(parts.truth), generator=rng)] for _ in range(20)], dim=1
    )
    null = score_shuffled(layers, shuffled, parts, 5)
    assert sum(null.auc) / len(null.auc) == pytest.approx(0.5, abs=0.05)
    ours = float(roc_auc(found(acts[parts.test])[:, None], parts.truth[parts.test][:, None])[0])
    assert ours > max(null.auc)


def verdict_of(acts: torch.Tensor, parts: Parts) -> str:
    """What the whole search of five neurons says of some activations, by its rule."""
    layers, rng = {2: acts}, torch.Generator().manual_seed(1)
    found = best_sum(list(layers.items()), parts.truth, parts.train, parts.validation, 5)
    ends = last_token(torch.zeros(len(acts), dtype=torch.long), parts)
    callers = [*callers_of(layers, found, parts), *summands(layers, found, parts), ends]
    tests = sums_frame([*callers, constant(parts)], parts, rng)
    random = score_random(layers, found, parts, 20, rng)
    shuffled = torch.stack(
        [parts.truth[torch.randperm(len(parts.truth), generator=rng)] for _ in range(20)], dim=1
    )
    null = score_shuffled(layers, shuffled, parts, 5)
    assert tests["gap_p"].notna().sum() == len(tests) - 1
    return verdict(sum_numbers(found, tests, random, null))


def test_planted_superposition_is_called_so() -> None:
    assert verdict_of(*planted()) == "sum of polysemantic neurons"


def test_where_one_neuron_suffices_there_is_no_superposition() -> None:
    """The same five, and a sixth neuron that fires on the feature alone."""
    for seed in range(3):
        acts, parts = planted(seed=seed)
        rng = torch.Generator().manual_seed(seed)
        acts[:, 25] = 8.0 * parts.truth + torch.randn(len(acts), generator=rng)
        assert verdict_of(acts, parts) == "one neuron is enough"


def test_where_nothing_tells_the_feature_no_sum_is_found() -> None:
    acts, parts = planted()
    noise = torch.randn(acts.shape, generator=torch.Generator().manual_seed(4))
    assert verdict_of(noise, parts) == "no sum found"


def test_forward_search_with_swaps_is_the_best_pair_of_few() -> None:
    rng = torch.Generator().manual_seed(3)
    hits = 0
    for _ in range(10):
        truth = torch.rand(400, generator=rng) < 0.4
        shared = torch.randn(400, 1, generator=rng)
        acts = torch.randn(400, 7, generator=rng) + shared * torch.randn(1, 7, generator=rng)
        acts += truth[:, None] * torch.rand(1, 7, generator=rng)
        found = set(forward_sum(acts, truth, 2).tolist())
        best = max(
            itertools.combinations(range(7), 2), key=lambda pair: separation(acts, truth, pair)
        )
        hits += found == set(best)
    assert hits >= 8


def separation(acts: torch.Tensor, truth: torch.Tensor, neurons: tuple[int, ...]) -> float:
    """By brute force: difference of class means of the signed sum over its spread within."""
    unit = acts[:, neurons].double() / acts[:, neurons].double().std(0)
    gain = unit[truth].mean(0) - unit[~truth].mean(0)
    total = (unit * gain.sign()).sum(1)
    rest = torch.cat([total[truth] - total[truth].mean(), total[~truth] - total[~truth].mean()])
    return float((total[truth].mean() - total[~truth].mean()) / rest.square().mean().sqrt())


def test_test_rows_change_nothing_that_was_chosen() -> None:
    acts, parts = planted()
    changed = acts.clone()
    changed[parts.test] = torch.randn_like(changed[parts.test])
    one, other = (
        best_sum([(0, some)], parts.truth, parts.train, parts.validation, 5)
        for some in (acts, changed)
    )
    assert torch.equal(one.neurons, other.neurons)
    assert (one.cut, one.f1_validation) == (other.cut, other.f1_validation)


def test_a_constant_neuron_is_not_chosen_and_does_no_harm() -> None:
    acts, parts = planted()
    acts[:, 0] = 4.0
    found = forward_sum(acts[parts.train], parts.truth[parts.train], 6)
    assert set(FIVE) <= set(found.tolist())
    total = fit_sum(acts, parts.truth, parts.train, parts.validation, torch.tensor([0]), layer=0)
    assert total(acts).isfinite().all()


def test_more_neurons_than_there_are_is_refused() -> None:
    acts, parts = planted(width=40)
    with pytest.raises(DataError, match="a layer has 40 neurons; ask for fewer"):
        forward_sum(acts[parts.train], parts.truth[parts.train], 41)
    found = fit_sum(acts, parts.truth, parts.train, parts.validation, torch.arange(30), layer=0)
    rng = torch.Generator()
    with pytest.raises(DataError, match="too few to draw 30 others"):
        random_sums(acts, parts.truth, parts.train, parts.validation, found, 1, rng)


def test_the_last_token_rule_reads_tokens_alone() -> None:
    _, parts = planted()
    ids = torch.where(parts.truth, 5, 6)
    caller = last_token(ids, parts)
    assert f1_of(caller.called, parts.truth) == 1.0
