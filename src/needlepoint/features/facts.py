"""Facts about what has a name: prompts with answers, made into texts whose name is labelled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from needlepoint._core.seeds import seed_for
from needlepoint.features.spans import SpanText

Answers = Mapping[str, Mapping[str, str]]
"""For each question the features that come of it, and the answer that has each feature."""


class Name(NamedTuple):
    """Where the name stands in a text, and whose it is."""

    start: int
    end: int
    document: str
    """What all texts about the same person or place have in common."""


def fact_texts(
    records: pd.DataFrame, answers: Answers, name_in: Callable[[str], Name]
) -> list[SpanText]:
    """One text for each prompt, its name labelled with all that the records say of it.

    A feature is asked on a text only where the records answer its question there. Repeated
    records count once; a prompt with two answers to one question is not asked that question.

    Args:
        records: Columns `set` (the question), `prompt` and `target` (the answer), all text.
        answers: Features of each question; questions that are not in it are passed over.
        name_in: Finds the name in a prompt.

    Example:
        >>> records = pd.DataFrame(
        ...     {"set": ["sex"] * 3, "prompt": ["Ann", "Kim", "Kim"], "target": ["f", "f", "m"]}
        ... )
        >>> texts = fact_texts(records, {"sex": {"female": "f"}}, lambda p: Name(0, len(p), p))
        >>> [(text.text, text.labels.tolist()) for text in texts]
        [('Ann', [[1]])]
    """
    column = {name: i for i, name in enumerate(features_of(answers))}
    told: dict[tuple[str, str], set[str]] = defaultdict(set)
    for question, prompt, target in records[["set", "prompt", "target"]].itertuples(index=False):
        told[question, prompt].add(target)
    labels: dict[str, np.ndarray] = {}
    for (question, prompt), targets in told.items():
        if question not in answers or len(targets) > 1:
            continue
        (target,) = targets
        row = labels.setdefault(prompt, np.full(len(column), -1, dtype=np.int8))
        for feature, wanted in answers[question].items():
            row[column[feature]] = target == wanted
    return [_text(prompt, row, name_in(prompt)) for prompt, row in labels.items()]


def enough_texts(
    texts: Sequence[SpanText], *, n: int, positive_share: float, seed: int
) -> list[SpanText]:
    """Those texts that give each feature `n` positives and its share of negatives, or all it has.

    They are chosen before they are cut into tokens, by one random priority, so that the
    features share texts.
    """
    labels = np.concatenate([text.labels for text in texts])
    draw = np.random.default_rng(seed_for(seed, use="names"))
    order = draw.permutation(len(texts))
    kept = np.zeros(len(texts), dtype=bool)
    for column in labels[order].T:
        for value, most in ((1, n), (0, round(n / positive_share) - n)):
            kept[order[np.flatnonzero(column == value)[:most]]] = True
    return [text for text, chosen in zip(texts, kept, strict=True) if chosen]


def features_of(answers: Answers) -> tuple[str, ...]:
    """Names of all features, in order."""
    return tuple(feature for of_question in answers.values() for feature in of_question)


def _text(prompt: str, labels: np.ndarray, name: Name) -> SpanText:
    span = np.array([[name.start, name.end]], dtype=np.int64)
    return SpanText(prompt, name.document, span, labels[None])
