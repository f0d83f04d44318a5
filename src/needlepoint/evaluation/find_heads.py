"""The study of heads: is the behaviour there, which heads carry it, which methods find them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint._core.records import Record, cell_name
from needlepoint._core.seeds import seed_for
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.metric import UNITS, Answers
from needlepoint.circuits.patching.effects import Effects
from needlepoint.circuits.registered import Question
from needlepoint.circuits.scores import HEAD_SCORES, trained
from needlepoint.evaluation.behaviour import Behaviour, measure_behaviour, require_behaviour
from needlepoint.evaluation.circuits.ablated import Ablated
from needlepoint.evaluation.circuits.curves import AreasJudged
from needlepoint.evaluation.circuits.drawn_anew import DrawnAnew
from needlepoint.evaluation.circuits.leading_edges import leading_edges
from needlepoint.evaluation.circuits.literature import Literature
from needlepoint.evaluation.circuits.method_choice import Choice, chosen_methods
from needlepoint.evaluation.circuits.method_runs import Ran, run_methods, run_scores
from needlepoint.evaluation.circuits.method_stability import stability_frame
from needlepoint.evaluation.circuits.runs import run_heads, run_units
from needlepoint.evaluation.circuits.stability import Stability
from needlepoint.evaluation.circuits.study_curves import (
    HeadCircuit,
    completeness_frame,
    curve_frame,
    edge_completeness_frame,
    minimality_frame,
    rankings_of,
    run_edge_circuits,
    run_head_circuits,
)
from needlepoint.evaluation.circuits.truth_stability import truth_stability
from needlepoint.evaluation.circuits.units import edge_units
from needlepoint.evaluation.configs import HeadsConfig, too_few_pairs
from needlepoint.evaluation.head_views import Codes, HeadViews, head_views, shown_heads
from needlepoint.evaluation.heads_summary import N_CANDIDATES, Findings, heads_summary
from needlepoint.evaluation.heads_tables import head_frame, node_frame, prompt_frame
from needlepoint.evaluation.judge import method_frame
from needlepoint.evaluation.read_heads import HeadReading
from needlepoint.evaluation.read_pairs import read_pairs
from needlepoint.evaluation.read_positions import require_reading
from needlepoint.evaluation.study import Clock, Study
from needlepoint.evaluation.truth import (
    Truth,
    causal_truth,
    faithfulness_frame,
)
from needlepoint.models.model import Model
from needlepoint.tasks import load_task
from needlepoint.tasks.pairs import Prompts


def find_heads(model: Model, config: HeadsConfig | None = None) -> Study:
    """Find the attention heads that carry out a behaviour, by cause, and judge methods by them.

    First the behaviour is measured, and refused if the model does not have it. Then every node
    is ablated in turn, every method is run, each is judged by how well it finds the heads that
    matter, by what was published of the circuit in this very model, if anything was, and by how far
    its first heads stay on pairs that are drawn anew. The top circuit is run on prompts that took
    no part in choosing it, against random circuits of its size.

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
    most = max(config.score_pairs, config.n_ablated, config.attribution_pairs)
    prompts = load_task(
        config.task,
        model.encoder,
        n_pairs=most + max(config.holdout_pairs, config.curve_pairs),
        seed=config.seed,
        corruption=config.corruption,
    )
    return judge_heads(model, prompts, config)


def judge_heads(model: Model, prompts: Prompts, config: HeadsConfig) -> Study:
    """The study of `find_heads` on prompts that are at hand already."""
    return _Study(model, prompts, config).run()


