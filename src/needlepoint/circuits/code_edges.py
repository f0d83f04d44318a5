"""Edges between heads by what their codes tell together; nothing is cut, no gradient is taken."""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint._core.seeds import seed_for
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.calibrated import edges
from needlepoint.circuits.calibrated.calibrate_heads import coded_heads
from needlepoint.circuits.calibrated.coding import Coding
from needlepoint.circuits.calibrated.design import Design
from needlepoint.circuits.graph.graph import Graph
from needlepoint.circuits.head_data import HeadData
from needlepoint.circuits.methods import Found, Question, circuit_method
from needlepoint.models.hooks import hook
from needlepoint.models.model import Batch, Model
from needlepoint.models.published import centred_head_weights
from needlepoint.models.sites import Part, Site

MISSING = "codes are of heads, so nothing is said of the embedding, of MLPs and of the logits"


@circuit_method(
    "Code edges",
    "Pairs of heads whose codes together tell clean from corrupt more, or less, than apart; of "
    "heads only",
    source="needlepoint: interaction information (McGill 1954) of discrete codes",
    level="edges",
    draws=True,
)
def code_edges(question: Question) -> Found:
    """How far the interaction information of two heads' codes lies from that of exchanged labels.

    Codes are of what heads write on clean and on corrupt prompts, in the mean over positions, by
    one discrete autoencoder that is trained on some of these prompts. The strength of a pair, an
    earlier head and a later one, is the size of z of I(c1; c2 | y) - I(c1; c2), y being clean or
    corrupt; 0 where no exchange of labels within pairs changes it. It is the same for the queries,
    keys and values of the later head, since codes do not tell what is read by which; a key or value
    that several heads share has the largest of theirs. A head's score is that of the strongest pair
    it is in, at either end. Scores of other nodes, and of edges from or to them, are missing.

    Nothing is ablated, so neither the metric nor what replaces an ablated part plays a part: a pair
    is a candidate, and heads that read the same token make one too.

    Raises:
        DataError: If the model has one layer, or there are fewer than two pairs.

    Source:
        McGill 1954, "Multivariate information transmission"; codes of O'Neill & Bui 2024.
    """
    graph = question.graph
    if graph.n_layers < 2:
        raise DataError(
            f"{question.model.name} has one layer, so that no head reads what another one writes: "
            "take a method that scores the edges of MLPs and logits too, such as eap."
        )
    data = _read(question)
    draws = torch.Generator().manual_seed(seed_for(question.seed, use="code edges"))
    design = Design.of_pairs(data)
    (coded,) = coded_heads(data, design, draws, Coding(n_folds=1))
    found = edges.code_edges(coded.codes[0], design, data.layer_of, draws)
    return of_head_pairs(graph, found.interaction.z.abs().nan_to_num(nan=0.0).float())


def of_head_pairs(graph: Graph, strength: Float[Tensor, "head head"]) -> Found:
    """Scores of the edges between heads, and of heads, from one number for each pair of heads.

    Args:
        graph: The graph of the model.
        strength: Row: the earlier head; column: the later one. Not negative, 0 in all other places.

    Example:
        >>> graph = Graph(n_layers=2, n_heads=2, n_kv_heads=1)
        >>> strength = torch.zeros(4, 4)
        >>> strength[1, 2] = 3.0
        >>> found = of_head_pairs(graph, strength)
        >>> sorted(graph.named(found.edges == 3))
        [('L0.H1', 'L1.H0.q'), ('L0.H1', 'L1.K0'), ('L0.H1', 'L1.V0')]
        >>> found.nodes.tolist()
        [nan, 0.0, 3.0, nan, 3.0, 0.0, nan]
    """
    fed = graph.feeds[:, graph.is_head]
    scores = torch.full(graph.edges.shape, torch.nan)
    for reader in fed.any(1).nonzero()[:, 0].tolist():
        scores[graph.is_head, reader] = strength[:, fed[reader]].amax(1)
    nodes = torch.full((graph.n_writers,), torch.nan)
    nodes[graph.is_head] = torch.maximum(strength.amax(0), strength.amax(1))
    return Found(nodes, scores.masked_fill(~graph.edges, 0.0), signed=False, missing=MISSING)


def _read(question: Question) -> HeadData:
    """What every head writes on the pairs, in the mean over all positions."""
    model, shape = question.model, question.model.shape
    pieces = [piece.trimmed() for _, piece in question.pairs.parts()]
    clean = torch.cat([_mean_z(model, piece.clean) for piece in pieces])
    corrupt = torch.cat([_mean_z(model, piece.corrupt) for piece in pieces])
    layers = torch.arange(shape.n_layers).repeat_interleave(shape.n_heads)
    weights = centred_head_weights(model).float().cpu()
    return HeadData(clean, corrupt, weights, layers, autoencoder=Autoencoder())


def _mean_z(model: Model, prompts: Batch) -> Float[Tensor, "example head d_head"]:
    """The z of every head of the model, in the mean over the positions of each prompt."""
    shape = model.shape
    weight = prompts.mask / prompts.lengths[:, None]
    found = torch.empty(len(prompts.ids), shape.n_layers, shape.n_heads, shape.d_head)

    def keep(layer: int, z: Tensor) -> None:
        found[:, layer] = torch.einsum("ep,ephd->ehd", weight.to(z.dtype), z).float().cpu()

    sites = [(Site.of(layer, Part.HEADS), partial(keep, layer)) for layer in range(shape.n_layers)]
    with torch.no_grad(), hook(model, sites):
        model.hidden(prompts)
    return found.flatten(1, 2)
