"""A planted model with neurons in its circuit: each fires on two tokens in a row, and on no one.

A head of layer 0 copies the token before; neurons of the MLP of layer 1 add it to the token here.
A neuron that stands for the rule "x y makes z" is above 0 only if both are there, and writes z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from needlepoint._core.errors import DataError
from needlepoint._core.seeds import seed_for
from needlepoint.models.plain import PlainBlock, PlainMLP, PlainTransformer
from needlepoint.models.planted_parts import (
    BEFORE,
    LETTERS,
    NEXT,
    TOKEN,
    Edge,
    Head,
    PlantedModel,
    distract,
    embed_letters,
    head_inputs,
    load_planted,
    look_back,
    planted_config,
)
from needlepoint.models.sites import Part, Site
from needlepoint.tasks.pairs import Pair, Prompts, pair_prompts


@dataclass(frozen=True)
class Rule:
    """After `before` and `here` comes `after`."""

    before: str
    here: str
    after: str


@dataclass(frozen=True)
class PlantedRules(PlantedModel):
    """A planted model, and the rules that its neurons stand for."""

    rules: tuple[Rule, ...] = ()


def planted_rules(
    *,
    n_rules: int = 8,
    n_heads: int = 6,
    n_layers: int = 3,
    n_kv_heads: int | None = 2,
    seed: int = 0,
) -> PlantedRules:
    """A model that goes on after certain pairs of letters, by neurons that are conjunctions.

    It is not trained. The seed draws the rules, places the head and the neurons, and draws the
    weights of all other heads and neurons, which affect nothing. No two rules share a letter, so
    that neither token of a pair decides alone.

    Args:
        n_rules: Rules, at most a third of the 36 letters.
        n_heads: Heads in each layer.
        n_layers: Layers, at least 2.
        n_kv_heads: Key/value heads in each layer, each shared by as many query heads.
        seed: Root of all that is drawn.

    Raises:
        DataError: If there is no room for the circuit or the rules.

    Example:
        >>> planted = planted_rules()
        >>> rule = planted.rules[0]
        >>> ids = planted.model.encoder.encode(f"q {rule.before} {rule.here}")
        >>> best = planted.model.last_logits(planted.model.batch([ids])).argmax(-1)
        >>> planted.model.encoder.pieces(best.tolist()) == [rule.after]
        True
    """
    _require_room(n_rules, n_heads, n_layers)
    rng = torch.Generator().manual_seed(seed_for(seed, use="planted rules"))
    module = PlainTransformer(planted_config(n_heads, n_layers, n_kv_heads))
    place = int(torch.randint(n_heads, (), generator=rng))
    rules = _draw_rules(n_rules, rng)
    with torch.no_grad():
        embed_letters(module, rng)
        blocks = [block for block in module.decoder.blocks if isinstance(block, PlainBlock)]
        for block in blocks:
            distract(block, rng)
        look_back(Head(blocks[0].attention, place))
        _write_rules(blocks[1].mlp, rules, rng)
    head = Site.of(0, Part.HEAD, place)
    edges = _edges(place, head_inputs(0, place, blocks[0].attention))
    model = load_planted(module, "planted rules", seed)
    return PlantedRules(model, (head,), {head: "previous token"}, (1,), edges, rules)


def _require_room(n_rules: int, n_heads: int, n_layers: int) -> None:
    """Make sure that the circuit and the rules fit."""
    if n_layers < 2 or n_heads < 1:
        raise DataError(
            f"a circuit of rules needs 2 layers and 1 head in each, not {n_layers} and {n_heads}."
        )
    if not 2 <= n_rules <= len(LETTERS) // 3:
        raise DataError(f"n_rules is {n_rules}; it must be from 2 to {len(LETTERS) // 3}.")


def _draw_rules(n: int, rng: torch.Generator) -> tuple[Rule, ...]:
    """Rules of three letters each, no letter in two of them."""
    drawn = [LETTERS[i] for i in torch.randperm(len(LETTERS), generator=rng).tolist()]
    return tuple(Rule(*drawn[3 * i : 3 * i + 3]) for i in range(n))


def _edges(place: int, inputs: Sequence[str]) -> tuple[Edge, ...]:
    """The embedding is read by the head, the neurons and the logits; the neurons read the head."""
    return (
        *(("embed", reader) for reader in (*inputs, "L1.mlp", "logits")),
        (f"L0.H{place}", "L1.mlp"),
        ("L1.mlp", "logits"),
    )


def _write_rules(mlp: PlainMLP, rules: Sequence[Rule], rng: torch.Generator) -> None:
    """Give each rule a neuron of its own, which is above 0 only where both its letters are."""
    neurons = torch.randperm(mlp.up.out_features, generator=rng)[: len(rules)].tolist()
    for neuron, rule in zip(neurons, rules, strict=True):
        before, here, after = (1 + LETTERS.index(x) for x in (rule.before, rule.here, rule.after))
        mlp.up.weight[neuron] = 0
        mlp.up.weight[neuron, BEFORE.start + before] = 1
        mlp.up.weight[neuron, TOKEN.start + here] = 1
        mlp.up.bias[neuron] = -1
        mlp.down.weight[:, neuron] = 0
        mlp.down.weight[NEXT.start + after, neuron] = 1


def planted_rule_prompts(
    planted: PlantedRules, *, n_pairs: int = 64, length: int = 8, seed: int = 0
) -> Prompts:
    """Pairs of prompts that end in the two letters of one rule and of another.

    All letters before are the same in both, and random. The answer is what the clean prompt's rule
    says, the wrong answer what the corrupt prompt's rule says.

    Args:
        planted: The model whose rules to use.
        n_pairs: How many pairs.
        length: Letters in a prompt, at least 2.
        seed: Root of the draw.

    Raises:
        DataError: If a prompt has fewer than 2 letters or there are fewer than 2 pairs.
    """
    if length < 2:
        raise DataError(f"length is {length}; two letters make a rule.")
    rng = torch.Generator().manual_seed(seed_for(seed, use="planted rule prompts"))
    pairs = []
    for _ in range(n_pairs):
        places = torch.randint(len(LETTERS), (length - 2,), generator=rng).tolist()
        start = [LETTERS[place] for place in places]
        right, wrong = torch.randperm(len(planted.rules), generator=rng)[:2].tolist()
        clean, corrupt = planted.rules[right], planted.rules[wrong]
        texts = [" ".join([*start, rule.before, rule.here]) for rule in (clean, corrupt)]
        pairs.append(Pair(texts[0], texts[1], clean.after, corrupt.after))
    return pair_prompts(
        pairs,
        planted.model.encoder,
        task="planted rules",
        description="Random letters end in a pair of letters that a rule goes on from.",
        question="Which parts of the model make it go on from a pair of letters?",
        corruption="the last two letters replaced by those of another rule",
        positions={"end": (length - 1,) * n_pairs},
    )
