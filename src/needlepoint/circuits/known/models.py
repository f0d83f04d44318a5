"""Models whose circuit is known exactly, each with prompts: what methods are held against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

from jaxtyping import Bool
from torch import Tensor

from needlepoint._core.registry import Registry
from needlepoint.circuits.ablation import PairBatch
from needlepoint.circuits.graph.graph import Graph
from needlepoint.circuits.graph.terms import graph_of
from needlepoint.circuits.known.seen import seen_edges
from needlepoint.circuits.known.wiring import wired_edges
from needlepoint.circuits.metric import Answers
from needlepoint.models.model import Model
from needlepoint.models.planted import planted_model, planted_prompts
from needlepoint.models.planted_rules import planted_rule_prompts, planted_rules
from needlepoint.models.tracr.compiled import tracr_model
from needlepoint.models.tracr.programs import PROGRAMS
from needlepoint.models.tracr.prompts import tracr_prompts
from needlepoint.tasks.pairs import Prompts


@dataclass(frozen=True)
class KnownModel:
    """A model, prompts for it, and the edges that can matter by its weights."""

    name: str
    model: Model
    prompts: Prompts
    wired: Bool[Tensor, "writer reader"]
    """Edges that the weights have room for: cutting any other changes nothing. See `wiring`."""

    @cached_property
    def graph(self) -> Graph:
        """The graph whose order `wired` and `seen` have."""
        return graph_of(self.model)

    @cached_property
    def pairs(self) -> PairBatch:
        """The prompts as the methods take them."""
        clean, corrupt = (
            self.model.batch(ids) for ids in (self.prompts.clean_ids, self.prompts.corrupt_ids)
        )
        return PairBatch(clean, corrupt, Answers.of(self.prompts))

    @cached_property
    def seen(self) -> Bool[Tensor, "writer reader"]:
        """Wired edges that resampling can see on these prompts, one at a time."""
        return seen_edges(self.model, self.pairs, self.wired)

    @property
    def nodes(self) -> Bool[Tensor, " writer"]:
        """Writers with a wired edge: the nodes of the circuit."""
        return self.wired.any(1)

    @property
    def seen_nodes(self) -> Bool[Tensor, " writer"]:
        """Writers with an edge that resampling can see."""
        return self.seen.any(1)

    def heads(self, nodes: Bool[Tensor, " writer"]) -> Bool[Tensor, " head"]:
        """Of some nodes the heads, in layer-major order."""
        return nodes[self.graph.is_head]

    def named(self, edges: Bool[Tensor, "writer reader"]) -> tuple[tuple[str, str], ...]:
        """Edges by the names of their writer and reader."""
        return tuple(self.graph.named(edges))


Make = Callable[[int, int], KnownModel]
"""Makes a known model, with so many pairs, from a seed."""
KNOWN_MODELS: Registry[Make] = Registry("known model")
"""Planted models, and programs compiled by Tracr; the latter need the extra `tracr`."""


def known_model(name: str, *, n_pairs: int = 16, seed: int = 0) -> KnownModel:
    """A model with its circuit and prompts, by name.

    Raises:
        UnknownNameError: If there is no such model.
        ModelError: If it is compiled by Tracr, and that is not installed.

    Example:
        >>> known = known_model("planted induction")
        >>> int(known.wired.sum()), known.graph.n_edges
        (9, 496)
        >>> [f"{writer} -> {reader}" for writer, reader in known.named(known.seen)]
        ['embed -> L0.V2', 'embed -> L1.V3', 'L0.H2 -> L1.K3', 'L1.H3 -> logits']
    """
    return KNOWN_MODELS[name](n_pairs, seed)


@KNOWN_MODELS.add("planted induction")
def planted_induction(n_pairs: int, seed: int) -> KnownModel:
    """A head that looks back one token, and one that finds where the present one occurred."""
    planted = planted_model(seed=seed)
    prompts = planted_prompts(planted, n_pairs=n_pairs, seed=seed)
    return KnownModel("planted induction", planted.model, prompts, wired_edges(planted.model))


@KNOWN_MODELS.add("planted induction, shared keys")
def planted_shared(n_pairs: int, seed: int) -> KnownModel:
    """The same with keys and values that three query heads share."""
    planted = planted_model(n_kv_heads=2, seed=seed)
    prompts = planted_prompts(planted, n_pairs=n_pairs, seed=seed)
    name = "planted induction, shared keys"
    return KnownModel(name, planted.model, prompts, wired_edges(planted.model))


@KNOWN_MODELS.add("planted rules")
def planted_conjunctions(n_pairs: int, seed: int) -> KnownModel:
    """A head that looks back one token, and neurons that fire on two tokens in a row."""
    planted = planted_rules(seed=seed)
    prompts = planted_rule_prompts(planted, n_pairs=n_pairs, seed=seed)
    return KnownModel("planted rules", planted.model, prompts, wired_edges(planted.model))


def compiled_program(program: str, n_pairs: int, seed: int) -> KnownModel:
    """A RASP program, with edges that count for the tokens that it is made for."""
    tracr = tracr_model(program)
    tokens = [tracr.model.encoder.encode(str(value))[0] for value in tracr.program.vocabulary]
    prompts = tracr_prompts(tracr, n_pairs=n_pairs, seed=seed)
    wired = wired_edges(tracr.model, tokens)
    return KnownModel(f"tracr {program}", tracr.model, prompts, wired)


for _program in PROGRAMS:
    KNOWN_MODELS.add(f"tracr {_program}")(partial(compiled_program, _program))
