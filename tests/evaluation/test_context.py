"""Context neurons on texts of two vocabularies: what one token tells, and who is refused."""

from __future__ import annotations

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.evaluation.case_studies.configs import ContextConfig
from needlepoint.evaluation.case_studies.context import count_perfect, judge_context
from needlepoint.evaluation.case_studies.context_words import answer, verdict
from needlepoint.evaluation.case_studies.token_activations import (
    TokenValues,
    class_of_texts,
    token_scores,
    value_frame,
)
from needlepoint.evaluation.study import Study

CONFIG = ContextConfig(permutations=60, ablate_classes=0, ablate_texts=4, random_neurons=2)


@pytest.fixture(scope="module")
def study(tiny, toy) -> Study:
    return judge_context(tiny, toy(), CONFIG)


def test_the_planted_class_is_found_by_text_and_by_token_and_the_coin_is_not(study) -> None:
    high, coin = study.record.summary["classes"]
    assert high["f1"]["estimate"] == 1.0
    assert high["p_value"] < 0.05
    assert high["verdict"] in ("context neuron", "marks the text")
    assert coin["verdict"] == "not found"
    assert coin["token_auc"]["estimate"] < high["token_auc"]["estimate"] - 0.2


def one_class(feature: str, *, f1: float, auc: float, p: float, n_perfect: int = 0) -> dict:
    spread = {"low": 0.0, "high": 1.0}
    found = {
        "feature": feature,
        "site": "L0.N1",
        "f1": {"estimate": f1, "low": f1 - 0.05, "high": 1.0},
        "token_f1": {"estimate": 0.3, **spread},
        "token_auc": {"estimate": auc, **spread},
        "p_value": p,
        "baseline_f1": 0.2,
        "n_perfect": n_perfect,
        "own": None,
    }
    return {**found, "verdict": verdict(found, 3)}


def test_the_answer_counts_what_was_found_and_what_ties() -> None:
    classes = [
        one_class("a", f1=0.95, auc=0.8, p=0.001, n_perfect=7),
        one_class("b", f1=0.6, auc=0.85, p=0.001),
        one_class("c", f1=0.99, auc=0.95, p=0.6, n_perfect=9),
    ]
    said = answer("m", classes)
    assert said.startswith("For 2 of 3 kinds of text a single neuron of m stands out")
    assert "F1 of .9 or more for 1 of them, and its value on one token an AUC of .9" in said
    assert "for none of them. The surest is L0.N1 for b:" in said
    assert (
        "For 2 kinds several neurons have an F1 of 1 on validation texts (up to 9, for c)" in said
    )
    assert (
        answer("m", classes[2:]) == "No neuron of m tells any of the 1 kinds of text from chance."
    )


def test_few_test_texts_are_said_to_be_few(study) -> None:
    first = study.record.summary["not_established"][0]
    assert first.startswith("Each class has only ")
    assert "--examples asks for more" in first


def test_saturation_counts_every_perfect_neuron(study, neuron_data, tiny) -> None:
    assert study.record.summary["classes"][0]["saturated"]
    found = count_perfect(neuron_data, 3)
    group, truth = neuron_data.of(0), neuron_data.labels[:, 0]
    separable = 0
    for layer in range(3):
        acts = neuron_data.layer(layer)
        for neuron in range(acts.shape[1]):
            own, rest = (acts[group.train][truth[group.train] == has, neuron] for has in (1, 0))
            if own.min() > rest.max() or own.max() < rest.min():
                separable += 1
    assert found[0] > 1
    assert found[0] >= separable * 0.5
    assert found[1] <= 1


def test_boxes_are_the_quantiles_of_the_tokens(neuron_data) -> None:
    texts = torch.from_numpy(neuron_data.collection.rows[neuron_data.test.numpy(), 0])
    rng = torch.Generator().manual_seed(0)
    values = torch.randn(len(texts) * 5, 2, generator=rng)
    tokens = TokenValues(texts.repeat(5), values, torch.ones(len(values), dtype=torch.bool))
    frame = value_frame(neuron_data, tokens)
    has = neuron_data.labels[neuron_data.test, 0].repeat(5)
    row = frame[(frame["feature"] == "coin") & (frame["texts"] == "high")].iloc[0]
    assert row["n"] == int(has.sum())
    assert row["p50"] == pytest.approx(float(values[has, 1].double().quantile(0.5)))
    assert row["p0_5"] == pytest.approx(float(values[has, 1].double().quantile(0.005)))


