"""The study of heads, on a model whose circuit is known because it was built by hand."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pandas.testing import assert_frame_equal

from needlepoint._core.errors import BehaviourAbsentError, DataError, UnknownNameError
from needlepoint._core.records import RunFolder, jsonable
from needlepoint.circuits.scores import HEAD_SCORES
from needlepoint.evaluation.circuits import ablated as module
from needlepoint.evaluation.circuits.ablated import Ablated
from needlepoint.evaluation.circuits.method_choice import CONTROLS, chosen_methods
from needlepoint.evaluation.configs import HeadsConfig
from needlepoint.evaluation.find_heads import find_heads, judge_heads
from needlepoint.evaluation.study import Study
from needlepoint.models.planted import PlantedModel, planted_model, planted_prompts
from needlepoint.tasks.pairs import Pair, Prompts, pair_prompts
from needlepoint.testing.tiny import tiny_model


def true_sites(planted: PlantedModel) -> set[str]:
    return {f"L{head.layer}.H{head.index}" for head in planted.heads}


def test_the_planted_heads_and_no_others_matter(planted, heads_study: Study) -> None:
    heads = heads_study.tables["heads"]
    first = heads.reindex(heads["effect"].abs().sort_values(ascending=False).index)
    assert set(first["site"][:2]) == true_sites(planted)
    assert set(heads["site"][heads["matters"]]) == true_sites(planted)
    assert (first["effect"][:2] < -5).all()
    assert first["effect"][2:].abs().max() < 0.01
    assert (heads["effect_low"] <= heads["effect"] + 1e-6).all()
    assert (heads["effect"] <= heads["effect_high"] + 1e-6).all()


def test_the_planted_circuit_is_stable(heads_study: Study) -> None:
    found = heads_study.record.summary["circuit"]["stability"]
    assert found["verdict"] == "stable"
    assert set(found["jaccard"].values()) == {1.0}
    assert found["chance"] < 0.1
    stated = heads_study.record.summary["not_established"]
    assert not any("depends on which prompts" in line for line in stated)


def test_scores_read_the_heads_where_the_config_says(planted, heads_study: Study) -> None:
    """The planted head answers at the last position, and there its change stands out by far."""
    config = HeadsConfig(
        reading="last", ablate_pairs=0, sae_seeds=1, methods=("mean_difference", "random")
    )
    prompts = planted_prompts(planted, n_pairs=32)
    study = judge_heads(planted.model, prompts, replace(config, holdout_pairs=8))
    assert study.record.summary["reading"] == "last position"
    assert study.record.config["reading"] == "last"
    assert heads_study.record.summary["reading"] == "mean over all positions"
    answering = max(true_sites(planted))
    leads = []
    for found in (study, heads_study):
        scores = found.tables["heads"].set_index("site")["score.mean_difference"]
        others = scores.drop(list(true_sites(planted)))
        leads.append(scores[answering] / others.max())
    assert leads[0] > 2 * leads[1]
    assert study.tables["heads"]["score.random"].equals(heads_study.tables["heads"]["score.random"])


def test_an_unknown_reading_is_refused(planted) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'match'"):
        judge_heads(
            planted.model, planted_prompts(planted, n_pairs=16), HeadsConfig(reading="mtch")
        )


def test_the_circuit_is_the_behaviour_and_random_ones_are_not(planted, heads_study: Study) -> None:
    circuit = heads_study.record.summary["circuit"]
    assert set(circuit["heads"]) == true_sites(planted)
    assert circuit["size"] == 2
    assert circuit["faithfulness"]["estimate"] == pytest.approx(1, abs=0.01)
    assert circuit["random_faithfulness"]["high"] < 0.05
    frame = heads_study.tables["faithfulness"]
    ranked = frame[(frame["kind"] == "ranked") & (frame["ranked_by"] == "causal effect")]
    by_size = ranked.set_index("size")["faithfulness"]
    assert by_size[1] < 0.05, "one head of the two is no circuit"
    assert (by_size[2:] > 0.95).all()
    random = frame[frame["kind"] == "random"]
    own = random[random["size"] == 2]
    assert own["draw"].tolist() == list(range(10))
    followed = random[random["size"] != 2].groupby("size")["draw"].agg(list)
    assert followed.to_dict() == {n: [0, 1] for n in by_size.index if n != 2}
    assert random.loc[random["size"] == 1, "faithfulness"].max() < 0.05
    spread = own["faithfulness"].quantile([0.025, 0.5, 0.975]).tolist()
    assert list(circuit["random_faithfulness"].values()) == pytest.approx(spread, abs=1e-5)


def test_the_answer_says_what_was_found(heads_study: Study) -> None:
    answer = heads_study.record.summary["answer"]
    named = ", ".join(heads_study.record.summary["circuit"]["heads"])
    assert answer.startswith(f"2 of 18 heads of planted matter, first {named};")
    assert "leaves 100% of the behaviour" in answer
    assert "against 0% for random circuits of that size" in answer


def test_a_score_that_does_worse_than_a_simple_one_is_said_to(heads_study: Study) -> None:
    methods = heads_study.tables["methods"].set_index("method")
    own = methods.loc["discrete_sae", "average_precision"]
    best = methods[methods["level"] == "heads"].iloc[0]
    assert best["average_precision"] > own, "or else this test tells nothing"
    stated = heads_study.record.summary["not_established"]
    assert any(f"precision {own:.2f}) finds these heads less well than" in line for line in stated)
    assert any(f"'{best['label']}'" in line for line in stated)


def test_record_and_tables_are_as_the_design_notes_say(heads_study: Study, promised) -> None:
    columns, keys = promised("circuit")
    choice = chosen_methods()
    ran = [*choice.scores, *choice.methods]
    tested = [name for name in choice.scores if HEAD_SCORES[name].test is not None]
    columns["heads"] = [
        *columns["heads"][:-3],
        *(f"score.{name}" for name in ran),
        *(f"{column}.{name}" for name in tested for column in "pq"),
    ]
    columns["nodes"] = [*columns["nodes"][:-1], *(f"score.{name}" for name in choice.methods)]
    assert {name: list(frame.columns) for name, frame in heads_study.tables.items()} == columns
    summary = jsonable(heads_study.record.summary)
    assert {"task", "behaviour", "ablation", "truth", "circuit"} <= set(keys)
    for part, names in keys.items():
        if part != "seconds":
            assert names <= set(summary[part]), part
    assert {"question", "answer", "not_established", "seconds"} <= set(summary)
    record = heads_study.record
    assert (record.cell, record.kind) == ("circuit.planted-induction", "circuit")
    assert len(heads_study.tables["heads"]) == 18
    assert set(heads_study.tables["methods"]["method"]) == set(ran)
    assert set(heads_study.arrays) == {"edges.eap", "edges.information_flow"}


def test_circuits_are_run_on_prompts_that_took_no_part_in_choosing(planted, monkeypatch) -> None:
    prompts = planted_prompts(planted, n_pairs=24)
    read: list[set[str]] = []
    whole = module.pair_batch

    def noted(model, part: Prompts):
        read.append({pair.clean for pair in part.pairs})
        return whole(model, part)

    monkeypatch.setattr(module, "pair_batch", noted)
    config = HeadsConfig(ablate_pairs=10, holdout_pairs=6, random_circuits=2, methods=("random",))
    study = judge_heads(planted.model, prompts, config)
    searched = set(study.tables["prompts"]["clean"])
    checked, ablated, asked, held_out = read
    assert checked == held_out
    assert asked <= searched
    assert ablated <= searched
    assert held_out.isdisjoint(searched)
    assert (len(ablated), len(searched), len(held_out)) == (10, 18, 6)
    assert study.record.summary["ablation"]["n_pairs"] == 10
    few = judge_heads(planted.model, prompts, replace(config, ablate_pairs=60))
    assert few.record.summary["ablation"]["n_pairs"] == 18


def without_times(study: Study) -> dict[str, pd.DataFrame]:
    spent = ["seconds", "peak_bytes"]
    return {
        name: frame.drop(columns=spent, errors="ignore") for name, frame in study.tables.items()
    }


def test_the_same_config_gives_the_same_tables(planted, heads_study, heads_config) -> None:
    """Whatever runs beside: the scores of a method are those of the study of all methods."""
    prompts = planted_prompts(planted, n_pairs=32)
    config = replace(heads_config, methods=("mean_difference", "kmeans_codes", "eap", "random"))
    one, two = (without_times(judge_heads(planted.model, prompts, config)) for _ in range(2))
    for name, frame in one.items():
        assert_frame_equal(frame, two[name], check_exact=True)
    for name in ("heads", "nodes"):
        whole = heads_study.tables[name][list(one[name].columns)]
        assert_frame_equal(one[name], whole, check_exact=True)
    other = replace(heads_config, seed=1, methods=("random",))
    moved = judge_heads(planted.model, prompts, other)
    assert not moved.tables["heads"]["score.random"].equals(one["heads"]["score.random"])


def test_a_model_that_does_not_do_it_is_refused_with_figures() -> None:
    model = tiny_model("llama")
    pairs = [Pair(f"a{i}b", f"c{i}d", " x"[1:], " y"[1:]) for i in range(10)]
    prompts = pair_prompts(
        pairs, model.encoder, task="toy", description="d", question="q?", corruption="c"
    )
    figures = r"tiny llama does not do toy .*wins on \d+% of clean prompts, by [+-]\d+\.\d\d logits"
    with pytest.raises(BehaviourAbsentError, match=figures):
        judge_heads(model, prompts, HeadsConfig(holdout_pairs=2))


def test_a_corruption_that_corrupts_nothing_is_refused(planted) -> None:
    """The right answer wins, but on both prompts of each pair."""
    prompts = planted_prompts(planted, n_pairs=16)
    prompts = replace(prompts, corrupt_ids=prompts.clean_ids)
    with pytest.raises(BehaviourAbsentError, match="above those of corrupt prompts"):
        judge_heads(planted.model, prompts, HeadsConfig(holdout_pairs=4))


def test_guards(planted) -> None:
    few = planted_prompts(planted, n_pairs=7)
    with pytest.raises(DataError, match="planted induction has 7 pairs; at least 8 are needed"):
        judge_heads(planted.model, few, HeadsConfig())
    config, prompts = HeadsConfig(methods=("mean_diference",)), planted_prompts(planted, n_pairs=16)
    with pytest.raises(UnknownNameError, match="did you mean 'mean_difference'"):
        judge_heads(planted.model, prompts, config)
    with pytest.raises(UnknownNameError, match="did you mean 'ioi'"):
        find_heads(planted.model, HeadsConfig(task="iio"))


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"random_circuits": 19}, "random_circuits is 19; it must be at least 20"),
        ({"ablate_pairs": 0}, "there is no circuit to run: add --ablate-pairs 60"),
        ({"methods": ("sae",)}, "there is no circuit to run: add --ablate-pairs 60"),
    ],
)
def test_completeness_that_could_not_be_measured_is_refused(asked, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        HeadsConfig(completeness=True, **asked)
    HeadsConfig(completeness=True, ablate_pairs=0, curve_pairs=24)


def test_pairs_from_a_file_end_in_a_run_folder(planted, tmp_path: Path) -> None:
    pairs = planted_prompts(planted, n_pairs=20).pairs
    path = tmp_path / "letters.jsonl"
    path.write_text("".join(json.dumps(asdict(pair)) + "\n" for pair in pairs))
    config = HeadsConfig(
        task=str(path), holdout_pairs=4, random_circuits=3, methods=("effect_size", "random")
    )
    study = find_heads(planted.model, config)
    run = RunFolder.create(tmp_path / "run", kind="heads", config=asdict(config))
    record = study.save(run)
    assert record.cell == "circuit.letters"
    assert record.tables == (
        "heads",
        "nodes",
        "methods",
        "stability",
        "literature",
        "edges",
        "curves",
        "faithfulness",
        "completeness",
        "minimality",
        "edge_completeness",
        "prompts",
        "shown_prompts",
        "attention",
        "codes",
    )
    (kept,) = run.records()
    assert set(kept.summary["circuit"]["heads"]) == true_sites(planted)
    heads = run.table("circuit.letters", "heads")
    assert [name for name in heads if name.startswith("score.")] == [
        "score.effect_size",
        "score.random",
    ]
    assert set(run.table("circuit.letters", "faithfulness")["ranked_by"]) == {
        "causal effect",
        "random",
    }
    assert not any(re.search("autoencoder", line) for line in kept.summary["not_established"])


def test_shapes_of_scores_and_sites_agree(planted, heads_study: Study) -> None:
    """`random` is recomputed here from its own name: a column belongs to the head it stands at."""
    column = torch.tensor(heads_study.tables["heads"]["score.random"].to_numpy())
    part = HEAD_SCORES["random"]
    rng = part.generator(0, task="planted induction")
    assert torch.equal(column, torch.rand(18, generator=rng).double())
    sites = [f"L{s.layer}.H{s.index}" for s in planted.model.head_sites()]
    assert heads_study.tables["heads"]["site"].tolist() == sites


def test_a_study_of_probabilities_names_no_logits(planted) -> None:
    """The same circuit is found, and every key and sentence goes by the metric's own name."""
    prompts = planted_prompts(planted, n_pairs=32)
    config = HeadsConfig(
        ablate_pairs=12, holdout_pairs=8, random_circuits=4, sae_seeds=1, methods=("random",)
    )
    study = judge_heads(planted.model, replace(prompts, metric="probability difference"), config)
    summary = jsonable(study.record.summary)
    assert "logit" not in json.dumps(summary)
    assert summary["ablation"]["metric"] == summary["behaviour"]["metric"]
    assert summary["ablation"]["unit"] == summary["behaviour"]["unit"] == "probability"
    assert "alone changes the probability difference by" in summary["answer"]
    assert set(summary["circuit"]["heads"]) == true_sites(planted)
    effects = study.tables["heads"].loc[study.tables["heads"]["matters"], "effect"]
    assert effects.between(-2, -0.5).all()
    columns = list(study.tables["prompts"].columns)
    assert columns[-2:] == ["probability_difference_clean", "probability_difference_corrupt"]
    assert study.tables["prompts"][columns[-2]].between(0.5, 1).all()


