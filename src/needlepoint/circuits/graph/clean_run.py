"""The clean run, kept so that cutting edges high up costs only the layers above them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint.circuits.ablation import PairBatch
from needlepoint.circuits.graph.graph import Kind
from needlepoint.circuits.graph.run import edges_cut
from needlepoint.circuits.graph.terms import graph_of, term_bytes, terms
from needlepoint.models.hooks import record, resume_from
from needlepoint.models.model import Batch, Model
from needlepoint.models.sites import Part, Site


class CleanRun:
    """The residual stream of some pairs at every layer, and what ablation would change in it.

    Holds two sets of terms at once: `memory_bytes` says how much that is.
    """

    def __init__(
        self,
        model: Model,
        pairs: PairBatch,
        replaced: Float[Tensor, "pair pos writer d_model"],
    ) -> None:
        self.model, self.pairs, self.graph = model, pairs, graph_of(model)
        sites = [Site.of(layer, Part.RESID_IN) for layer in range(model.shape.n_layers)]
        with torch.no_grad(), record(model, sites) as kept:
            own = terms(model, pairs.clean)
            self.metric = pairs.answers(model.last_logits(pairs.clean))
        self._streams = [kept[found] for found in sites]
        self._replaced = replaced
        self._changes = (replaced - own).movedim(2, 0).contiguous()
        self._sum: tuple[int, Tensor] = (0, torch.zeros_like(self._changes[0]))

    def start(self, reader: int) -> int:
        """The lowest layer that has to be run again when edges to a reader are cut."""
        return min(self.graph.readers[reader].layer, self.model.shape.n_layers - 1)

    @torch.no_grad()
    def cut_metric(
        self, cut: Float[Tensor, "resample writer reader"], *, start: int
    ) -> Float[Tensor, "resample pair"]:
        """The metric of each pair under some cuts, none of which may be below layer `start`."""
        n, model = len(cut), self.model
        batch = Batch(self.pairs.clean.ids.repeat(n, 1), self.pairs.clean.lengths.repeat(n))
        first = self.graph.inputs(start, Kind.Q).start
        n_below = self.graph.n_before(self.graph.readers[first])
        with (
            resume_from(model, start, self._streams[start].repeat(n, 1, 1)),
            edges_cut(
                model,
                cut,
                self._replaced,
                below=self._changes[:n_below],
                below_sum=self._sum_below(n_below),
            ),
        ):
            logits = model.last_logits(batch)
        return self.pairs.answers.repeat(n)(logits).reshape(n, len(self.pairs))

    def _sum_below(self, n: int) -> Float[Tensor, "pair pos d_model"]:
        """The sum of the first changes; the last one asked for is kept."""
        if self._sum[0] != n:
            self._sum = n, self._changes[:n].sum(0)
        return self._sum[1]


def memory_bytes(model: Model, pairs: PairBatch) -> int:
    """Memory that a `CleanRun` of some pairs takes, in bytes."""
    return 2 * term_bytes(model, pairs.clean.ids.numel())
