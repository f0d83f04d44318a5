"""Prompts as a model gets them, how it answers them, and what a reading of its heads holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from needlepoint.activations.reduce import Rows
from needlepoint.activations.stream import collect
from needlepoint.circuits.ablation import PairBatch
from needlepoint.circuits.head_data import HeadData
from needlepoint.circuits.metric import Answered, Answers
from needlepoint.models.model import Model
from needlepoint.tasks.pairs import Prompts


@dataclass(frozen=True)
class HeadReading:
    """Head activations of all pairs, and how the model answered."""

    data: HeadData
    clean: Answered
    """The metric on each clean prompt, and whether it was answered rightly."""
    corrupt: Answered


def pair_batch(model: Model, prompts: Prompts) -> PairBatch:
    """The prompts on the model's device, ready for ablation, like lengths together."""
    order = sorted(range(prompts.n_pairs), key=lambda pair: prompts.lengths[pair])
    first = len(model.prefix)
    positions = {
        name: torch.tensor([first + where[pair] for pair in order], device=model.device)
        for name, where in prompts.positions.items()
    }
    return PairBatch(
        model.batch([prompts.clean_ids[pair] for pair in order]),
        model.batch([prompts.corrupt_ids[pair] for pair in order]),
        Answers.of(prompts, order).to(model.device),
        positions,
    )


def read_answers(
    model: Model, ids: Sequence[Sequence[int]], answers: Answers, label: str
) -> Answered:
    """How the model answers some prompts: one pass, and no activation is kept."""
    metric, right = torch.empty(len(ids)), torch.empty(len(ids), dtype=torch.bool)
    rows = Rows.whole(ids, "mean", first=bool(model.prefix))
    for chunk in collect(model, ids, [], rows, logits=True, label=label):
        assert chunk.logits is not None
        texts = chunk.texts
        metric[texts], right[texts] = answers.rows(texts).judge(chunk.logits.cpu())
    return Answered(metric, right)