def test_a_study_can_ask_how_far_the_prediction_moves(planted) -> None:
    """The same circuit is found by KL divergence, and it is the effects' metric alone."""
    prompts = planted_prompts(planted, n_pairs=32)
    config = HeadsConfig(
        metric="kl",
        ablate_pairs=12,
        holdout_pairs=8,
        random_circuits=4,
        sae_seeds=1,
        methods=("random",),
    )
    study = judge_heads(planted.model, prompts, config)
    summary = jsonable(study.record.summary)
    assert set(summary["circuit"]["heads"]) == true_sites(planted)
    assert summary["circuit"]["faithfulness"]["estimate"] == pytest.approx(1, abs=0.01)
    assert (summary["ablation"]["metric"], summary["ablation"]["unit"]) == ("KL divergence", "nats")
    assert summary["behaviour"]["metric"] == "logit difference"
    assert "alone changes the KL divergence by +" in summary["answer"]
    assert "mean KL divergence" in summary["truth"]["rule"]
    assert any("heads that hinder look alike" in line for line in summary["not_established"])
    assert (study.tables["heads"]["effect"] >= 0).all()


def test_methods_without_a_gradient_are_left_out_with_the_reason(planted) -> None:
    """On the clean prompt nothing moves the prediction to first order; scores would be noise."""
    config = HeadsConfig(
        metric="kl", ablate_pairs=8, holdout_pairs=8, random_circuits=2, sae_seeds=1
    )
    prompts = planted_prompts(planted, n_pairs=32)
    study = judge_heads(planted.model, prompts, config)
    skipped = study.record.summary["skipped"]
    assert set(skipped) == {"attribution_patching", "eap"}
    for reason in skipped.values():
        assert "rounding noise: use eap_ig_inputs" in reason
    compared = set(study.tables["methods"]["method"])
    assert compared == {*chosen_methods().scores, "information_flow"}
    config = replace(config, methods=("eap", "eap_ig_inputs"))
    study = judge_heads(planted.model, prompts, config)
    assert set(study.record.summary["skipped"]) == {"eap"}
    methods = study.tables["methods"].set_index("method")
    assert methods.loc["eap_ig_inputs", "average_precision"] == 1


