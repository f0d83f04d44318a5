"""Information flow: how much of what each reader is given comes from each writer.

No metric and no corrupt prompt is asked for: the scores say by how much a writer brings the sum
closer to what it is, not whether what it brings matters.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint._core.progress import Bar
from needlepoint.circuits.attribution.differences import trimmed
from needlepoint.circuits.attribution.memory import piece_size
from needlepoint.circuits.graph.graph import Kind
from needlepoint.circuits.graph.terms import graph_of, heard
from needlepoint.circuits.methods import Found, Question, circuit_method
from needlepoint.models.hooks import Edit, hook
from needlepoint.models.model import Model
from needlepoint.models.reads import reading_norm
from needlepoint.models.sites import Part, Site

ROWS = 32
"""Positions at which all writers are held against a sum at once."""


@circuit_method(
    "Information flow",
    "share of each writer in the sum that a reader is given, by proximity",
    source="Ferrando & Voita 2024 (arXiv 2403.00824)",
    level="edges",
)
def information_flow(question: Question) -> Found:
    """Share of each writer in each reader's input on clean prompts, by L1 proximity to the sum.

    The proximity of a term `t` to the sum `x` that a reader is given is
    `max(0, |x|_1 - |x - t|_1)`; divided by that of all writers it is the share of `t`. Shares are
    averaged over positions, then over pairs; queries, keys and values of a layer are given the same
    sum and so get the same shares. A node's score is the sum over the edges out of it. Routes from
    the last position down, by which the source follows the largest shares, are not followed, nor
    are heads split by the position that they attend to.
    """
    model, graph, pairs = question.model, question.graph, question.pairs
    reading_norm(model, 0, "attention")
    total = torch.zeros(graph.n_writers, graph.n_readers, dtype=torch.float64)
    with Bar("following information", total=len(pairs)) as bar:
        for _, piece in pairs.parts(piece_size(model, pairs)):
            clean = trimmed(piece).clean
            rows = clean.mask.flatten().nonzero()[:, 0]
            weight = (clean.mask / clean.lengths[:, None]).flatten()[rows]
            flow = _Flow(model, rows, weight, total)
            with flow.followed():
                model.hidden(clean)
            bar.advance(len(piece))
    edges = (total / len(pairs)).float()
    return Found(edges.double().sum(1).float(), edges, signed=False)


class _Flow:
    """Gathers terms as they are written, and adds their shares in each sum that is read."""

    def __init__(
        self,
        model: Model,
        rows: Int[Tensor, " row"],
        weight: Float[Tensor, " row"],
        total: Float[Tensor, "writer reader"],
    ) -> None:
        self.model, self.graph = model, graph_of(model)
        self.rows, self.weight, self.total = rows, weight.double(), total
        shape = (self.graph.n_writers, len(rows), model.shape.d_model)
        self.terms = torch.empty(shape, dtype=model.dtype, device=model.device)
        self.n_written = 0
        self.stream: Tensor = self.terms[0]

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Set the hooks: a term is heard before the sum that it is first part of is read."""
        last = self.model.shape.n_layers - 1
        streams: list[tuple[Site | str, Edit]] = [
            (Site.of(layer, Part.RESID_IN), partial(self._arrived, layer))
            for layer in range(last + 1)
        ]
        streams.append((Site.of(last, Part.RESID), self._left))
        with (
            heard(
                self.model,
                embedding=self._written,
                heads=self._written,
                mlp=self._written,
                attention=self._attended,
            ),
            hook(self.model, streams),
        ):
            yield

    def _written(self, layer: int, term: Tensor) -> None:
        some = slice(self.n_written, self.n_written + term.shape[2])
        self.n_written = some.stop
        self.terms[some] = term.flatten(0, 1)[self.rows].movedim(1, 0)

    def _arrived(self, layer: int, stream: Tensor) -> None:
        self.stream = self._taken(stream)
        first, last = (self.graph.inputs(layer, kind) for kind in (Kind.Q, Kind.V))
        self._add(self.stream, slice(first.start, last.stop))
        if self.graph.parallel:
            self._add(self.stream, self.graph.inputs(layer, Kind.MLP))

    def _attended(self, layer: int, out: Tensor) -> None:
        if not self.graph.parallel:
            self._add(self.stream + self._taken(out), self.graph.inputs(layer, Kind.MLP))

    def _left(self, stream: Tensor) -> None:
        self._add(self._taken(stream), self.graph.inputs(0, Kind.LOGITS))

    def _taken(self, stream: Tensor) -> Float[Tensor, "row d_model"]:
        taken: Tensor = stream.flatten(0, 1)[self.rows]
        return taken

    def _add(self, read: Float[Tensor, "row d_model"], readers: slice) -> None:
        if readers.start == readers.stop:
            return
        n = self.graph.n_before(self.graph.readers[readers.start])
        for start in range(0, len(read), ROWS):
            some = slice(start, start + ROWS)
            found = shares(self.terms[:n, some], read[some]).double() @ self.weight[some]
            self.total[:n, readers] += found.cpu()[:, None]


def shares(
    terms: Float[Tensor, "writer row d_model"], read: Float[Tensor, "row d_model"]
) -> Float[Tensor, "writer row"]:
    """Share of each term in a sum by L1 proximity; 0 for all where none brings the sum nearer.

    Example:
        >>> terms = torch.tensor([[[3.0, 0.0]], [[0.0, 1.0]], [[-1.0, 0.0]]])
        >>> shares(terms, terms.sum(0))[:, 0].tolist()
        [0.5, 0.5, 0.0]
    """
    size = torch.linalg.vector_norm(read, ord=1, dim=-1)
    near = (size - torch.linalg.vector_norm(read - terms, ord=1, dim=-1)).clamp(min=0)
    whole = near.sum(0)
    return torch.where(whole > 0, near / whole.clamp(min=torch.finfo(whole.dtype).tiny), 0.0)
