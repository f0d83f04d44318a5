"""Which n-grams drive a neuron: activations grouped by the token that fires and those before it.

An occurrence of a token is one row. Its n-gram is the token with the `n - 1` tokens before it. A
neuron that reads the token alone has the same mean whatever comes before; one that reads "prime
factors" is high on " factors" only after " prime".

References:
    Gurnee et al. 2023 (arXiv 2305.01610), section on polysemantic n-gram neurons: tokens with a
    high maximum and a high spread, their means compared by the tokens before them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int

LONGEST = 4
"""Tokens of the longest n-gram: the one that fires and three before it."""
STEM = 4
"""Letters in which two words agree if they count as forms of one word."""
PRIOR = 1.0
"""Occurrences that the mean of a shorter n-gram counts for when that of a longer one is guessed."""


@dataclass(frozen=True, eq=False)
class Occurrences:
    """Tokens in the order of their texts, with the activation of one neuron at each."""

    tokens: Int[np.ndarray, " row"]
    texts: Int[np.ndarray, " row"]
    """Number of the text of each; texts follow one another."""
    documents: Int[np.ndarray, " row"]
    values: Float[np.ndarray, " row"]
    """Turned so that high means firing."""

    def grams(self, n: int) -> Int[np.ndarray, " row"]:
        """The n-gram that ends at each token, as a number from 0; -1 where the text is too short.

        Example:
            >>> one = np.array([5, 6, 5, 6])
            >>> Occurrences(one, np.zeros(4, int), np.zeros(4, int), one / 1.0).grams(2)
            array([-1,  1,  0,  1])
        """
        back = [np.roll(self.tokens, shift) for shift in range(n)]
        whole = self.texts == np.roll(self.texts, n - 1)
        whole[: n - 1] = False
        found = np.full(len(self.tokens), -1)
        if whole.any():
            keys = np.column_stack(back)[whole]
            found[whole] = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
        return found


@dataclass(frozen=True, eq=False)
class GramMeans:
    """How often each n-gram of one length occurs, and how active the neuron is at its end."""

    of_row: Int[np.ndarray, " row"]
    """The n-gram that ends at each row, -1 for none."""
    counts: Int[np.ndarray, " value"]
    means: Float[np.ndarray, " value"]
    highest: Float[np.ndarray, " value"]
    first: Int[np.ndarray, " value"]
    """A row at which each n-gram ends."""


def gram_means(rows: Occurrences, n: int) -> GramMeans:
    """Count, mean and maximum of every n-gram of a length.

    Example:
        >>> tokens, values = np.array([5, 6, 7, 6]), np.array([0.0, 1.0, 0.0, 3.0])
        >>> found = gram_means(Occurrences(tokens, np.zeros(4, int), np.zeros(4, int), values), 1)
        >>> found.counts, found.means
        (array([1, 2, 1]), array([0., 2., 0.]))
    """
    of_row = rows.grams(n)
    here = np.flatnonzero(of_row >= 0)
    size = int(of_row.max(initial=-1)) + 1
    counts = np.bincount(of_row[here], minlength=size)
    sums = np.bincount(of_row[here], weights=rows.values[here].astype(np.float64), minlength=size)
    highest = np.full(size, -np.inf)
    np.maximum.at(highest, of_row[here], rows.values[here])
    first = np.zeros(size, dtype=np.int64)
    first[of_row[here][::-1]] = here[::-1]
    return GramMeans(of_row, counts, sums / np.maximum(counts, 1), highest, first)


@dataclass(frozen=True, eq=False)
class Drivers:
    """For each firing occurrence, the shortest n-gram that is enough to make the neuron fire."""

    length: Int[np.ndarray, " row"]
    """Length of that n-gram; 0 where even the longest is not enough, or was not seen again, and -1
    where the neuron does not fire."""
    again: Bool[np.ndarray, " row"]
    """Whether it could be told: the n-gram, or a shorter one that is not enough, was seen again."""


def drivers(means: Sequence[GramMeans], firing: Bool[np.ndarray, " row"], cut: float) -> Drivers:
    """The shortest n-gram of each firing occurrence whose mean over all its occurrences is firing.

    An n-gram counts only if it occurs at least twice: the mean of one occurrence is itself. Where
    an n-gram occurs once, all longer ones do, and nothing can be told.

    Args:
        means: Those of n-grams of length 1, 2, ...
        firing: Which rows are to be explained.
        cut: Activation from which on the neuron fires.
    """
    length = np.where(firing, 0, -1)
    again = np.zeros(len(firing), dtype=bool)
    for n, found in enumerate(means, start=1):
        known = found.of_row >= 0
        seen = known & (found.counts[found.of_row] > 1)
        enough = seen & (found.means[found.of_row] >= cut)
        new = enough & (length == 0)
        length[new] = n
        again |= new
        if n == len(means):
            again |= seen & (length == 0)
    return Drivers(length, again & firing)


def explained_share(rows: Occurrences, means: Sequence[GramMeans], n: int) -> float | None:
    """Share of the variance over tokens that n-grams of other documents explain; None if none is.

    The activation at each token is guessed from the occurrences of its n-gram in *other*
    documents, mixed with the guess from the n-gram one shorter (which counts as one occurrence),
    down to the mean of the other documents. The share is 1 minus the squared error over the
    variance: 1 if the last n tokens say everything, about 0 if nothing, below 0 if they mislead.
    """
    values = rows.values.astype(np.float64)
    spread = np.square(values - values.mean()).sum() if len(values) else 0.0
    if len(np.unique(rows.documents)) < 2 or spread <= 0:
        return None
    guess = _elsewhere(values, np.zeros(len(values), dtype=np.int64), rows.documents, None)
    for found in means[:n]:
        guess = _elsewhere(values, found.of_row, rows.documents, guess)
    return float(1 - np.square(values - guess).sum() / spread)


def _elsewhere(
    values: Float[np.ndarray, " row"],
    groups: Int[np.ndarray, " row"],
    documents: Int[np.ndarray, " row"],
    prior: Float[np.ndarray, " row"] | None,
) -> Float[np.ndarray, " row"]:
    """Mean of each row's group in other documents, mixed with a prior guess; that alone at -1."""
    own = np.where(groups < 0, groups.max(initial=0) + 1, groups)
    pairs = np.unique(np.column_stack([own, documents]), axis=0, return_inverse=True)[1]
    pairs = pairs.reshape(-1)
    sums = np.bincount(own, values)[own] - np.bincount(pairs, values)[pairs]
    counts = np.bincount(own)[own] - np.bincount(pairs)[pairs]
    if prior is None:
        guess: np.ndarray = sums / np.maximum(counts, 1)
        return guess
    return np.where(groups < 0, prior, (sums + PRIOR * prior) / (counts + PRIOR))


