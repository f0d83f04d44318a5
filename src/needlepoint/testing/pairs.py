"""Prompt pairs of random tokens, for claims that must hold on any prompts."""

from __future__ import annotations

import torch

from needlepoint.circuits.metric import Answers
from needlepoint.circuits.pair_batch import PairBatch
from needlepoint.models.model import Model


def random_pairs(
    model: Model, n: int = 4, width: int = 6, *, ragged: bool = False, seed: int = 0
) -> PairBatch:
    """Random prompts that are alike at their first token and differ from the second on.

    They lie on the model's device.

    Args:
        model: The model that they are for; tokens are below 250, and within its vocabulary.
        n: Pairs.
        width: Tokens of the longest prompt, the model's own first token not counted.
        ragged: Whether every second and third prompt is shorter, by one token and by two.
        seed: Root of the draw.

    Example:
        The model puts a first token before each.

        >>> from needlepoint.testing.tiny import tiny_model
        >>> pairs = random_pairs(tiny_model("gpt2"), n=3, ragged=True)
        >>> pairs.clean.lengths.tolist(), pairs.first_difference.tolist()
        ([7, 6, 5], [2, 2, 2])
    """
    rng = torch.Generator().manual_seed(seed)
    vocabulary = min(250, int(model.module.config.vocab_size))
    ids = torch.randint(1, vocabulary, (2, n, width), generator=rng)
    ids[1, :, 0] = ids[0, :, 0]
    lengths = [width - (i % 3 if ragged else 0) for i in range(n)]
    clean, corrupt = ([row[:k].tolist() for row, k in zip(x, lengths, strict=True)] for x in ids)
    answers = torch.randint(1, vocabulary, (2, n, 1), generator=rng)
    right_and_wrong = Answers(answers[0], answers[1]).to(model.device)
    return PairBatch(model.batch(clean), model.batch(corrupt), right_and_wrong)
