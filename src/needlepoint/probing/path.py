"""From many neurons down to few: the fits along a path of nested supports.

Every fit starts where the quadratic model of the larger one, kept to the neurons that stay, has
its minimum, and with the rows and columns of its Hessian that stay: one Gram matrix serves
several sizes. Features are taken together, as many as the caches hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint.probing.dense import solve_shared
from needlepoint.probing.descent import Target
from needlepoint.probing.layer import Layer
from needlepoint.probing.logistic import CHEAP, Logistic, Problem, factorise, solve
from needlepoint.probing.probe import Path, ProbeBatch

TOGETHER = 8 * 2**20
"""Bytes of rows that are fitted together on a CPU."""
TOGETHER_CUDA = 2**30
WIDE = 512
"""From this size on, fits that read the same neurons are solved together."""

Keep = Callable[["Rows", "Fitted", int], Int[Tensor, "feature k"]]
"""Which places of the supports stay when k neurons are to be left."""


@dataclass(frozen=True)
class Rows:
    """Standardised neurons that some fits may read, and what these are fitted to."""

    layer: Layer
    whole: Float[Tensor, "width example"]
    """The neurons, and a last row of ones for the bias."""
    neurons: Int[Tensor, " row"]
    """Which neuron stands in each row of the block; increasing."""
    target: Target
    l2: Float[Tensor, " feature"]

    @classmethod
    def of(cls, layer: Layer, target: Target, l2: Tensor, neurons: Tensor | None = None) -> Rows:
        """The rows of the neurons named, each once; of all if none are named."""
        d = layer.acts.shape[1]
        read = (
            torch.arange(d, device=layer.acts.device) if neurons is None else torch.unique(neurons)
        )
        whole = layer.mean.new_empty(len(read) + 1, len(layer.acts))
        whole[-1] = 1.0
        if len(read) == d:
            layer.all_rows(whole[:-1])
        else:
            layer.rows(read, whole[:-1])
        return cls(layer, whole, read, target, l2)

    @property
    def block(self) -> Float[Tensor, "row example"]:
        """The neurons alone."""
        return self.whole[:-1]

    def places(self, support: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
        """In which rows of the block neurons stand."""
        return torch.searchsorted(self.neurons, support)

    def problem(self, support: Int[Tensor, "feature k"], features: Tensor) -> Problem:
        """The fits of some features on their supports."""
        last = support.new_full((len(support), 1), len(self.neurons))
        places = torch.cat([self.places(support), last], dim=1)
        if len(places) == 1 and places.shape[1] == len(self.whole):
            X = self.whole[None]
        else:
            X = self.whole.new_empty(*places.shape, self.whole.shape[1])
            for rows, place in zip(X.unbind(), places.unbind(), strict=True):
                torch.index_select(self.whole, 0, place, out=rows)
        return Problem.of(X, self.target.select(features), self.l2[features])

    def select(self, features: Tensor) -> Rows:
        """The same rows with some of the features to fit."""
        return replace(self, target=self.target.select(features), l2=self.l2[features])

    def only(self, feature: int) -> Rows:
        """The same rows with one feature to fit."""
        return self.select(torch.tensor([feature], device=self.block.device))

    def together(self, k: int, n_features: int) -> Iterator[Tensor]:
        """Features in lots whose rows fit the caches."""
        width = (k + 1) * self.block.shape[1] * self.block.element_size()
        size = max(1, (TOGETHER_CUDA if self.block.is_cuda else TOGETHER) // width)
        return iter(torch.split(torch.arange(n_features, device=self.block.device), size))


@dataclass(frozen=True)
class Fitted:
    """Fits of one size on standardised neurons, one for each feature."""

    support: Int[Tensor, "feature k"]
    fit: Logistic
    hessian: Float[Tensor, "feature width width"] | None
    """Near the minimum, the bias last; `None` after a fit that formed no Hessian."""

    @property
    def weight(self) -> Float[Tensor, "feature k"]:
        """Weights on standardised neurons."""
        return self.fit.weight

    @property
    def point(self) -> Float[Tensor, "feature width"]:
        """Weights, the bias last."""
        return torch.cat([self.fit.weight, self.fit.bias[:, None]], dim=1)

    def select(self, features: Tensor) -> Fitted:
        """Some of the features, without the Hessian."""
        names = [field.name for field in fields(Logistic)]
        fit = Logistic(*(getattr(self.fit, name)[features] for name in names))
        return Fitted(self.support[features], fit, None)

    def one(self, feature: int) -> Fitted:
        """The fit of one feature."""
        return self.select(torch.tensor([feature], device=self.support.device))

    def batch(self, layer: Layer) -> ProbeBatch:
        """The fits restated for the activations as they are, in tensors of their own."""
        weight = self.weight.double() / layer.sd[self.support]
        bias = self.fit.bias.double() - (weight * layer.mean[self.support]).sum(1)
        kept = (self.support, self.fit.loss, self.fit.gradient_norm, self.fit.n_iter)
        support, loss, norm, n_iter = (part.clone() for part in kept)
        return ProbeBatch(support, weight, bias, loss, norm, n_iter)


def fit(
    rows: Rows,
    support: Int[Tensor, "feature k"],
    start: Float[Tensor, "feature width"] | None = None,
    hessian: Float[Tensor, "feature width width"] | None = None,
) -> Fitted:
    """The fit of every feature on its support, given in increasing order.

    Wide supports that are the same for all features are fitted together.
    """
    k = support.shape[1]
    if k >= WIDE and bool((support == support[:1]).all()):
        block = rows.block if k == len(rows.block) else rows.block[rows.places(support[0])]
        return Fitted(support, solve_shared(block, rows.target, rows.l2), None)
    if start is None:
        start = rows.block.new_zeros(len(support), k + 1)
    parts, hessians = [], []
    for lot in rows.together(k, len(support)):
        known = None if hessian is None else hessian[lot]
        solved = solve(rows.problem(support[lot], lot), start[lot], hessian=known)
        parts.append(Fitted(support[lot], solved.fit, None))
        hessians.append(solved.hessian)
    return replace(stack(parts), hessian=hessians[0] if len(parts) == 1 else torch.cat(hessians))


def shrink(
    rows: Rows, fitted: Fitted, sizes: Sequence[int], keep: Keep, by_way_of: Sequence[int] = ()
) -> list[Fitted]:
    """Fits of `sizes` by increasing k: from one down, each on what the last kept.

    The way down also leads through the sizes of `by_way_of` above the smallest one wanted.
    """
    found = []
    for k in sorted({*sizes, *(way for way in by_way_of if way > min(sizes))}, reverse=True):
        if k < fitted.support.shape[1]:
            fitted = fit_part(rows, fitted, keep(rows, fitted, k).sort(1).values)
        if k in sizes:
            found.append(fitted)
    return found[::-1]


def as_path(layer: Layer, found: list[Fitted]) -> Path:
    """Fits by increasing k as probes of the activations as they are."""
    return Path(tuple(fitted.batch(layer) for fitted in found))


def fit_part(rows: Rows, fitted: Fitted, keep: Int[Tensor, "feature k"]) -> Fitted:
    """The fit on some places of each support, started from what the larger fit knows of them."""
    last = torch.full_like(keep[:, :1], fitted.support.shape[1])
    at, support = torch.cat([keep, last], dim=1), fitted.support.gather(1, keep)
    if fitted.hessian is None:
        return fit(rows, support, fitted.point.gather(1, at))
    pull = (fitted.hessian @ fitted.point[:, :, None])[:, :, 0].gather(1, at)
    feature = torch.arange(len(at), device=at.device)[:, None, None]
    part = fitted.hessian[feature, at[:, :, None], at[:, None, :]]
    start = torch.cholesky_solve(pull[:, :, None], factorise(part))[:, :, 0]
    return fit(rows, support, start, part if part.shape[1] > CHEAP else None)


def hessian_at(rows: Rows, fitted: Fitted, features: Tensor) -> Tensor:
    """Second derivatives of some features at their fits, `[feature, k + 1, k + 1]`, bias last."""
    problem = rows.problem(fitted.support, features)
    _, curvature = problem.target.derivatives(problem.margins(fitted.point))
    return problem.hessian(curvature)


def stack(parts: Sequence[Fitted]) -> Fitted:
    """Fits of one size of several features as one, without Hessians."""
    if len(parts) == 1:
        return parts[0]
    names = [field.name for field in fields(Logistic)]
    fit = Logistic(*(torch.cat([getattr(part.fit, name) for part in parts]) for name in names))
    return Fitted(torch.cat([part.support for part in parts]), fit, None)
