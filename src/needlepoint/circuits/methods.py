"""Every way of finding a circuit by running the model, by name: what each is asked and gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint._core.registry import Registry
from needlepoint.circuits.ablation import PairBatch
from needlepoint.circuits.graph.graph import Graph
from needlepoint.circuits.graph.run import Replaced
from needlepoint.circuits.graph.terms import graph_of, terms
from needlepoint.models.model import Model
from needlepoint.models.spread import require_one_place

Level = Literal["nodes", "edges"]


@dataclass(frozen=True)
class Question:
    """Which nodes and edges of a model carry what the metric of some pairs measures."""

    model: Model
    pairs: PairBatch
    replaced: Replaced | None = None
    """What an ablated part is replaced by; what it writes on the paired corrupt prompt unless
    given."""
    seed: int = 0

    def __post_init__(self) -> None:
        require_one_place(self.model.module)

    @cached_property
    def graph(self) -> Graph:
        """The nodes and edges of the model."""
        return graph_of(self.model)

    def instead(self, piece: PairBatch) -> Float[Tensor, "pair pos writer d_model"]:
        """The replacement terms for some of the pairs."""
        return terms(self.model, piece.corrupt) if self.replaced is None else self.replaced(piece)


@dataclass(frozen=True, eq=False)
class Found:
    """What a method says of each node or edge, in the order of the question's graph.

    Where `signed`, a score estimates the change of the metric when that part is ablated: negative
    means that it helps. Otherwise a larger score only means a better candidate.
    """

    nodes: Float[Tensor, " writer"]
    edges: Float[Tensor, "writer reader"] | None = None
    """0 where there is no edge; None of a method for nodes."""
    signed: bool = True
    missing: str = ""
    """Why the method says nothing of some nodes and edges, whose scores are NaN; empty if it speaks
    of all. Those come last in a ranking, in the order of the graph."""

    @property
    def node_strength(self) -> Float[Tensor, " writer"]:
        """By which nodes are ranked, the best first from the largest down."""
        return self._strength(self.nodes)

    @property
    def edge_strength(self) -> Float[Tensor, "writer reader"]:
        """By which edges are ranked, the best first from the largest down.

        Raises:
            DataError: If the method scores nodes only.
        """
        if self.edges is None:
            raise DataError("this method scores nodes, not edges; choose one for edges.")
        return self._strength(self.edges)

    def _strength(self, scores: Float[Tensor, "*part"]) -> Float[Tensor, "*part"]:
        size = scores.abs() if self.signed else scores
        return size.masked_fill(size.isnan(), -torch.inf)

    def stray(self) -> bool:
        """Whether a score is not finite without being missing for a reason."""
        given = [scores for scores in (self.nodes, self.edges) if scores is not None]
        said = [scores[~scores.isnan()] if self.missing else scores for scores in given]
        return not all(bool(torch.isfinite(scores).all()) for scores in said)


@dataclass(frozen=True)
class CircuitMethod:
    """One way of finding a circuit, with what a reader should know of it."""

    name: str
    label: str
    """Name for people, a few words."""
    description: str
    """One line: what it does."""
    source: str
    """Where it comes from."""
    level: Level
    """Whether it scores edges, or nodes only."""
    gradients: bool
    """Whether it runs the model backwards."""
    control: bool
    """Whether it is there to be beaten."""
    exact: bool
    """Whether it measures rather than estimates: the truth that the others are judged by."""
    most_pairs: int
    """Pairs that it is given at most, since its time or memory grows steeply; 0 is no limit."""
    on_request: bool
    """Whether it runs only where it is named: a variant of another method."""
    draws: bool
    """Whether it draws something at random, such as where masks begin: it follows from the seed of
    the question."""
    compute: Callable[[Question], Found]

    def find(self, question: Question) -> Found:
        """Scores of all nodes, and of all edges where it scores them.

        Raises:
            DataError: If a score is not finite, and not missing for a reason either; the message
                names the method.
        """
        if 0 < self.most_pairs < len(question.pairs):
            question = replace(question, pairs=question.pairs.spread(self.most_pairs))
        found = self.compute(question)
        if found.stray():
            raise DataError(
                f"{self.label} gave a score that is not finite: leave this method out, or "
                "load the model in float32."
            )
        return found


Compute = TypeVar("Compute", bound=Callable[[Question], Found])

CIRCUIT_METHODS: Registry[CircuitMethod] = Registry("circuit method")
"""The registered methods, in the order in which tables show them."""


def circuit_method(
    label: str,
    description: str,
    *,
    source: str,
    level: Level = "nodes",
    gradients: bool = False,
    control: bool = False,
    exact: bool = False,
    most_pairs: int = 0,
    on_request: bool = False,
    draws: bool = False,
) -> Callable[[Compute], Compute]:
    """Return a decorator that files a function of a `Question` under its own name."""

    def file(compute: Compute) -> Compute:
        name = compute.__name__
        part = CircuitMethod(
            name,
            label,
            description,
            source,
            level,
            gradients,
            control,
            exact,
            most_pairs,
            on_request,
            draws,
            compute,
        )
        CIRCUIT_METHODS.add(name)(part)
        return compute

    return file
