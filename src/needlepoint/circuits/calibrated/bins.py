"""A few bins of codes for each head, chosen without labels: what pairs of heads are counted in."""

from __future__ import annotations

from jaxtyping import Int
from torch import Tensor
from torch.nn.functional import one_hot

from needlepoint._core.errors import DataError

MAX_BINS = 16


def pool_codes(codes: Int[Tensor, "example head"], n_bins: int = 8) -> Int[Tensor, "example head"]:
    """Bins of codes: each head's most frequent codes have one each, all others share the last.

    Which codes are frequent is counted over all examples, whatever their label. A head that uses
    no more than `n_bins` codes keeps them all.

    Raises:
        DataError: If `n_bins` is not between 2 and 16.

    Example:
        >>> import torch
        >>> pool_codes(torch.tensor([[7], [7], [3], [5]]), n_bins=2).ravel().tolist()
        [0, 0, 1, 1]
    """
    if not 2 <= n_bins <= MAX_BINS:
        raise DataError(f"n_bins is {n_bins}: it must be between 2 and {MAX_BINS}.")
    low = codes - codes.min()
    counts = one_hot(low.long(), int(low.max()) + 1).sum(0)
    rank = counts.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return rank.gather(1, low.T.long()).T.clamp(max=n_bins - 1)
