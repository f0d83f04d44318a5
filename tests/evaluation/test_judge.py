"""The table of methods agrees with scikit-learn and scipy, and leaves out what has no value."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

from needlepoint._core.errors import UnknownNameError
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.cost import Cost
from needlepoint.circuits.head_data import HeadData
from needlepoint.circuits.scores import HEAD_SCORES
from needlepoint.evaluation.circuits.method_runs import MethodRun, Ran, run_scores
from needlepoint.evaluation.intervals import Intervals
from needlepoint.evaluation.judge import ABOVE, method_frame
from needlepoint.evaluation.truth import Truth
from needlepoint.models.micro import micro_model

N_HEADS = 20


def truth_of(matters: torch.Tensor) -> Truth:
    rng = torch.Generator().manual_seed(0)
    effects = torch.randn(N_HEADS, generator=rng).double() * 0.1 - 2 * matters
    return Truth(Intervals(effects - 0.1, effects, effects + 0.1), matters)


def some_matter() -> torch.Tensor:
    return torch.arange(N_HEADS) % 5 == 2


COST = Cost(0.25, 0.25, 16.0, 0.0, 100.0, 0, None)


def run_of(name: str, scores: torch.Tensor) -> MethodRun:
    part = HEAD_SCORES[name]
    return MethodRun(
        name,
        part.label,
        part.description,
        "heads",
        part.control,
        part.uses_labels,
        scores,
        COST,
    )


def scored(noise: float = 0.6) -> Ran:
    rng = torch.Generator().manual_seed(1)
    good = some_matter() + noise * torch.randn(N_HEADS, generator=rng).double()
    scores = {
        "mean_difference": good,
        "output_norm": -good,
        "random": torch.randn(N_HEADS, generator=rng).double(),
    }
    return Ran({name: run_of(name, one) for name, one in scores.items()}, {})


def test_figures_agree_with_other_libraries() -> None:
    truth, found = truth_of(some_matter()), scored()
    frame = method_frame(found, truth).set_index("method")
    for name, run in found.runs.items():
        row, scores = frame.loc[name], run.strength
        assert row["auc"] == pytest.approx(roc_auc_score(truth.matters, scores))
        assert row["average_precision"] == pytest.approx(
            average_precision_score(truth.matters, scores)
        )
        assert row["spearman"] == pytest.approx(spearmanr(scores, truth.size).statistic)
        assert row["auc_low"] <= row["auc"] <= row["auc_high"]
        assert row["chance_precision"] == 0.2
        assert row["label"] == HEAD_SCORES[name].label
        assert row["control"] == HEAD_SCORES[name].control
    assert frame.loc["output_norm", "auc"] == pytest.approx(1 - frame.loc["mean_difference", "auc"])
    assert frame["average_precision"].is_monotonic_decreasing


@pytest.mark.parametrize("matter", [False, True])
def test_where_none_or_all_matter_there_is_no_area(matter: bool) -> None:
    frame = method_frame(scored(), truth_of(torch.full((N_HEADS,), matter)))
    for column in ("auc", "auc_low", "auc_high", "average_precision"):
        assert frame[column].isna().all()
    assert (frame["chance_precision"] == float(matter)).all()
    assert frame["spearman"].notna().all(), "an order of sizes is there all the same"


def test_a_score_that_is_the_same_everywhere_ranks_nothing() -> None:
    found = Ran({"random": run_of("random", torch.ones(N_HEADS).double())}, {})
    row = method_frame(found, truth_of(some_matter())).iloc[0]
    assert row["auc"] == 0.5
    assert row["average_precision"] == pytest.approx(row["chance_precision"])
    assert pd.isna(row["spearman"])


def test_methods_stand_beside_the_best_control_on_the_same_draws_of_heads() -> None:
    truth, found = truth_of(some_matter()), scored(noise=0.1)
    frame = method_frame(found, truth).set_index("method")
    controls = frame[frame["control"].astype(bool)]
    best = controls["average_precision"].idxmax()
    assert frame.loc[best, list(ABOVE)].isna().all()
    gap = frame["average_precision"] - frame.loc[best, "average_precision"]
    others = frame.drop(index=best)
    assert others["above_control"].to_numpy() == pytest.approx(gap.drop(best).to_numpy())
    assert (others["above_control_low"] <= others["above_control"]).all()
    assert (others["above_control"] <= others["above_control_high"]).all()
    assert others.loc["mean_difference", "above_control_low"] > 0, "signal, against two controls"
    again = method_frame(Ran(dict(reversed(found.runs.items())), {}), truth).set_index("method")
    pd.testing.assert_frame_equal(again.loc[frame.index], frame)


def test_without_a_control_or_enough_heads_nothing_is_above_one() -> None:
    alone = Ran({"mean_difference": scored().runs["mean_difference"]}, {})
    one = torch.arange(N_HEADS) == 3
    for frame in (
        method_frame(alone, truth_of(some_matter())),
        method_frame(scored(), truth_of(one)),
        method_frame(scored(), None),
    ):
        assert frame[list(ABOVE)].isna().all(axis=None)


def data() -> HeadData:
    rng = torch.Generator().manual_seed(2)
    clean, corrupt = torch.randn(2, 8, N_HEADS, 3, generator=rng)
    small = Autoencoder(n_codes=10, n_steps=5, n_train_examples=4)
    weights = torch.randn(N_HEADS, 3, 6, generator=rng)
    return HeadData(clean, corrupt, weights, torch.arange(N_HEADS) // 4, autoencoder=small)


def test_without_effects_nothing_is_judged_and_costs_are_still_told() -> None:
    frame = method_frame(scored(), None)
    assert frame[["auc", "average_precision", "chance_precision", "spearman"]].isna().all().all()
    assert (frame["seconds"] == 0.25).all()
    assert (frame["forward_passes"] == 16).all()


NAMES = ("discrete_sae", "linear_probe", "mean_difference", "random")


def test_scores_do_not_depend_on_which_others_are_computed() -> None:
    model = micro_model()
    everything = run_scores(model, data(), NAMES, seed=0, task="toy").runs
    assert tuple(everything) == NAMES
    for name in ("random", "linear_probe", "discrete_sae"):
        alone = run_scores(model, data(), (name,), seed=0, task="toy").runs
        assert list(alone) == [name]
        assert torch.equal(alone[name].strength, everything[name].strength), name
    assert all(run.cost.forward_passes == 16 for run in everything.values())
    other = run_scores(model, data(), ("random",), seed=0, task="another").runs
    assert not torch.equal(other["random"].strength, everything["random"].strength)


def test_an_unknown_method_is_refused_before_any_is_computed(monkeypatch) -> None:
    monkeypatch.setattr(type(HEAD_SCORES["random"]), "score", lambda *_: 1 / 0)
    with pytest.raises(UnknownNameError, match="did you mean 'random'"):
        run_scores(micro_model(), data(), ("linear_probe", "randm"), seed=0, task="toy")
