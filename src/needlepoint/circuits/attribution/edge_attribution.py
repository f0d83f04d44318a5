"""Edge attribution patching: first-order estimates of what cutting each edge does to the metric."""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.attribution.backward import frozen_weights, run_backward
from needlepoint.circuits.attribution.differences import Differences, over_pieces
from needlepoint.circuits.attribution.gim import Modified, interaction_modifications
from needlepoint.circuits.attribution.nil_gradient import require_gradient
from needlepoint.circuits.attribution.reader_gradients import ReaderGradients
from needlepoint.circuits.graph.graph import Graph
from needlepoint.circuits.methods import Found, Question, circuit_method
from needlepoint.models.hooks import hook
from needlepoint.models.products import product
from needlepoint.models.sites import Part, Site

STEPS = 5
"""Points between corrupt and clean at which gradients are averaged, as in MIB (2504.13151)."""


@circuit_method(
    "EAP",
    "change of the writer's term times the gradient at the reader's input",
    source="Syed et al. 2023 (arXiv 2310.10348)",
    level="edges",
    gradients=True,
)
def eap(question: Question, *, gim: bool = False) -> Found:
    """First-order estimate of the change of the metric when each edge is cut; nodes are sums.

    The score of an edge from u to v is `(term'_u - term_u) . dm/d(input of v)`, summed over
    positions, averaged over pairs: the derivative of the metric under `run_cut` at no cut. The
    gradient is that at the input of v alone, through the norm and the projection that v reads
    through. Two passes without gradients, one forward and one backward for each piece of pairs.

    A node's score is the sum over the edges out of it. Where a norm stands between a head and the
    stream (Gemma 2 and 3), the term is the head's share with the division held, as `terms` has it.

    Args:
        question: The model, the pairs, and what replaces terms.
        gim: Change the backward pass as `interaction_modifications` says; scores are then no
            derivatives of anything, and are meant for ranking.

    Raises:
        DataError: If the gradient of the metric is nil on the clean prompts, as that of KL
            divergence from them is.
    """
    require_gradient(question)
    return _summed(question, _along_inputs(question, torch.zeros(1), gim=gim))


@circuit_method(
    "EAP with GIM",
    "EAP with norms held, a softer softmax and shared gradients in the backward pass",
    source="Edin et al. 2025 (arXiv 2505.17630)",
    level="edges",
    gradients=True,
)
def eap_gim(question: Question) -> Found:
    """EAP with gradient interaction modifications."""
    return eap(question, gim=True)


@circuit_method(
    "EAP-IG (inputs)",
    "EAP with the gradient averaged between the corrupt and the clean embedding",
    source="Hanna et al. 2024 (arXiv 2403.17806)",
    level="edges",
    gradients=True,
)
def eap_ig_inputs(question: Question, *, steps: int = STEPS, gim: bool = False) -> Found:
    """EAP with gradients averaged over embeddings `x' + k / steps (x - x')`, k from 0 on.

    As in the authors' code the corrupt end is among them and the clean one is not. With more steps
    the scores of all edges out of the embedding come to sum to the metric of the corrupt prompts
    less that of the clean ones; no such law holds for the others. All steps of a piece run as one
    batch: `steps` forward and backward passes for each pair, and two passes without gradients.

    Args:
        question: The model, the pairs, and what replaces terms; the embedding goes to what
            replaces it.
        steps: How many embeddings.
        gim: Change the backward pass as `interaction_modifications` says.

    Raises:
        DataError: If there are no steps.
    """
    if steps < 1:
        raise DataError(f"{steps} steps make no average; ask for one or more.")
    shares = 1 - torch.arange(steps) / steps
    return _summed(question, _along_inputs(question, shares, gim=gim))


@circuit_method(
    "EAP-IG (inputs) with GIM",
    "EAP-IG (inputs) with norms held, a softer softmax and shared gradients",
    source="Hanna et al. 2024 (arXiv 2403.17806); Edin et al. 2025 (arXiv 2505.17630)",
    level="edges",
    gradients=True,
    on_request=True,
)
def eap_ig_inputs_gim(question: Question) -> Found:
    """EAP-IG (inputs) with gradient interaction modifications."""
    return eap_ig_inputs(question, gim=True)


def _along_inputs(
    question: Question, shares: Float[Tensor, " k"], *, gim: bool
) -> Float[Tensor, "writer reader"]:
    """Scores of edges with gradients averaged over embeddings some of the way to replaced ones."""
    model, graph = question.model, question.graph
    modified = interaction_modifications(model) if gim else None
    gradients = ReaderGradients(model, frozen=gim)
    scores = torch.zeros(graph.n_writers, graph.n_readers, dtype=torch.float64)

    def run(some: Differences) -> Float[Tensor, "writer reader"]:
        return _piece_scores(question, gradients, some, shares, modified)

    with frozen_weights(model):
        for found in over_pieces(question, "attributing to edges", run, copies=len(shares)):
            scores += found
    return (scores / len(question.pairs)).float() * graph.edges


def _piece_scores(
    question: Question,
    gradients: ReaderGradients,
    some: Differences,
    shares: Float[Tensor, " k"],
    modified: Modified | None,
) -> Float[Tensor, "writer reader"]:
    """The scores of a piece of pairs, summed over pairs."""
    scores = torch.zeros(question.graph.n_writers, question.graph.n_readers, dtype=torch.float64)
    leaf = moved(some, some.changes[0], shares).requires_grad_()
    start = Site.of(0, Part.RESID_IN)
    weights = torch.full((len(shares),), 1 / len(shares))
    sink = partial(contract, scores, some.changes, question.graph)
    with (
        gradients.heard(sink, some.rows, copies=len(shares)),
        hook(question.model, [(start, lambda stream: stream.detach() + leaf)]),
    ):
        run_backward(question.model, some.pairs, leaf, weights, modified)
    return scores


def contract(
    scores: Float[Tensor, "writer reader"],
    changes: Float[Tensor, "writer row d_model"],
    graph: Graph,
    readers: slice,
    gradients: Float[Tensor, "unit row d_model"],
) -> None:
    """Add to the scores of some readers, in place, the changes of all before them times gradients.

    One product of matrices, over rows and coordinates at once. The readers are of one layer, the
    one with most writers before it last; edges that do not exist get a number without meaning.
    """
    n = graph.n_before(graph.readers[readers.stop - 1])
    found = product(changes[:n].flatten(1), gradients.flatten(1).T)
    scores[:n, readers] += found.double().cpu()


def moved(
    some: Differences, change: Float[Tensor, "row d_model"], shares: Float[Tensor, " k"]
) -> Float[Tensor, "batch pos d_model"]:
    """A change of the stream at every position of every pair, as far as each share says."""
    whole = change.new_zeros(some.pairs.clean.ids.numel(), change.shape[-1])
    whole[some.rows] = change
    shaped = whole.reshape(*some.pairs.clean.ids.shape, -1)
    return (shares.to(change)[:, None, None, None] * shaped).flatten(0, 1)


def _summed(question: Question, edges: Float[Tensor, "writer reader"]) -> Found:
    return Found(edges.double().sum(1).float(), edges)
