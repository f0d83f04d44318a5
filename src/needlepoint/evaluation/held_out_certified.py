"""Certified probes on test rows, each beside the sweep's probe of the same layer and size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from needlepoint.evaluation.certify import Certificates, Certified
from needlepoint.evaluation.clustered import f1_of
from needlepoint.evaluation.held_out_judge import Judge
from needlepoint.evaluation.intervals import Interval
from needlepoint.evaluation.search_neurons import Search
from needlepoint.evaluation.tested import Tested

PROBE = "certified"
"""What the probe is called in the tables."""
NOT_TRIED = "not tried"
OUT_OF_TIME = "the time for this feature had been spent on heavier ridges and smaller sizes"
NO_INTERVAL = "too few test documents for intervals"
NO_MCC = "all test rows are called alike, so MCC does not exist"
COLUMNS = [
    "feature", "layer", "k", "ridge", "gamma", "sites", "objective", "bound", "gap", "status",
    "seconds", "screened", "overlap", "chosen", "f1_validation", "auc_validation", "f1", "f1_low",
    "f1_high", "mcc", "auc", "sweep_f1", "difference", "difference_low", "difference_high",
    "reason",
]  # fmt: skip
_WHOLE = ("screened", "overlap")
_NOT_NUMBERS = ("feature", "layer", "k", "ridge", "sites", "status", "chosen", "reason", *_WHOLE)


@dataclass(frozen=True, eq=False)
class CertifiedTest:
    """A certified probe on the test part, and what sets it apart from the sweep's probe."""

    certified: Certified
    chosen: bool
    """Whether validation rows chose its ridge and size."""
    tested: Tested
    overlap: int | None
    """Neurons that both read; None, as the next two, where the sweep has no probe of that size."""
    sweep_f1: float | None
    """Test F1 of the sweep's probe of the same size on the same layer."""
    difference: Interval | None
    """F1 of the certified probe less that; None also where documents are too few."""


def certified_tests(
    judge: Judge, found: Search, certificates: Certificates
) -> tuple[CertifiedTest, ...]:
    """How the certified probes of one feature fare on its test rows; nothing is chosen here.

    Only the one that validation chose has intervals of its ranking. Differences from the sweep's
    probes are paired: both are scored on the same resamples of documents.
    """
    return tuple(
        _certified_test(judge, found, one, chosen=one is certificates.kept)
        for one in certificates.solved
    )


def kept_test(tests: Sequence[CertifiedTest]) -> Tested:
    """The result of the probe that validation rows chose."""
    return next(one.tested for one in tests if one.chosen)


def certificate_frame(
    features: Sequence[str],
    certificates: Sequence[Certificates],
    tests: Sequence[Sequence[CertifiedTest]],
) -> pd.DataFrame:
    """The table of certificates: a row for each feature, ridge and size that was asked for.

    `reason` says what is missing in a row, and why; it is empty where nothing is.
    """
    rows = [
        row
        for feature, asked, found in zip(features, certificates, tests, strict=True)
        for row in _feature_rows(feature, asked, found)
    ]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    numbers = [name for name in COLUMNS if name not in _NOT_NUMBERS]
    return frame.astype(dict.fromkeys(numbers, "float64") | dict.fromkeys(_WHOLE, "Int64"))


def _certified_test(judge: Judge, found: Search, one: Certified, *, chosen: bool) -> CertifiedTest:
    probe, own = one.solved.probe, judge.layer(one.layer)
    odds = probe(own).double()
    called = odds > one.cut
    tested = judge(
        PROBE,
        called,
        odds,
        layer=one.layer,
        neurons=probe.support.tolist(),
        f1_validation=one.f1_validation,
        auc_validation=one.auc_validation,
        zero=odds,
        resample_scores=chosen,
    )
    layer, k = found.layers[one.layer], one.solved.k
    if k not in layer.ks:
        return CertifiedTest(one, chosen, tested, None, None, None)
    sweep = layer.path.probe(judge.feature, k)
    other = sweep(own).double() > layer.cut[judge.feature, layer.ks.index(k)]
    resamples = judge.resamples
    return CertifiedTest(
        one,
        chosen,
        tested,
        len(set(probe.support.tolist()) & set(sweep.support.tolist())),
        f1_of(other, judge.truth[judge.rows.test]),
        None if resamples is None else resamples.f1_difference(called, other),
    )


def _feature_rows(
    feature: str, certificates: Certificates, tests: Sequence[CertifiedTest]
) -> list[dict[str, object]]:
    layer = tests[0].certified.layer
    known = {(one.certified.ridge, one.certified.solved.k): one for one in tests}
    rows = []
    for ridge, k in certificates.asked:
        row: dict[str, object] = {"feature": feature, "layer": layer, "k": k, "ridge": ridge}
        if (ridge, k) in known:
            row |= _row(known[ridge, k])
        else:
            paper = tests[0].certified.solved.gamma / tests[0].certified.ridge
            row |= {"gamma": ridge * paper, "sites": "", "status": NOT_TRIED, "chosen": False}
            row |= {"reason": OUT_OF_TIME}
        rows.append(row)
    return rows


def _row(one: CertifiedTest) -> dict[str, object]:
    solved, tested, apart = one.certified.solved, one.tested, one.difference
    f1 = tested.f1
    return {
        "gamma": solved.gamma,
        "sites": one.certified.sites,
        "objective": solved.objective,
        "bound": solved.bound,
        "gap": solved.gap,
        "status": solved.verdict,
        "seconds": solved.seconds,
        "screened": solved.n_screened,
        "overlap": one.overlap,
        "chosen": one.chosen,
        "f1_validation": one.certified.f1_validation,
        "auc_validation": one.certified.auc_validation,
        "f1": tested.f1_point,
        "f1_low": None if f1 is None else f1.low,
        "f1_high": None if f1 is None else f1.high,
        "mcc": tested.scores.mcc,
        "auc": tested.scores.auc,
        "sweep_f1": one.sweep_f1,
        "difference": tested.f1_point - one.sweep_f1 if one.sweep_f1 is not None else None,
        "difference_low": None if apart is None else apart.low,
        "difference_high": None if apart is None else apart.high,
        "reason": _reason(one),
    }


def _reason(one: CertifiedTest) -> str:
    """What is missing of a probe that was solved."""
    k = one.certified.solved.k
    reasons = [
        (one.sweep_f1 is None, f"the quick search made no probe of {k} neurons"),
        (one.tested.f1 is None, NO_INTERVAL),
        (one.tested.scores.mcc is None, NO_MCC),
    ]
    return "; ".join(words for missing, words in reasons if missing)
