"""What a node is given in place of what it computes: by resampling, by the mean, or zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.pair_batch import PairBatch
from needlepoint.circuits.patching.means import Means
from needlepoint.models.hooks import record
from needlepoint.models.model import Batch, Model
from needlepoint.models.sites import Part, Site

AblationKind = Literal["resample", "mean", "zero"]
"""From the paired corrupt prompt; from the mean over a set of prompts; or nothing at all."""


@runtime_checkable
class Replacement(Protocol):
    """Values for every node of a piece of pairs, position by position.

    A head has its z, the input of the output projection; an MLP what its down projection writes,
    before any norm that follows; the embedding the residual stream before the first layer.
    """

    def heads(self, layer: int) -> Float[Tensor, "pair pos head d_head"]:
        """For the heads of a layer."""
        ...

    def mlp(self, layer: int) -> Float[Tensor, "pair pos d_model"]:
        """For the MLP of a layer."""
        ...

    def embedding(self) -> Float[Tensor, "pair pos d_model"]:
        """For the embedding."""
        ...


@dataclass(frozen=True, eq=False)
class Recorded:
    """The values that the nodes had in a run on some prompts."""

    z: tuple[Float[Tensor, "pair pos head d_head"], ...]
    written: tuple[Float[Tensor, "pair pos d_model"], ...]
    stream: Float[Tensor, "pair pos d_model"]

    def heads(self, layer: int) -> Float[Tensor, "pair pos head d_head"]:
        """The z of a layer."""
        return self.z[layer]

    def mlp(self, layer: int) -> Float[Tensor, "pair pos d_model"]:
        """What the MLP wrote."""
        return self.written[layer]

    def embedding(self) -> Float[Tensor, "pair pos d_model"]:
        """The residual stream before the first layer."""
        return self.stream


@dataclass(frozen=True, eq=False)
class Averaged:
    """The means of the slots that the positions belong to; each layer is looked up when asked."""

    means: Means
    slots: Int[Tensor, "pair pos"]

    def heads(self, layer: int) -> Float[Tensor, "pair pos head d_head"]:
        """Mean z of the heads of a layer."""
        return self.means.heads[layer][self.slots]

    def mlp(self, layer: int) -> Float[Tensor, "pair pos d_model"]:
        """Mean output of the MLP of a layer."""
        return self.means.mlps[layer][self.slots]

    def embedding(self) -> Float[Tensor, "pair pos d_model"]:
        """Mean embedding."""
        return self.means.embeddings[self.slots]


@dataclass(frozen=True, eq=False)
class Zeros:
    """Nothing: heads and MLPs write zero, biases of the MLP included, and the stream is empty."""

    model: Model
    pairs: int
    width: int

    def heads(self, layer: int) -> Float[Tensor, "pair pos head d_head"]:
        """Zeros for the heads of a layer."""
        return self._zeros(self.model.shape.n_heads, self.model.shape.d_head)

    def mlp(self, layer: int) -> Float[Tensor, "pair pos d_model"]:
        """Zeros for the MLP of a layer."""
        return self._zeros(self.model.shape.d_model)

    def embedding(self) -> Float[Tensor, "pair pos d_model"]:
        """Zeros for the embedding."""
        return self._zeros(self.model.shape.d_model)

    def _zeros(self, *rest: int) -> Tensor:
        model = self.model
        return torch.zeros(self.pairs, self.width, *rest, dtype=model.dtype, device=model.device)


def replacements(
    model: Model, pairs: PairBatch, kind: AblationKind = "resample", data: Means | None = None
) -> Replacement:
    """The values that replace nodes on a piece of pairs.

    Memory is that of all nodes at all positions of these pairs, so give a piece, not all pairs.

    Args:
        model: Any model.
        pairs: A piece of pairs; its corrupt prompts are run for `resample` alone.
        kind: `resample`, `mean` or `zero`.
        data: The means, for `mean` alone: see `means_over`.

    Raises:
        DataError: If the kind is not known, or `mean` comes without means.
    """
    n_pairs, width = pairs.clean.ids.shape
    if kind == "resample":
        return recorded(model, pairs.corrupt)
    if kind == "zero":
        return Zeros(model, n_pairs, width)
    if kind != "mean":
        raise DataError(f"ablation {kind!r} is not one of resample, mean, zero.")
    if data is None:
        raise DataError("mean ablation needs the means of a set of prompts: see means_over.")
    return Averaged(data, data.slots((n_pairs, width), pairs.positions, model.device))


def recorded(model: Model, prompts: Batch) -> Recorded:
    """What every node computes on some prompts, in one pass."""
    layers = range(model.shape.n_layers)
    heads = [Site.of(layer, Part.HEADS) for layer in layers]
    mlps = [Site.of(layer, Part.MLP) for layer in layers if model.shape.has_mlps]
    stream = Site.of(0, Part.RESID_IN)
    with record(model, [*heads, *mlps, stream]) as kept:
        model.hidden(prompts)
    return Recorded(
        tuple(kept[site] for site in heads), tuple(kept[site] for site in mlps), kept[stream]
    )
