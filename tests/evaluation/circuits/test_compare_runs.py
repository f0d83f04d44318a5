"""Two runs held against one another from their records: alike, shifted, and of other models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from needlepoint._core.errors import DataError, StoreError
from needlepoint._core.records import Record, RunFolder
from needlepoint.evaluation.circuits.compare import compare_runs, difference_interval
from needlepoint.evaluation.intervals import Interval


def _heads(seed: int = 0, n: int = 40, error: float = 0.1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    true = np.random.default_rng(99).normal(size=n)
    effect = true + error * rng.normal(size=n)
    return pd.DataFrame(
        {
            "site": [f"L{i // 8}.H{i % 8}" for i in range(n)],
            "effect": effect,
            "effect_low": effect - 1.96 * error,
            "effect_high": effect + 1.96 * error,
            "matters": np.abs(effect) > 1,
        }
    )


def _methods(auc: float = 0.8) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "method": ["a", "b"],
            "label": ["A", "B"],
            "auc": [auc, None],
            "auc_low": [auc - 0.1, None],
            "auc_high": [auc + 0.1, None],
            "average_precision": [0.5, None],
            "spearman": [0.3, 0.2],
        }
    )


def _run(
    path: Path,
    heads: pd.DataFrame,
    methods: pd.DataFrame,
    *,
    task: str = "ioi",
    unit: str = "logits",
) -> Path:
    run = RunFolder.create(path, kind="circuit", config={"task": task, "seed": len(path.name)})
    run.update(model={"name": "m", "sha256": "0"})
    record = Record(f"circuit.{task}", "circuit", "done", summary={"ablation": {"unit": unit}})
    run.add(record, {"heads": heads, "methods": methods})
    run.finish()
    return path


def test_a_run_agrees_with_itself(tmp_path: Path) -> None:
    path = _run(tmp_path / "one", _heads(), _methods())
    (found,) = compare_runs(path, path).cells
    assert found.spearman == pytest.approx(1)
    assert found.jaccard == 1
    assert found.n_differ == 0
    assert found.only_first == found.only_second == ()
    assert found.methods["auc_difference"].iloc[0] == 0
    assert compare_runs(path, path).differences == ()


def test_independent_runs_differ_at_about_1_head_in_20(tmp_path: Path) -> None:
    one = _run(tmp_path / "one", _heads(1, n=800), _methods())
    two = _run(tmp_path / "second", _heads(2, n=800), _methods(0.9))
    compared = compare_runs(one, two)
    (found,) = compared.cells
    assert 0.02 < found.n_differ / found.n_heads < 0.09
    both = _heads(1, n=800), _heads(2, n=800)
    expected = spearmanr(both[0]["effect"], both[1]["effect"]).statistic
    assert found.spearman == pytest.approx(expected)
    first, second = (set(one.loc[one["matters"], "site"]) for one in both)
    assert found.jaccard == pytest.approx(len(first & second) / len(first | second))
    assert set(found.only_first) == first - second
    gap = found.methods.set_index("method").loc["a"]
    assert gap["auc_difference"] == pytest.approx(-0.1)
    assert gap["auc_difference_high"] == pytest.approx(-0.1 + 0.1 * 2**0.5)
    assert compared.differences == ("config: seed is 3 and 6",)
    assert dict(found.rows())["heads that matter"].endswith("of them in both")
    assert found.summary()["n_heads"] == 800


def test_a_head_that_changed_comes_first(tmp_path: Path) -> None:
    changed = _heads()
    changed.loc[5, ["effect", "effect_low", "effect_high"]] += 3
    one = _run(tmp_path / "one", _heads(), _methods())
    two = _run(tmp_path / "two", changed.sample(frac=1, random_state=0), _methods())
    (found,) = compare_runs(one, two).cells
    top = found.heads.iloc[0]
    assert (top["site"], bool(top["differs"])) == ("L0.H5", True)
    assert top["difference"] == pytest.approx(-3)
    assert found.n_differ == 1


def test_effects_in_other_units_are_ranked_and_not_subtracted(tmp_path: Path) -> None:
    one = _run(tmp_path / "one", _heads(), _methods())
    two = _run(tmp_path / "two", _heads(), _methods(), unit="nats", task="other")
    (found,) = compare_runs(one, two).cells
    assert found.n_differ is None
    assert found.differ_reason == "one is in logits, the other in nats"
    assert found.spearman == pytest.approx(1)
    assert "difference" not in found.heads


def test_what_does_not_exist_says_why(tmp_path: Path) -> None:
    still = _heads().assign(effect=0.0, matters=False)
    path = _run(tmp_path / "one", still, _methods())
    (found,) = compare_runs(path, path).cells
    assert found.spearman is None
    assert found.spearman_reason == "all effects of the first run are the same"
    assert found.jaccard is None
    assert dict(found.rows())["heads in common, of those in either"] == "no head matters in either"


def test_runs_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    one = _run(tmp_path / "one", _heads(), _methods())
    with pytest.raises(StoreError, match="is not a run folder"):
        compare_runs(one, tmp_path)
    with pytest.raises(DataError, match=r"different heads \(40 and 16\)"):
        compare_runs(one, _run(tmp_path / "small", _heads(n=16), _methods()))
    empty = RunFolder.create(tmp_path / "empty", kind="probe", config={})
    with pytest.raises(DataError, match="has no finished circuit"):
        compare_runs(one, empty.path)
    two = _run(tmp_path / "two", _heads(), _methods(), task="other")
    run = RunFolder.open(two)
    run.add(Record("circuit.third", "circuit", "done"), {"heads": _heads(), "methods": _methods()})
    with pytest.raises(DataError, match="no task in common"):
        compare_runs(one, two)


def test_intervals_of_differences_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(1000):
        one, two = rng.normal(1.0, 0.3), rng.normal(0.0, 0.1)
        found = difference_interval(
            Interval(one - 1.96 * 0.3, one, one + 1.96 * 0.3),
            Interval(two - 1.96 * 0.1, two, two + 1.96 * 0.1),
        )
        inside += found.low <= 1.0 <= found.high
    assert 0.93 < inside / 1000 < 0.97
