"""The tables of the study of heads: heads, nodes and prompts."""

from __future__ import annotations

import pandas as pd
import torch

from needlepoint.circuits.graph.graph import Graph
from needlepoint.circuits.patching.effects import Effects
from needlepoint.evaluation.circuits.method_runs import Ran
from needlepoint.evaluation.intervals import bootstrap_means
from needlepoint.evaluation.read_heads import HeadReading
from needlepoint.evaluation.truth import Truth
from needlepoint.models.model import Model
from needlepoint.tasks.pairs import Prompts


def head_frame(model: Model, truth: Truth | None, ran: Ran) -> pd.DataFrame:
    """The table of heads: the causal effect of each, whether it matters, and each score.

    Effects are missing if nothing was ablated. Scores that have a test come with p, and with q,
    which is adjusted for the number of heads.
    """
    sites = model.head_sites()
    frame = pd.DataFrame(
        {
            "layer": [found.layer for found in sites],
            "head": [found.index for found in sites],
            "site": [f"L{found.layer}.H{found.index}" for found in sites],
            "effect": None if truth is None else truth.effects.estimate.numpy(),
            "effect_low": None if truth is None else truth.effects.low.numpy(),
            "effect_high": None if truth is None else truth.effects.high.numpy(),
            "matters": None if truth is None else truth.matters.numpy(),
        }
    )
    for name, run in ran.runs.items():
        frame[f"score.{name}"] = run.strength.numpy()
    for name, run in ran.runs.items():
        if run.test is not None:
            frame[f"p.{name}"], frame[f"q.{name}"] = run.test.p.numpy(), run.test.q.numpy()
    return frame


def node_frame(
    graph: Graph, effects: Effects | None, ran: Ran, generator: torch.Generator
) -> pd.DataFrame:
    """The table of nodes: heads, MLPs and the embedding, by the methods that score them all."""
    frame = pd.DataFrame(
        {
            "node": [node.name for node in graph.writers],
            "kind": [node.kind.value for node in graph.writers],
            "layer": [node.layer for node in graph.writers],
            "index": [node.index for node in graph.writers],
        }
    )
    found = None if effects is None else bootstrap_means(effects.values, generator=generator)
    frame["effect"] = None if found is None else found.estimate.numpy()
    frame["effect_low"] = None if found is None else found.low.numpy()
    frame["effect_high"] = None if found is None else found.high.numpy()
    for name, run in ran.runs.items():
        if run.found is not None:
            frame[f"score.{name}"] = run.found.nodes.double().numpy()
    return frame


def prompt_frame(prompts: Prompts, reading: HeadReading) -> pd.DataFrame:
    """The table of prompts, with the metric of each."""
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
