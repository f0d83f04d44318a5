"""How well a ranking of heads, nodes or edges finds those that are known to be the circuit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.graph.graph import Graph
from needlepoint.evaluation.intervals import Interval
from needlepoint.evaluation.metrics import (
    average_precision,
    average_precision_interval,
    f1_at_size,
    hanley_mcneil_interval,
    optimistic_auc,
    oracle_f1,
    overlap_p_value,
    pessimistic_auc,
    precision_at_k,
    repo_f1,
    roc_auc,
)


@dataclass(frozen=True)
class RankingJudged:
    """What a ranking of units is worth, against a set of units that is taken to be the truth.

    A value is None where it does not exist, and `reason` says why.
    """

    n_units: int
    n_true: int
    size: int
    """Size of the circuit that the ranking is cut to, fixed beforehand: as many as are true
    unless said otherwise."""
    auc: Interval | None = None
    """Area under the ROC curve, ties counted as half, with the interval of Hanley and McNeil."""
    auc_pessimistic: float | None = None
    auc_optimistic: float | None = None
    average_precision: float | None = None
    chance_precision: float | None = None
    """Share of true units: what a random order gets as average precision and precision at k."""
    f1: float | None = None
    """At `size`; mean over ways to break a tie for the last places, like `precision_at_k`."""
    precision_at_k: float | None = None
    oracle_f1: float | None = None
    """Best F1 over all thresholds: chosen on the truth, so not a finding."""
    repo_f1: float | None = None
    """What the discrete autoencoder's authors call F1; it is not F1."""
    hits: int | None = None
    """True units among the first `size`; where ties are cut, the fewest there can be."""
    overlap_p: float | None = None
    """Probability of that many hits or more in a random choice of `size` units."""
    reason: str = ""

    @property
    def average_precision_interval(self) -> Interval | None:
        """With what other true units of this kind would give; it has a width at 1 too."""
        if self.average_precision is None:
            return None
        return average_precision_interval(self.average_precision, n_true=self.n_true)

    def summary(self) -> dict[str, Any]:
        """The same as plain values, the intervals as their three numbers."""
        found, precision = asdict(self), self.average_precision_interval
        found["auc"] = None if self.auc is None else self.auc._asdict()
        found["average_precision_interval"] = None if precision is None else precision._asdict()
        return found

    def columns(self) -> dict[str, float | None]:
        """The measures that tables have, the ends of intervals in columns of their own."""
        area, precision = self.auc, self.average_precision_interval
        return {
            "auc": None if area is None else area.estimate,
            "auc_low": None if area is None else area.low,
            "auc_high": None if area is None else area.high,
            "average_precision": self.average_precision,
            "average_precision_low": None if precision is None else precision.low,
            "average_precision_high": None if precision is None else precision.high,
            "chance_precision": self.n_true / self.n_units,
            "precision_at_k": self.precision_at_k,
            "f1": self.f1,
            "repo_f1": self.repo_f1,
        }


def judge_ranking(
    strength: Float[Tensor, " unit"], truth: Bool[Tensor, " unit"], *, size: int | None = None
) -> RankingJudged:
    """Everything that is said of a ranking against a known circuit.

    Nothing is averaged over anything: with several seeds, judge each of them. Intervals are over
    units of one model, which were not drawn at random.

    Args:
        strength: One number for each head, node or edge, larger for better candidates.
        truth: Which of them are the circuit.
        size: Size of the circuit to cut to, for F1, precision and overlap. Fix it before looking
            at the truth; the number of true units, which is known of a published circuit, is
            taken if it is not given.

    Returns:
        All values, or none and the reason if all units or none are true.

    Raises:
        DataError: If a strength is NaN, or `size` is not between 1 and the number of units.

    Example:
        >>> truth = torch.tensor([1, 0, 1, 0, 0, 1, 0, 0]).bool()
        >>> found = judge_ranking(torch.tensor([5.0, 4, 4, 3, 2, 2, 1, 0]), truth)
        >>> round(found.auc.estimate, 4), found.auc_pessimistic, found.hits
        (0.8, 0.7333333333333333, 2)
    """
    n_units, n_true = len(truth), int(truth.sum())
    size = n_true if size is None else size
    if n_true in (0, n_units):
        what = "every unit is" if n_true else "no unit is"
        reason = f"{what} part of the truth: a ranking can only be judged with units of both kinds"
        return RankingJudged(n_units, n_true, size, reason=reason)
    area = roc_auc(strength, truth)
    hits = _fewest_hits(strength, truth, size)
    return RankingJudged(
        n_units,
        n_true,
        size,
        auc=hanley_mcneil_interval(area, n_true=n_true, n_false=n_units - n_true),
        auc_pessimistic=pessimistic_auc(strength, truth),
        auc_optimistic=optimistic_auc(strength, truth),
        average_precision=average_precision(strength, truth),
        chance_precision=n_true / n_units,
        f1=f1_at_size(strength, truth, size=size),
        precision_at_k=precision_at_k(strength, truth, k=size),
        oracle_f1=oracle_f1(strength, truth),
        repo_f1=repo_f1(strength, truth),
        hits=hits,
        overlap_p=overlap_p_value(n_units=n_units, n_true=n_true, n_chosen=size, n_hits=hits),
    )


