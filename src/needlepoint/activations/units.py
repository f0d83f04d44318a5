"""Which units of each site are kept, where not all of them are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from jaxtyping import Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.models.sites import Site


@dataclass(frozen=True, eq=False)
class Units:
    """Some units of some sites, in the order in which they become columns.

    A site that is not named keeps all of its units. It is no part of the model's pass: all units
    are computed, and those not chosen are dropped before they are kept.

    Raises:
        DataError: If a site has no unit, or one twice.

    Example:
        >>> import torch
        >>> units = Units({Site.parse("L3.mlp.neurons"): torch.tensor([4, 0])})
        >>> units.take(Site.parse("L3.mlp.neurons"), torch.arange(6.0)[None])
        tensor([[4., 0.]])
    """

    chosen: Mapping[Site, Int[Tensor, "_"]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for site, units in self.chosen.items():
            if len(units) == 0:
                raise DataError(f"no unit of {site} is chosen; leave the site out.")
            if len(set(units.tolist())) < len(units):
                raise DataError(f"a unit of {site} is chosen twice; name each once.")

    def check(self, widths: Mapping[Site, int]) -> None:
        """Refuse what the sites that are read do not have.

        Raises:
            DataError: If a site is not read, or has no such unit.
        """
        for site, units in self.chosen.items():
            if site not in widths:
                raise DataError(f"units of {site} are chosen, which is not read; add the site.")
            low, high = int(units.min()), int(units.max())
            if low < 0 or high >= widths[site]:
                raise DataError(
                    f"unit {low if low < 0 else high} of {site} is chosen; it has units 0 to "
                    f"{widths[site] - 1}."
                )

    def take(
        self, site: Site, rows: Float[Tensor, "example unit"]
    ) -> Float[Tensor, "example width"]:
        """The chosen columns of rows of all units."""
        units = self.chosen.get(site)
        return rows if units is None else rows.index_select(1, units.to(rows.device))

    def width(self, site: Site, whole: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of one row at a site, from that of all its units."""
        return (len(self.chosen[site]),) if site in self.chosen else whole

    @cached_property
    def sha256(self) -> str:
        """Hash of the choice: sites, units and their order. Empty where all are kept."""
        if not self.chosen:
            return ""
        lines = [f"{site}:{units.tolist()}" for site, units in self.chosen.items()]
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
