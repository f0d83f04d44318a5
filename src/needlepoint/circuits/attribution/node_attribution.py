"""Attribution patching of nodes, and scores of heads by the gradient of a mask on each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from needlepoint.circuits.attribution.backward import frozen_weights, on_gradient, run_backward
from needlepoint.circuits.attribution.differences import Differences, over_pieces
from needlepoint.circuits.attribution.gim import Modified, interaction_modifications
from needlepoint.circuits.attribution.nil_gradient import require_gradient
from needlepoint.circuits.methods import Found, Question, circuit_method
from needlepoint.models.hooks import hook
from needlepoint.models.reads import reading_norm, writing_norm
from needlepoint.models.sites import Part, Site

_Arrived = Callable[[slice, Tensor], None]

LEAST_NORM = 1e-3
"""Least norm by which HISP divides the scores of a layer, as a share of that of all nodes."""


@circuit_method(
    "Attribution patching",
    "change of the node's term times the gradient of the stream it is added to",
    source="Nanda 2023; Syed et al. 2023 (arXiv 2310.10348)",
    gradients=True,
)
def attribution_patching(question: Question, *, gim: bool = False) -> Found:
    """First-order estimate of the change of the metric when each node is replaced.

    A node's score is `(term' - term) . dm/d(term)`, summed over positions, averaged over pairs; for
    heads this is the change of z times the gradient of z. It is the sum of the EAP scores of the
    edges out of the node, at less cost. Where a norm stands between a head and the stream (Gemma 2
    and 3), its division is held, so that the scores of the heads of a layer still add up.

    Args:
        question: The model, the pairs, and what replaces terms.
        gim: Change the backward pass as `interaction_modifications` says.

    Raises:
        DataError: If the gradient of the metric is nil on the clean prompts, as that of KL
            divergence from them is.
    """
    modified = interaction_modifications(question.model) if gim else None
    total = torch.zeros(question.graph.n_writers, dtype=torch.float64)
    for scores in pair_scores(question, modified):
        total += scores.sum(1)
    return Found((total / len(question.pairs)).float())


@circuit_method(
    "Attribution patching with GIM",
    "attribution patching with norms held, a softer softmax and shared gradients",
    source="Nanda 2023; Edin et al. 2025 (arXiv 2505.17630)",
    gradients=True,
    on_request=True,
)
def attribution_patching_gim(question: Question) -> Found:
    """Attribution patching with gradient interaction modifications."""
    return attribution_patching(question, gim=True)


@circuit_method(
    "HISP",
    "summed size of the gradient of a mask on each node, scaled within its layer",
    source="Michel et al. 2019 (arXiv 1905.10650); Conmy et al. 2023 (arXiv 2304.14997)",
    gradients=True,
)
def hisp(question: Question) -> Found:
    """Head importance: `sum_i |dm_i / d mask|` over pairs, divided by its L2 norm in the layer.

    The mask mixes the node's term with its replacement and stands at no mixing. There is one mask
    for what a head writes, as in the first source, and one for what an MLP writes; the embedding is
    alone in its layer, so it scores 1 unless it hardly matters. Not signed: pairs that a node helps
    and pairs that it harms both count for it.

    It is not the variant of the second source's code, which has three masks for each head, on its
    queries, keys and values before attention, and scales them and the MLP's together: there a head
    has three scores, and here one, of whatever it reads by what it then writes.

    Nor is a layer's norm taken for less than `LEAST_NORM` of that of all nodes together. Nodes of a
    layer below that have smaller scores: what is left there may be rounding noise, which in the
    first source is blown up to 1.

    Raises:
        DataError: As `attribution_patching` does.
    """
    graph = question.graph
    total = torch.zeros(graph.n_writers, dtype=torch.float64)
    for scores in pair_scores(question):
        total += scores.abs().sum(1)
    squares = torch.zeros(graph.n_layers + 1, dtype=torch.float64)
    squares.index_add_(0, graph.layer_of + 1, total.square())
    floor = LEAST_NORM * squares.sum().sqrt()
    norm = squares.sqrt().clamp(min=floor)[graph.layer_of + 1]
    return Found(torch.where(norm > 0, total / norm, 0.0).float(), signed=False)


def pair_scores(
    question: Question, modified: Modified | None = None
) -> Iterator[Float[Tensor, "writer pair"]]:
    """First-order effects of replacing each node on each pair, piece by piece, in float64.

    Raises:
        DataError: If the gradient of the metric is nil on the clean prompts.
    """
    require_gradient(question)
    model = question.model
    reading_norm(model, 0, "attention")
    run = partial(_piece_scores, question, modified)
    with frozen_weights(model):
        yield from over_pieces(question, "attributing to nodes", run)


def _piece_scores(
    question: Question, modified: Modified | None, some: Differences
) -> Float[Tensor, "writer pair"]:
    model, graph = question.model, question.graph
    scores = torch.zeros(graph.n_writers, len(some.pairs), dtype=torch.float64)
    pair_of = some.pair_of.cpu()

    def arrived(writers: slice, gradient: Tensor) -> None:
        taken = gradient.reshape(-1, gradient.shape[-1])[some.rows]
        each = torch.linalg.vecdot(some.changes[writers], taken[None])
        scores[writers].index_add_(1, pair_of, each.double().cpu())

    leaf = torch.zeros(
        (*some.pairs.clean.ids.shape, model.shape.d_model),
        dtype=model.dtype,
        device=model.device,
        requires_grad=True,
    )
    start = Site.of(0, Part.RESID_IN)
    with (
        _writers_heard(question, arrived),
        hook(model, [(start, lambda stream: stream.detach() + leaf)]),
    ):
        arrived(slice(0, 1), run_backward(model, some.pairs, leaf, torch.ones(1), modified))
    return scores


@contextmanager
def _writers_heard(question: Question, arrived: _Arrived) -> Iterator[None]:
    """Call a function with the gradient of the stream behind each layer's heads and its MLP."""
    model, graph = question.model, question.graph
    with ExitStack() as stack:
        for layer in range(model.shape.n_layers):
            last = writing_norm(model, layer, "attention") or model.attention_output(layer)
            heads = partial(arrived, graph.heads(layer))
            stack.callback(last.register_forward_hook(partial(_listen, heads)).remove)
            if not graph.has_mlps:
                continue
            mlp = partial(arrived, slice(graph.mlp(layer), graph.mlp(layer) + 1))
            edit = partial(_listen_to, mlp)
            stack.enter_context(hook(model, [(Site.of(layer, Part.RESID), edit)]))
        yield


def _listen(
    told: Callable[[Tensor], None], _: nn.Module, __: tuple[Any, ...], made: Tensor
) -> None:
    on_gradient(made, told)


def _listen_to(told: Callable[[Tensor], None], made: Tensor) -> None:
    on_gradient(made, told)
