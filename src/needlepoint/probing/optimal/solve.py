"""Optimal sparse probes: the best `k` neurons of a whole layer, with a certificate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.probing.optimal.branch import Tree
from needlepoint.probing.optimal.certificate import OptimalProbe
from needlepoint.probing.optimal.dual import Cut
from needlepoint.probing.optimal.incumbent import completed, most_different, swap_search
from needlepoint.probing.optimal.losses import LossName
from needlepoint.probing.optimal.objective import Objective
from needlepoint.probing.optimal.pairs import enumerate_pairs, enumerate_single
from needlepoint.probing.optimal.refit import fit_supports
from needlepoint.probing.optimal.relaxation import Region, Relaxed, relax
from needlepoint.probing.optimal.screening import screen
from needlepoint.probing.optimal.search import Search

TOLERANCE = 1e-6
"""Relative gap at which a search ends: a hundredth of what `exact` asks for."""
ENUMERATED = 2
"""Probes of at most this many neurons are solved by enumeration, whatever the time limit."""
DEFAULT_KS = tuple(range(1, 9))


def optimal_probe(
    acts: Float[Tensor, "example neuron"],
    label: Bool[Tensor, " example"],
    *,
    k: int,
    gamma: float | None = None,
    loss: LossName = "logistic",
    balanced: bool = True,
    time_limit: float = 60.0,
    warm: OptimalProbe | None = None,
    tolerance: float = TOLERANCE,
) -> OptimalProbe:
    """The probe of `k` neurons with the lowest training objective, over all neurons of a layer.

    Not the probe with the best F1, nor one for new data: the certificate is of

        sum_i w_i loss(y_i f_i) + |beta|**2 / (2 gamma),    f = X beta + b

    with `X` the neurons divided by `10 * max(sd, 1e-3)`, so that their spread is 0.1, and `w` the
    balanced weights, which add up to the number of examples (all 1 if not `balanced`). Weights of
    the probe are in units of one over the activation all the same.

    One neuron: all are fitted but those proven worse. Two: every pair is fitted that a lower bound
    does not rule out. Both end exact, however long they take. More: swap search, relaxation,
    screening, branch and bound, until the time is up. The layer is held in float64 meanwhile.
    Paper: Gurnee et al. 2023 (arXiv 2305.01610), there with the hinge and over 50 neurons chosen
    beforehand.

    Args:
        acts: Activations of one layer, of the examples that probes are fitted on.
        label: Which of them have the feature.
        k: Neurons that the probe reads.
        gamma: Weight of the loss against the ridge; by default the paper's,
            `1 / sqrt(n_examples)`. The larger, the weaker the ridge and the harder the proof.
        loss: Logistic, or the hinge of the released code.
        balanced: Whether both classes count alike.
        time_limit: Seconds after which to stop with the gap that is left, for probes of three or
            more neurons; one and two are enumerated to the end. A step that has begun is finished.
        warm: A result on the same layer to start from, of any size.
        tolerance: Relative gap at which to stop.

    Raises:
        DataError: If `k` is not between 1 and the number of neurons, `gamma` or `time_limit` is
            not positive, `warm` is of another layer, or the data cannot be used.
        OneClassError: If the examples are all of one class.

    Example:
        >>> import torch
        >>> generator = torch.Generator().manual_seed(0)
        >>> label = torch.arange(60) % 3 == 0
        >>> acts = torch.randn(60, 40, generator=generator)
        >>> acts[:, 7] += 2 * label
        >>> acts[:, 30] -= 2 * label
        >>> found = optimal_probe(acts, label, k=2)
        >>> found.probe.support.tolist(), found.verdict
        ([7, 30], 'exact')
    """
    objective = Objective.of(acts, label, gamma=gamma, loss=loss, balanced=balanced)
    check(objective, k, time_limit, tolerance, warm)
    return run(_search(objective, k, time_limit, tolerance), *([] if warm is None else [warm]))


def optimal_path(
    acts: Float[Tensor, "example neuron"],
    label: Bool[Tensor, " example"],
    *,
    ks: Sequence[int] = DEFAULT_KS,
    gamma: float | None = None,
    loss: LossName = "logistic",
    balanced: bool = True,
    time_limit: float = 60.0,
    tolerance: float = TOLERANCE,
) -> tuple[OptimalProbe, ...]:
    """The optimal probe of each size, each started from the one before and from its proofs.

    A dual vector bounds supports of every size, so those of one `k` screen neurons for the next.
    `time_limit` is for each size above 2. The rest is as in `optimal_probe`.

    Raises:
        DataError: If `ks` is empty, or as in `optimal_probe`.
        OneClassError: If the examples are all of one class.
    """
    if not ks:
        raise DataError("ks is empty; give the sizes of the probes, such as (1, 2, 3).")
    objective = Objective.of(acts, label, gamma=gamma, loss=loss, balanced=balanced)
    found: list[OptimalProbe] = []
    cuts: list[Cut] = []
    for k in ks:
        check(objective, k, time_limit, tolerance, None)
        search = _search(objective, k, time_limit, tolerance)
        search.cuts = cuts[-64:]
        found.append(run(search, *found[-1:]))
        cuts = search.cuts
    return tuple(found)


def check(
    objective: Objective,
    k: int,
    time_limit: float,
    tolerance: float,
    warm: OptimalProbe | None = None,
) -> None:
    """Refuse what cannot be solved.

    Raises:
        DataError: With the fix in its message.
    """
    if not 1 <= k <= objective.n_neurons:
        raise DataError(
            f"a probe of {k} neurons on a layer of {objective.n_neurons}; "
            f"choose k between 1 and {objective.n_neurons}."
        )
    if not time_limit > 0:
        raise DataError(f"time_limit must be positive, not {time_limit}; it is in seconds.")
    if not 0 < tolerance < 1:
        raise DataError(f"tolerance must be between 0 and 1, not {tolerance}; try 1e-6.")
    if warm is not None and warm.n_neurons != objective.n_neurons:
        raise DataError(
            f"warm is of a layer of {warm.n_neurons} neurons and this one has "
            f"{objective.n_neurons}; give a result on the same layer."
        )


def _search(objective: Objective, k: int, time_limit: float, tolerance: float) -> Search:
    """A search, without a limit for sizes that are enumerated."""
    limit = time_limit if k > ENUMERATED else np.inf
    return Search(objective, k, time_limit=limit, tolerance=tolerance)


def run(search: Search, *warm: OptimalProbe) -> OptimalProbe:
    """What a search ends with: start supports, those of `warm` among them, then the method for k.

    Args:
        search: A search that has just begun.
        warm: Results on the same layer, of any size and ridge.
    """
    order = np.argsort(-most_different(search.objective), kind="stable")
    known = [completed(_known(one, search.objective), order, search.k) for one in warm]
    search.offer(np.stack([order[: search.k], *known]))
    if search.k == search.objective.n_neurons:
        search.raise_bound(float(fit_supports(search.objective, order[None]).bound[0]))
    elif search.k == 1:
        enumerate_single(search)
    elif search.k == 2:
        swap_search(search)
        _relax_layer(search)
        enumerate_pairs(search)
    else:
        _branch(search)
    settled = screen(search.cuts, search.k, search.value, search.objective.n_neurons)
    search.n_screened = int(settled.outside.sum())
    return search.result()


def _known(warm: OptimalProbe, objective: Objective) -> Int[np.ndarray, " k"]:
    """Neurons of an earlier result, those that matter most to it first."""
    support = warm.probe.support.numpy()
    effect = np.abs(warm.probe.weight.numpy()) * objective.scale[support]
    found: Int[np.ndarray, " k"] = support[np.argsort(-effect, kind="stable")]
    return found


def _relax_layer(search: Search) -> Relaxed:
    """The relaxation over the whole layer, from the best support; its proofs are kept."""
    n_neurons = search.objective.n_neurons
    shares = np.zeros(n_neurons)
    shares[search.support] = 1.0
    whole = Region(search.k, np.zeros(0, np.int64), np.arange(n_neurons))
    solved = relax(search.objective, whole, shares, enough=search.cutoff)
    search.nodes += 1
    search.cuts += solved.cuts
    search.raise_bound(solved.bound)
    return solved


def _branch(search: Search) -> None:
    """Incumbent, relaxation over the whole layer, screening, then branch and bound."""
    swap_search(search)
    solved = _relax_layer(search)
    if search.offer(np.argsort(-solved.shares, kind="stable")[None, : search.k]):
        swap_search(search)
    if search.closed:
        return
    settled = screen(search.cuts, search.k, search.value, search.objective.n_neurons)
    units = np.flatnonzero(~settled.outside)
    inside, free = np.flatnonzero(settled.inside[units]), np.flatnonzero(~settled.inside[units])
    root = Region(search.k, inside, free)
    Tree(search, units).grow(root, solved.shares[units[free]], solved.start)
