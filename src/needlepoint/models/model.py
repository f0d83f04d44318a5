"""The handle on a model: its module, tokenizer, sizes, and where its parts are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from needlepoint._core.errors import DataError, UnknownSiteError
from needlepoint.models.encoder import TokenizerEncoder
from needlepoint.models.families import Family, Shape, find, input_major_weight
from needlepoint.models.sites import Part, Site, site
from needlepoint.models.spread import execution_device


@dataclass(frozen=True)
class Batch:
    """Token ids padded on the right, so that padding comes after everything that is read."""

    ids: Int[Tensor, "example pos"]
    lengths: Int[Tensor, " example"]

    @property
    def mask(self) -> Bool[Tensor, "example pos"]:
        """True at real tokens, the first token included."""
        positions = torch.arange(self.ids.shape[1], device=self.ids.device)
        return positions[None, :] < self.lengths[:, None]

    @property
    def last(self) -> Int[Tensor, " example"]:
        """Position of each example's last real token."""
        return self.lengths - 1

    def rows(self, index: Tensor | slice) -> Batch:
        """The batch of some examples only."""
        return Batch(self.ids[index], self.lengths[index])


@dataclass(frozen=True)
class Model:
    """A causal language model that has been checked, with its tokenizer and its sizes.

    Make one with `load_model`. The module is a `transformers` model in evaluation mode, its weights
    and its code unchanged but for the library that multiplies where one is quicker (`quicken`):
    what needlepoint reads is what that model computes.
    """

    module: Any
    encoder: TokenizerEncoder
    family: Family
    shape: Shape
    name: str
    first_token: int | None
    """Token put in front of every text, or None."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Where the weights came from: source, hash, licence, and how precision was chosen."""

    @cached_property
    def blocks(self) -> nn.ModuleList:
        """The transformer blocks, in order."""
        blocks = find(self.module, self.family.blocks)
        assert isinstance(blocks, nn.ModuleList)
        return blocks

    @property
    def device(self) -> torch.device:
        """Where the weights are; of a model on several devices, where token ids go in."""
        return execution_device(self.module)

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        found: torch.dtype = next(self.module.parameters()).dtype
        return found

    @property
    def causal(self) -> bool:
        """Whether a position sees itself and those before it only."""
        return bool(getattr(self.module.config, "causal", True))

    @property
    def prefix(self) -> tuple[int, ...]:
        """The tokens put in front of every text: one or none."""
        return () if self.first_token is None else (self.first_token,)

    def attention_output(self, layer: int) -> nn.Module:
        """The attention output projection of a layer."""
        module: nn.Module = find(self.blocks[layer], self.family.attention_out)
        return module

    def mlp_output(self, layer: int) -> nn.Module:
        """The MLP's down projection of a layer.

        Raises:
            UnknownSiteError: If the model has no MLPs.
        """
        if not self.shape.has_mlps:
            raise self._no_mlps(Site.of(layer, Part.MLP))
        module: nn.Module = find(self.blocks[layer], self.family.mlp_down)
        return module

    def head_weights(self, layer: int) -> Float[Tensor, "head d_head d_model"]:
        """What each query head writes to the residual stream for its z: `out = z @ W[head]`."""
        weight = input_major_weight(self.attention_output(layer)).detach()
        return weight.reshape(self.shape.n_heads, self.shape.d_head, -1)

    def site(self, address: Site | str) -> Site:
        """The site at an address, made sure to exist in this model.

        Raises:
            UnknownSiteError: If this model has no such layer, head or neuron, and the message gives
                the range; or if it has no MLPs at all.
        """
        found = site(address)
        limits = {
            Part.HEAD: ("head", self.shape.n_heads),
            Part.HEAD_OUT: ("head", self.shape.n_heads),
            Part.NEURON: ("neuron", self.shape.d_mlp),
        }
        if not 0 <= found.layer < self.shape.n_layers:
            last = self.shape.n_layers - 1
            raise UnknownSiteError(f"{found} does not exist: {self.name} has layers 0 to {last}.")
        if found.part in (Part.NEURONS, Part.NEURON, Part.MLP) and not self.shape.has_mlps:
            raise self._no_mlps(found)
        if found.index is not None:
            kind, count = limits[found.part]
            if not 0 <= found.index < count:
                raise UnknownSiteError(
                    f"{found} does not exist: {self.name} has {kind}s 0 to {count - 1} in a layer."
                )
        return found

    def _no_mlps(self, found: Site) -> UnknownSiteError:
        return UnknownSiteError(
            f"{found} does not exist: {self.name} is made of attention alone, without MLPs and "
            f"their neurons; read its heads, as in L{found.layer}.attn.z."
        )

    def head_sites(self) -> list[Site]:
        """The z of every query head, in layer-major order."""
        return [
            Site.of(layer, Part.HEAD, head)
            for layer in range(self.shape.n_layers)
            for head in range(self.shape.n_heads)
        ]

    def batch(self, ids: Sequence[Sequence[int]]) -> Batch:
        """Put the first token before each text and pad on the right.

        Raises:
            DataError: If a text has no tokens, or more than the model has positions for; or if
                texts differ in length where padding would be attended to.
        """
        rows = [[*self.prefix, *row] for row in ids]
        lengths = [len(row) for row in rows]
        if not rows or min(len(row) for row in ids) == 0:
            raise DataError("a text without tokens cannot be read; leave it out.")
        width = max(lengths)
        limit = getattr(self.module.config, "max_position_embeddings", None) or width
        if width > limit:
            raise DataError(
                f"a text of {width} tokens is too long for {self.name}, which reads {limit}; "
                "cut it into shorter ones."
            )
        if min(lengths) < width and not self.causal:
            raise DataError(
                f"{self.name} attends to later positions too, so padding would change what it "
                f"computes: put texts of equal length into a batch, not of {min(lengths)} and "
                f"{width} tokens."
            )
        padded = [row + [row[-1]] * (width - len(row)) for row in rows]
        return Batch(
            torch.tensor(padded, device=self.device), torch.tensor(lengths, device=self.device)
        )

    def hidden(self, batch: Batch) -> None:
        """Run the blocks for the sake of hooks; no logits are computed."""
        with torch.no_grad():
            self.module.base_model(input_ids=batch.ids, use_cache=False)

    def last_logits(self, batch: Batch) -> Float[Tensor, "example vocab"]:
        """Logits of the token after each example's last one.

        Only the positions that some example ends at are pushed through the vocabulary.
        """
        ends, which = torch.unique(batch.last, return_inverse=True)
        out = self.module(input_ids=batch.ids, use_cache=False, logits_to_keep=ends)
        rows = torch.arange(len(which), device=which.device)
        logits: Tensor = out.logits[rows, which]
        return logits

    def logits(self, batch: Batch) -> Float[Tensor, "example pos vocab"]:
        """Logits at every position."""
        logits: Tensor = self.module(input_ids=batch.ids, use_cache=False).logits
        return logits

    def named(self, name: str) -> Model:
        """The same model under another name."""
        return replace(self, name=name)

    def card(self) -> dict[str, Any]:
        """What the record of a run says about the model."""
        return {
            "name": self.name,
            "family": self.family.name,
            **vars(self.shape),
            "dtype": str(self.dtype).removeprefix("torch."),
            "device": self.device.type,
            "first_token": None
            if self.first_token is None
            else self.encoder.tokenizer.convert_ids_to_tokens(self.first_token),
            **self.provenance,
        }
