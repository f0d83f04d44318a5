"""The chosen sum on test rows, once, beside its neurons, random sums and shuffled searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint.evaluation.case_studies.basis_contrast import Parts
from needlepoint.evaluation.case_studies.neuron_sums import (
    SignedSum,
    best_sum,
    fit_sum,
    random_sums,
)
from needlepoint.evaluation.case_studies.scored import columns, scored
from needlepoint.evaluation.case_studies.swap_test import swap_p_value
from needlepoint.evaluation.clustered import f1_of
from needlepoint.evaluation.intervals import Interval
from needlepoint.evaluation.trivial_baselines import ridge_probe
from needlepoint.probing.scores import roc_auc
from needlepoint.probing.select import choose_neurons, score_neurons

Layers = Mapping[int, Float[Tensor, "example neuron"]]


@dataclass(frozen=True, eq=False)
class Caller:
    """Something that gives every row a value, and calls positive what lies above a cut."""

    probe: str
    layer: int | None
    sites: tuple[str, ...]
    values: Float[Tensor, " example"]
    cut: float
    sign: int = 1
    """-1 for a neuron that is low on the feature; its values are turned round already."""

    @property
    def called(self) -> Bool[Tensor, " example"]:
        """What it calls positive."""
        return self.values > self.cut


def summands(layers: Layers, found: SignedSum, parts: Parts) -> list[Caller]:
    """Each neuron of the sum alone, with its best cut on training rows."""
    labels = parts.truth[:, None]
    acts = layers[found.layer][:, found.neurons]
    scores = score_neurons(
        acts[parts.train], labels[parts.train], acts[parts.validation], labels[parts.validation]
    ).threshold
    callers = []
    for at, site in enumerate(found.sites):
        sign = int(scores.sign[0, at])
        cut = sign * float(scores.threshold[0, at])
        values = sign * acts[:, at].double()
        callers.append(Caller("summand", found.layer, (site,), values, cut, sign))
    return callers


def callers_of(layers: Layers, found: SignedSum, parts: Parts) -> list[Caller]:
    """The sum, the same without units, the fitted probe, the best single neuron of all layers."""
    acts = layers[found.layer]
    raw = fit_sum(
        acts,
        parts.truth,
        parts.train,
        parts.validation,
        found.neurons,
        layer=found.layer,
        scaled=False,
    )
    fitted = ridge_probe(acts, parts.truth, parts.train, parts.validation, columns=found.neurons)
    return [
        Caller("sum", found.layer, found.sites, found(acts), found.cut),
        Caller("sum of activations", found.layer, found.sites, raw(acts), raw.cut),
        Caller("fitted probe", found.layer, found.sites, fitted.odds, fitted.cut),
        _best_single(layers, parts),
    ]


def _best_single(layers: Layers, parts: Parts) -> Caller:
    labels, numbers = parts.truth[:, None], list(layers)
    (kept,) = choose_neurons(
        [
            score_neurons(
                acts[parts.train],
                labels[parts.train],
                acts[parts.validation],
                labels[parts.validation],
            )
            for acts in layers.values()
        ]
    )
    layer = numbers[kept.layer]
    values = kept.sign * layers[layer][:, kept.neuron].double()
    site = f"L{layer}.N{kept.neuron}"
    return Caller("best neuron", layer, (site,), values, kept.sign * kept.threshold, kept.sign)


def sums_frame(
    callers: Sequence[Caller], parts: Parts, generator: torch.Generator | None = None
) -> pd.DataFrame:
    """One row for each caller on test rows; `gap` is the sum's F1 minus its own, paired.

    `gap_p` is the p-value of the gap by `swap_p_value`, of everything but the sum; missing without
    a generator, and where documents are too few for intervals.
    """
    total = next(one for one in callers if one.probe == "sum")
    rows = []
    for one in callers:
        row = {
            "probe": one.probe,
            "layer": one.layer,
            "sites": " ".join(one.sites),
            "sign": one.sign,
            **_scores(one, parts),
        }
        if one is not total:
            row |= columns("gap", _gap(total, one, parts))
            row["gap_p"] = _swapped(total, one, parts, generator)
        rows.append(row)
    names = ["probe", "layer", "sites", "sign", "f1_validation"]
    names += [f"{name}{end}" for name in ("f1", "auc", "gap") for end in ("", "_low", "_high")]
    names.append("gap_p")
    frame = pd.DataFrame(rows, columns=names)
    numbers = [name for name in names[4:] if name not in ("f1", "auc")]
    return frame.astype({"layer": "Int64", **dict.fromkeys(numbers, "Float64")})


def constant(parts: Parts) -> Caller:
    """Calls every row positive."""
    return Caller("majority", None, (), torch.ones(len(parts.truth), dtype=torch.float64), 0.0)


def last_token(ids: Int[Tensor, " example"], parts: Parts) -> Caller:
    """Calls positive what ends in a token that positive training rows end in."""
    seen = torch.unique(ids[parts.train][parts.truth[parts.train]])
    values = torch.isin(ids, seen).double()
    return Caller("last token", None, (), values, 0.5)


@dataclass(frozen=True)
class RandomSums:
    """How sums of as many random neurons of the same layer do on test rows."""

    f1: tuple[float, ...]
    auc: tuple[float, ...]


def score_random(
    layers: Layers, found: SignedSum, parts: Parts, n: int, generator: torch.Generator
) -> RandomSums:
    """Test scores of sums of random neurons, signs and cuts chosen as those of the sum."""
    acts = layers[found.layer]
    drawn = random_sums(acts, parts.truth, parts.train, parts.validation, found, n, generator)
    values = torch.stack([one(acts[parts.test]) for one in drawn], dim=1)
    truth = parts.truth[parts.test]
    cuts = torch.tensor([one.cut for one in drawn], dtype=torch.float64)
    f1 = tuple(f1_of(column, truth) for column in (values > cuts).T)
    return RandomSums(f1, _aucs(values, truth))


def score_shuffled(
    layers: Layers, labels: Bool[Tensor, "example feature"], parts: Parts, k: int
) -> RandomSums:
    """Test scores of the whole search, layer included, on labels given one another's.

    Args:
        layers: Activations of the layers searched.
        labels: One column of shuffled labels for each repeat.
        parts: Rows of each part.
        k: Neurons in a sum.
    """
    f1: list[float] = []
    auc: list[float] = []
    for truth in labels.T:
        found = best_sum(list(layers.items()), truth, parts.train, parts.validation, k)
        values = found(layers[found.layer][parts.test])
        f1.append(f1_of(values > found.cut, truth[parts.test]))
        auc += _aucs(values[:, None], truth[parts.test])
    return RandomSums(tuple(f1), tuple(auc))


def _aucs(values: Tensor, truth: Tensor) -> tuple[float, ...]:
    return tuple(roc_auc(values, truth[:, None].expand_as(values).contiguous()).tolist())


def _scores(one: Caller, parts: Parts) -> dict[str, float | None]:
    truth, test = parts.truth, parts.test
    validation = f1_of(one.called[parts.validation], truth[parts.validation])
    found = scored(one.values[test], one.cut, truth[test], parts.resamples)
    return {"f1_validation": validation, **found}


def _gap(total: Caller, one: Caller, parts: Parts) -> Interval | None:
    if parts.resamples is None:
        return None
    return parts.resamples.f1_difference(total.called[parts.test], one.called[parts.test])


def _swapped(
    total: Caller, one: Caller, parts: Parts, generator: torch.Generator | None
) -> float | None:
    if generator is None or parts.resamples is None:
        return None
    calls = (total.called[parts.test], one.called[parts.test], parts.truth[parts.test])
    return swap_p_value(*calls, parts.resamples.member, generator)
