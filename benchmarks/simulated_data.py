"""Activations and labels whose truth is known; what `probing_simulations.py` judges by."""

from __future__ import annotations

import torch
from torch import Tensor

Data = tuple[Tensor, Tensor, Tensor]
"""Activations, labels, and either the document of each row or the true support."""


def whole_documents(
    generator: torch.Generator, n_documents: int = 40, rows: int = 8, d: int = 200
) -> Data:
    """Documents with a level of their own on every neuron, and a label that has no part in it."""
    groups = torch.arange(n_documents).repeat_interleave(rows)
    level = torch.randn(n_documents, d, generator=generator)
    acts = level[groups] + torch.randn(len(groups), d, generator=generator)
    positive = torch.randperm(n_documents, generator=generator) < n_documents // 3
    return acts, positive[groups][:, None], groups


def running_text(
    generator: torch.Generator, n_documents: int = 12, rows: int = 40, d: int = 200
) -> Data:
    """Labels in stretches and activations that drift, unrelated, each with a document's level."""
    groups = torch.arange(n_documents).repeat_interleave(rows)
    state = torch.randn(n_documents, d + 1, generator=generator)
    level = torch.randn(n_documents, 1, d + 1, generator=generator)
    steps = []
    for _ in range(rows):
        state = 0.8 * state + 0.6 * torch.randn(n_documents, d + 1, generator=generator)
        steps.append(state)
    both = (torch.stack(steps, dim=1) + level).flatten(0, 1)
    return both[:, 1:], both[:, :1] > 0.5, groups


def by_place(generator: torch.Generator) -> Data:
    """Labels common at the start of documents and activations that fade from it: not stationary."""
    acts, _, groups = running_text(generator)
    place = torch.arange(40).repeat(12)
    chance = torch.where(place < 10, 0.6, 0.1)
    labels = torch.rand(len(acts), 1, generator=generator) < chance[:, None]
    return acts + 0.5 * (place < 10)[:, None], labels, groups


def planted(generator: torch.Generator, n: int, d: int, k: int, shift: float, share: float) -> Data:
    """Normal neurons, `k` of them shifted on the positives, then GELU; and the true support."""
    labels = torch.rand(n, 1, generator=generator) < share
    labels[0], labels[1] = True, False
    acts = torch.randn(n, d, generator=generator)
    true = torch.randperm(d, generator=generator)[:k]
    acts[:, true] += shift * labels
    return torch.nn.functional.gelu(acts), labels, true
