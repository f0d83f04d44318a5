"""Optimal sparse probes of several sizes under several ridges, within one time for all."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.probing.optimal.certificate import OptimalProbe
from needlepoint.probing.optimal.dual import Cut
from needlepoint.probing.optimal.losses import LossName
from needlepoint.probing.optimal.objective import Objective
from needlepoint.probing.optimal.search import Search
from needlepoint.probing.optimal.solve import DEFAULT_KS, TOLERANCE, check, run


def optimal_ridges(
    acts: Float[Tensor, "example neuron"],
    label: Bool[Tensor, " example"],
    *,
    gammas: Sequence[float],
    ks: Sequence[int] = DEFAULT_KS,
    seconds: float = 10.0,
    loss: LossName = "logistic",
    balanced: bool = True,
    tolerance: float = TOLERANCE,
) -> tuple[OptimalProbe, ...]:
    """The optimal probe of each size under each ridge, as far as a time for all of them goes.

    Proofs get dearer as the ridge gets weaker and the probe larger, so the heaviest ridge comes
    first, and under each ridge the smallest size. Each search starts from the probe of the size
    before and from that of the same size under the ridge before, and may take an even share of the
    time that is left: what the cheap ones do not need goes to the dear ones. A search that runs
    out of it, enumeration of pairs included, leaves its gap. Single neurons are enumerated to the
    end, and a step that has begun is finished. A probe for which no time is left is not among
    those returned, save the first.

    Where time runs out, what is found depends on the machine; objective, bound and gap are right
    on any. The objective, and what its certificate says, are those of `optimal_probe`.

    Args:
        acts: Activations of one layer, of the examples that probes are fitted on.
        label: Which of them have the feature.
        gammas: Weights of the loss against the ridge; the larger, the weaker the ridge.
        ks: Sizes of the probes.
        seconds: Time for all of them together.
        loss: Logistic, or the hinge of the released code.
        balanced: Whether both classes count alike.
        tolerance: Relative gap at which a search ends.

    Returns:
        By increasing gamma, and by increasing size under each.

    Raises:
        DataError: If there is no size or gamma, one of them cannot be used, `seconds` is not
            positive, `tolerance` is not between 0 and 1, or the data cannot be used.
        OneClassError: If the examples are all of one class.

    Example:
        >>> import torch
        >>> acts = torch.randn(60, 20, generator=torch.Generator().manual_seed(0))
        >>> found = optimal_ridges(acts, acts[:, 4] - acts[:, 9] > 0, gammas=(0.1, 1), ks=(1, 2))
        >>> [(one.gamma, one.k, one.verdict) for one in found]
        [(0.1, 1, 'exact'), (0.1, 2, 'exact'), (1.0, 1, 'exact'), (1.0, 2, 'exact')]
    """
    begin = time.perf_counter()
    objective = Objective.of(acts, label, gamma=_least(gammas), loss=loss, balanced=balanced)
    sizes = _sizes(ks, objective.n_neurons)
    if not seconds > 0:
        raise DataError(f"seconds must be positive, not {seconds}.")
    check(objective, sizes[-1], seconds, tolerance)
    jobs = [(float(gamma), k) for gamma in sorted(set(gammas)) for k in sizes]
    found: dict[tuple[float, int], OptimalProbe] = {}
    cuts: list[Cut] = []
    for number, (gamma, k) in enumerate(jobs):
        left = seconds - (time.perf_counter() - begin)
        if left <= 0 and found:
            break
        share = max(left, 0.0) / (len(jobs) - number)
        search = Search(replace(objective, gamma=gamma), k, time_limit=share, tolerance=tolerance)
        # A proof holds under its own ridge only.
        search.cuts = [] if k == sizes[0] else cuts[-64:]
        found[gamma, k] = run(search, *_before(found, gamma, k))
        cuts = search.cuts
    return tuple(found.values())


def _least(gammas: Sequence[float]) -> float:
    """The heaviest ridge; what is wrong with it is left to the objective.

    Raises:
        DataError: If there is none, or one is not finite.
    """
    if not gammas or not all(map(math.isfinite, gammas)):
        raise DataError(f"gammas = {list(gammas)}; give at least one, all of them finite.")
    return min(gammas)


def _sizes(ks: Sequence[int], n_neurons: int) -> list[int]:
    """The sizes by increasing k.

    Raises:
        DataError: If there is none, or one does not fit the layer.
    """
    sizes = sorted(set(ks))
    if not sizes or not 1 <= sizes[0] <= sizes[-1] <= n_neurons:
        raise DataError(
            f"ks = {list(ks)} on a layer of {n_neurons} neurons; give sizes from 1 to {n_neurons}."
        )
    return sizes


def _before(
    found: dict[tuple[float, int], OptimalProbe], gamma: float, k: int
) -> list[OptimalProbe]:
    """The last size under this ridge, and the same size under the last one."""
    smaller = [one for (ridge, size), one in found.items() if ridge == gamma and size < k]
    heavier = [one for (ridge, size), one in found.items() if ridge < gamma and size == k]
    return [*smaller[-1:], *heavier[-1:]]
