"""What neurons say to the logits directly: which tokens they make likelier, which less likely."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint.models.folded import mlp_writes, unembedding
from needlepoint.models.model import Model

TOP = 12
"""Tokens that are named on each side."""
COLUMNS = ["site", "side", "rank", "token", "token_id", "effect", "z"]


@dataclass(frozen=True, eq=False)
class LogitEffects:
    """Direct effects of some neurons of one layer on every logit, per unit of activation.

    In units of the logits times the norm's divisor at the position: the final norm's gain is
    folded in, its division is not, as it differs from position to position. The mean over the
    vocabulary is taken off.
    """

    effects: Float[Tensor, "k vocab"]
    z: Float[Tensor, "k vocab"]
    """Effects as standard deviations from the mean of all neurons of the layer on that token: a
    token that many neurons move is not remarkable."""

    def kurtosis(self) -> Float[Tensor, " k"]:
        """Excess kurtosis over the vocabulary: high if a few tokens are singled out."""
        return self._standard().pow(4).mean(1) - 3

    def skew(self) -> Float[Tensor, " k"]:
        """Skew over the vocabulary: above 0 if a few tokens are promoted, below if suppressed."""
        return self._standard().pow(3).mean(1)

    def _standard(self) -> Float[Tensor, "k vocab"]:
        effects = self.effects.double()
        centred = effects - effects.mean(1, keepdim=True)
        return centred / centred.square().mean(1, keepdim=True).sqrt()


def logit_effects(
    model: Model,
    layer: int,
    neurons: Int[Tensor, " k"],
    *,
    reads: Float[Tensor, "d_model vocab"] | None = None,
) -> LogitEffects:
    """What neurons write, read by the unembedding: `W_out @ (gain * W_U)`.

    What later layers make of a neuron is left out, so that this tells most about late layers.

    Args:
        model: The model.
        layer: The layer of the neurons.
        neurons: Which ones.
        reads: `models.folded.unembedding` of the model, to fold it only once.

    Raises:
        ModelError: If the model has no unembedding of the width of its residual stream.
    """
    reads = unembedding(model) if reads is None else reads
    writes = mlp_writes(model, layer).to(reads.device)
    mean = writes.mean(0)
    spread = (writes - mean).T @ (writes - mean) / len(writes)
    deviation = ((spread @ reads) * reads).sum(0).clamp(min=0).sqrt()
    effects = writes[neurons.to(writes.device)] @ reads
    return LogitEffects(effects.cpu(), ((effects - mean @ reads) / deviation).cpu())


def effect_frame(
    model: Model, site: str, effects: Float[Tensor, " vocab"], z: Float[Tensor, " vocab"]
) -> pd.DataFrame:
    """The tokens that one neuron promotes and suppresses most, by z.

    Only tokens that the tokenizer knows: some models have spare rows.
    """
    known = min(len(model.encoder.tokenizer), len(z))
    rows = []
    for side, sign in (("promoted", 1), ("suppressed", -1)):
        ranked = (sign * z[:known]).nan_to_num(nan=-torch.inf).argsort(descending=True, stable=True)
        top = ranked[:TOP].tolist()
        pieces = model.encoder.pieces(top)
        for rank, (token, piece) in enumerate(zip(top, pieces, strict=True)):
            rows.append((site, side, rank, piece, token, float(effects[token]), float(z[token])))
    return pd.DataFrame(rows, columns=COLUMNS)
