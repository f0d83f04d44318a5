"""A study of heads in the terminal: within 80 columns, with and without ablation."""

from __future__ import annotations

import io
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from needlepoint._core.records import Record, RunFolder
from needlepoint.cli.show import show_record
from needlepoint.cli.show_circuit import show_circuit
from needlepoint.evaluation.configs import HeadsConfig
from needlepoint.evaluation.find_heads import judge_heads
from needlepoint.models.planted import planted_prompts

METHODS = pd.DataFrame(
    {
        "method": ["eap_ig_activations", "random"],
        "label": ["EAP-IG (activations)", "Random"],
        "auc": [0.91, None],
        "average_precision": [0.8, 0.1],
        "average_precision_low": [0.6, None],
        "average_precision_high": [0.92, None],
        "forward_passes": [12345.0, 0.0],
        "backward_passes": [80.5, None],
        "seconds": [1234.5, 0.0],
        "control": [False, True],
    }
)
HEADS = pd.DataFrame(
    {
        "site": ["L10.H10", "L11.H11", "L12.H12"],
        "effect": [0.1, -2.0, 1.0],
        "effect_low": [0.0, -3.0, 0.5],
        "effect_high": [0.2, -1.0, 1.5],
        "matters": [False, True, True],
        "score.eap_ig_activations": [1.0, 2.0, 3.0],
        "score.random": [3.0, 2.0, 1.0],
    }
)
EDGES = pd.DataFrame(
    {
        "method": ["acdc", *["eap_ig_activations"] * 10],
        "writer": "L10.H10",
        "reader": "L11.H11.q",
        "score": -12.3456,
        "effect": [1.0, *[-12.25] * 9, None],
        "effect_low": [0.5, *[-13.25] * 9, None],
        "effect_high": [1.5, *[0.25] * 9, None],
        "confirmed": [True, *[False] * 9, None],
    }
)


STABLE = pd.DataFrame(
    {
        "method": ["eap_ig_activations", "random"],
        "units": "heads",
        "k": 2,
        "jaccard": [0.61, None],
        "chance": [0.3, None],
        "verdict": ["fair", None],
        "reason": ["", "it does not depend on the prompts"],
    }
)
LITERATURE = pd.DataFrame(
    {
        "variant": ["wang", "wang", "paper"],
        "units": ["heads", "pairs of heads", "heads"],
        "method": "eap_ig_activations",
        "label": "EAP-IG (activations)",
        "n_units": [144, 9504, 144],
        "n_true": [26, 88, 26],
        "auc": [0.71, 0.66, None],
        "auc_low": [0.61, 0.56, None],
        "auc_high": [0.81, 0.76, None],
        "average_precision": [0.41, 0.11, None],
        "average_precision_low": [0.28, 0.05, None],
        "average_precision_high": [0.55, 0.22, None],
        "f1": [0.31, 0.21, None],
        "precision_at_k": [0.32, 0.22, None],
        "repo_f1": [0.63, 0.53, None],
    }
)


def lines(tmp_path: Path, **tables: pd.DataFrame) -> list[str]:
    run = RunFolder.create(tmp_path / "run", kind="circuit", config={})
    summary = {
        "question": "Which?",
        "answer": "These.",
        "ablation": {"kind": "zero, at every position", "unit": "logits"},
        "skipped": {"hisp": "it needs float32."},
        "reading": "last position",
        "literature": [
            {"variant": name, "model": "gpt2", "source": "Wang et al.", "n_heads": 26}
            | {"disputes": ["One head is disputed."]}
            for name in ("wang", "paper")
        ],
        "circuit": {
            "size": 2,
            "stability": {
                "verdict": "fair",
                "jaccard": {"low": 0.4, "estimate": 0.7, "high": 1.0},
                "chance": 0.1,
                "n_resamples": 200,
            },
        },
    }
    found = run.add(Record("circuit.x", "circuit", "done", summary=summary), tables)
    out = io.StringIO()
    show_record(Console(file=out, width=80), run, found)
    shown = out.getvalue().splitlines()
    assert max(map(len, shown)) <= 80
    return shown


