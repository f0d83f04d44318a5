"""The second reading of a collection, in which the candidates of the first are kept and no others.

What a probe reads is then a small store, in which every neuron that leads its layer for some
feature has a column.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint._core.seeds import seed_for
from needlepoint.activations.plan import estimate, in_bytes
from needlepoint.activations.units import Units
from needlepoint.evaluation.neuron_rankings import DEFAULT, NeuronRankings
from needlepoint.evaluation.read_neurons import NeuronData, read_neurons
from needlepoint.features.collection import Collection
from needlepoint.models.model import Model
from needlepoint.models.sites import Part, Site

TOP = 64
"""Neurons of a layer that are candidates for a feature.

The more features, the larger their union. Of SmolLM2 on the ten features of
`programming_language` (120 texts each, 30 layers, ranked by the standardised mean difference on
training rows), against all neurons:

| candidates | neurons kept | best validation F1 lost: one neuron | sparse, k to 64 (most) |
|---:|---:|---:|---:|
| 16 | 10 % | 0.002 | |
| 32 | 19 % | 0.000 | 0.012 (0.038) |
| 64 | 34 % | 0.000 | 0.001 (0.019) |
| 128 | 56 % | 0.000 | -0.003 (0.020) |
| 256 | 80 % | 0.000 | 0.000 (0.000) |
| 512 | 97 % | 0.000 | 0.000 (0.000) |

The neuron that is chosen, and so its test F1, is the same from 8 candidates on. The mean test F1
of sparse probes is 0.77 with all neurons, 0.82 with 128 candidates, 0.83 with 64 and 0.78 with 32:
test F1 loses nothing, though ten features are too few to call it a gain. A probe cannot read more
neurons of a layer than are kept: for one feature alone and k above 64, ask for more.
"""


@dataclass(frozen=True, eq=False)
class Candidates:
    """The neurons of each layer that a second pass keeps, in increasing order.

    Example:
        >>> candidates = Candidates((torch.tensor([3, 8]), torch.tensor([5])))
        >>> len(candidates), candidates.site(0, 1)
        (3, 'L0.N8')
    """

    neurons: tuple[Int[Tensor, "_"], ...]

    @classmethod
    def of(
        cls, rankings: NeuronRankings, by: tuple[str, ...] = (DEFAULT,), top: int = TOP
    ) -> Candidates:
        """The union, over features and rankings, of the `top` neurons of each layer.

        Raises:
            UnknownNameError: If there is no such ranking.
            DataError: If `top` is below 1, or no ranking is named.
        """
        if not by:
            raise DataError("candidates are the leading neurons of a ranking; name at least one.")
        chosen = torch.stack([rankings.leading_of_layers(name, top) for name in by]).any(0)
        return cls(tuple(layer.nonzero()[:, 0] for layer in chosen))

    def __len__(self) -> int:
        return sum(map(len, self.neurons))

    def site(self, layer: int, column: int) -> str:
        """The neuron that is a column of what was read of a layer."""
        return str(Site.of(layer, Part.NEURON, int(self.neurons[layer][column])))

    @property
    def units(self) -> Units:
        """The choice, as an extraction takes it."""
        return Units(
            {Site.of(layer, Part.NEURONS): units for layer, units in enumerate(self.neurons)}
        )


@dataclass(frozen=True, eq=False)
class SecondPass:
    """Activations of the candidates on all rows, and how much room they took."""

    data: NeuronData
    """As of `read_neurons`, but that the columns of a layer are its candidates."""
    candidates: Candidates
    bytes: int
    """Of the finished arrays on disk."""
    bytes_of_all: int
    """What all neurons would have taken."""

    @property
    def sentence(self) -> str:
        """What was kept, and what that saved."""
        saved = 1 - self.bytes / self.bytes_of_all
        return (
            f"{len(self.candidates):,} candidates in {in_bytes(self.bytes)}; all neurons would "
            f"take {in_bytes(self.bytes_of_all)}, so {saved:.0%} was saved."
        )


def second_pass(
    model: Model, collection: Collection, candidates: Candidates, *, seed: int = 0
) -> SecondPass:
    """Read a collection again and keep the candidates only, on training, validation and test rows.

    The store is in the cache, under a key that the choice of neurons is part of; the same choice
    is never computed twice. The split is that of `first_pass` with the same seed.

    Raises:
        DataError: If a text is too long for the model, a feature is in too few documents, or the
            candidates are not of as many layers as the model has.
        StorageFullError: If the store would not fit; nothing has been computed then.
    """
    n_layers = model.shape.n_layers
    if len(candidates.neurons) != n_layers:
        raise DataError(
            f"candidates of {len(candidates.neurons)} layers for a model of {n_layers}; take them "
            "from a first pass over the same model."
        )
    of_split = seed_for(seed, features=collection.card.name, use="split")
    data = read_neurons(model, collection, seed=of_split, units=candidates.units)
    request = data.extraction.store.request
    whole = replace(request, widths=dict.fromkeys(request.widths, model.shape.d_mlp))
    return SecondPass(data, candidates, estimate(request).bytes, estimate(whole).bytes)
