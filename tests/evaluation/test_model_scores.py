"""Several models on the same documents: equal searches, shared parts, paired differences."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.evaluation.case_studies.configs import ScalingConfig
from needlepoint.evaluation.case_studies.model_scores import (
    FeatureScores,
    parts_of_documents,
    score_model,
    split_like,
)
from needlepoint.evaluation.case_studies.paired_models import Documents, mean_of, sample
from needlepoint.evaluation.case_studies.published_scaling import (
    F1,
    GROUPS,
    MODELS,
    published_frame,
)
from needlepoint.evaluation.case_studies.scaled_models import Scale, labels_of
from needlepoint.evaluation.case_studies.scaling import judge_scaling
from needlepoint.evaluation.case_studies.untrained import untrained_copy
from needlepoint.evaluation.clustered import f1_of
from needlepoint.evaluation.read_neurons import NeuronData, read_neurons
from needlepoint.evaluation.study import Study
from needlepoint.features import COLLECTIONS
from needlepoint.testing.tiny import tiny_model


def scores_of(data: NeuronData, n_layers: int, size: int) -> tuple[FeatureScores, ...]:
    rng = torch.Generator().manual_seed(0)
    return score_model(data, n_layers, size=size, draws=2, max_k=4, generator=rng)


@pytest.fixture(scope="module")
def small(tiny, toy):
    return read_neurons(tiny, toy(), seed=3)


@pytest.fixture(scope="module")
def scores(small, tiny):
    return scores_of(small, 3, tiny.shape.n_neurons)


def test_with_all_candidates_the_one_that_is_chosen_counts_alone(scores) -> None:
    for one in scores:
        assert one.neurons.weight.tolist() == [1.0]
        assert len(one.matched) == 1
        assert one.matched[0] is one.sparse


def test_the_first_neuron_is_best_on_training_and_validation_rows(small, scores) -> None:
    """Brute force over all neurons, cuts and signs, for the planted feature."""
    kept, group = scores[0].neurons, small.of(0)
    rows = torch.cat([group.train, group.validation])
    truth = small.labels[:, 0]
    best = 0.0
    for layer in range(3):
        acts = small.layer(layer)
        for neuron in range(acts.shape[1]):
            found = []
            for sign in (1, -1):
                values = sign * acts[:, neuron]
                cuts = values[group.train].unique()
                cuts = torch.cat([cuts[:1] - 1, (cuts[1:] + cuts[:-1]) / 2])
                f1 = [f1_of(values[group.train] > cut, truth[group.train]) for cut in cuts]
                at = int(torch.tensor(f1).argmax())
                found.append((f1[at], f1_of(values[rows] > cuts[at], truth[rows])))
            best = max(best, max(found)[1])
    assert float(kept.f1_chosen[0]) == pytest.approx(best)
    values = small.layer(int(kept.layer[0]))[group.test, int(kept.neuron[0])]
    called = values > kept.cut[0] if kept.sign[0] > 0 else values < kept.cut[0]
    assert torch.equal(called, scores[0].called[:, 0])


def test_the_planted_feature_is_found_and_the_coin_is_not(scores) -> None:
    documents = Documents.draw([scores], torch.Generator().manual_seed(0))
    high, coin = (sample(one, documents) for one in scores)
    assert high["best"].estimate == 1.0
    assert coin["best"].estimate < 0.85
    assert scores[1].neurons.best_test_f1 >= coin["best"].estimate


def test_test_rows_change_no_choice(small, scores, tiny) -> None:
    changed = dataclasses.replace(small)
    test = small.test

    def layer(number: int) -> torch.Tensor:
        acts = small.layer(number).clone()
        acts[test] = torch.randn(acts[test].shape, generator=torch.Generator().manual_seed(1))
        return acts

    object.__setattr__(changed, "layer", layer)
    other = scores_of(changed, 3, tiny.shape.n_neurons)
    for one, two in zip(scores, other, strict=True):
        assert torch.equal(one.neurons.layer, two.neurons.layer)
        assert torch.equal(one.neurons.neuron, two.neurons.neuron)
        assert torch.equal(one.neurons.cut, two.neurons.cut)
        assert (one.sparse.k, one.sparse.layer) == (two.sparse.k, two.sparse.layer)


def test_a_smaller_search_is_an_average_over_the_ranks(small) -> None:
    scores = scores_of(small, 3, 24)
    documents = Documents.draw([scores], torch.Generator().manual_seed(0))
    for one in scores:
        assert float(one.neurons.weight.sum()) == pytest.approx(1.0)
        f1 = [f1_of(column, one.truth) for column in one.called.T]
        expected = sum(w * f for w, f in zip(one.neurons.weight.tolist(), f1, strict=True))
        found = sample(one, documents)
        assert found["matched"].estimate == pytest.approx(expected, abs=1e-6)
        assert len(one.matched) == 2
        interval = found["matched"].interval
        assert interval is not None
        assert interval.low <= interval.estimate <= interval.high


def test_a_model_minus_itself_is_exactly_nothing(scores) -> None:
    documents = Documents.draw([scores, scores], torch.Generator().manual_seed(0))
    one = sample(scores[1], documents)["best"]
    gap = mean_of([one.minus(one)])
    assert gap.interval == (0.0, 0.0, 0.0)


def test_paired_differences_are_narrower_than_unpaired(small, scores) -> None:
    fewer = scores_of(small, 3, 24)
    documents = Documents.draw([scores, fewer], torch.Generator().manual_seed(0))
    one, two = (sample(some[1], documents)["best"] for some in (scores, fewer))
    paired = one.minus(two).resampled.std()
    apart = (one.resampled.var() + two.resampled.var()).sqrt()
    assert paired < apart


def test_documents_stay_in_their_part_for_every_model(small, toy) -> None:
    other = read_neurons(tiny_model("gpt2"), toy(seed=0), seed=99)
    assert parts_of_documents(other) != parts_of_documents(small)
    moved = split_like(other, parts_of_documents(small))
    assert parts_of_documents(moved) == parts_of_documents(small)


def test_documents_that_are_not_shared_are_left_out_and_too_few_refused(small) -> None:
    parts = parts_of_documents(small)
    fewer = dict(list(parts.items())[:-1])
    assert parts_of_documents(split_like(small, fewer)) == fewer
    some = {name: place for name, place in parts.items() if place != 2}
    with pytest.raises(DataError, match="share too few documents of 'high' for test"):
        split_like(small, some)


def test_an_untrained_copy_has_other_weights_and_leaves_the_model_alone(tiny) -> None:
    before = {name: weight.clone() for name, weight in tiny.module.state_dict().items()}
    copy = untrained_copy(tiny, seed=1)
    assert copy.shape == tiny.shape
    assert copy.name == "tiny llama, untrained"
    weights = copy.module.state_dict()
    assert not torch.equal(copy.mlp_output(0).weight, tiny.mlp_output(0).weight)
    again = untrained_copy(tiny, seed=1).module.state_dict()
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert all(
        torch.equal(before[name], weight) for name, weight in tiny.module.state_dict().items()
    )
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    untrained_copy(tiny)
    assert torch.equal(torch.rand(1), expected)


def test_the_published_curve_is_whole_and_every_group_is_known() -> None:
    frame = published_frame(("code language", "all features", "code language"))
    assert len(frame) == 2 * len(MODELS)
    assert all(len(values) == len(MODELS) for _, values in F1.values())
    assert set(GROUPS.values()) <= set(F1)
    assert set(GROUPS) <= set(COLLECTIONS)
    # The groups are parts of the 100 features: their weighted mean is that of all.
    parts = [one for name, one in F1.items() if name != "all features"]
    assert sum(n for n, _ in parts) == F1["all features"][0]
    for place, whole in enumerate(F1["all features"][1]):
        mean = sum(n * values[place] for n, values in parts) / 100
        assert mean == pytest.approx(whole, abs=0.0015)
    layers_by_width = [layers for _, _, layers, _ in MODELS]
    assert all(
        neurons % layers == 0
        for (_, _, _, neurons), layers in zip(MODELS, layers_by_width, strict=True)
    )


def study(scores, names: tuple[str, ...]) -> Study:
    scales = [
        Scale(name, name, 1000, 144 * (place + 1), 3, 32, 48, not name.startswith("untrained:"))
        for place, name in enumerate(names)
    ]
    config = ScalingConfig(models=names, features=("toy",))
    return judge_scaling(scales, {"toy": [scores] * len(names)}, config)


def test_one_model_is_said_not_to_answer(scores) -> None:
    found = study(scores, ("small",))
    assert found.record.summary["answer"].startswith("One model cannot say. In small")
    assert found.tables["model_differences"].empty


def test_the_answer_compares_trained_models_and_differences_have_intervals(scores) -> None:
    found = study(scores, ("small", "large", "untrained:large"))
    answer = found.record.summary["answer"]
    assert "in small and 0" in answer or "in small and 1" in answer
    assert "untrained" not in answer
    gaps = found.tables["model_differences"]
    assert len(gaps) == 3 * 4 * 3
    assert (gaps["difference"] == 0).all()
    assert gaps["difference_low"].notna().all()
    means = found.tables["model_means"]
    assert np.isclose(means.groupby("measure")["f1"].std().fillna(0), 0).all()


def test_a_model_larger_by_neurons_and_smaller_by_parameters_is_said_to_be(scores) -> None:
    names = ("wide", "deep")
    scales = [
        Scale(name, name, 3_000_000 - 1_000_000 * place, 144 * (place + 1), 3, 32, 48, True)
        for place, name in enumerate(names)
    ]
    config = ScalingConfig(models=names, features=("toy",))
    answer = judge_scaling(scales, {"toy": [scores] * 2}, config).record.summary["answer"]
    assert "+0.00 (+0.00 to +0.00): no difference is shown; the median" in answer
    assert answer.endswith(
        "deep is the larger by neurons (288 against 144) but the smaller by parameters "
        "(2M against 3M)."
    )
    assert "by parameters" not in study(scores, names).record.summary["answer"]


def test_folders_are_called_by_their_last_part_unless_two_are_alike(tmp_path) -> None:
    for place in ("a/one", "b/one", "c/two"):
        (tmp_path / place).mkdir(parents=True)
    names = [str(tmp_path / place) for place in ("a/one", "b/one", "c/two")]
    assert labels_of([*names, f"untrained:{names[2]}", "smollm2"]) == [
        *names[:2],
        "two",
        "untrained:two",
        "smollm2",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": ("a", "b", "a")}, "model 'a' is named twice; name each once"),
        ({"models": ()}, "no model is named"),
        ({"features": ("x", "x")}, "collection 'x' is named twice"),
        ({"draws": 0}, "draws is 0; it must be at least 1"),
        ({"tokens": 2}, "tokens is 2; it must be at least 4"),
    ],
)
def test_what_cannot_be_asked_is_refused(options, message) -> None:
    with pytest.raises(DataError, match=message):
        ScalingConfig(**options)


def test_a_model_of_one_size_is_only_set_against_its_control(scores) -> None:
    names = ("one", "untrained:one")
    scales = [Scale(name, name, 1000, 144, 3, 32, 48, name == "one") for name in names]
    config = ScalingConfig(models=names, features=("toy",))
    found = judge_scaling(scales, {"toy": [scores, scores]}, config)
    assert found.record.summary["answer"].startswith("One trained model cannot say")
    gaps = found.tables["model_differences"]
    assert set(gaps["larger"]) == {"one"}
    assert set(gaps["smaller"]) == {"untrained:one"}