def test_controls_are_compared_and_never_put_forward(planted) -> None:
    config = HeadsConfig(ablate_pairs=0, holdout_pairs=4, sae_seeds=1, methods=("eap",))
    study = judge_heads(planted.model, planted_prompts(planted, n_pairs=20), config)
    methods = study.tables["methods"].set_index("method")
    assert set(methods.index) == {"eap", *CONTROLS}
    assert {"output_norm", "layer_index", "random"} == set(methods.index[methods["control"]])
    heads = study.tables["heads"]
    assert next(name for name in heads if name.startswith("score.")) == "score.eap"
    leading = heads["site"][heads["score.eap"].abs().argmax()]
    assert f"by 'EAP': {leading}" in study.record.summary["answer"]


def test_a_study_can_ask_for_another_metric_than_the_tasks_own(planted) -> None:
    prompts = planted_prompts(planted, n_pairs=16)
    config = HeadsConfig(
        metric="probability difference",
        ablate_pairs=6,
        holdout_pairs=4,
        random_circuits=2,
        sae_seeds=1,
        methods=("random",),
    )
    of_study = judge_heads(planted.model, prompts, config)
    own = replace(prompts, metric="probability difference")
    of_task = judge_heads(planted.model, own, replace(config, metric=""))
    for name, frame in without_times(of_study).items():
        assert_frame_equal(frame, without_times(of_task)[name], check_exact=True)
    hashes = {study.record.summary["task"]["sha256"] for study in (of_study, of_task)}
    assert hashes == {own.sha256}


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown metric 'kld': did you mean 'kl'"):
        HeadsConfig(metric="kld")