class _Study:
    """The parts of one study, in the order in which they are done."""

    def __init__(self, model: Model, prompts: Prompts, config: HeadsConfig) -> None:
        self.choice: Choice = chosen_methods(config.methods)
        require_reading(config.reading, prompts)
        if config.metric in UNITS:
            prompts = replace(prompts, metric=config.metric)
        self.model, self.prompts, self.config = model, prompts, config
        self.clock = Clock()
        self.search, self.holdout = _split(prompts, config)
        self.scored_on = self.search.first(min(config.score_pairs, self.search.n_pairs))
        self.n_ablated = min(config.n_ablated, self.search.n_pairs)
        built_in = prompts.task == config.task  # a file may have the name of a task
        self.literature = Literature.of(prompts.task, model) if built_in else Literature()

    def run(self) -> Study:
        reading, behaviour = self._behaviour()
        ablated = Ablated.of(self.model, self.search, self.config)
        with self.clock.part("running circuits"):
            self._require_gaps(ablated)
        effects, truth, again = self._truth(ablated, behaviour)
        question = ablated.question(self.search.first(self._attributed))
        ran = self._ran(reading, question)
        with self.clock.part("drawing pairs anew"):
            stable = stability_frame(ran, self._drawn(reading, question, truth))
        with self.clock.part("patching edges"):
            edges = leading_edges(
                question, ran.runs, self.config.edges, generator=self._draws("edges")
            )
        with self.clock.part("running circuits"):
            circuit, areas = self._circuits(ablated, truth, ran)
        methods = method_frame(ran, truth, areas, seed=self.config.seed)
        found = Findings(
            self.prompts,
            self.n_ablated,
            behaviour,
            truth,
            again,
            circuit,
            methods,
            ran,
            edges,
            self.literature,
        )
        with self.clock.part("looking at heads"):
            views = self._views(reading, truth, ran)
        nodes = node_frame(question.graph, effects, ran, self._draws("nodes"))
        tables = {
            "heads": head_frame(self.model, truth, ran),
            "nodes": nodes,
            "methods": methods,
            "stability": stable,
            "literature": self.literature.frame(question.graph, ran, truth),
            "edges": edges,
            "curves": curve_frame(areas),
            "faithfulness": faithfulness_frame([], []) if circuit is None else circuit.frame,
            "completeness": completeness_frame(circuit),
            "minimality": minimality_frame(circuit),
            "edge_completeness": edge_completeness_frame(areas),
            "prompts": prompt_frame(self.scored_on, reading),
            "shown_prompts": views.shown,
            "attention": views.attention,
            "codes": views.codes,
        }
        return Study(self._record(found, ablated), tables, _edge_scores(ran))

    @property
    def _attributed(self) -> int:
        return min(self.config.attribution_pairs, self.search.n_pairs)

    def _draws(self, use: str) -> torch.Generator:
        seed = seed_for(self.config.seed, task=self.prompts.task, use=use)
        return torch.Generator().manual_seed(seed)

    def _behaviour(self) -> tuple[HeadReading, Behaviour]:
        with self.clock.part("reading heads"):
            autoencoder = Autoencoder(n_seeds=self.config.sae_seeds)
            reading = read_pairs(self.model, self.scored_on, autoencoder, self.config.reading)
        behaviour = measure_behaviour(
            reading.clean,
            reading.corrupt,
            generator=self._draws("behaviour"),
            metric=self.prompts.metric,
            chance=Answers.of(self.scored_on).chance,
        )
        require_behaviour(behaviour, model=self.model.name, task=self.prompts.task)
        return reading, behaviour

    def _require_gaps(self, ablated: Ablated) -> None:
        """Make sure that the fresh pairs can tell circuits apart, before hours go into finding one.

        Raises:
            DataError: If they do not tell the whole model from none of it.
        """
        draws, n = self._draws("gaps"), self.holdout.n_pairs
        if self.n_ablated:
            with _told_apart("all heads ablated", "--holdout-pairs", n):
                whole = torch.ones(1, len(self.model.head_sites()), dtype=torch.bool)
                fresh = ablated.pairs(self.holdout)
                run_heads(
                    self.model, fresh, whole, kind=ablated.kind, data=ablated.means
                ).faithfulness(draws)
        if self.config.curve_pairs:
            question = ablated.question(self._curve_prompts)
            units = edge_units(question.graph)
            with _told_apart("all edges cut", "--curve-pairs", len(question.pairs)):
                run_units(question, units, torch.ones(1, units.n, dtype=torch.bool)).draws(draws)

    @property
    def _curve_prompts(self) -> Prompts:
        return self.holdout.first(min(self.config.curve_pairs, self.holdout.n_pairs))

    def _truth(
        self, ablated: Ablated, behaviour: Behaviour
    ) -> tuple[Effects | None, Truth | None, Stability | None]:
        """The effect of every node, which heads matter, and whether other pairs would name them."""
        with self.clock.part("ablating nodes"):
            if not self.n_ablated:
                return None, None, None
            ablated_on = self.search.first(self.n_ablated)
            effects = ablated.effects(ablated_on)
            scale = behaviour.gap.estimate
            if ablated.kl:
                scale = ablated.corrupt_mean(ablated_on)
        truth = causal_truth(effects.heads, value_range=scale, generator=self._draws("truth"))
        if not truth.matters.any():
            return effects, truth, None
        draws = self._draws("stability")
        again = truth_stability(effects.heads, value_range=scale, generator=draws)
        return effects, truth, again

    def _ran(self, reading: HeadReading, question: Question) -> Ran:
        run = partial(
            run_scores, self.model, reading.data, seed=self.config.seed, task=self.prompts.task
        )
        with self.clock.part("scoring heads"):
            scored, controls = run(self.choice.scores), run(self.choice.controls)
        with self.clock.part("running methods"):
            ran = run_methods(question, self.choice.methods)
        return scored.merged(ran).merged(controls)

    def _drawn(self, reading: HeadReading, question: Question, truth: Truth | None) -> DrawnAnew:
        """What pairs are drawn anew from; as many heads are compared as matter, or lead."""
        graph, config = question.graph, self.config
        n_heads, n_edges = int(graph.is_head.sum()), int(graph.edges.sum())
        n_matter = 0 if truth is None else int(truth.matters.sum())
        if not 1 <= n_matter < n_heads:
            n_matter = min(N_CANDIDATES, n_heads - 1)
        return DrawnAnew(
            reading.data,
            question,
            heads=n_matter,
            edges=min(config.edges, n_edges - 1),
            repeats=config.stability,
            seed=config.seed,
            task=self.prompts.task,
        )

    def _circuits(
        self, ablated: Ablated, truth: Truth | None, ran: Ran
    ) -> tuple[HeadCircuit | None, dict[str, AreasJudged]]:
        """The circuits of heads, and those of edges if they are asked for, on fresh prompts."""
        circuit = None
        if truth is not None:
            names = list(ran.runs) if self.config.curve_pairs else ["discrete_sae"]
            circuit = run_head_circuits(
                ablated,
                ablated.pairs(self.holdout),
                truth,
                rankings_of(ran, names),
                n_random=self.config.random_circuits,
                generator=self._draws("circuits"),
                completeness=self.config.completeness,
            )
        if not self.config.curve_pairs:
            return circuit, {}
        asked = self.config.completeness
        question = ablated.question(self._curve_prompts)
        draws = self._draws("circuits of edges")
        return circuit, run_edge_circuits(question, ran, draws, completeness=asked)

    def _views(self, reading: HeadReading, truth: Truth | None, ran: Ran) -> HeadViews:
        """What the heads that matter, or the best candidates, look at and say."""
        ranking, n_matter = _leading(truth, ran)
        codes = None
        if "discrete_sae" in self.choice.scores:
            draws = HEAD_SCORES["discrete_sae"].generator(self.config.seed, task=self.prompts.task)
            dictionary, read = trained(reading.data, reading.data.autoencoder, draws)
            codes = Codes(dictionary, read, reading.data.W_O)
        return head_views(self.model, self.scored_on, shown_heads(ranking, n_matter), codes)

    def _record(self, found: Findings, ablated: Ablated) -> Record:
        return Record(
            cell=cell_name("circuit", self.prompts.task),
            kind="circuit",
            status="done",
            seconds=self.clock.total,
            config=asdict(self.config),
            summary=heads_summary(self.model, found, ablated, self.config, self.clock),
        )