def unrelated_groups(grams: Sequence[Sequence[str]]) -> list[int]:
    """A group number for each n-gram, given as its tokens; n-grams that are related share theirs.

    Two n-grams are related if, without case and surrounding space, their last tokens are the
    same or agree in the first four letters, if both last tokens are numbers or both are signs, or
    if they have two neighbouring tokens in common. Groups are closed under this. It is a rule on
    spelling: "car" and "automobile" count as unrelated, "general" and "generate" as related.

    Example:
        >>> unrelated_groups([("Har", "vard"), (" factors",), (" Factor",), ("1",), ("27",)])
        [0, 1, 1, 2, 2]
    """
    leader = list(range(len(grams)))
    holder: dict[object, int] = {}
    for place, gram in enumerate(grams):
        for key in _keys(gram):
            other = _root(leader, holder.setdefault(key, place))
            mine = _root(leader, place)
            leader[max(other, mine)] = min(other, mine)
    roots = [_root(leader, place) for place in range(len(grams))]
    numbers = {root: number for number, root in enumerate(dict.fromkeys(roots))}
    return [numbers[root] for root in roots]


def _root(leader: list[int], place: int) -> int:
    while leader[place] != place:
        place = leader[place]
    return place


def _keys(gram: Sequence[str]) -> list[object]:
    """What two n-grams must share one of to be related."""
    plain = [token.strip().casefold() for token in gram]
    last = plain[-1]
    kind: object = last[:STEM] if len(last) >= STEM else last
    if not any(map(str.isalpha, last)):
        kind = ("number",) if any(map(str.isdecimal, last)) else ("sign",)
    return [kind, *pairwise(plain)]
