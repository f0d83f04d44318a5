"""Published circuits judge the methods of a study of that very model, and of no other."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
import torch

from needlepoint._core.records import RunFolder
from needlepoint.circuits.cost import measured
from needlepoint.circuits.graph.terms import graph_of
from needlepoint.circuits.known.published import circuit_edges, circuit_heads
from needlepoint.circuits.methods import Found
from needlepoint.evaluation.circuits.literature import EFFECT, HEADS, PAIRS, Literature
from needlepoint.evaluation.circuits.method_runs import MethodRun, Ran
from needlepoint.evaluation.configs import HeadsConfig
from needlepoint.evaluation.find_heads import judge_heads
from needlepoint.evaluation.study import Study
from needlepoint.models.model import Model
from needlepoint.report import build_report
from needlepoint.tasks.known_circuits import IOI
from needlepoint.tasks.pairs import Pair, Prompts, pair_prompts
from needlepoint.testing.tiny import tiny_model

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def gpt2() -> Model:
    """Twelve layers of twelve heads, of two dimensions each, with random weights."""
    return tiny_model("gpt2", n_layer=12, n_head=12, n_embd=24, n_inner=8).named("gpt2")


def answered(model: Model, n: int = 24) -> Prompts:
    """Pairs that differ before their end, with what random weights happen to prefer on each."""
    ids = [model.encoder.encode(letter)[0] for letter in LETTERS]
    rng, made = torch.Generator().manual_seed(0), []
    while len(made) < n:
        drawn = [LETTERS[place] for place in torch.randint(26, (5,), generator=rng).tolist()]
        texts = ["".join([*drawn[:2], changed, drawn[4]]) for changed in drawn[2:4]]
        if texts[0] == texts[1]:
            continue
        batch = model.batch([tuple(model.encoder.encode(text)) for text in texts])
        with torch.no_grad():
            clean, corrupt = model.last_logits(batch)[:, ids].float()
        gaps = torch.minimum(clean[:, None] - clean, corrupt[None, :] - corrupt[:, None])
        right, wrong = divmod(int(gaps.argmax()), 26)
        made.append(Pair(*texts, LETTERS[right], LETTERS[wrong]))
    return pair_prompts(
        made, model.encoder, task="ioi", description="d", question="q?", corruption="c"
    )


@pytest.fixture(scope="module")
def study(gpt2: Model) -> Study:
    config = HeadsConfig(
        score_pairs=12,
        ablate_pairs=6,
        holdout_pairs=6,
        random_circuits=2,
        attribution_pairs=6,
        methods=("eap", "attribution_patching", "mean_difference", "output_norm", "random"),
    )
    return judge_heads(gpt2, answered(gpt2), config)


def ran(model: Model, **strengths: torch.Tensor) -> Ran:
    with measured(model) as meter:
        pass
    runs = {
        name: MethodRun(name, name, "", "heads", False, True, scores.double(), meter.cost)
        for name, scores in strengths.items()
    }
    return Ran(runs, {})


def test_a_perfect_score_is_told_from_noise(gpt2: Model) -> None:
    graph, rng = graph_of(gpt2), torch.Generator().manual_seed(0)
    literature = Literature.of("ioi", gpt2)
    assert [one.variant for one in literature.circuits] == ["wang", "paper"]
    noise = torch.rand(144, generator=rng)
    own = {one.variant: circuit_heads(one, graph).float() for one in IOI}
    frame = literature.frame(graph, ran(gpt2, wang=own["wang"] + 0.5 * noise, noise=noise), None)
    rows = frame.set_index(["variant", "method"])
    assert list(rows.index) == [
        ("wang", "wang"), ("wang", "noise"), ("paper", "wang"), ("paper", "noise"),
    ]  # fmt: skip
    assert (frame["n_units"] == 144).all()
    assert (frame["n_true"] == 26).all()
    perfect = rows.loc[("wang", "wang")]
    for measure in ("auc", "average_precision", "f1", "precision_at_k", "repo_f1"):
        assert perfect[measure] == pytest.approx(1)
    other = rows.loc[("paper", "wang")]
    assert other["f1"] == other["precision_at_k"] == pytest.approx(25 / 26), "one head is disputed"
    for variant in ("wang", "paper"):
        row = rows.loc[(variant, "noise")]
        assert row["auc_low"] < 0.5 < row["auc_high"]
        assert row["average_precision"] < 0.35
        assert row["repo_f1"] > row["f1"]


def test_edges_are_judged_by_which_head_feeds_which(gpt2: Model) -> None:
    graph, rng = graph_of(gpt2), torch.Generator().manual_seed(0)
    true = circuit_edges(IOI[0], graph)
    noise = torch.rand(true.shape, generator=rng) * graph.edges
    found = ran(gpt2, right=torch.ones(144), wrong=torch.ones(144))
    runs = {
        name: replace(run, found=Found(torch.zeros(graph.n_writers), edges, signed=False))
        for (name, run), edges in zip(found.runs.items(), (true + 0.5 * noise, noise), strict=True)
    }
    frame = Literature.of("ioi", gpt2).frame(graph, Ran(runs, {}), None)
    pairs = frame[frame["units"] == PAIRS].set_index(["variant", "method"])
    assert (pairs["n_units"] == 9504).all()
    assert (pairs["n_true"] == 88).all()
    assert pairs.loc[("wang", "right"), "auc"] == pytest.approx(1)
    assert pairs.loc[("wang", "right"), "f1"] == pytest.approx(1)
    assert 0.35 < pairs.loc[("wang", "wrong"), "auc"] < 0.65
    assert pairs.loc[("wang", "wrong"), "f1"] < 0.1
    heads = frame[frame["units"] == HEADS]
    assert heads["auc"].tolist() == [0.5] * 4, "a score that is the same everywhere"


def test_a_list_without_edges_judges_heads_alone(gpt2: Model) -> None:
    graph = graph_of(gpt2)
    edges = torch.rand(graph.n_writers, graph.n_readers) * graph.edges
    found = ran(gpt2, one=torch.rand(144)).runs
    run = replace(found["one"], found=Found(torch.zeros(graph.n_writers), edges))
    frame = Literature.of("gendered_pronoun", gpt2).frame(graph, Ran({"one": run}, {}), None)
    assert frame[["variant", "units", "n_true"]].to_numpy().tolist() == [["published", HEADS, 7]]


def test_a_study_of_the_model_is_held_against_every_list(gpt2: Model, study: Study) -> None:
    frame, summary = study.tables["literature"], study.record.summary
    assert [one["variant"] for one in summary["literature"]] == ["wang", "paper"]
    assert all("Wang et al. 2022" in one["source"] for one in summary["literature"])
    assert all(one["disputes"] and one["n_heads"] == 26 for one in summary["literature"])
    assert "literature_reason" not in summary
    ran_here = set(study.tables["methods"]["method"])
    for _, own in frame.groupby("variant"):
        heads, pairs = (own[own["units"] == units] for units in (HEADS, PAIRS))
        assert set(heads["method"]) == {*ran_here, EFFECT}
        assert list(pairs["method"]) == ["eap"]
        assert heads["average_precision"].is_monotonic_decreasing
    measured_here = study.tables["heads"]["effect"].abs().rank()
    listed = circuit_heads(IOI[0], graph_of(gpt2)).numpy()
    n = int(listed.sum())
    area = (measured_here[listed].sum() - n * (n + 1) / 2) / (n * (144 - n))
    row = frame[(frame["method"] == EFFECT) & (frame["variant"] == "wang")].iloc[0]
    assert row["auc"] == pytest.approx(area)


def test_the_page_shows_every_list_with_its_source(study: Study, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", kind="circuit", config={})
    study.save(run)
    run.finish()
    page = build_report(tmp_path / "run").read_text(encoding="utf-8")
    shown = unescape(page.partition("<script")[0])
    for one in study.record.summary["literature"]:
        assert f"List '{one['variant']}', 26 heads of {one['model']}: {one['source']}" in shown
    assert "Against the literature" in shown
    assert "Would other prompts put the same first?" in shown
    assert not re.search(r">\s*(nan|None)\s*<", page)


def test_other_models_and_files_of_that_name_are_held_against_nothing(gpt2: Model) -> None:
    prompts = answered(gpt2)
    config = HeadsConfig(
        score_pairs=12, ablate_pairs=0, holdout_pairs=6, methods=("mean_difference",)
    )
    for model, asked in ((gpt2.named("another"), "ioi"), (gpt2, "ioi.jsonl")):
        found = judge_heads(model, prompts, replace(config, task=asked))
        assert found.record.summary["literature"] == []
        assert "literature_reason" not in found.record.summary
        assert len(found.tables["literature"]) == 0
        assert "auc" in found.tables["literature"]


def test_a_model_of_the_name_and_another_shape_is_told_why() -> None:
    found = Literature.of("ioi", tiny_model("gpt2").named("gpt2"))
    assert found.circuits == ()
    assert "12 layers of 12 heads; a model of 3 layers of 4 heads is not it" in found.reason
    summary = found.summary()
    assert summary == {"literature": [], "literature_reason": found.reason}
