"""Where the parts of a model stand in a picture of it, and which of them an edge joins."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from needlepoint._core.errors import StoreError

_PART = re.compile(r"L(\d+)\.(?:(mlp)|H(\d+)(?:\.[a-z]+)?|([KV])(\d+))")


@dataclass(frozen=True)
class ModelGraph:
    """The sizes of a model's graph, as a record's summary has them.

    Example:
        >>> graph = ModelGraph(2, 4, 2)
        >>> graph.writers[:2], graph.readers[4:7], len(graph.writers), len(graph.readers)
        (['embed', 'L0.H0'], ['L0.K0', 'L0.K1', 'L0.V0'], 11, 19)
    """

    n_layers: int
    n_heads: int
    n_kv_heads: int
    parallel: bool = False
    has_mlps: bool = True

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> ModelGraph | None:
        """The graph of a summary; None if an earlier version did not record it."""
        if not all(found.get(name) for name in ("n_layers", "n_heads", "n_kv_heads")):
            return None
        layers, heads, shared = (int(found[name]) for name in ("n_layers", "n_heads", "n_kv_heads"))
        return cls(
            layers, heads, shared, bool(found.get("parallel")), bool(found.get("has_mlps", True))
        )

    @property
    def writers(self) -> list[str]:
        """What adds to the stream, in the order in which arrays of edges have it."""
        found = ["embed"]
        for layer in range(self.n_layers):
            found += [f"L{layer}.H{head}" for head in range(self.n_heads)]
            found += [f"L{layer}.mlp"] * self.has_mlps
        return found

    @property
    def readers(self) -> list[str]:
        """What reads the stream, in the same order."""
        found = []
        for layer in range(self.n_layers):
            found += [f"L{layer}.H{head}.q" for head in range(self.n_heads)]
            found += [f"L{layer}.{kind}{n}" for kind in "KV" for n in range(self.n_kv_heads)]
            found += [f"L{layer}.mlp"] * self.has_mlps
        return [*found, "logits"]

    def require(self, table: str, column: str, names: Iterable[Any]) -> None:
        """Make sure that all names of a table are of writers, or of readers, of this graph.

        Args:
            table: The table that they stand in, for the message.
            column: `node`, `writer` or `reader`.
            names: What stands there.

        Raises:
            StoreError: If one is not; the message has it.
        """
        known = set(self.readers if column == "reader" else self.writers)
        strange = next((str(name) for name in names if str(name) not in known), None)
        if strange is not None:
            raise StoreError(
                f"table {table!r} names the {column} {strange!r}, which a model of "
                f"{self.n_layers} layers with {self.n_heads} heads does not have; the run is "
                "damaged or was written by another version: run it again."
            )

    def joined(self, reader: str) -> list[str]:
        """The nodes that read through a reader: several heads can share keys and values.

        Example:
            >>> ModelGraph(2, 4, 2).joined("L1.K1"), ModelGraph(2, 4, 2).joined("L1.H0.q")
            (['L1.H2', 'L1.H3'], ['L1.H0'])
        """
        found = _PART.fullmatch(reader)
        if found is None:
            return [reader]
        layer, mlp, head, kind, shared = found.groups()
        if mlp:
            return [f"L{layer}.mlp"]
        if kind is None:
            return [f"L{layer}.H{head}"]
        group = self.n_heads // self.n_kv_heads
        return [f"L{layer}.H{int(shared) * group + n}" for n in range(group)]

    def largest_edges(self, scores: np.ndarray, n: int) -> list[tuple[str, str, float]]:
        """The `n` edges with the largest absolute scores of an array `[writer, reader]`.

        Where the array does not fit the graph there are none.
        """
        writers, readers = self.writers, self.readers
        if scores.shape != (len(writers), len(readers)):
            return []
        size = np.where(np.isfinite(scores) & self._exist(), np.abs(scores), 0.0)
        order = np.argsort(-size, axis=None, kind="stable")[:n]
        places = [divmod(int(place), len(readers)) for place in order]
        return [
            (writers[row], readers[column], float(scores[row, column]))
            for row, column in places
            if size[row, column] > 0
        ]

    def _exist(self) -> np.ndarray:
        """Which pairs of a writer and a reader are edges: the reader comes after the writer."""
        writes = np.array([self._step(name, reads=False) for name in self.writers])
        reads = np.array([self._step(name, reads=True) for name in self.readers])
        later: np.ndarray = reads[None, :] > writes[:, None]
        return later

    def _step(self, name: str, *, reads: bool) -> float:
        """When a part reads or writes, in layers."""
        found = _PART.fullmatch(name)
        if found is None:
            return -1.0 if name == "embed" else float(self.n_layers)
        is_mlp = found.group(2) is not None
        if not is_mlp or (self.parallel and reads):
            return float(found.group(1)) + (0.0 if reads else 0.25)
        return float(found.group(1)) + (0.5 if reads else 0.75)