def test_candidates_alone_are_called_candidates(planted) -> None:
    """Scores of codes need no ablation, and none is made behind their back."""
    config = HeadsConfig(holdout_pairs=4, sae_seeds=1, methods=("sae",))
    study = judge_heads(planted.model, planted_prompts(planted, n_pairs=20), config)
    summary = jsonable(study.record.summary)
    assert summary["truth"] is None
    assert summary["circuit"] is None
    assert "candidates" in summary["answer"]
    assert "None of them has been ablated" in summary["answer"]
    assert any("Nothing was ablated" in line for line in summary["not_established"])
    assert study.tables["heads"]["effect"].isna().all()
    assert study.tables["methods"]["auc"].isna().all()
    assert study.tables["faithfulness"].empty


@pytest.mark.parametrize("ablation", ["mean", "zero"])
def test_other_ablations_find_the_planted_heads_too(planted, ablation: str) -> None:
    config = HeadsConfig(
        ablation=ablation,
        ablate_pairs=12,
        holdout_pairs=8,
        random_circuits=4,
        sae_seeds=1,
        methods=("random", "eap"),
    )
    study = judge_heads(planted.model, planted_prompts(planted, n_pairs=32), config)
    summary = study.record.summary
    assert true_sites(planted) <= set(summary["circuit"]["heads"])
    assert summary["ablation"]["kind"].startswith(ablation)
    assert summary["circuit"]["faithfulness"]["estimate"] == pytest.approx(1, abs=0.05)