def test_token_scores_are_cut_on_validation_and_judged_on_test(neuron_data) -> None:
    rows = torch.cat([neuron_data.validation, neuron_data.test])
    texts = torch.from_numpy(neuron_data.collection.rows[rows.numpy(), 0])
    test = torch.arange(len(rows)) >= len(neuron_data.validation)
    truth = neuron_data.labels[rows, 0].float()
    values = torch.stack([truth + 3.0 * test, truth], dim=1)
    found = token_scores(
        neuron_data, TokenValues(texts, values, test), torch.Generator().manual_seed(0)
    )
    # On test rows the first neuron is 3 higher: its cut of validation calls every token positive.
    share = float(neuron_data.labels[neuron_data.test, 0].double().mean())
    assert found[0]["token_f1"] == pytest.approx(2 * share / (1 + share))
    assert found[0]["token_auc"] == 1.0
    assert found[0]["token_auc_validation"] == 1.0


def test_every_class_of_text_is_tried_and_texts_without_any_are_one_more(study, tiny, toy) -> None:
    table = study.tables["class_ablation"]
    assert set(table["texts"]) == {"high", "coin", "none of these"}
    assert len(table) == 2 * 3
    assert table.groupby("feature")["own"].sum().tolist() == [1, 1]
    assert (table["gap"] - (table["mean"] - table["random"])).abs().max() < 1e-6


def test_effects_are_of_own_texts_and_start_with_the_largest(study) -> None:
    effects = study.tables["token_effects"]
    for _, part in effects.groupby(["feature", "direction"]):
        size = part["change"].abs().tolist()
        assert size == sorted(size, reverse=True)
        assert part["rank"].tolist() == list(range(len(part)))
    assert (effects[effects["direction"] == "worse"]["change"] > 0).all()
    assert (effects[effects["direction"] == "better"]["change"] < 0).all()


def test_the_same_seed_gives_the_same_tables(study, tiny, toy) -> None:
    again = judge_context(tiny, toy(), CONFIG)
    for name, table in study.tables.items():
        assert table.equals(again.tables[name]), name


def test_only_some_classes_are_ablated_if_so_asked(tiny, toy) -> None:
    config = ContextConfig(permutations=20, ablate_classes=1, ablate_texts=2, random_neurons=1)
    found = judge_context(tiny, toy(), config)
    assert set(found.tables["class_ablation"]["feature"]) == {"high"}
    other = found.record.summary["classes"][1]
    assert other["own"] is None
    assert other["own_reason"] == "this neuron was not switched off"


def test_labels_of_parts_of_texts_are_refused(tiny, token_level) -> None:
    with pytest.raises(DataError, match="tokens labels parts of texts, but a context"):
        judge_context(tiny, token_level, CONFIG)


def test_classes_are_named_after_features(neuron_data) -> None:
    classes = class_of_texts(neuron_data)
    assert list(classes) == ["high", "coin", "none of these"]
    assert not bool((classes["none of these"] & neuron_data.labels.any(1)).any())


def test_verdicts_follow_their_rules() -> None:
    def one(
        f1: float, token: float, p_value: float | None = 0.01, low: float | None = None
    ) -> dict[str, object]:
        return {
            "f1": {"estimate": f1, "low": low},
            "token_auc": {"estimate": token},
            "p_value": p_value,
            "baseline_f1": 0.5,
        }

    assert verdict(one(1.0, 0.95), 2) == "context neuron"
    assert verdict(one(1.0, 0.8), 2) == "marks the text"
    assert verdict(one(1.0, 0.6), 2) == "tells the text only by its mean"
    assert verdict(one(1.0, 0.95), 10) == "not found"
    assert verdict(one(0.5, 0.95), 2) == "not found"
    assert verdict(one(0.9, 0.95, low=0.5), 2) == "not found", "all positive may do as well"
    assert verdict(one(0.9, 0.95, low=0.6), 2) == "context neuron"
    assert verdict(one(1.0, 0.95, None), 10) == "context neuron"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ablate_texts": 1}, "ablate_texts is 1; it must be at least 2"),
        ({"random_neurons": 0}, "random_neurons is 0"),
        ({"examples": 3}, "examples is 3"),
    ],
)
def test_numbers_that_are_too_small_are_refused(options, message) -> None:
    with pytest.raises(DataError, match=message):
        ContextConfig(**options)
