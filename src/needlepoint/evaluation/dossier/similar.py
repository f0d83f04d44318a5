"""The neurons most like a neuron: in when they are active, and in what they write."""

from __future__ import annotations

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint.evaluation.dossier.reading import Reading
from needlepoint.models.folded import mlp_writes
from needlepoint.models.model import Model
from needlepoint.models.sites import Site

TOP = 8
COLUMNS = ["site", "by", "rank", "other", "layer", "value", "lower_half"]


def similar_frame(model: Model, reading: Reading, site: Site) -> pd.DataFrame:
    """The neurons of any layer whose activations go with this one's, and its like in writing.

    `value` is the correlation over tokens (by `activation`), or the cosine of output weights
    within the layer (by `output`); both keep their sign, and neurons come in order of size.
    `lower_half` is the correlation, taken on each half of the documents, that is nearer to 0:
    what is far below `value` rests on a few documents.
    """
    width = model.shape.d_mlp
    rows = []
    which, own = reading.sites.index(site), _number(site, width)
    whole, lower = _correlations(reading, which)
    for rank, other in enumerate(_largest(whole, own)):
        layer, neuron = divmod(other, width)
        named = f"L{layer}.N{neuron}"
        rows.append(
            (str(site), "activation", rank, named, layer, float(whole[other]), float(lower[other]))
        )
    cosines = _cosines(model, site)
    assert site.index is not None
    for rank, neuron in enumerate(_largest(cosines, site.index)):
        named = f"L{site.layer}.N{neuron}"
        rows.append(
            (str(site), "output", rank, named, site.layer, float(cosines[neuron]), torch.nan)
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def _number(site: Site, width: int) -> int:
    assert site.index is not None
    return site.layer * width + site.index


def _correlations(reading: Reading, which: int) -> tuple[Tensor, Tensor]:
    """Correlations on all documents, and on the half that speaks less for them."""
    from needlepoint.evaluation.dossier.co_moments import CoMoments

    halves, joined = [], CoMoments()
    for half in reading.co_moments:
        joined.merge(half)
        if half.count:
            halves.append(half.correlation()[which])
    whole = joined.correlation()[which]
    aligned = torch.stack([part * whole.sign() for part in halves])
    lower = aligned.nan_to_num(nan=0.0).amin(0) * whole.sign()
    return whole, lower if len(halves) > 1 else torch.full_like(whole, torch.nan)


def _cosines(model: Model, site: Site) -> Float[Tensor, " neuron"]:
    writes = mlp_writes(model, site.layer).double().cpu()
    unit: Tensor = writes / writes.norm(dim=1, keepdim=True)
    found: Tensor = unit @ unit[site.index]
    return found


def _largest(values: Float[Tensor, " unit"], own: int) -> list[int]:
    """Numbers of the largest values by size, without the unit itself and what is not defined."""
    size = values.abs().nan_to_num(nan=-1.0)
    size[own] = -1.0
    order = size.argsort(descending=True, stable=True)[:TOP]
    return [place for place in order.tolist() if size[place] >= 0]