def _split(prompts: Prompts, config: HeadsConfig) -> tuple[Prompts, Prompts]:
    """Pairs to search on, and fresh ones to test circuits on."""
    lacking = too_few_pairs(prompts.task, prompts.n_pairs)
    if lacking:
        raise DataError(lacking)
    held = min(max(config.holdout_pairs, config.curve_pairs), prompts.n_pairs // 4)
    return prompts.first(prompts.n_pairs - held), prompts.last(held)


@contextmanager
def _told_apart(without: str, option: str, n: int) -> Iterator[None]:
    """Say which pairs they are that do not tell the whole model from the empty circuit."""
    try:
        yield
    except DataError as error:
        raise DataError(
            f"the {n} fresh pairs that circuits are to be tested on do not tell the whole model "
            f"from one with {without}, so no circuit's share of the way can be said: ask for more "
            f"with {option}, or take a task that the model does better."
        ) from error


def _leading(truth: Truth | None, ran: Ran) -> tuple[Tensor, int]:
    """Heads in the order in which they are shown, and how many of them matter."""
    if truth is not None:
        return truth.ranking, int(truth.matters.sum())
    runs = list(ran.runs.values())
    first = next((run for run in runs if not run.control), runs[0])
    return first.strength.argsort(descending=True, stable=True), 0


def _edge_scores(ran: Ran) -> dict[str, np.ndarray]:
    """Scores of all edges by each method that has them, `[writer reader]`."""
    return {
        f"edges.{name}": run.found.edges.float().cpu().numpy()
        for name, run in ran.runs.items()
        if run.found is not None and run.found.edges is not None
    }