def test_methods_have_their_passes_and_time(tmp_path: Path) -> None:
    rows = [line.split() for line in lines(tmp_path, heads=HEADS, methods=METHODS, edges=EDGES)]
    name = ["EAP-IG", "(activations)"]
    assert [*name, "0.91", "0.80", "0.60-0.92", "12,345", "80", "1234.5"] in rows
    assert ["*", "Random", "-", "0.10", "-", "0", "-", "0.0"] in rows
    assert ["left", "out:", "hisp:", "it", "needs", "float32."] in rows
    title = "Heads with the largest effect when set to zero (logits)"
    assert title in [" ".join(row) for row in rows]
    text = " ".join(" ".join(row) for row in rows)
    assert "Fairly stable: other prompts of this kind would name many of these heads again." in text
    assert "share 0.70 (0.40 to 1.00) with these 2" in text
    assert "Scores of activations read the last position." in text
    assert "*: a control, there to be beaten." in text


def test_the_first_eight_edges_of_the_patched_method_are_shown(tmp_path: Path) -> None:
    shown = lines(tmp_path, heads=HEADS, methods=METHODS, edges=EDGES)
    assert any(line.startswith("Leading edges of EAP-IG (activations)") for line in shown)
    rows = [" ".join(line.split()) for line in shown if "->" in line]
    row = "L10.H10 -> L11.H11.q -12.346 -12.25 -13.25 to +0.25 not confirmed"
    assert rows == [row] * 8


def test_without_ablation_candidates_are_listed(tmp_path: Path) -> None:
    effects = dict.fromkeys(("effect", "effect_low", "effect_high", "matters"), None)
    heads = HEADS.assign(**effects)
    methods = METHODS.assign(auc=None, average_precision=None)
    shown = lines(tmp_path, heads=heads, methods=methods)
    rows = [line.split() for line in shown]
    assert "Candidates: heads by score (nothing was ablated)" in [line.strip() for line in shown]
    assert ["1", "L12.H12", "3.00"] in rows, "controls put no candidates forward"
    text = "\n".join(shown)
    assert "AUC" not in text
    assert "Heads with the largest effect" not in text


def test_methods_say_how_far_their_heads_stay_within_80_columns(tmp_path: Path) -> None:
    shown = lines(tmp_path, heads=HEADS, methods=METHODS, stability=STABLE)
    rows = [line.split() for line in shown]
    name = ["EAP-IG", "(activations)"]
    assert [*name, "0.91", "0.80", "0.60-0.92", "0.61", "12,345", "80", "1234.5"] in rows
    assert ["*", "Random", "-", "0.10", "-", "-", "0", "-", "0.0"] in rows
    text = " ".join(" ".join(row) for row in rows)
    assert "AP: average precision. 95%: its interval over heads. *: a control" in text
    assert "stays: heads among the first 2 both times" in text
    assert "(0.30 by chance). Fair: EAP-IG (activations)." in text
    assert "--stability" not in text, "nothing slow was left out"


def test_each_published_list_has_a_table_and_its_source(tmp_path: Path) -> None:
    shown = lines(tmp_path, heads=HEADS, methods=METHODS, literature=LITERATURE)
    rows = [line.split() for line in shown]
    name = ["EAP-IG", "(activations)"]
    assert [*name, "0.71", "0.61-0.81", "0.41", "0.28-0.55", "0.31", "0.32", "0.63"] in rows
    assert [*name, "0.66", "0.56-0.76", "0.11", "0.05-0.22", "0.21", "0.22", "0.53"] in rows
    assert [*name, "-", "-", "-", "-", "-", "-", "-"] in rows
    text = " ".join(" ".join(row) for row in rows)
    assert "list 'wang' for gpt2, 26 of 144 heads" in text
    assert "list 'wang' for gpt2, 88 of 9,504 pairs of heads" in text
    assert "List 'paper', 26 heads of gpt2: Wang et al. One head is disputed." in text


@pytest.mark.parametrize("asked", [True, False])
def test_what_is_gone_without_the_circuit_is_said_where_it_was_asked(
    planted, tmp_path: Path, asked: bool
) -> None:
    config = HeadsConfig(
        ablate_pairs=12,
        holdout_pairs=12,
        random_circuits=20,
        methods=("random",),
        sae_seeds=1,
        completeness=asked,
    )
    study = judge_heads(planted.model, planted_prompts(planted, n_pairs=48), config)
    run = RunFolder.create(tmp_path / "run", kind="heads", config=asdict(config))
    record = study.save(run)
    shown = io.StringIO()
    show_circuit(Console(file=shown, width=200), run, record)
    assert ("Completeness of the 2 heads: 1.00" in shown.getvalue()) is asked
    assert ("2 changed what it keeps" in shown.getvalue()) is asked