def test_every_method_has_a_row_with_its_cost_and_curves_of_its_edges() -> None:
    planted = planted_model(n_heads=3, n_layers=2)
    config = HeadsConfig(
        ablate_pairs=8,
        attribution_pairs=6,
        curve_pairs=4,
        holdout_pairs=8,
        random_circuits=2,
        sae_seeds=1,
        methods=("eap", "acdc", "mean_difference", "random_edges", "path_patching"),
    )
    study = judge_heads(planted.model, planted_prompts(planted, n_pairs=32), config)
    methods = study.tables["methods"].set_index("method")
    assert set(methods.index) == {*config.methods, *CONTROLS}
    assert (methods["seconds"] > 0).all()
    assert methods.loc["eap", "backward_passes"] == 6
    assert methods.loc["mean_difference", "backward_passes"] == 0
    assert methods.loc["acdc", "average_precision"] == 1
    assert (methods.loc[["eap", "acdc"], "cpr"] > methods.loc["random_edges", "cpr"] + 0.3).all()
    assert np.isnan(methods.loc["mean_difference", "cpr"])
    edges = study.tables["edges"]
    first = edges[(edges["method"] == "eap") & (edges["rank"] <= 4)]
    assert first["confirmed"].all()
    assert (first["effect"] < -1).all()
    assert set(study.tables["curves"]["method"]) == {"eap", "acdc", "random_edges", "path_patching"}
    assert set(study.tables["faithfulness"]["ranked_by"]) > {"causal effect", "acdc", "random"}


