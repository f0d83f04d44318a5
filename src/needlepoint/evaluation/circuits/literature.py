"""How well each method of a study finds what was published of the circuit in that very model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from needlepoint._core.errors import DataError
from needlepoint.circuits.graph.graph import Graph
from needlepoint.circuits.known.published import circuit_edges, circuit_heads, published_circuits
from needlepoint.evaluation.circuits.method_runs import Ran
from needlepoint.evaluation.circuits.ranking import RankingJudged, judge_head_pairs, judge_ranking
from needlepoint.evaluation.truth import Truth
from needlepoint.models.model import Model
from needlepoint.tasks.task import KnownCircuit

HEADS, PAIRS = "heads", "pairs of heads"
EFFECT, EFFECT_LABEL = "effect", "Effect, as measured here"
"""What stands for the exact effects among the methods."""
COLUMNS = (
    "variant",
    "units",
    "method",
    "label",
    "n_units",
    "n_true",
    "auc",
    "auc_low",
    "auc_high",
    "average_precision",
    "average_precision_low",
    "average_precision_high",
    "chance_precision",
    "precision_at_k",
    "f1",
    "repo_f1",
    "reason",
)


@dataclass(frozen=True)
class Literature:
    """The published circuits of a task in a model: facts about that model and no other."""

    circuits: tuple[KnownCircuit, ...] = ()
    """One for each list that there is."""
    reason: str = ""
    """Why none is taken although the name of the model has some."""

    @classmethod
    def of(cls, task: str, model: Model) -> Literature:
        """What was published, none of it if the model has the name but not the shape.

        Example:
            >>> from needlepoint.testing.tiny import tiny_model
            >>> Literature.of("ioi", tiny_model("gpt2"))
            Literature(circuits=(), reason='')
        """
        try:
            return cls(published_circuits(task, model))
        except DataError as error:
            return cls(reason=str(error))

    def summary(self) -> dict[str, Any]:
        """What each list is, where it is from and what is disputed, under the key `literature`."""
        lists = [
            {
                "variant": circuit.variant,
                "model": circuit.model,
                "source": circuit.source,
                "n_heads": len(circuit.heads),
                "n_edges": len(circuit.edges),
                "disputes": list(circuit.disputes),
            }
            for circuit in self.circuits
        ]
        reason = {"literature_reason": self.reason} if self.reason else {}
        return {"literature": lists, **reason}

    def frame(self, graph: Graph, ran: Ran, truth: Truth | None) -> pd.DataFrame:
        """The table of methods judged by each list.

        Heads are judged by all methods, and by the effects that were measured here; which head
        feeds which later one by the methods of edges, where edges were published.

        Args:
            graph: Of the model.
            ran: The methods.
            truth: Effects of all heads; None if nothing was ablated.

        Returns:
            Columns as `COLUMNS`, by list, units and average precision; no rows without a list.
        """
        rows = [
            row
            for circuit in self.circuits
            for row in [*_heads(circuit, graph, ran, truth), *_pairs(circuit, graph, ran)]
        ]
        return pd.DataFrame(rows, columns=list(COLUMNS))


def _heads(
    circuit: KnownCircuit, graph: Graph, ran: Ran, truth: Truth | None
) -> list[dict[str, Any]]:
    true = circuit_heads(circuit, graph)
    judged = [
        (name, run.label, judge_ranking(run.strength.cpu(), true)) for name, run in ran.runs.items()
    ]
    if truth is not None:
        judged.append((EFFECT, EFFECT_LABEL, judge_ranking(truth.size.double(), true)))
    return _rows(circuit, HEADS, judged)


def _pairs(circuit: KnownCircuit, graph: Graph, ran: Ran) -> list[dict[str, Any]]:
    if not circuit.edges:
        return []
    true = circuit_edges(circuit, graph)
    judged = [
        (name, run.label, judge_head_pairs(run.found.edge_strength.cpu(), true, graph))
        for name, run in ran.runs.items()
        if run.found is not None and run.found.edges is not None
    ]
    return _rows(circuit, PAIRS, judged)


def _rows(
    circuit: KnownCircuit, units: str, judged: list[tuple[str, str, RankingJudged]]
) -> list[dict[str, Any]]:
    """One row for each method, by average precision, ties in their order."""
    best = sorted(judged, key=lambda one: -(one[2].average_precision or 0))
    return [
        {
            "variant": circuit.variant,
            "units": units,
            "method": name,
            "label": label,
            "n_units": found.n_units,
            "n_true": found.n_true,
            **found.columns(),
            "reason": found.reason,
        }
        for name, label, found in best
    ]
