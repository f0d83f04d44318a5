"""The study of weights by depth: what the weights of neurons say, layer by layer, without text."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

import numpy as np
import pandas as pd

from needlepoint._core.records import Record
from needlepoint._core.seeds import seed_for
from needlepoint.evaluation.case_studies.configs import WeightsConfig
from needlepoint.evaluation.case_studies.scored import known
from needlepoint.evaluation.case_studies.untrained import untrained_copy
from needlepoint.evaluation.intervals import Interval
from needlepoint.evaluation.study import Clock, Study
from needlepoint.evaluation.weight_statistics import norm_bias_reason, weight_statistics
from needlepoint.models.folded import Fold
from needlepoint.models.model import Model

STATISTICS = {
    "norm_bias": "input norm times bias",
    "input_norm": "input norm",
    "up_norm": "input norm of the up map",
    "output_norm": "output norm",
    "cosine": "cosine of input and output",
    "up_cosine": "cosine of the up map and output",
    "bias": "bias",
}
"""Columns of `weight_statistics` in the order shown, and what they are called."""
PERCENTILES = (0.5, 20.0, 50.0, 80.0, 99.5)
N_RESAMPLES = 300
PUBLISHED_SHAPE = (
    "In Pythia (V0, 70M to 6.9B) the median of input norm times bias is strongly negative in the "
    "early layers and moves towards 0 later; in layer 1 its medians are -0.36, -0.41, -0.21, "
    "-0.69, -0.44, -0.60 and -1.40 from the smallest model to the largest."
)
NOT_ESTABLISHED = (
    "A large norm with a negative bias is what reading superposed features would need; other "
    "things may need it too, so that it does not show superposition.",
    "Weights say nothing of how often a neuron is used, or on what.",
    "The untrained copy has weights as the model's class draws them by default, which need not be "
    "how this model was started.",
)


def find_weights_by_depth(model: Model, config: WeightsConfig | None = None) -> Study:
    """Medians and percentiles of weight statistics by layer, beside those of an untrained copy.

    Returns:
        A study whose record is of kind `weights`; the design notes list its tables. A statistic
        that the model does not have is missing, with the reason in the summary.

    Raises:
        ModelError: If it is not known where the model's neurons read.

    References:
        Gurnee et al. 2023 (arXiv 2305.01610), section on weights and superposition.
    """
    config = config or WeightsConfig()
    clock = Clock()
    fold = cast(Fold, config.fold)
    with clock.part("reading weights"):
        found = weight_statistics(model, fold)
        percentiles = depth_frame(found, model.shape.n_layers).assign(weights="trained")
    with clock.part("untrained copy"):
        copy = untrained_copy(model, seed=config.seed)
        started = depth_frame(weight_statistics(copy, fold), model.shape.n_layers)
    reason = norm_bias_reason(model, fold)
    draw = np.random.default_rng(seed_for(config.seed, use="neurons"))
    gap = None if reason else early_minus_late(found, "norm_bias", model.shape.n_layers, draw)
    frame = pd.concat([percentiles, started.assign(weights="untrained")], ignore_index=True)
    record = Record(
        cell="weights.depth",
        kind="weights",
        status="done",
        seconds=clock.total,
        config=asdict(config),
        summary=_summary(model, percentiles, started, gap, reason, config, clock),
    )
    return Study(record, {"depth_weights": frame})


def depth_frame(statistics: pd.DataFrame, n_layers: int) -> pd.DataFrame:
    """Percentiles over the neurons of each layer, one row for each layer and statistic.

    Args:
        statistics: A table of `weight_statistics`.
        n_layers: Layers of the model.

    Returns:
        `layer, depth, statistic, p0_5, p20, p50, p80, p99_5, scaled`: `depth` runs from 0 in the
        first layer to 1 in the last; `scaled` is the median over the largest absolute median of
        any layer. Statistics that are not defined for the model have no rows.
    """
    rows: list[dict[str, Any]] = []
    for name in STATISTICS:
        by_layer = statistics.groupby("layer")[name]
        if statistics[name].isna().all():
            continue
        points = by_layer.quantile(np.array(PERCENTILES) / 100).unstack().to_numpy()
        largest = float(np.abs(points[:, PERCENTILES.index(50.0)]).max())
        for layer, row in enumerate(points.tolist()):
            box = {
                f"p{point:g}".replace(".", "_"): value
                for point, value in zip(PERCENTILES, row, strict=True)
            }
            depth = layer / max(n_layers - 1, 1)
            scaled = box["p50"] / largest if largest else None
            common = {"layer": layer, "depth": depth, "statistic": name}
            rows.append({**common, **box, "scaled": scaled})
    frame = pd.DataFrame(rows)
    return frame.astype({"scaled": "Float64"})


def shape_of_curve(medians: pd.Series) -> dict[str, Any]:
    """Where a median starts, ends and is least, and its mean over the first and last quarters.

    Example:
        >>> shape_of_curve(pd.Series([-4.0, -3.0, -1.0, -1.0]))["early"]
        -4.0
    """
    quarter = max(1, len(medians) // 4)
    values = medians.astype(float).reset_index(drop=True)
    return {
        "first": float(values.iloc[0]),
        "last": float(values.iloc[-1]),
        "least": float(values.min()),
        "least_layer": int(values.to_numpy().argmin()),
        "early": float(values.iloc[:quarter].mean()),
        "late": float(values.iloc[-quarter:].mean()),
    }


def early_minus_late(
    statistics: pd.DataFrame, name: str, n_layers: int, draw: np.random.Generator
) -> Interval:
    """Median over the neurons of the first quarter of the layers minus that of the last.

    The interval resamples neurons, so it says how far the two quarters differ as a whole, not
    that every layer follows.
    """
    quarter = max(1, n_layers // 4)
    layer, values = statistics["layer"], statistics[name].to_numpy(dtype=np.float64)
    early, late = values[layer < quarter], values[layer >= n_layers - quarter]

    def medians(of: np.ndarray) -> np.ndarray:
        return np.array([np.median(draw.choice(of, len(of))) for _ in range(N_RESAMPLES)])

    low, high = np.quantile(medians(early) - medians(late), [0.025, 0.975])
    return Interval(float(low), float(np.median(early) - np.median(late)), float(high))


def _summary(
    model: Model,
    trained: pd.DataFrame,
    untrained: pd.DataFrame,
    gap: Interval | None,
    reason: str,
    config: WeightsConfig,
    clock: Clock,
) -> dict[str, Any]:
    curves = {
        name: {
            "label": STATISTICS[name],
            **shape_of_curve(of["p50"]),
            "untrained": _middle(untrained, name),
        }
        for name, of in _by_statistic(trained)
    }
    summary: dict[str, Any] = {
        "question": "How do the weights of MLP neurons change with depth, and do early layers have "
        "the large input norms and negative biases that superposition would need?",
        "answer": _answer(model, curves, gap, reason),
        "not_established": list(NOT_ESTABLISHED),
        "fold": config.fold,
        "n_layers": model.shape.n_layers,
        "n_neurons": model.shape.n_neurons,
        "curves": curves,
        "norm_bias_early_minus_late": None if gap is None else gap._asdict(),
        "published_shape": PUBLISHED_SHAPE,
        "seconds": clock.seconds,
    }
    return {**summary, "norm_bias_early_minus_late_reason": reason} if reason else summary


def _by_statistic(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(name, frame[frame["statistic"] == name]) for name in frame["statistic"].unique()]


def _middle(frame: pd.DataFrame, name: str) -> float | None:
    """Median over layers of the median of one statistic."""
    return known(frame[frame["statistic"] == name]["p50"].median())


def _answer(
    model: Model, curves: dict[str, dict[str, Any]], gap: Interval | None, reason: str
) -> str:
    if gap is None:
        first = f"Input norm times bias is not defined for {model.name}: {reason}"
    else:
        one = curves["norm_bias"]
        first = (
            f"The median of input norm times bias is {one['early']:+.2f} in the first quarter of "
            f"the layers of {model.name} and {one['late']:+.2f} in the last, a difference of "
            f"{gap.estimate:+.2f} ({gap.low:+.2f} to {gap.high:+.2f}): {_shape(one, gap)} (least "
            f"in layer {one['least_layer']}, {one['least']:+.2f}; untrained "
            f"{_signed(one['untrained'])})"
        )
    norm, cosine = curves["input_norm"], curves["cosine"]
    return (
        f"{first}. The median input norm goes from {norm['early']:.2f} in the first quarter to "
        f"{norm['late']:.2f} in the last (untrained {norm['untrained']:.2f}); the median cosine of "
        f"what a neuron reads and writes from {cosine['early']:+.2f} to {cosine['late']:+.2f} "
        f"(untrained {cosine['untrained']:+.2f})."
    )


def _shape(one: dict[str, Any], gap: Interval) -> str:
    """How the curve compares with the published one, by rule."""
    if gap.high < 0 and one["early"] < 0:
        return "as published, it is more negative early than late"
    if gap.low > 0:
        return "unlike the published curve, it is less negative early than late"
    return "the published shape, more negative early than late, is not seen"


def _signed(value: float | None) -> str:
    return "not defined" if value is None else f"{value:+.2f}"