def test_an_unknown_ablation_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown ablation 'zeros': did you mean 'zero'"):
        HeadsConfig(ablation="zeros")


@pytest.mark.parametrize("curve_pairs", [0, 3])
def test_pairs_that_cannot_judge_a_circuit_are_found_out_before_anything_is_ablated(
    curve_pairs: int, planted, monkeypatch
) -> None:
    from needlepoint.evaluation.circuits.runs import CircuitRuns

    def refuse(*_: object, **__: object) -> None:
        raise DataError("the mean of the denominator is not told apart from 0")

    def too_late(*_: object, **__: object) -> None:
        raise AssertionError("nodes were ablated first")

    monkeypatch.setattr(CircuitRuns, "draws" if curve_pairs else "faithfulness", refuse)
    monkeypatch.setattr(Ablated, "effects", too_late)
    option = "--curve-pairs" if curve_pairs else "--holdout-pairs"
    config = HeadsConfig(holdout_pairs=8, curve_pairs=curve_pairs, sae_seeds=1, methods=("random",))
    with pytest.raises(DataError, match=rf"fresh pairs .* ask for more with {option}"):
        judge_heads(planted.model, planted_prompts(planted, n_pairs=32), config)


def test_without_the_circuit_nothing_is_left_if_it_is_asked(planted, heads_study: Study) -> None:
    config = HeadsConfig(
        ablate_pairs=12,
        holdout_pairs=12,
        random_circuits=20,
        methods=("eap",),
        curve_pairs=4,
        completeness=True,
    )
    study = judge_heads(planted.model, planted_prompts(planted, n_pairs=48), config)
    judged = study.record.summary["circuit"]["judged"]
    assert judged["completeness"]["estimate"] == pytest.approx(1, abs=0.01)
    for match in ("by_size", "by_layer"):
        assert judged[match]["n"] == 20
        assert judged[match]["faithfulness"]["high"] < 0.5
        assert judged[match]["p_faithfulness"] == pytest.approx(1 / 21)
    needed = study.tables["minimality"]
    assert set(needed["unit"]) == true_sites(planted)
    assert needed["minimal"].all(), "each planted head is needed"
    assert judged["minimality"]["n_needed"] == judged["minimality"]["n_tried"] == 2
    frame = study.tables["completeness"]
    ranked = frame[frame["kind"] == "ranked"]
    alone = study.tables["faithfulness"]
    same = alone[alone["kind"] == "ranked"]["faithfulness"].to_numpy()
    assert ranked["faithfulness"].to_numpy() == pytest.approx(same, abs=1e-5)
    by_effect = ranked[ranked["ranked_by"] == "causal effect"].set_index("size")["completeness"]
    assert (by_effect > 0.98).all(), "either of the two gone is enough"
    layers = frame[(frame["kind"] == "layers matched") & (frame["size"] == 2)]
    assert layers["draw"].tolist() == list(range(20))
    assert 1 <= (layers["completeness"] < 0.5).sum() < 20, "one of the two gone is enough"
    assert list(frame.columns) == list(heads_study.tables["completeness"].columns)
    edges = study.tables["edge_completeness"]
    assert list(edges.columns) == list(heads_study.tables["edge_completeness"].columns)
    assert edges["completeness"].iloc[-1] == pytest.approx(1, abs=1e-5), "all edges cut"
    large = study.tables["curves"].query("order == 'largest first' and method == 'eap'")
    assert edges.query("method == 'eap'")["size"].tolist() == large["size"].tolist()
    unasked = heads_study.record.summary["circuit"]
    assert unasked["judged"] is None
    assert "--completeness" in unasked["judged_reason"]
    assert heads_study.tables["completeness"].empty
