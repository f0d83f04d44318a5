"""What the record of the study of heads says in words and figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from needlepoint.circuits.graph.terms import graph_of
from needlepoint.circuits.metric import KL
from needlepoint.evaluation.behaviour import Behaviour
from needlepoint.evaluation.circuits.ablated import Ablated
from needlepoint.evaluation.circuits.literature import Literature
from needlepoint.evaluation.circuits.method_choice import PREFERRED
from needlepoint.evaluation.circuits.method_runs import Ran
from needlepoint.evaluation.circuits.stability import Stability
from needlepoint.evaluation.circuits.study_completeness import NOT_ASKED
from needlepoint.evaluation.circuits.study_curves import EFFECT, HeadCircuit
from needlepoint.evaluation.configs import HeadsConfig
from needlepoint.evaluation.read_positions import reading_words
from needlepoint.evaluation.study import Clock
from needlepoint.evaluation.truth import Truth, rule
from needlepoint.models.model import Model
from needlepoint.tasks.pairs import Prompts

NOT_ESTABLISHED = (
    "Nodes are ablated one at a time: two heads that stand in for one another can both look idle.",
    "Effects are against one kind of corrupt prompt; another corruption asks another question.",
)
HEADS_ONLY = (
    "Only heads are taken out when a circuit is run, and every MLP is left to compute, so this is "
    "a part of the circuit at most."
)
OF_DIVERGENCE = (
    "KL divergence says how far the whole prediction moves and not whether towards the right "
    "answer: heads that help and heads that hinder look alike."
)
UNSTABLE = (
    "Which heads matter depends on which prompts were drawn: of the heads that these prompts or "
    "others of the same kind would name, fewer than half are named by both."
)
CANDIDATES = (
    "Nothing was ablated: heads are candidates, by what differs in their activations. Whether they "
    "cause the answer is not known; --ablate-pairs 60 measures it."
)
N_CANDIDATES = 10
LEVEL = 0.05
"""Share of false findings up to which heads are counted as found by a test."""


@dataclass(frozen=True)
class Findings:
    """What a study of heads has found, before it is put in words."""

    prompts: Prompts
    n_ablated: int
    behaviour: Behaviour
    truth: Truth | None
    stability: Stability | None
    """Of the heads that matter; missing where none does or nothing was ablated."""
    circuit: HeadCircuit | None
    methods: pd.DataFrame
    ran: Ran
    edges: pd.DataFrame
    literature: Literature


def heads_summary(
    model: Model, found: Findings, ablated: Ablated, config: HeadsConfig, clock: Clock
) -> dict[str, object]:
    """The summary of the record; its keys are listed in the design notes."""
    sites = [f"L{one.layer}.H{one.index}" for one in model.head_sites()]
    prompts = found.prompts
    metric, unit = ablated.metric(prompts)
    return {
        "question": prompts.question,
        "answer": _answer(model, found, sites, metric),
        "not_established": [*_limits(found, metric), *_shortfall(found.methods)],
        "task": {
            "name": prompts.task,
            "description": prompts.description,
            "n_pairs": prompts.n_pairs,
            "corruption": prompts.corruption,
            "sha256": prompts.sha256,
            "first_token": model.card()["first_token"],
        },
        "reading": reading_words(config.reading),
        "graph": _graph(model),
        "behaviour": found.behaviour.summary(),
        "ablation": {
            "kind": ablated.words,
            "metric": metric,
            "unit": unit,
            "n_pairs": found.n_ablated,
            "seconds": clock.seconds["ablating nodes"],
        },
        **_truth(found, sites, metric, config),
        "tests": _tests(found),
        **found.literature.summary(),
        "skipped": found.ran.skipped,
        "seconds": clock.seconds,
    }


def _tests(found: Findings) -> list[dict[str, object]]:
    """How many heads score more than chance would have it, by scores that say so."""
    return [
        {
            "method": run.label,
            "n_found": int(run.test.found(LEVEL).sum()),
            "n_heads": len(run.test.q),
            "level": LEVEL,
            "n_draws": run.test.n_draws,
            "exact": run.test.exact,
        }
        for run in found.ran.runs.values()
        if run.test is not None
    ]


def _graph(model: Model) -> dict[str, object]:
    """What says which nodes and edges there are, so that the arrays can be read without a model."""
    graph = graph_of(model)
    names = ("n_layers", "n_heads", "n_kv_heads", "parallel", "coupled", "has_mlps")
    return {name: getattr(graph, name) for name in names} | {"d_model": model.shape.d_model}


def _truth(
    found: Findings, sites: list[str], metric: str, config: HeadsConfig
) -> dict[str, object]:
    if found.truth is None or found.circuit is None:
        return {"truth": None, "truth_reason": CANDIDATES, "circuit": None}
    circuit = found.circuit
    return {
        "truth": {"rule": rule(metric), "n_heads": int(found.truth.matters.sum())},
        "circuit": {
            "size": len(circuit.heads),
            "ranked_by": EFFECT,
            "heads": [sites[head] for head in circuit.heads.tolist()],
            "faithfulness": circuit.faithfulness._asdict(),
            "random_faithfulness": circuit.random._asdict(),
            "n_random": config.random_circuits,
            **_beyond(circuit),
            **_stability(found.stability),
        },
    }


def _beyond(circuit: HeadCircuit) -> dict[str, object]:
    """What is left without the circuit, and whether it has anything too much, if it was asked."""
    if circuit.completeness is None:
        return {"judged": None, "judged_reason": NOT_ASKED}
    return {"judged": circuit.completeness.summary()}


def _stability(found: Stability | None) -> dict[str, object]:
    if found is None:
        return {"stability": None, "stability_reason": "no head matters"}
    return {
        "stability": {
            "verdict": found.verdict,
            "jaccard": found.jaccard._asdict(),
            "chance": found.chance,
            "n_resamples": found.n_resamples,
        }
    }


def _limits(found: Findings, metric: str) -> list[str]:
    if found.truth is None:
        return [CANDIDATES]
    limits = [*NOT_ESTABLISHED, HEADS_ONLY]
    if metric == KL:
        limits.append(OF_DIVERGENCE)
    if found.stability is not None and found.stability.verdict == "unstable":
        limits.append(UNSTABLE)
    return limits


def _answer(model: Model, found: Findings, sites: list[str], metric: str) -> str:
    truth, circuit = found.truth, found.circuit
    if truth is None or circuit is None:
        return _candidates(model, found, sites)
    n_true = int(truth.matters.sum())
    if n_true == 0:
        return f"No head of {model.name} moves the answer by more than noise when ablated."
    strongest = int(truth.ranking[0])
    effect = truth.effects.of(strongest)
    named = ", ".join(sites[head] for head in truth.ranking[: min(n_true, 6)].tolist())
    kept, chance = circuit.faithfulness, circuit.random
    return (
        f"{n_true} of {len(sites)} heads of {model.name} matter, first {named}; ablating "
        f"{sites[strongest]} alone changes the {metric} by {effect.estimate:+.2f} (95% "
        f"interval {effect.low:+.2f} to {effect.high:+.2f}). Keeping only the {n_true} and "
        f"ablating all other heads leaves {kept.estimate:z.0%} of the behaviour "
        f"({kept.low:z.0%} to {kept.high:z.0%}), against {chance.estimate:z.0%} for random "
        "circuits of that size."
    )


def _candidates(model: Model, found: Findings, sites: list[str]) -> str:
    """The heads that the first method ranks first, called what they are."""
    runs = {name: run for name, run in found.ran.runs.items() if not run.control}
    if not runs:
        return f"No method but controls was run on {model.name}, so no head is put forward."
    run = runs.get(PREFERRED) or next(iter(runs.values()))
    order = run.strength.argsort(descending=True, stable=True)[:N_CANDIDATES]
    named = ", ".join(sites[head] for head in order.tolist())
    return (
        f"The first {len(order)} candidates among the {len(sites)} heads of {model.name}, by "
        f"'{run.label}': {named}. None of them has been ablated."
    )


def _shortfall(methods: pd.DataFrame) -> list[str]:
    """Say so when the discrete autoencoder does worse than something simpler."""
    if methods.empty:
        return []
    scored: Any = methods.dropna(subset=["average_precision"]).set_index("method")
    if "discrete_sae" not in scored.index:
        return []
    own = scored.loc["discrete_sae"]
    better = scored[
        (scored["average_precision"] > own["average_precision"]) & (scored["level"] == "heads")
    ]
    if better.empty:
        return []
    best = better.iloc[0]
    return [
        f"The discrete autoencoder (average precision {own['average_precision']:.2f}) finds these "
        f"heads less well than {len(better)} other scores of activations here, the best being "
        f"'{best['label']}' ({best['average_precision']:.2f})."
    ]
