"""The study of heads: is the behaviour there, which heads carry it, do the scores find them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import pandas as pd
import torch
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint._core.records import Record, cell_name
from needlepoint._core.seeds import seed_for
from needlepoint.circuits.ablation import PairBatch, corrupt_metric, from_clean, head_effects
from needlepoint.circuits.autoencoder import DiscreteSAE
from needlepoint.circuits.metric import KL, KL_UNIT, UNITS, Answers
from needlepoint.evaluation.behaviour import Behaviour, measure_behaviour, require_behaviour
from needlepoint.evaluation.configs import MIN_PAIRS, HeadsConfig
from needlepoint.evaluation.intervals import Interval
from needlepoint.evaluation.judge import Scored, method_frame, score_heads
from needlepoint.evaluation.read_heads import HeadReading, pair_batch, read_heads
from needlepoint.evaluation.study import Clock, Study
from needlepoint.evaluation.truth import (
    Truth,
    causal_truth,
    circuit_faithfulness,
    faithfulness_frame,
    nested_circuits,
    random_circuits,
    rule,
)
from needlepoint.models.model import Model
from needlepoint.tasks import load_task
from needlepoint.tasks.pairs import Prompts

SIZES = (1, 5, 10, 20, 40, 80)
NOT_ESTABLISHED = (
    "Heads are ablated one at a time: two heads that stand in for one another can both look idle.",
    "MLPs and the edges between heads were not searched, so this is a part of the circuit at most.",
    "Effects are against one kind of corrupt prompt; another corruption asks another question.",
)
OF_DIVERGENCE = (
    "KL divergence says how far the whole prediction moves and not whether towards the right "
    "answer: heads that help and heads that hinder look alike.",
)


@dataclass(frozen=True)
class Circuit:
    """The circuit that is put forward, and how it does on fresh prompts."""

    heads: Tensor
    faithfulness: Interval
    random: Interval
    """2.5 %, 50 % and 97.5 % points over random circuits of the same size."""
    frame: pd.DataFrame


def find_heads(model: Model, config: HeadsConfig | None = None) -> Study:
    """Find the attention heads that carry out a behaviour, by cause, and judge scores by them.

    First the behaviour is measured, and refused if the model does not have it. Then every head
    is ablated in turn, every score is computed from activations, each score is judged by how
    well it finds the heads that matter, and the top circuit is run on prompts that took no part
    in choosing it, against random circuits of its size.

    Returns:
        A study whose record is of kind `circuit`; the design notes list its tables.

    Raises:
        BehaviourAbsentError: If the model does not do the task; the message has the figures.
        UnknownNameError: If the task or a method is not known.
        DataError: If the prompts cannot be used.

    Source:
        O'Neill & Bui 2024 (arXiv 2405.12522) for the score; Wang et al. 2022 for the task.
    """
    config = config or HeadsConfig()
    wanted = max(config.score_pairs, config.ablate_pairs) + config.holdout_pairs
    prompts = load_task(
        config.task, model.encoder, n_pairs=wanted, seed=config.seed, corruption=config.corruption
    )
    return judge_heads(model, prompts, config)


def judge_heads(model: Model, prompts: Prompts, config: HeadsConfig) -> Study:
    """The study of `find_heads` on prompts that are at hand already."""
    clock = Clock()
    if config.metric in UNITS:
        prompts = replace(prompts, metric=config.metric)
    seeds = {use: _generator(config, prompts, use) for use in ("behaviour", "truth", "circuits")}
    search, holdout = _split(prompts, config)
    with clock.part("reading heads"):
        scored_on = search.first(config.score_pairs)
        reading = read_heads(model, scored_on, DiscreteSAE(n_seeds=config.sae_seeds))
    behaviour = measure_behaviour(
        reading.clean,
        reading.corrupt,
        generator=seeds["behaviour"],
        metric=prompts.metric,
        chance=Answers.of(scored_on).chance,
    )
    require_behaviour(behaviour, model=model.name, task=prompts.task)
    ablated = search.first(min(config.ablate_pairs, search.n_pairs))
    with clock.part("ablating heads"):
        pairs = _measured(model, ablated, config)
        effects = head_effects(model, pairs)
        scale = behaviour.gap.estimate
        if config.metric == "kl":
            scale = float(corrupt_metric(model, pairs).mean())
    truth = causal_truth(effects, value_range=scale, generator=seeds["truth"])
    with clock.part("scoring heads"):
        scored = score_heads(reading.data, config.methods, seed=config.seed, task=prompts.task)
    methods = method_frame(scored, truth)
    with clock.part("running circuits"):
        circuit = _circuit(model, holdout, truth, scored, config, seeds["circuits"])
    summary = _summary(model, prompts, behaviour, truth, circuit, methods, config, clock)
    record = Record(
        cell=cell_name("circuit", prompts.task),
        kind="circuit",
        status="done",
        seconds=clock.total,
        config=asdict(config),
        summary=summary,
    )
    tables = {
        "heads": head_frame(model, truth, scored),
        "methods": methods,
        "faithfulness": circuit.frame,
        "prompts": _prompt_frame(scored_on, reading),
    }
    return Study(record, tables)


def head_frame(model: Model, truth: Truth, scored: Scored) -> pd.DataFrame:
    """The table of heads: the causal effect of each, whether it matters, and each score."""
    sites = model.head_sites()
    effects = truth.effects
    frame = pd.DataFrame(
        {
            "layer": [found.layer for found in sites],
            "head": [found.index for found in sites],
            "site": [f"L{found.layer}.H{found.index}" for found in sites],
            "effect": effects.estimate.numpy(),
            "effect_low": effects.low.numpy(),
            "effect_high": effects.high.numpy(),
            "matters": truth.matters.numpy(),
        }
    )
    for name, scores in scored.scores.items():
        frame[f"score.{name}"] = scores.numpy()
    return frame


def _generator(config: HeadsConfig, prompts: Prompts, use: str) -> torch.Generator:
    return torch.Generator().manual_seed(seed_for(config.seed, task=prompts.task, use=use))


def _split(prompts: Prompts, config: HeadsConfig) -> tuple[Prompts, Prompts]:
    """Pairs to search on, and fresh ones to test circuits on."""
    if prompts.n_pairs < MIN_PAIRS:
        raise DataError(
            f"{prompts.task} has {prompts.n_pairs} pairs; at least {MIN_PAIRS} are needed, and 60 "
            "or more make the smaller effects visible."
        )
    held = min(config.holdout_pairs, prompts.n_pairs // 4)
    return prompts.first(prompts.n_pairs - held), prompts.last(held)


def _measured(model: Model, prompts: Prompts, config: HeadsConfig) -> PairBatch:
    """Pairs to ablate on, judged by their answers or by the distance from the clean prediction."""
    pairs = pair_batch(model, prompts)
    return from_clean(model, pairs) if config.metric == "kl" else pairs


def _metric(prompts: Prompts, config: HeadsConfig) -> tuple[str, str]:
    """Name and unit of what an ablation changes."""
    return (KL, KL_UNIT) if config.metric == "kl" else (prompts.metric, UNITS[prompts.metric])


def _circuit(
    model: Model,
    holdout: Prompts,
    truth: Truth,
    scored: Scored,
    config: HeadsConfig,
    generator: torch.Generator,
) -> Circuit:
    n_heads = len(truth.matters)
    size = max(1, int(truth.matters.sum()))
    rankings = {"causal effect": truth.ranking}
    if "discrete_sae" in scored.scores:
        scores = scored.scores["discrete_sae"]
        rankings["discrete_sae"] = scores.argsort(descending=True, stable=True)
    sizes = sorted({n for n in SIZES if n < n_heads} | {size})
    ranked = torch.cat([nested_circuits(ranking, sizes) for ranking in rankings.values()])
    drawn = random_circuits(n_heads, size, config.random_circuits, generator)
    found = circuit_faithfulness(
        model, _measured(model, holdout, config), torch.cat([ranked, drawn]), generator=generator
    )
    names = [(by, n) for by in rankings for n in sizes]
    points = [(by, n, one) for (by, n), one in zip(names, found, strict=False)]
    chance = found[len(names) :]
    chosen = next(one for by, n, one in points if by == "causal effect" and n == size)
    spread = torch.tensor([one.estimate for one in chance])
    low, middle, high = torch.quantile(spread, torch.tensor([0.025, 0.5, 0.975])).tolist()
    frame = faithfulness_frame(points, chance, size)
    return Circuit(truth.ranking[:size], chosen, Interval(low, middle, high), frame)


def _prompt_frame(prompts: Prompts, reading: HeadReading) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "clean": [pair.clean for pair in prompts.pairs],
            "corrupt": [pair.corrupt for pair in prompts.pairs],
            "answer": ["|".join(pair.answers) for pair in prompts.pairs],
            "wrong": ["|".join(pair.wrongs) for pair in prompts.pairs],
        }
    )
    key = prompts.metric.replace(" ", "_")
    frame[f"{key}_clean"] = reading.clean.metric.numpy()
    frame[f"{key}_corrupt"] = reading.corrupt.metric.numpy()
    return frame


def _summary(
    model: Model,
    prompts: Prompts,
    behaviour: Behaviour,
    truth: Truth,
    circuit: Circuit,
    methods: pd.DataFrame,
    config: HeadsConfig,
    clock: Clock,
) -> dict[str, object]:
    sites = [f"L{found.layer}.H{found.index}" for found in model.head_sites()]
    n_true = int(truth.matters.sum())
    metric, unit = _metric(prompts, config)
    unsigned = OF_DIVERGENCE if metric == KL else ()
    return {
        "question": prompts.question,
        "answer": _answer(model, truth, circuit, sites, metric),
        "not_established": [*NOT_ESTABLISHED, *unsigned, *_shortfall(methods)],
        "task": {
            "name": prompts.task,
            "description": prompts.description,
            "n_pairs": prompts.n_pairs,
            "corruption": prompts.corruption,
            "sha256": prompts.sha256,
            "first_token": model.card()["first_token"],
        },
        "behaviour": behaviour.summary(),
        "ablation": {
            "kind": "resample, from the paired corrupt prompt, at every position",
            "metric": metric,
            "unit": unit,
            "n_pairs": min(config.ablate_pairs, _split(prompts, config)[0].n_pairs),
            "seconds": clock.seconds["ablating heads"],
        },
        "truth": {"rule": rule(metric), "n_heads": n_true},
        "circuit": {
            "size": len(circuit.heads),
            "ranked_by": "causal effect",
            "heads": [sites[head] for head in circuit.heads.tolist()],
            "faithfulness": circuit.faithfulness._asdict(),
            "random_faithfulness": circuit.random._asdict(),
            "n_random": config.random_circuits,
        },
        "seconds": clock.seconds,
    }


def _answer(model: Model, truth: Truth, circuit: Circuit, sites: list[str], metric: str) -> str:
    n_true = int(truth.matters.sum())
    if n_true == 0:
        return f"No head of {model.name} moves the answer by more than noise when resampled."
    strongest = int(truth.ranking[0])
    effect = truth.effects.of(strongest)
    named = ", ".join(sites[head] for head in truth.ranking[: min(n_true, 6)].tolist())
    kept, chance = circuit.faithfulness, circuit.random
    return (
        f"{n_true} of {len(sites)} heads of {model.name} matter, first {named}; resampling "
        f"{sites[strongest]} alone changes the {metric} by {effect.estimate:+.2f} (95% "
        f"interval {effect.low:+.2f} to {effect.high:+.2f}). Keeping only the {n_true} and "
        f"resampling all other heads leaves {kept.estimate:.0%} of the behaviour "
        f"({kept.low:.0%} to {kept.high:.0%}), against {chance.estimate:.0%} for random circuits "
        "of that size."
    )


def _shortfall(methods: pd.DataFrame) -> list[str]:
    """Say so when the discrete autoencoder does worse than something simpler."""
    scored = methods.dropna(subset=["average_precision"]).set_index("method")
    if "discrete_sae" not in scored.index:
        return []
    own = scored.loc["discrete_sae"]
    better = scored[scored["average_precision"] > own["average_precision"]]
    if better.empty:
        return []
    best = better.iloc[0]
    return [
        f"The discrete autoencoder (average precision {own['average_precision']:.2f}) finds these "
        f"heads less well than {len(better)} other scores here, the best being "
        f"'{best['label']}' ({best['average_precision']:.2f})."
    ]
