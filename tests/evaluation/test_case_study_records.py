"""Records of the case studies are what the design notes promise, and their pages can be made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from needlepoint._core.records import RunFolder
from needlepoint.evaluation.case_studies.configs import (
    ContextConfig,
    ScalingConfig,
    SuperpositionConfig,
    WeightsConfig,
)
from needlepoint.evaluation.case_studies.context import judge_context
from needlepoint.evaluation.case_studies.model_scores import score_model
from needlepoint.evaluation.case_studies.scaled_models import scale_of
from needlepoint.evaluation.case_studies.scaling import judge_scaling
from needlepoint.evaluation.case_studies.superposition import Compound, judge_superposition
from needlepoint.evaluation.case_studies.weights_by_depth import find_weights_by_depth
from needlepoint.evaluation.study import Study
from needlepoint.features.collection import Collection
from needlepoint.report import build_report
from needlepoint.testing.markup import TAG, put_markup, stray_markup
from needlepoint.testing.tiny import tiny_model

KINDS = ("superposition", "context", "weights", "scaling")


def windows_of(toy: Collection) -> Collection:
    """Each toy text as a window that ends in its last token."""
    lengths = np.array([len(ids) for ids in toy.ids])
    rows = np.column_stack([np.arange(len(lengths)), lengths - 1, lengths])
    names = ("a-x",)
    return Collection(toy.card, "", toy.ids, toy.documents, rows, "last", names, toy.labels[:, :1])


@pytest.fixture(scope="module")
def studies(tiny, toy, neuron_data) -> dict[str, Study]:
    windows = windows_of(toy())
    small = {"k": 2, "bases": 1, "random_sums": 4, "shuffles": 19, "rounds": 2, "other_texts": 4}
    compound = Compound("a", "x", windows, toy().ids, toy().documents)
    generator = torch.Generator().manual_seed(0)
    scores = score_model(neuron_data, 3, size=100, draws=1, max_k=2, generator=generator)
    scales = [scale_of(tiny, "one"), scale_of(tiny, "untrained:one", trained=False)]
    context = ContextConfig(permutations=20, ablate_texts=2, random_neurons=1)
    return {
        "superposition": judge_superposition(
            tiny, compound, (0, 1), SuperpositionConfig(word="a-x", **small)
        ),
        "context": judge_context(tiny, toy(), context),
        "weights": find_weights_by_depth(tiny_model("gpt_neox"), WeightsConfig()),
        "scaling": judge_scaling(
            scales,
            {"toy": [scores, scores]},
            ScalingConfig(models=("one", "untrained:one"), features=("toy",)),
        ),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_tables_have_exactly_the_columns_that_the_design_promises(
    kind: str, studies: dict[str, Study], promised: Callable
) -> None:
    tables, _ = promised(kind)
    study = studies[kind]
    assert study.record.kind == kind
    assert set(tables) == set(study.tables)
    for name, columns in tables.items():
        assert set(columns) == set(study.tables[name].columns), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_says_what_was_asked_found_and_not_established(
    kind: str, studies: dict[str, Study]
) -> None:
    summary = studies[kind].record.summary
    for key in ("question", "answer", "not_established", "seconds"):
        assert summary[key], key
    assert summary["question"].endswith("?")
    assert summary["answer"].endswith(".")
    assert "nan" not in summary["answer"]


def test_all_pages_are_made_from_records_alone(studies: dict[str, Study], tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", kind="test", config={})
    for study in studies.values():
        study.save(run)
    run.finish()
    page = build_report(run.path).read_text(encoding="utf-8")
    for anchor in ("sum", "firing", "basis", "pruning", "neurons", "tokens", "curve", "norm"):
        assert f'-{anchor}"' in page
    assert page.count('class="record"') == len(KINDS)
    assert "nothing of this was recorded" not in page


LOOKED_UP = ("site", "curve", "measure", "model", "kind", "norm", "part", "direction", "basis")


def test_markup_in_any_text_stays_text(studies: dict[str, Study], tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", kind="test", config={})
    for study in studies.values():
        study.save(run)
    assert put_markup(run, LOOKED_UP) > 40
    page = build_report(run.path).read_text(encoding="utf-8")
    assert page.count(TAG) > 40
    assert stray_markup(page) == []


def test_a_page_is_made_of_records_without_tables(
    studies: dict[str, Study], tmp_path: Path
) -> None:
    run = RunFolder.create(tmp_path / "run", kind="test", config={})
    for study in studies.values():
        run.add(study.record)
    page = build_report(run.path).read_text(encoding="utf-8")
    assert "nothing of this was recorded" in page
