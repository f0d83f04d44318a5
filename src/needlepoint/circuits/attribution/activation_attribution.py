"""Edge attribution with gradients averaged while a node's own output goes to its replacement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from needlepoint._core.errors import DataError
from needlepoint.circuits.attribution.backward import frozen_weights, run_backward
from needlepoint.circuits.attribution.differences import Differences, over_pieces
from needlepoint.circuits.attribution.edge_attribution import moved
from needlepoint.circuits.attribution.gim import Modified, interaction_modifications
from needlepoint.circuits.attribution.reader_gradients import ReaderGradients
from needlepoint.circuits.graph.graph import Graph
from needlepoint.circuits.methods import Found, Question, circuit_method
from needlepoint.models.hooks import hook, record, resume_from
from needlepoint.models.model import Model
from needlepoint.models.products import product
from needlepoint.models.reads import writing_norm
from needlepoint.models.sites import Part, Site

STEPS = 3
"""Points at which gradients are taken for each group of nodes."""


@circuit_method(
    "EAP-IG (activations)",
    "EAP with the gradient averaged while the writer's layer part goes to its replacement",
    source="Hanna et al. 2024 (arXiv 2403.17806), code; Mueller et al. 2025 (arXiv 2504.13151)",
    level="edges",
    gradients=True,
)
def eap_ig_activations(question: Question, *, steps: int = STEPS, gim: bool = False) -> Found:
    """EAP with gradients averaged as the writer itself goes from clean to replaced.

    Nodes go in groups: the embedding, the heads of a layer, its MLP. While one group moves, the
    gradients at all readers after it are averaged, and score the edges out of this group alone:
    with more steps these come to sum to the exact change of the metric when the whole group is
    replaced. The authors' code also adds the gradients of that pass to the scores of all other
    edges, and takes the points `k / steps`; here they are those of Gauss and Legendre, of which a
    few do what many equal ones do.

    Each of the `2 n_layers + 1` groups takes `steps` forward passes from its layer up and backward
    passes down to it, which come to about `(n_layers + 1) * steps` whole ones for each pair:
    thirty times and more the cost of `eap_ig_inputs`, of the order of patching all heads exactly.

    Args:
        question: The model, the pairs, and what replaces terms.
        steps: How many points for each group.
        gim: Change the backward pass as `interaction_modifications` says; scores of a group then
            sum to nothing in particular, and are meant for ranking.

    Raises:
        DataError: If there are no steps.
    """
    if steps < 1:
        raise DataError(f"{steps} steps make no average; ask for one or more.")
    graph = question.graph
    modified = interaction_modifications(question.model) if gim else None
    gradients = ReaderGradients(question.model, frozen=gim)
    points = _points(steps)
    scores = torch.zeros(graph.n_writers, graph.n_readers, dtype=torch.float64)

    def run(some: Differences) -> Float[Tensor, "writer reader"]:
        found, streams = torch.zeros_like(scores), _streams(question.model, some)
        for group in _groups(graph):
            stream = streams[max(group.layer, 0)]
            _add(found, gradients, some, group, stream, points, modified)
        return found

    with frozen_weights(question.model):
        for found in over_pieces(question, "attributing along activations", run, copies=steps):
            scores += found
    edges = (scores / len(question.pairs)).float() * graph.edges
    return Found(edges.double().sum(1).float(), edges)


@circuit_method(
    "EAP-IG (activations) with GIM",
    "EAP-IG (activations) with norms held, a softer softmax and shared gradients",
    source="Hanna et al. 2024 (arXiv 2403.17806), code; Edin et al. 2025 (arXiv 2505.17630)",
    level="edges",
    gradients=True,
    on_request=True,
)
def eap_ig_activations_gim(question: Question) -> Found:
    """EAP-IG (activations) with gradient interaction modifications."""
    return eap_ig_activations(question, gim=True)


@dataclass(frozen=True)
class _Group:
    """Writers that are computed together and read by the same readers."""

    layer: int
    writers: slice
    part: Part
    attention_from: int
    mlp_from: int


def _groups(graph: Graph) -> Iterator[_Group]:
    yield _Group(-1, slice(0, 1), Part.RESID_IN, 0, 0)
    for layer in range(graph.n_layers):
        after = layer + 1 if graph.parallel else layer
        yield _Group(layer, graph.heads(layer), Part.ATTENTION, layer + 1, after)
        if graph.has_mlps:
            mlp = graph.mlp(layer)
            yield _Group(layer, slice(mlp, mlp + 1), Part.RESID, layer + 1, layer + 1)


def _points(steps: int) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
    """Points between 0 and 1, and their weights."""
    places, weights = np.polynomial.legendre.leggauss(steps)
    return torch.from_numpy((places + 1) / 2).float(), torch.from_numpy(weights / 2).float()


def _streams(model: Model, some: Differences) -> list[Float[Tensor, "pair pos d_model"]]:
    """The clean residual stream before each layer."""
    sites = [Site.of(layer, Part.RESID_IN) for layer in range(model.shape.n_layers)]
    with record(model, sites) as kept:
        model.hidden(some.pairs.clean)
    return [kept[site] for site in sites]


def _add(
    scores: Float[Tensor, "writer reader"],
    gradients: ReaderGradients,
    some: Differences,
    group: _Group,
    stream: Float[Tensor, "pair pos d_model"],
    points: tuple[Float[Tensor, " k"], Float[Tensor, " k"]],
    modified: Modified | None,
) -> None:
    """Add the scores of the edges out of one group on a piece of pairs, in place."""
    model, (shares, weights) = gradients.model, points
    changes = some.changes[group.writers]
    leaf = moved(some, changes.sum(0), shares).requires_grad_()

    def sink(readers: slice, at: Tensor) -> None:
        found = product(changes.flatten(1), at.flatten(1).T)
        scores[group.writers, readers] += found.double().cpu()

    heard = gradients.heard(
        sink,
        some.rows,
        copies=len(shares),
        attention_from=group.attention_from,
        mlp_from=group.mlp_from,
    )
    start = max(group.layer, 0)
    with (
        resume_from(model, start, stream.repeat(len(shares), 1, 1)),
        _moving(model, group, leaf),
        heard,
    ):
        run_backward(model, some.pairs, leaf, weights, modified)


@contextmanager
def _moving(model: Model, group: _Group, leaf: Tensor) -> Iterator[None]:
    """Add to the stream behind a group of writers."""
    with ExitStack() as stack:
        if group.part is Part.ATTENTION:
            norm = writing_norm(model, group.layer, "attention")
            last = norm or model.attention_output(group.layer)
            stack.callback(last.register_forward_hook(partial(_plus, leaf)).remove)
        else:
            where = Site.of(max(group.layer, 0), group.part)
            stack.enter_context(hook(model, [(where, lambda x: x + leaf)]))
        yield


def _plus(leaf: Tensor, _: nn.Module, __: tuple[Any, ...], made: Tensor) -> Tensor:
    return made + leaf
