"""The best support so far, the bound so far, and the time they took."""

from __future__ import annotations

import time

import numpy as np
from jaxtyping import Float, Int

from needlepoint.probing.optimal.certificate import EXACT, OptimalProbe
from needlepoint.probing.optimal.dual import Cut, cuts_of
from needlepoint.probing.optimal.objective import Objective
from needlepoint.probing.optimal.refit import Fits, fit_supports

ROUNDING = 1e-11
"""Share by which bounds are lowered, far more than the rounding errors in them."""


class Search:
    """One run for one `k`: gathers supports and bounds, and keeps the best of each."""

    def __init__(
        self, objective: Objective, k: int, *, time_limit: float, tolerance: float
    ) -> None:
        self.objective, self.k, self.tolerance = objective, k, tolerance
        self.time_limit, self._begin = time_limit, time.perf_counter()
        self.value, self.bound = np.inf, 0.0
        self.support: Int[np.ndarray, " k"] = np.zeros(0, np.int64)
        self.nodes, self.n_screened = 0, 0
        self.cuts: list[Cut] = []
        self._weight: Float[np.ndarray, " k"] = np.zeros(0)
        self._bias = 0.0
        self._seen: set[tuple[int, ...]] = set()
        self._trace: list[tuple[float, float, float]] = []

    @property
    def seconds(self) -> float:
        """Since the search began."""
        return time.perf_counter() - self._begin

    @property
    def out_of_time(self) -> bool:
        """Whether the time limit has passed."""
        return self.seconds > self.time_limit

    @property
    def cutoff(self) -> float:
        """Supports that cost at least this are of no interest."""
        return self.value * (1 - self.tolerance)

    @property
    def closed(self) -> bool:
        """Whether no support of interest is left."""
        return self.bound >= self.cutoff * (1 - 2 * ROUNDING)

    def offer(self, supports: Int[np.ndarray, "row k"]) -> bool:
        """Fit the supports that are new; whether one of them is the best so far."""
        fresh = []
        for support in np.sort(supports, axis=1):
            if (key := tuple(support.tolist())) not in self._seen:
                self._seen.add(key)
                fresh.append(support)
        if not fresh:
            return False
        chosen = np.stack(fresh)
        return self.offer_fits(chosen, fit_supports(self.objective, chosen))

    def offer_fits(self, supports: Int[np.ndarray, "row k"], fits: Fits) -> bool:
        """Take in supports that have been fitted; whether one of them is the best so far."""
        best = int(fits.objective.argmin())
        if not fits.objective[best] < self.value:
            return False
        self.value, self.support = float(fits.objective[best]), supports[best]
        self._weight, self._bias = fits.weight[best], float(fits.bias[best])
        # The dual vector of a good support is a strong proof against bad neurons.
        self.cuts += cuts_of(self.objective, fits.blame[best : best + 1])
        self.raise_bound(self.cuts[-1].bound(self.k))
        self._note()
        return True

    def raise_bound(self, bound: float) -> None:
        """Take in a bound on all supports, less room for rounding; a lower one changes nothing."""
        bound = min(bound, self.value) * (1 - ROUNDING)
        if bound > self.bound:
            self.bound = bound
            self._note()

    def result(self) -> OptimalProbe:
        """The best of both, as they stand."""
        gap = (self.value - self.bound) / self.value
        return OptimalProbe(
            probe=self.objective.probe(self.support, self._weight, self._bias),
            k=self.k,
            loss=self.objective.loss,
            gamma=self.objective.gamma,
            objective=self.value,
            bound=self.bound,
            status="exact" if gap < EXACT else "time limit",
            seconds=self.seconds,
            nodes=self.nodes,
            n_neurons=self.objective.n_neurons,
            n_screened=self.n_screened,
            trace=tuple(self._trace),
        )

    def _note(self) -> None:
        if np.isfinite(self.value):
            self._trace.append((self.seconds, self.value, self.bound))
