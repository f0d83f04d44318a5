"""What a study draws anew to see whether its methods would put the same heads first again."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from needlepoint._core.seeds import seed_for
from needlepoint.circuits.head_data import HeadData
from needlepoint.circuits.registered import Question
from needlepoint.evaluation.circuits.method_runs import MethodRun
from needlepoint.evaluation.circuits.stability import Stability
from needlepoint.evaluation.circuits.units import Units, edge_units, node_units

Told = Stability | str
"""How stable the first heads or edges of a method are, or why that is not known."""


@dataclass(frozen=True, eq=False)
class DrawnAnew:
    """What pairs are drawn anew from, and how much of each ranking is compared."""

    data: HeadData
    """What scores of activations are made of."""
    question: Question
    """What methods that run the model are asked."""
    heads: int
    """How many of the first heads are compared."""
    edges: int
    """How many of the first edges."""
    repeats: int
    """How often slow scores and methods are run on two halves of the pairs; 0 for never."""
    seed: int
    task: str

    def draws(self, use: str) -> torch.Generator:
        """A generator of its own for each use."""
        seed = seed_for(self.seed, task=self.task, use="drawn anew", part=use)
        return torch.Generator().manual_seed(seed)

    def circuits(self, run: MethodRun) -> dict[str, tuple[Units, int]]:
        """Of a method that runs the model, the units that are compared and how many of them."""
        graph = self.question.graph
        circuits = {"heads": (node_units(graph, among=graph.is_head), self.heads)}
        if run.found is not None and run.found.edges is not None:
            circuits["edges"] = (edge_units(graph), self.edges)
        return circuits
