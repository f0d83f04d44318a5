"""Subnetwork probing: learn which nodes, or which edges, can be replaced at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint._core.progress import Bar
from needlepoint._core.seeds import seed_for
from needlepoint.circuits.ablation import PairBatch, from_clean
from needlepoint.circuits.graph.graph import Graph
from needlepoint.circuits.graph.run import run_cut
from needlepoint.circuits.methods import Found, Question, circuit_method
from needlepoint.circuits.search.hard_concrete import logit_of, probability_of_any, sample
from needlepoint.models.hooks import Edit, hook, record
from needlepoint.models.model import Model
from needlepoint.models.sites import Part, Site

START = 0.9
"""Probability with which each part is kept, at least in part, before anything is learned."""


@dataclass(frozen=True)
class Learning:
    """How masks are learned.

    The loss is the KL divergence from the clean prediction, in nats, plus a price times the
    expected share of parts that are kept. The price rises evenly to its full height over the first
    half of the steps: parts that are needed only together would otherwise be given up before
    anything is known of them, and a mask at 0 learns nothing more.

    Raises:
        DataError: If a number is not positive.
    """

    price: float = 1.0
    """Nats that the whole of the parts would cost; the circuit is smaller the higher it is."""
    steps: int = 150
    rate: float = 0.1
    """Step length of Adam. Masks start at 0.9 and have to travel: far above the usual 0.001."""
    pairs: int = 8
    """Pairs drawn for each step."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0:
                raise DataError(f"{name} is {value}; it must be above 0.")


Loss = Callable[[PairBatch, Tensor], Tensor]
"""Divergence of each pair under a mask of what is kept."""


def learn_masks(
    question: Question,
    shape: tuple[int, ...],
    divergence: Loss,
    config: Learning,
    *,
    use: str,
    exists: Tensor | None = None,
) -> Float[Tensor, "*part"]:
    """The logit of each mask after learning; above 0 means kept more often than not.

    Weights of the model are held fixed. Source: Cao et al. 2021; for circuits, Conmy et al. 2023,
    appendix D.
    """
    rng = torch.Generator().manual_seed(seed_for(question.seed, use=use))
    pairs = from_clean(question.model, question.pairs)
    logits = torch.full(shape, logit_of(START), device=question.model.device, requires_grad=True)
    adam = torch.optim.Adam([logits], lr=config.rate)
    parts = 1.0 if exists is None else exists.to(logits)
    total = float(torch.ones(shape).sum() if exists is None else exists.sum())
    with _fixed(question.model), Bar("learning masks", total=config.steps) as bar:
        for step in range(config.steps):
            chosen = torch.randperm(len(pairs), generator=rng)[: config.pairs]
            piece = pairs.rows(chosen.sort().values.to(question.model.device))
            loss = divergence(piece, sample(logits, rng)).mean()
            size = (probability_of_any(logits) * parts).sum() / total
            adam.zero_grad()
            price = config.price * min(1.0, 2 * (step + 1) / config.steps)
            torch.autograd.backward(loss + price * size, inputs=[logits])
            adam.step()
            bar.advance()
    return logits.detach().cpu()


@circuit_method(
    "Subnetwork probing",
    "Learns which heads and MLPs can all be replaced at once",
    source="Cao et al. 2021; Conmy et al. 2023, appendix D",
    gradients=True,
    draws=True,
)
def subnetwork_probing(question: Question) -> Found:
    """Logits of learned masks on heads and MLPs; the embedding is always kept."""
    return probe_nodes(question, Learning())


def probe_nodes(question: Question, config: Learning) -> Found:
    """What `subnetwork_probing` gives, by other settings."""
    graph = question.graph

    def divergence(piece: PairBatch, keep: Tensor) -> Tensor:
        return _nodes_kept(question.model, graph, piece, keep)

    logits = learn_masks(
        question, (graph.n_writers,), divergence, config, use="subnetwork of nodes"
    )
    logits[0] = logits.abs().max() + 1
    return Found(logits, signed=False)


@circuit_method(
    "Edge pruning",
    "Learns which edges can all be cut at once",
    source="Cao et al. 2021; Bhaskar et al. 2024",
    level="edges",
    gradients=True,
    draws=True,
)
def edge_pruning(question: Question) -> Found:
    """Logits of learned masks on edges; a node's score is its largest edge."""
    return probe_edges(question, Learning())


def probe_edges(question: Question, config: Learning) -> Found:
    """What `edge_pruning` gives, by other settings."""
    graph = question.graph
    exists = graph.edges.to(question.model.device)

    def divergence(piece: PairBatch, keep: Tensor) -> Tensor:
        with torch.no_grad():
            instead = question.instead(piece)
        return run_cut(question.model, piece, ((1 - keep) * exists)[None], instead)[0]

    shape = tuple(graph.edges.shape)
    logits = learn_masks(
        question, shape, divergence, config, use="subnetwork of edges", exists=exists
    )
    floor = logits[graph.edges].min() - 1
    nodes = logits.masked_fill(~graph.edges, float(floor)).amax(1)
    return Found(nodes, logits.masked_fill(~graph.edges, 0.0), signed=False)


@contextmanager
def _fixed(model: Model) -> Iterator[None]:
    """Take no gradients of the weights inside the block."""
    learns = [weight for weight in model.module.parameters() if weight.requires_grad]
    for weight in learns:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in learns:
            weight.requires_grad_(True)


def _nodes_kept(model: Model, graph: Graph, piece: PairBatch, keep: Tensor) -> Tensor:
    """Divergence of each pair when every head and MLP is mixed with its corrupt output."""
    parts = (Part.HEADS, Part.MLP) if graph.has_mlps else (Part.HEADS,)
    sites = [Site.of(layer, part) for layer in range(graph.n_layers) for part in parts]
    with record(model, sites) as corrupt:
        model.hidden(piece.corrupt)

    def mixed(found: Site, value: Tensor) -> Tensor:
        some = keep[graph.heads(found.layer)] if found.part is Part.HEADS else None
        share = keep[graph.mlp(found.layer)] if some is None else some[:, None]
        return share * value + (1 - share) * corrupt[found]

    edits: list[tuple[Site | str, Edit]] = [(found, partial(mixed, found)) for found in sites]
    with hook(model, edits):
        return piece.answers(model.last_logits(piece.clean))
