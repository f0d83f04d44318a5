"""ACDC: cut edges from the output backwards, each for good if the answer hardly changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint._core.progress import Bar
from needlepoint.circuits.ablation import from_clean
from needlepoint.circuits.graph.clean_run import CleanRun
from needlepoint.circuits.methods import Found, Question, circuit_method
from needlepoint.circuits.metric import Divergence

THRESHOLD = 0.01
"""Rise of the KL divergence from the clean prediction, in nats, below which edges are cut."""


@dataclass(frozen=True, eq=False)
class Pruned:
    """What is left when edges have been cut, and what each cut would have cost."""

    kept: Bool[Tensor, "writer reader"]
    rises: Float[Tensor, "writer reader"]
    """Rise of the loss for the smallest group of edges that was tested with each edge in it, shared
    out evenly; 0 of edges that nothing downstream was left to read."""
    loss: float
    """Loss of the circuit that is left; 0 is the clean model."""
    n_tests: int
    """Runs of the model with a cut, each through the layers above it only."""


def prune_edges(
    question: Question, *, threshold: float = THRESHOLD, one_by_one: bool = False
) -> Pruned:
    """Cut edges from the logits backwards as long as the loss rises by less than a threshold.

    The loss is the KL divergence from the clean prediction, averaged over pairs. Readers are taken
    from the last to the first, and the writers of each from the last to the first. As all cuts so
    far are above the reader in question, each test runs the layers above it only.

    By default the edges of a reader are first tried together, and halved as long as cutting a
    group costs too much: every single edge that is kept has failed the same test as in the
    published method, and every group that is cut raises the loss by less than the threshold as a
    whole. Nearly all edges go in groups, so that the number of tests follows the size of the
    circuit rather than that of the model. Inputs of nodes that nothing reads any more are cut
    without a test, as in the published method.

    Args:
        question: The model and pairs; its metric is not used. All pairs are held at once.
        threshold: Least rise of the loss, in nats, for which an edge is kept.
        one_by_one: Test every edge by itself, as published. Slow on all but small models.

    Raises:
        DataError: If the threshold is not positive.

    Source:
        Conmy et al., "Towards Automated Circuit Discovery for Mechanistic Interpretability", 2023
        (arXiv 2304.14997), algorithm 1; KL divergence and corrupted activations.
    """
    if threshold <= 0:
        raise DataError(f"threshold is {threshold}; it must be above 0.")
    pairs = from_clean(question.model, question.pairs)
    search = _Search(question, CleanRun(question.model, pairs, question.instead(pairs)), threshold)
    graph = question.graph
    with Bar("cutting edges", total=graph.n_readers) as bar:
        for reader in reversed(range(graph.n_readers)):
            search.take(reader, one_by_one=one_by_one)
            bar.advance()
    kept = graph.edges & (search.cut[0].cpu() == 0)
    return Pruned(kept, search.rises, search.loss, search.n_tests)


class _Search:
    """The edges cut so far, and the loss with them cut."""

    def __init__(self, question: Question, run: CleanRun, threshold: float) -> None:
        assert isinstance(run.pairs.answers, Divergence)
        self.graph, self.run, self.threshold = question.graph, run, threshold
        shape = (1, *self.graph.edges.shape)
        model = question.model
        self.cut = torch.zeros(shape, device=model.device, dtype=model.dtype)
        self.rises = torch.zeros(self.graph.edges.shape)
        self.loss = float(run.metric.double().mean())
        self.n_tests = 0

    def take(self, reader: int, *, one_by_one: bool) -> None:
        """Decide about all edges to one reader."""
        n = self.graph.n_before(self.graph.readers[reader])
        if not self._is_read(reader):
            self.cut[0, :n, reader] = 1
            return
        writers = list(reversed(range(n)))
        groups = [[writer] for writer in writers] if one_by_one else [writers]
        for group in groups:
            self._decide(reader, group, self._loss_without(reader, group))

    def _is_read(self, reader: int) -> bool:
        """Whether anything that the reader is an input of is still read itself."""
        if reader == self.graph.n_readers - 1:
            return True
        moved = self.graph.moves[reader]
        left = self.graph.edges & (self.cut[0].cpu() == 0)
        return bool(left[moved].any())

    def _decide(self, reader: int, group: list[int], loss: float) -> None:
        """Cut a group whose removal gives this loss, or halve it, or keep its one edge."""
        rise = loss - self.loss
        self.rises[group, reader] = rise / len(group)
        if rise < self.threshold:
            self.cut[0, group, reader] = 1
            self.loss = loss
        elif len(group) > 1:
            first, second = group[: len(group) // 2], group[len(group) // 2 :]
            without = self._loss_without(reader, first)
            cuts_first = without - self.loss < self.threshold
            self._decide(reader, first, without)
            # With the first half gone, losing the second half is losing the group.
            self._decide(reader, second, loss if cuts_first else self._loss_without(reader, second))

    def _loss_without(self, reader: int, group: list[int]) -> float:
        cut = self.cut.clone()
        cut[0, group, reader] = 1
        self.n_tests += 1
        found = self.run.cut_metric(cut, start=self.run.start(reader))
        return float(found.double().mean())


def thresholds(low: float = 1e-3, high: float = 1.0, n: int = 7) -> Iterator[float]:
    """Thresholds evenly spaced in the logarithm, the largest first."""
    yield from torch.logspace(_log10(high), _log10(low), n).tolist()


def _log10(value: float) -> float:
    return float(torch.tensor(value, dtype=torch.float64).log10())


@circuit_method(
    "ACDC",
    "Cuts edges from the output backwards as long as the prediction hardly moves",
    source="Conmy et al. 2023; edges tried in groups",
    level="edges",
    most_pairs=12,
)
def acdc(question: Question, *, threshold: float = THRESHOLD) -> Found:
    """Rises of the loss as edge scores, edges that were kept above all others.

    A node's score is its largest edge.
    """
    pruned = prune_edges(question, threshold=threshold)
    reach = pruned.rises.abs().max() + 1
    scores = pruned.rises.clamp(min=0) + reach * pruned.kept
    return Found(scores.amax(1), scores, signed=False)