def judge_edges(
    strength: Float[Tensor, "writer reader"],
    truth: Bool[Tensor, "writer reader"],
    graph: Graph,
    *,
    size: int | None = None,
) -> RankingJudged:
    """A ranking of edges judged as edges: over those that exist, and no other.

    Pairs of nodes that cannot be joined are told apart by any method and by none alike; counting
    them as negatives would make every method look good.

    Raises:
        DataError: If the truth has an edge that does not exist; the message names it.
    """
    stray = truth & ~graph.edges
    if bool(stray.any()):
        writer, reader = next(iter(graph.named(stray)))
        raise DataError(
            f"{writer} -> {reader} is in the truth and is no edge of this graph: check that the "
            "known circuit is of this model, and that writers come first."
        )
    return judge_ranking(strength[graph.edges], truth[graph.edges], size=size)


def judge_head_pairs(
    strength: Float[Tensor, "writer reader"],
    truth: Bool[Tensor, "writer reader"],
    graph: Graph,
    *,
    size: int | None = None,
) -> RankingJudged:
    """A ranking of edges judged by which head it says feeds which later head.

    Published circuits are drawn like this. The strength of a pair is the largest of those into
    the queries, keys and values of the later head; a pair is true if any of these is. A shared
    key or value feeds each head of its group.
    """
    earlier = head_pairs(graph.edges.double(), graph, -torch.inf) > 0
    strengths = head_pairs(strength.double(), graph, -torch.inf)[earlier]
    true = head_pairs((truth & graph.edges).double(), graph, 0.0)[earlier] > 0
    return judge_ranking(strengths, true, size=size)


def head_pairs(
    values: Float[Tensor, "writer reader"], graph: Graph, fill: float
) -> Float[Tensor, "head head"]:
    """The largest value over the inputs of the second head, `fill` where the first is not before.

    Example:
        >>> graph = Graph(n_layers=2, n_heads=2, n_kv_heads=1)
        >>> values = torch.zeros(graph.n_writers, graph.n_readers)
        >>> values[graph.writer("L0.H1"), graph.reader("L1.K0")] = 3
        >>> head_pairs(values, graph, -1.0)
        tensor([[-1., -1.,  0.,  0.],
                [-1., -1.,  3.,  3.],
                [-1., -1., -1., -1.],
                [-1., -1., -1., -1.]])
    """
    existing = torch.where(graph.edges, values, fill)[graph.is_head]
    columns = [
        existing[:, graph.feeds[:, head]].amax(1) for head in graph.is_head.nonzero()[:, 0].tolist()
    ]
    return torch.stack(columns, dim=1)


def named_truth(graph: Graph, edges: list[tuple[str, str]]) -> Bool[Tensor, "writer reader"]:
    """The mask of edges that are given by the names of their ends.

    Raises:
        UnknownSiteError: If the graph has no such writer or reader.
        DataError: If the two cannot be joined.

    Example:
        >>> graph = Graph(n_layers=1, n_heads=1, n_kv_heads=1)
        >>> list(graph.named(named_truth(graph, [("L0.H0", "logits")])))
        [('L0.H0', 'logits')]
    """
    mask = torch.zeros(graph.n_writers, graph.n_readers, dtype=torch.bool)
    for writer, reader in edges:
        row, column = graph.writer(writer), graph.reader(reader)
        if not graph.edges[row, column]:
            raise DataError(f"{reader} comes before {writer}: there is no edge from one to other.")
        mask[row, column] = True
    return mask


def _fewest_hits(strength: Tensor, truth: Tensor, size: int) -> int:
    """True units among the first `size` if ties are broken against them."""
    if not 1 <= size <= len(strength):
        raise DataError(
            f"size is {size}: it must be between 1 and {len(strength)}, the number of units."
        )
    last = strength.sort(descending=True).values[size - 1]
    above, tied = strength > last, strength == last
    places = size - int(above.sum())
    false_tied = int((tied & ~truth).sum())
    return int((above & truth).sum()) + max(0, places - false_tied)
