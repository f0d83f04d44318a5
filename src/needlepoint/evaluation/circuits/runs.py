"""Circuits as they were run: the metric of each pair under each, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.ablation import run_circuits
from needlepoint.circuits.graph.run import run_edges
from needlepoint.circuits.graph.run_nodes import run_nodes
from needlepoint.circuits.methods import Question
from needlepoint.circuits.pair_batch import PairBatch
from needlepoint.circuits.patching.means import Means
from needlepoint.circuits.patching.replacement import AblationKind
from needlepoint.evaluation.circuits.units import Pruned, Units
from needlepoint.evaluation.intervals import Intervals, bootstrap_ratios, resample_counts
from needlepoint.models.model import Model

BLOCK = 64
"""Circuits handed over at a time: a mask of a large model's edges takes some hundred kilobytes."""


@dataclass(frozen=True, eq=False)
class CircuitRuns:
    """The metric of each pair under some circuits, and under the two that all are held against."""

    empty: Float[Tensor, " pair"]
    """Every edge cut, the embedding's too: with the paired corrupt prompts as the replacement,
    the model on those. Of `run_heads`: every head replaced, and nothing else."""
    full: Float[Tensor, " pair"]
    """No edge cut: the model on the clean prompts."""
    circuits: Float[Tensor, "resample pair"]
    n_edges: tuple[int, ...]
    """Edges that each circuit keeps, after pruning; of `run_heads`, which cuts none, empty."""

    @property
    def gap(self) -> Float[Tensor, " pair"]:
        """Full minus empty: what there is to be faithful to."""
        return self.full - self.empty

    @property
    def helps(self) -> float:
        """-1 where a helpful part has a negative effect, +1 where the metric is one to be low."""
        return -1.0 if float(self.gap.double().mean()) > 0 else 1.0

    def faithfulness(self, generator: torch.Generator) -> Intervals:
        """Share of the way from empty to full that each circuit gets; not clipped, 1 is the aim.

        A ratio of means, with intervals over pairs resampled jointly above and below.

        Raises:
            DataError: If full and empty are not told apart by these pairs.
        """
        return bootstrap_ratios((self.circuits - self.empty).T, self.gap, generator=generator)

    def draws(self, generator: torch.Generator) -> Float[Tensor, "resample unit"]:
        """Faithfulness of each circuit on resamples of the pairs, the first row on all of them.

        Raises:
            DataError: If full and empty are not told apart by these pairs.
        """
        n = len(self.full)
        every = torch.arange(n)
        counts = resample_counts(every, torch.zeros_like(every), generator=generator)
        counts = torch.cat([torch.ones(1, n, dtype=counts.dtype), counts])
        below = counts @ self.gap.double()
        if not bool((below * below[0] > 0).all()):
            raise DataError(
                "the whole model and the empty circuit are not told apart by these pairs, so "
                "faithfulness does not exist: use more pairs, or a task the model does."
            )
        return (counts @ (self.circuits - self.empty).double().T) / below[:, None]


def run_units(question: Question, units: Units, kept: Bool[Tensor, "resample unit"]) -> CircuitRuns:
    """Run the circuits of some units, each pruned, and the whole and the empty one with them.

    One forward pass for each circuit and pair. Use pairs that took no part in finding them.
    """
    graph = units.graph
    ends = torch.stack([torch.zeros_like(graph.edges), graph.edges])
    found = [_run(question, units, Pruned(ends, ends.any(2)))]
    n_edges: list[int] = []
    for block in torch.split(kept, BLOCK):
        circuits = units.pruned(block)
        n_edges += circuits.edges.flatten(1).sum(1).tolist()
        found.append(_run(question, units, circuits))
    metric = torch.cat(found)
    return CircuitRuns(metric[0], metric[1], metric[2:], tuple(n_edges))


def run_heads(
    model: Model,
    pairs: PairBatch,
    kept: Bool[Tensor, "resample head"],
    *,
    kind: AblationKind = "resample",
    data: Means | None = None,
) -> CircuitRuns:
    """Run circuits of heads, every head outside replaced and every MLP left to compute.

    Faithfulness is then of the heads alone: it is 0 with every head replaced, although the
    embedding and the MLPs see the clean prompt. Use pairs that took no part in finding them.
    """
    ends = torch.stack([torch.zeros(kept.shape[1]), torch.ones(kept.shape[1])]).bool()
    metric = run_circuits(model, pairs, torch.cat([ends, kept]), kind=kind, data=data)
    return CircuitRuns(metric[0], metric[1], metric[2:], ())


class RunOnce:
    """Runs circuits, each of them once, however often it is asked for.

    Circuits of one size or of no unit come up again and again among those of several rankings and
    random ones. What they keep of the metric is remembered, a number for each pair.

    Args:
        run: What runs circuits, such as `run_heads` or `run_units` with all but the last given.

    Example:
        >>> def share_kept(kept):
        ...     value = kept.float().mean(1, keepdim=True).expand(-1, 2)
        ...     return CircuitRuns(torch.zeros(2), torch.ones(2), value, ())
        >>> run = RunOnce(share_kept)
        >>> run(torch.eye(4).bool()[[0, 1, 0]]).circuits[:, 0].tolist(), run.n_run
        ([0.25, 0.25, 0.25], 2)
    """

    def __init__(self, run: Callable[[Bool[Tensor, "resample unit"]], CircuitRuns]) -> None:
        self._run = run
        self._known: dict[bytes, Float[Tensor, " pair"]] = {}
        self._edges: dict[bytes, int] = {}
        self._ends: tuple[Tensor, Tensor] | None = None

    @property
    def n_run(self) -> int:
        """Different circuits that were run."""
        return len(self._known)

    def __call__(self, kept: Bool[Tensor, "resample unit"]) -> CircuitRuns:
        """The circuits as `run` gives them, in the order asked for."""
        keys = [row.numpy().tobytes() for row in kept.cpu()]
        new = {key: at for at, key in enumerate(keys) if key not in self._known}
        if new or self._ends is None:
            found = self._run(kept[list(new.values())])
            self._ends = self._ends or (found.empty, found.full)
            self._known |= dict(zip(new, found.circuits, strict=True))
            self._edges |= dict(zip(new, found.n_edges, strict=False))
        metric = torch.stack([self._known[key] for key in keys])
        n_edges = tuple(self._edges[key] for key in keys if key in self._edges)
        return CircuitRuns(*self._ends, metric, n_edges)


def _run(question: Question, units: Units, circuits: Pruned) -> Float[Tensor, "resample pair"]:
    if units.level == "nodes":
        return run_nodes(question.model, question.pairs, circuits.nodes, question.replaced)
    return run_edges(question.model, question.pairs, circuits.edges, question.replaced)
