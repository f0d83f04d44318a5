"""Circuits as they were run: the metric of each pair under each, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.graph.run import run_edges
from needlepoint.circuits.graph.run_nodes import run_nodes
from needlepoint.circuits.methods import Question
from needlepoint.evaluation.circuits.units import Pruned, Units
from needlepoint.evaluation.intervals import Intervals, bootstrap_ratios, resample_counts

BLOCK = 64
"""Circuits handed over at a time: a mask of a large model's edges takes some hundred kilobytes."""


@dataclass(frozen=True, eq=False)
class CircuitRuns:
    """The metric of each pair under some circuits, and under the two that all are held against."""

    empty: Float[Tensor, " pair"]
    """Every edge cut, the embedding's too: with the paired corrupt prompts as the replacement,
    the model on those."""
    full: Float[Tensor, " pair"]
    """No edge cut: the model on the clean prompts."""
    circuits: Float[Tensor, "resample pair"]
    n_edges: tuple[int, ...]
    """Edges that each circuit keeps, after pruning."""

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


def _run(question: Question, units: Units, circuits: Pruned) -> Float[Tensor, "resample pair"]:
    if units.level == "nodes":
        return run_nodes(question.model, question.pairs, circuits.nodes, question.replaced)
    return run_edges(question.model, question.pairs, circuits.edges, question.replaced)
