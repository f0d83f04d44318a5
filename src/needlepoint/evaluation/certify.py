"""How far the sparse probes could be from the best there are: certificates at the chosen layer."""

from __future__ import annotations

import pandas as pd

from needlepoint._core.progress import Bar
from needlepoint.evaluation.read_neurons import NeuronData
from needlepoint.evaluation.search_neurons import Search
from needlepoint.probing.optimal.certificate import OptimalProbe
from needlepoint.probing.optimal.solve import optimal_path

SECONDS = 60.0
"""Most time for one feature and size; a gap that is open then is reported as it is."""
COLUMNS = [
    "feature",
    "layer",
    "k",
    "sites",
    "objective",
    "bound",
    "gap",
    "gamma",
    "status",
    "seconds",
    "screened",
    "overlap",
]


def certificate_frame(
    data: NeuronData, found: Search, largest: int, *, seconds: float = SECONDS
) -> pd.DataFrame:
    """The best probes of 1 to `largest` neurons of each feature's chosen layer, with their proof.

    A certificate is of the objective on training rows (logistic loss, both classes alike, ridge
    gamma), over all neurons of the layer. It says nothing of F1 or of other texts, and under a
    small gamma, a heavy ridge, it is easily had. `overlap` is how many of its neurons the sweep's
    probe of the same size reads too; missing where the sweep has no probe of that size.

    Args:
        data: The activations and labels.
        found: The search, which chose the layers.
        largest: Largest size; nothing is solved for 0.
        seconds: Time limit for each feature and size.
    """
    rows: list[dict[str, object]] = []
    if not largest:
        return pd.DataFrame(rows, columns=COLUMNS)
    with Bar("certifying probes", total=len(found.choices)) as bar:
        for feature, choice in enumerate(found.choices):
            layer, train = choice.sparse.layer, data.of(feature).train
            ks = range(1, min(largest, data.layer(layer).shape[1]) + 1)
            solved = optimal_path(
                data.layer(layer)[train],
                data.labels[train, feature],
                ks=tuple(ks),
                time_limit=seconds,
            )
            name = data.collection.features[feature]
            rows += [
                {"feature": name, "layer": layer, **_row(found, feature, layer, one)}
                for one in solved
            ]
            bar.advance()
    return pd.DataFrame(rows, columns=COLUMNS).astype({"overlap": "Int64"})


def _row(found: Search, feature: int, layer: int, one: OptimalProbe) -> dict[str, object]:
    support = one.probe.support.tolist()
    path = found.layers[layer].path
    overlap = None
    if one.k in path.ks:
        overlap = len(set(support) & set(path.probe(feature, one.k).support.tolist()))
    return {
        "k": one.k,
        "sites": " ".join(f"L{layer}.N{neuron}" for neuron in support),
        "objective": one.objective,
        "bound": one.bound,
        "gap": one.gap,
        "gamma": one.gamma,
        "status": one.verdict,
        "seconds": one.seconds,
        "screened": one.n_screened,
        "overlap": overlap,
    }
