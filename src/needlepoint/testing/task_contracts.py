"""What studies rely on in a task: each breach said in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

from needlepoint._core.errors import NeedlepointError
from needlepoint._core.text import Encoder
from needlepoint.tasks.pairs import Metric, Pair, Prompts
from needlepoint.tasks.task import Task

N_PAIRS = 24
"""Pairs that a task is asked for to look at."""


def task_faults(given: Prompts | Task, encoder: Encoder, *, n_pairs: int = N_PAIRS) -> list[str]:
    """What is wrong with a task, one sentence each; empty if nothing was found.

    It does not ask whether a model shows the behaviour: `needlepoint tasks check` does. A task is
    made in each of its corruptions, several times.

    Args:
        given: Prompts, or a task that makes them.
        encoder: The tokenizer of a model that is to be asked.
        n_pairs: Pairs to ask a task for.
    """
    if isinstance(given, Prompts):
        return list(_prompt_faults(given, encoder))
    found = list(_statement_faults(given))
    for name in given.corruptions:
        try:
            faults = list(_corruption_faults(given, encoder, name, n_pairs))
        except NeedlepointError as error:
            faults = [f"it cannot be made: {error}"]
        found += [f"corruption {name!r}: {fault}" for fault in faults]
    return found


def _statement_faults(task: Task) -> Iterator[str]:
    """What a task says of itself."""
    for name in ("name", "title", "description", "source"):
        if not getattr(task, name).strip():
            yield f"the {name} is empty; fill it."
    if not task.corruptions:
        yield "there is no corruption; name at least one way to make the corrupt prompts."
    for name, sentence in task.corruptions.items():
        if not sentence.strip():
            yield f"corruption {name!r} is not described; say it in a sentence."
    if task.metric not in get_args(Metric):
        yield f"the metric is {task.metric!r}; it may be {' or '.join(get_args(Metric))}."
    for circuit in task.circuits:
        if not circuit.source.strip() or not circuit.model.strip():
            yield "a known circuit has no source or no model; say who found it, and in what."


def _corruption_faults(task: Task, encoder: Encoder, name: str, n: int) -> Iterator[str]:
    """Faults of the prompts, and whether they follow from the seed alone."""
    prompts = task(encoder, n_pairs=n, corruption=name)
    if prompts.n_pairs != n:
        yield (
            f"{prompts.n_pairs} pairs were made where {n} were asked for; make as many, or raise a "
            "DataError that says how many there are."
        )
    if prompts.corruption != name:
        yield f"the prompts name their corruption {prompts.corruption!r}; use one name."
    if prompts.metric != task.metric:
        yield f"the prompts have the metric {prompts.metric!r}, the task {task.metric!r}; use one."
    yield from _prompt_faults(prompts, encoder)
    if task.answer_hidden:
        yield from _leak_faults(prompts)
    if prompts.n_pairs != n:
        return
    again = task(encoder, n_pairs=n, corruption=name)
    if not _same(prompts, again):
        yield "making it twice with one seed gives different pairs; draw all chance from the seed."
        return
    few = max(2, n // 3)
    if not _same(task(encoder, n_pairs=few, corruption=name), prompts.first(few)):
        yield (
            f"the first {few} of {n} pairs are not the {few} pairs of a shorter list; draw pairs "
            "one after another."
        )
    if task(encoder, n_pairs=n, seed=1, corruption=name).pairs == prompts.pairs:
        yield "another seed gives the same pairs; draw the pairs from the seed."


def _prompt_faults(prompts: Prompts, encoder: Encoder) -> Iterator[str]:
    """The first pair with each fault."""
    found: dict[str, str] = {}
    for index in range(prompts.n_pairs):
        for kind, fault in _pair_faults(prompts, encoder, index):
            found.setdefault(kind, f"pair {index + 1}: {fault}")
    yield from found.values()
    seen: dict[Pair, int] = {}
    for index, pair in enumerate(prompts.pairs):
        if seen.setdefault(pair, index) != index:
            yield f"pair {index + 1} is pair {seen[pair] + 1} again; make all pairs distinct."
            break
    if not prompts.question.strip().endswith("?"):
        yield f"the question {prompts.question!r} does not end in a question mark; ask one."
    for name, places in prompts.positions.items():
        if len(places) != prompts.n_pairs:
            yield (
                f"position {name!r} is given for {len(places)} of {prompts.n_pairs} pairs; give "
                "one for each."
            )


def _pair_faults(prompts: Prompts, encoder: Encoder, index: int) -> Iterator[tuple[str, str]]:
    """Kind and sentence of what is wrong with one pair."""
    pair, clean = prompts.pairs[index], prompts.clean_ids[index]
    corrupt = prompts.corrupt_ids[index]
    if len(clean) != len(corrupt):
        yield "length", f"clean has {len(clean)} tokens, corrupt {len(corrupt)}; make them equal."
    for name, text, ids in (("clean", pair.clean, clean), ("corrupt", pair.corrupt, corrupt)):
        if tuple(encoder.encode(text)) != ids:
            yield name, f"the ids of {name} are not those of its text; encode the text itself."
    if clean == corrupt:
        yield "same", "clean and corrupt are the same prompt; take the information out of corrupt."
    right, wrong = prompts.answer_ids[index], prompts.wrong_ids[index]
    for name, texts, tokens in (
        ("answer", pair.answers, right),
        ("wrong", pair.wrongs, wrong),
    ):
        encoded = [tuple(encoder.encode(text)) for text in texts]
        if any(len(ids) != 1 for ids in encoded):
            text = next(text for text, ids in zip(texts, encoded, strict=True) if len(ids) != 1)
            yield name, f"{name} {text!r} is not one token; use a word that is."
        elif tuple(ids[0] for ids in encoded) != tokens:
            yield name, f"the ids of {name} are not those of its text; encode the text itself."
    if set(right) & set(wrong):
        yield "both", "a token is both right and wrong; give different tokens."
    for name, places in prompts.positions.items():
        if index < len(places) and not 0 <= places[index] < len(clean):
            yield (
                f"position {name}",
                f"position {name!r} is token {places[index]} of {len(clean)}; count from 0, "
                "without any first token that the model adds.",
            )


def _leak_faults(prompts: Prompts) -> Iterator[str]:
    for index, (ids, answers) in enumerate(zip(prompts.clean_ids, prompts.answer_ids, strict=True)):
        if set(ids) & set(answers):
            text = prompts.pairs[index].answer
            yield (
                f"pair {index + 1}: the answer {text!r} stands in the clean prompt; choose another "
                "answer, or say that the task is so by nature (answer_hidden=False)."
            )
            return


def _same(one: Prompts, other: Prompts) -> bool:
    return replace(one, description="") == replace(other, description="")
