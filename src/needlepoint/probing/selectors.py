"""Ways of choosing the neurons of sparse probes, by name: probes of every k from one layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint._core.registry import Registry
from needlepoint.probing.deletion import DELETIONS
from needlepoint.probing.forward_selection import forward_selection
from needlepoint.probing.paper import paper_adaptive_thresholding
from needlepoint.probing.probe import Path
from needlepoint.probing.ranking_methods import RANKINGS
from needlepoint.probing.swap_search import swap_search
from needlepoint.probing.sweep import adaptive_thresholding
from needlepoint.probing.top_k import top_k

COMMON = {"ks", "l2", "seed"}
RANKING = "mean_difference_std"
"""The ranking that selectors start from by themselves."""
DELETION = "weight"
"""The rule of deletion that they have by themselves."""


@dataclass(frozen=True)
class Selector:
    """One way of choosing neurons, with what a reader should know of it."""

    name: str
    label: str
    """Name for people, a few words."""
    description: str
    """One line: how it chooses."""
    source: str
    """Where it comes from."""
    nested: bool
    """Whether the neurons of a smaller probe are among those of a larger one."""
    ridge: bool
    """Whether its fits minimise the ridge objective under the penalty given."""
    compute: Callable[..., Path]

    @property
    def options(self) -> tuple[str, ...]:
        """What may be set besides the sizes, the penalty and the seed."""
        names = inspect.signature(self.compute).parameters
        return tuple(name for name in names if name not in COMMON | {"acts", "labels"})

    def select(
        self,
        acts: Float[Tensor, "example neuron"],
        labels: Bool[Tensor, "example feature"],
        *,
        ks: Sequence[int],
        l2: float | Float[Tensor, " feature"],
        seed: int = 0,
        **options: Any,
    ) -> Path:
        """Probes of every size and feature from the activations of one layer.

        Args:
            acts: Activations of the neurons of one layer.
            labels: Whether each example has each feature.
            ks: Sizes wanted; those beyond the layer are left out.
            l2: Ridge penalty, positive; not used where `ridge` is false.
            seed: Seed of selectors that toss coins.
            **options: See `options`.

        Raises:
            DataError: If an option is not one of `options`, no size is left, or the data cannot
                be used.
            OneClassError: If a feature has one class only.
        """
        unknown = sorted(set(options) - set(self.options))
        if unknown:
            raise DataError(
                f"the selector {self.name!r} has no option {unknown[0]!r}; "
                f"it has {', '.join(self.options)}."
            )
        names = inspect.signature(self.compute).parameters
        shared = {"l2": l2, "seed": seed}
        shared = {name: value for name, value in shared.items() if name in names}
        return self.compute(acts, labels, ks=ks, **shared, **options)

    def start_options(
        self,
        acts: Float[Tensor, "example neuron"],
        labels: Bool[Tensor, "example feature"],
        *,
        ranking: str = RANKING,
        deletion: str = DELETION,
        seed: int = 0,
    ) -> dict[str, Any]:
        """Options for `select` that start it from a ranking and have it delete by a rule.

        Empty for the ranking and the rule that selectors have by themselves. Of another ranking it
        holds the scores of the neurons, constant ones last. Give the examples that are selected on.

        Args:
            acts: Activations of the neurons of one layer.
            labels: Whether each example has each feature.
            ranking: Name in `RANKINGS`.
            deletion: Name in `DELETIONS`.
            seed: Seed of rankings that draw.

        Raises:
            UnknownNameError: If there is no such ranking or rule.
            DataError: If the selector starts from no ranking, or deletes by no rule, and is asked
                for another than the default; or if the data cannot be used.

        Example:
            >>> acts = torch.eye(6, 3).repeat(5, 1)
            >>> labels, options = acts[:, 1:2] > 0, SELECTORS["top_k"].start_options
            >>> options(acts, labels, ranking="auc")["scores"].tolist()
            [[0.6, 1.0, 0.6]]
            >>> options(acts, labels)
            {}
        """
        method, rule = RANKINGS[ranking], DELETIONS[deletion]
        options: dict[str, Any] = {}
        if rule is not DELETIONS[DELETION]:
            self._require("deletion", deletion, "deletion", "deletes by no rule")
            options["deletion"] = deletion
        if ranking != RANKING:
            self._require("ranking", ranking, "scores", "starts from no ranking")
            constant = (acts == acts[0]).all(0)
            scores = method.score(acts, labels, seed=seed)
            options["scores"] = scores.masked_fill(constant, -torch.inf)
        return options

    def _require(self, setting: str, name: str, option: str, lack: str) -> None:
        if option not in self.options:
            able = [one for one in SELECTORS if option in SELECTORS[one].options]
            raise DataError(
                f"{setting} is {name}, but {self.name} {lack}; use it with {', '.join(able)}."
            )


SELECTORS: Registry[Selector] = Registry("selector")
"""The registered selectors; the first is the default."""


def _add(
    name: str,
    label: str,
    compute: Callable[..., Path],
    description: str,
    *,
    source: str,
    nested: bool = True,
    ridge: bool = True,
) -> None:
    SELECTORS.add(name)(Selector(name, label, description, source, nested, ridge, compute))


_add(
    "adaptive_thresholding",
    "Adaptive thresholding",
    adaptive_thresholding,
    "From many neurons down, refitting and giving up the weakest, under one ridge penalty",
    source="Gurnee et al. 2023, section 3, with a fixed penalty",
)
_add(
    "top_k",
    "Leading neurons of a ranking",
    top_k,
    "The k neurons that a ranking puts first, by default the standardised mean difference",
    source="Gurnee et al. 2023, section 3",
)
_add(
    "forward",
    "Forward selection",
    forward_selection,
    "From no neuron up, each time the one that lowers the loss most",
    source="score test; Efroymson 1960",
)
_add(
    "swap",
    "Swap search",
    swap_search,
    "Adaptive thresholding, then exchanges of one neuron for another while the loss falls",
    source="local search for best subsets; Hazimeh and Mazumder 2020",
    nested=False,
)
_add(
    "paper",
    "Adaptive thresholding as published",
    paper_adaptive_thresholding,
    "As its authors ran it: saga, with an elastic net that changes with k",
    source="Gurnee et al. 2023, released code",
    ridge=False,
)
