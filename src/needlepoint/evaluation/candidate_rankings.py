"""Rankings in which neurons stand together: of the candidates that a second pass stored.

What a neuron scores depends on which others are fitted with it, so that sums over rows do not
suffice, and activations of all neurons would be large. The candidates of each layer are fitted
together instead; all other neurons have no score.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import unknown_name
from needlepoint._core.progress import Bar
from needlepoint.evaluation.neuron_rankings import CANDIDATE_METHODS, Ranking
from needlepoint.evaluation.second_pass import SecondPass
from needlepoint.probing.ranking_methods import rank

_NEUTRAL = {"l1_logistic": -1.0, "linear_svm": 0.0}
"""The score of a neuron that tells nothing. L1: no weight, and no gradient towards one."""


def rank_candidates(second: SecondPass, by: str, *, n_neurons: int, seed: int = 0) -> Ranking:
    """Rank the candidates of each layer together, for all features, on training rows.

    Scores are those of `needlepoint.probing.ranking_methods.rank` on the columns of the candidates.
    Layers are fitted apart: weights of two layers are compared by their size alone.

    Args:
        second: The candidates and their activations.
        by: One of `CANDIDATE_METHODS`.
        n_neurons: Neurons of a whole layer.
        seed: Root seed of the methods that draw.

    Returns:
        A ranking of all neurons. The score is NaN for those that are no candidates, and for
        candidates that are the same on all rows.

    Raises:
        UnknownNameError: If there is no such ranking of candidates.
        OneClassError: If a feature has training rows of one class only.
        DataError: If a fit does not end.
    """
    if by not in CANDIDATE_METHODS:
        raise unknown_name("ranking of candidates", by, CANDIDATE_METHODS)
    layers, features = second.candidates.neurons, len(second.data.collection.features)
    score = torch.full((features, len(layers), n_neurons), torch.nan)
    sign = torch.ones(score.shape, dtype=torch.int8)
    ranked = torch.zeros(score.shape[1:], dtype=torch.bool)
    with Bar(f"ranking candidates by {by}", total=len(layers)) as bar:
        for layer, neurons in enumerate(layers):
            if len(neurons):
                found, side = _layer(second, layer, by, seed)
                score[:, layer, neurons], sign[:, layer, neurons] = found, side
                ranked[layer, neurons] = True
            bar.advance()
    return Ranking(score, sign, neutral=_NEUTRAL[by], ranked=ranked)


def _layer(
    second: SecondPass, layer: int, by: str, seed: int
) -> tuple[Float[Tensor, "feature unit"], Int[Tensor, "feature unit"]]:
    """Scores and signs of the candidates of one layer, for features on whichever rows."""
    data = second.data
    acts = data.layer(layer)
    score = acts.new_empty(len(data.collection.features), acts.shape[1])
    sign = torch.empty(score.shape, dtype=torch.int8)
    for group in data.groups:
        features, rows = list(group.features), group.train
        x, labels = acts[rows], data.labels[rows][:, features]
        found = rank(by, x, labels, seed=seed)
        score[features] = found.scores.float().masked_fill(_constant(x), torch.nan)
        sign[features] = found.sign.to(torch.int8)
    return score, sign


def _constant(x: Float[Tensor, "example unit"]) -> Bool[Tensor, " unit"]:
    return (x == x[0]).all(0)
