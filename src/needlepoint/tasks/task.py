"""What a built-in behaviour is: how its prompts are made, and what is known of its circuit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

from needlepoint._core.errors import unknown_name
from needlepoint._core.text import Encoder
from needlepoint.tasks.pairs import Metric, Prompts

N_PAIRS = 200
"""Pairs of a built-in task unless another number is asked for."""

Head = tuple[int, int]
"""Layer and head, both counted from 0."""


class NodeEdge(NamedTuple):
    """One node of a circuit reads another, as it was published."""

    source: str
    """`embed`, `L3.H5` or `L3.mlp`."""
    target: str
    """`L3.H5`, `L3.mlp` or `logits`."""
    inputs: str = "qkv"
    """Where the target is a head: by which of its inputs it reads; all where it was not said."""


@dataclass(frozen=True)
class KnownCircuit:
    """A circuit that was published for one model, as a fact to compare with."""

    model: str
    """Name of the model on the hub, `openai-community/gpt2` for instance."""
    source: str
    """Who found it, and where this list of it is from."""
    roles: Mapping[str, tuple[Head, ...]]
    """Heads by what they are said to do."""
    mlps: tuple[int, ...] = ()
    """Layers whose MLPs belong to it."""
    disputes: tuple[str, ...] = ()
    """What later work or other copies of the list say otherwise, one sentence each."""
    variant: str = "published"
    """Name of this list, where there are several of one circuit."""
    shape: tuple[int, int] | None = None
    """Layers of the model, and heads in each."""
    edges: tuple[NodeEdge, ...] = ()
    """Which node reads which; none where only nodes were published."""

    @property
    def heads(self) -> tuple[Head, ...]:
        """All heads, each once, in order of layer and head."""
        return tuple(sorted({head for heads in self.roles.values() for head in heads}))

    @property
    def head_edges(self) -> tuple[tuple[str, str], ...]:
        """The edges from head to head, by name, whichever input the second reads by."""
        return tuple(
            (edge.source, edge.target)
            for edge in self.edges
            if ".H" in edge.source and ".H" in edge.target
        )


@runtime_checkable
class Make(Protocol):
    """Makes the prompts of a task for one tokenizer."""

    def __call__(
        self, encoder: Encoder, *, n_pairs: int, seed: int = 0, corruption: str = ""
    ) -> Prompts:
        """Distinct pairs; the first n of a longer list are the list of n."""
        ...


@dataclass(frozen=True)
class Task:
    """A behaviour that can be asked for by name."""

    name: str
    title: str
    description: str
    """What the prompts are and how the corrupt ones are made, in one to three sentences."""
    source: str
    """The paper it is after, or `own`."""
    make: Make
    corruptions: Mapping[str, str]
    """How a corrupt prompt can be made, by name, each in a sentence; the first is the default."""
    metric: Metric = "logit difference"
    circuits: tuple[KnownCircuit, ...] = field(default=())
    answer_hidden: bool = False
    """Whether no right answer may stand in the prompt; in many tasks it does by nature."""

    def __call__(
        self,
        encoder: Encoder,
        *,
        n_pairs: int = N_PAIRS,
        seed: int = 0,
        corruption: str | None = None,
    ) -> Prompts:
        """Prompts of the task for this tokenizer.

        Args:
            encoder: The tokenizer of the model to be asked.
            n_pairs: How many pairs.
            seed: The seed of the whole run.
            corruption: One of `corruptions`; the first unless given.

        Raises:
            UnknownNameError: If there is no such corruption.
            DataError: If the tokenizer splits too many of the words, or so many distinct pairs
                do not exist.
        """
        named = self.corruption_named(corruption)
        return self.make(encoder, n_pairs=n_pairs, seed=seed, corruption=named)

    def corruption_named(self, name: str | None) -> str:
        """The name itself, or that of the first corruption where none is given.

        Raises:
            UnknownNameError: If there is no such corruption.
        """
        if not name:
            return next(iter(self.corruptions))
        if name not in self.corruptions:
            raise unknown_name(f"corruption of {self.name}", name, self.corruptions)
        return name
