"""The published scores of the best single neuron over model sizes, and what was done otherwise."""

from __future__ import annotations

import pandas as pd

SOURCE = (
    "Gurnee et al. 2023 (arXiv 2305.01610), released table top_mono_neurons.csv: 7 Pythia models "
    "(V0), 100 features"
)
DIFFERENCES = (
    "The published score is the F1 of the neuron with the best test F1, of 30 candidates in each "
    "layer but the first; here test texts choose nothing.",
    "The published collections are other texts with other features, split by row; here texts are "
    "split by document.",
    "The published cut is that of a balanced logistic fit; here it is chosen for F1 on training "
    "texts.",
    "The published models are GELU models of one family; the weights now distributed under the "
    "same names are others.",
)
MODELS = (
    # name, parameters, layers, MLP neurons
    ("pythia-70m", 70e6, 6, 12_288),
    ("pythia-160m", 160e6, 12, 36_864),
    ("pythia-410m", 410e6, 24, 98_304),
    ("pythia-1b", 1.0e9, 16, 131_072),
    ("pythia-1.4b", 1.4e9, 24, 196_608),
    ("pythia-2.8b", 2.8e9, 32, 327_680),
    ("pythia-6.9b", 6.9e9, 32, 524_288),
)
"""Parameters as in the names."""
F1: dict[str, tuple[int, tuple[float, ...]]] = {
    "all features": (100, (0.788, 0.806, 0.820, 0.838, 0.834, 0.845, 0.848)),
    "part of speech and morphology": (38, (0.768, 0.788, 0.799, 0.814, 0.808, 0.822, 0.821)),
    "compound words": (21, (0.904, 0.939, 0.947, 0.948, 0.942, 0.950, 0.950)),
    "data source": (9, (0.794, 0.803, 0.804, 0.853, 0.845, 0.874, 0.854)),
    "code language": (9, (0.696, 0.743, 0.789, 0.854, 0.837, 0.863, 0.826)),
    "LaTeX": (12, (0.748, 0.756, 0.760, 0.787, 0.771, 0.761, 0.775)),
    "text features": (11, (0.747, 0.723, 0.753, 0.742, 0.770, 0.778, 0.836)),
}
"""For each group of features their number, and the mean best test F1 by model."""
GROUPS = {
    "programming_language": "code language",
    "compound_words": "compound words",
    "data_source": "data source",
    "latex": "LaTeX",
    "text_features": "text features",
    "part_of_speech": "part of speech and morphology",
    "morphology": "part of speech and morphology",
}
"""The published group that a collection of ours is nearest to."""


def published_group(collection: str) -> str:
    """The published group of features that a collection is drawn beside.

    Example:
        >>> published_group("latex"), published_group("people")
        ('LaTeX', 'all features')
    """
    return GROUPS.get(collection, "all features")


def published_frame(groups: tuple[str, ...]) -> pd.DataFrame:
    """The published curves: `group, n_features, model, parameters, layers, neurons, f1`."""
    return pd.DataFrame(
        [
            {
                "group": group,
                "n_features": F1[group][0],
                "model": name,
                "parameters": parameters,
                "layers": layers,
                "neurons": neurons,
                "f1": f1,
            }
            for group in dict.fromkeys(groups)
            for (name, parameters, layers, neurons), f1 in zip(MODELS, F1[group][1], strict=True)
        ]
    )
