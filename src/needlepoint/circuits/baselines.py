"""Simple head scores that the method has to beat, from the same activations.

All take what heads write on clean examples and on their corrupt counterparts, in any orthonormal
basis, so `HeadData.clean` and `HeadData.corrupt` will do, and return one number for each head.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError

RIDGE = 1e-2
"""Ridge penalty of the linear probe, as a share of the mean variance of a coordinate."""
STILL = 1e-5
"""Spread, as a share of the norm, below which a head counts as one that never varies: float32 in
a model leaves about a tenth of it."""


def mean_difference(
    clean: Float[Tensor, "pair head width"], corrupt: Float[Tensor, "pair head width"]
) -> Float[Tensor, " head"]:
    """Distance between the mean output on clean and on corrupt examples.

    In the units of the residual stream: a head that writes much is favoured.

    Example:
        >>> clean = torch.tensor([[[3.0, 0.0]], [[3.0, 0.0]]])
        >>> mean_difference(clean, torch.tensor([[[0.0, 4.0]], [[0.0, 4.0]]]))
        tensor([5.])
    """
    return _norm(clean.mean(0) - corrupt.mean(0))


def effect_size(
    clean: Float[Tensor, "pair head width"], corrupt: Float[Tensor, "pair head width"]
) -> Float[Tensor, " head"]:
    """`mean_difference` divided by the spread within the classes.

    The spread is the root mean squared distance of an output from the mean of its class. It is
    not the discriminant of the two classes: directions are not weighed by their variance. A
    head that writes nothing scores 0; one that writes a constant in each class, and another in
    the other, scores very high but not infinity.

    Example:
        >>> clean = torch.tensor([[[5.0]], [[7.0]]])
        >>> effect_size(clean, torch.tensor([[[1.0]], [[3.0]]]))
        tensor([4.])
    """
    within = (clean - clean.mean(0)).square().sum(-1) + (corrupt - corrupt.mean(0)).square().sum(-1)
    least = STILL * output_norm(clean, corrupt) + torch.finfo(clean.dtype).tiny
    return mean_difference(clean, corrupt) / torch.maximum((within.mean(0) / 2).sqrt(), least)


def paired_difference(
    clean: Float[Tensor, "pair head width"], corrupt: Float[Tensor, "pair head width"]
) -> Float[Tensor, " head"]:
    """Mean distance between the output on a clean prompt and on its own corrupt counterpart.

    Sees differences that cancel in the mean, as when half the pairs go from "he" to "she" and
    half from "she" to "he".

    Example:
        >>> clean = torch.tensor([[[1.0]], [[-1.0]]])
        >>> paired_difference(clean, -clean), mean_difference(clean, -clean)
        (tensor([2.]), tensor([0.]))
    """
    return _norm(clean - corrupt).mean(0)


def paired_singular_value(
    clean: Float[Tensor, "pair head width"], corrupt: Float[Tensor, "pair head width"]
) -> Float[Tensor, " head"]:
    """Root mean square of the paired differences along the direction that has most of it.

    This is the largest singular value of the differences, one row for each pair, divided by
    the root of the number of pairs. It asks that the pairs differ in one common direction, of
    either sign; `paired_difference` does not.

    Example:
        >>> clean = torch.tensor([[[3.0, 0.0]], [[-3.0, 0.0]]])
        >>> paired_singular_value(clean, torch.zeros_like(clean))
        tensor([3.])
    """
    difference = (clean - corrupt).movedim(1, 0)
    scatter = difference.mT @ difference / len(clean)
    power: Tensor = torch.linalg.eigvalsh(scatter)[:, -1]
    return power.clamp(min=0).sqrt()


def output_norm(
    clean: Float[Tensor, "pair head width"], corrupt: Float[Tensor, "pair head width"]
) -> Float[Tensor, " head"]:
    """Mean norm of what a head writes, on clean and corrupt examples alike: no labels.

    Example:
        >>> output_norm(torch.tensor([[[3.0, 4.0]]]), torch.tensor([[[0.0, 1.0]]]))
        tensor([3.])
    """
    return _norm(torch.cat([clean, corrupt])).mean(0)


def linear_probe_accuracy(
    clean: Float[Tensor, "pair head width"],
    corrupt: Float[Tensor, "pair head width"],
    *,
    fold_of: Int[Tensor, " pair"],
) -> Float[Tensor, " head"]:
    """Share of held-out examples that a linear probe of one head puts in the right class.

    The probe is ridge regression on +1 (clean) and -1 (corrupt), fitted for all heads and
    folds at once in float64. Both examples of a pair are always in one fold. A tie counts as
    half, so that a head that writes nothing scores 0.5. Fitted on `HeadData.coordinates`, it
    is exactly the ridge probe on the `d_model` wide outputs.

    Args:
        clean: Outputs on clean examples.
        corrupt: Outputs on their corrupt counterparts.
        fold_of: Fold of each pair, for instance from `grouped_folds`.

    Raises:
        DataError: If there are fewer than two folds.
    """
    if len(folds := torch.unique(fold_of)) < 2:
        raise DataError("all pairs are in one fold: give at least two groups of pairs.")
    vectors = torch.cat([clean, corrupt]).double().movedim(1, 0)
    vectors = vectors - vectors.mean(1, keepdim=True)
    target = torch.ones(vectors.shape[1], dtype=vectors.dtype, device=vectors.device)
    target[len(clean) :] = -1
    fold_of = torch.cat([fold_of, fold_of])
    right = torch.zeros(len(vectors), dtype=vectors.dtype, device=vectors.device)
    gram, product, total = _sums(vectors, target)
    for fold in folds:
        held = fold_of == fold
        less = _sums(vectors[:, held], target[held])
        log_odds = _predict(
            (gram - less[0], product - less[1], total - less[2]),
            int((~held).sum()),
            vectors[:, held],
        )
        right += ((log_odds * target[held]).sign() / 2 + 0.5).sum(1)
    return right / len(target)


def grouped_folds(
    group_of: Int[Tensor, " pair"], *, n_folds: int, generator: torch.Generator
) -> Int[Tensor, " pair"]:
    """Deal whole groups at random to `n_folds` folds of nearly equal numbers of groups.

    Fewer folds come back where there are fewer groups.

    Example:
        >>> groups = torch.tensor([7, 7, 3, 3])
        >>> folds = grouped_folds(groups, n_folds=5, generator=torch.Generator().manual_seed(0))
        >>> bool(folds[0] == folds[1]), bool(folds[0] == folds[2])
        (True, False)
    """
    _, place = torch.unique(group_of, return_inverse=True)
    n_groups = int(place.max()) + 1
    order = torch.randperm(n_groups, generator=generator, device=generator.device)
    return (order % n_folds).to(place.device)[place]


def _norm(vectors: Float[Tensor, "*row width"]) -> Float[Tensor, "*row"]:
    return vectors.square().sum(-1).sqrt()


def _sums(
    vectors: Float[Tensor, "head example width"], target: Float[Tensor, " example"]
) -> tuple[Tensor, Tensor, Tensor]:
    """Gram matrix, product with the target, and sum, of the examples of each head."""
    return vectors.mT @ vectors, target @ vectors, vectors.sum(1)


def _predict(
    sums: tuple[Tensor, Tensor, Tensor], n_train: int, held: Float[Tensor, "head example width"]
) -> Float[Tensor, "head example"]:
    """Ridge prediction on held-out examples from the sums over the training ones.

    The target sums to zero over the training pairs, so centring the vectors is all it takes.
    """
    gram, product, total = sums
    mean = total / n_train
    scatter = gram - n_train * mean[:, :, None] * mean[:, None, :]
    spread = scatter.diagonal(dim1=1, dim2=2).mean(-1)
    ridge = torch.where(spread > 0, RIDGE * spread, torch.ones_like(spread))
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    weight: Tensor = torch.linalg.solve(scatter + ridge[:, None, None] * eye, product)
    return ((held - mean[:, None]) * weight[:, None]).sum(-1)
