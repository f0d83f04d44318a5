"""What `needlepoint tasks list`, `show` and `check` print."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from needlepoint._core.cores import free_cores
from needlepoint._core.errors import DataError
from needlepoint._core.progress import progress_bars
from needlepoint._core.text import Encoder
from needlepoint.evaluation.checks import check_task_name
from needlepoint.tasks import TASKS, KnownCircuit, Task, find_task, load_task
from needlepoint.tasks.pairs import MIN_PAIRS, Prompts

WIDTH = 80
MARGIN = " " * len("corrupt  ")
"""Before further lines of a prompt that has several."""
MOST_ANSWERS = 12
"""Answers of one pair that are written out."""


def list_tasks() -> None:
    """Print every built-in task with its corruption, metric, source and known circuits."""
    lines = []
    for name in TASKS:
        task = TASKS[name]
        default, *others = task.corruptions
        corruption = f"corruption {default}" + (f" (or {', '.join(others)})" if others else "")
        lines += ["", f"{name}: {task.title}", *_wrapped(f"{corruption}; {task.metric}")]
        lines += _wrapped(f"source: {task.source}")
        known = dict.fromkeys(_short(one) for one in task.circuits)
        lines += [line for words in known for line in _wrapped(f"known circuit: {words}")]
    lines += ["", "'needlepoint tasks show NAME' prints prompts, 'needlepoint tasks check' how"]
    _print("\n".join([*lines[1:], "well a model does them."]))


def show_task(name: str, model: str, n_pairs: int, corruption: str) -> None:
    """Print what a task is and some of its pairs, with the named positions marked in them.

    Only the tokenizer of the model is loaded.

    Raises:
        UnknownNameError: If there is no such task or corruption.
        DataError: If the task cannot be made for this tokenizer.
    """
    from needlepoint.models.load import load_encoder

    if n_pairs < 1:
        raise DataError(f"--pairs is {n_pairs}; it must be at least 1.")
    check_task_name(name, corruption)
    encoder = load_encoder(model)
    prompts = load_task(name, encoder, n_pairs=max(n_pairs, MIN_PAIRS), corruption=corruption)
    task = find_task(name)
    lines = [prompts.task, *_wrapped(prompts.description)] if task is None else _card(task)
    low, high = min(prompts.lengths), max(prompts.lengths)
    lines += [
        "",
        f"Pairs cut by the tokenizer of {model}, corruption {prompts.corruption!r};",
        f"these have {low if low == high else f'{low} to {high}'} tokens each.",
        "A [name: token] is a named position, marked in both prompts.",
    ]
    for index in range(min(n_pairs, prompts.n_pairs)):
        lines += ["", *_sample(prompts, encoder, index)]
    _print("\n".join(lines))


def check_tasks(names: Sequence[str], model: str, n_pairs: int) -> None:
    """Print how well a model does some tasks, or all, and which are fit for circuit search.

    Raises:
        UnknownNameError: If a name is neither a task nor a file.
    """
    import torch

    from needlepoint.evaluation import check_tasks as checks
    from needlepoint.models.load import load_model

    if n_pairs < MIN_PAIRS:
        raise DataError(f"--pairs is {n_pairs}; it must be at least {MIN_PAIRS}.")
    for name in names:
        check_task_name(name)
    torch.set_num_threads(free_cores())
    with progress_bars():
        loaded = load_model(model)
        found = list(checks.check_tasks(loaded, names, n_pairs=n_pairs))
    console = Console()
    console.print(_table(found, loaded.name), markup=False, highlight=False)
    lines = ["", "Fit for circuit search?"]
    for one in found:
        lines += _wrapped(f"{'yes' if one.fit else 'no '}  {one.task}: {one.reason}")
    lines += [
        "",
        "Right: share of prompts on which the best right token is above the best wrong",
        "one, by chance as given. Metric with its 95% interval over pairs: logit",
        "difference in logits, or difference of probabilities (P).",
    ]
    _print("\n".join(lines))


def mark_positions(prompts: Prompts, encoder: Encoder, index: int, text: str) -> str:
    """A prompt with its named positions written into it, as `[name: token]`.

    The positions are tokens of the clean prompt, and a corrupt prompt is as long: in it the same
    tokens are marked.

    Args:
        prompts: The prompts of a task.
        encoder: The tokenizer that they were made for.
        index: Which pair.
        text: Its clean or its corrupt prompt.
    """
    _, offsets = encoder.encode_with_offsets(text)
    names: dict[int, list[str]] = {}
    for name, places in prompts.positions.items():
        names.setdefault(places[index], []).append(name)
    parts, done = [], 0
    for place in sorted(names):
        start, end = offsets[place]
        start += len(text[start:end]) - len(text[start:end].lstrip(" "))
        parts += [text[done:start], f"[{', '.join(names[place])}: {text[start:end]}]"]
        done = end
    return "".join([*parts, text[done:]])


def _card(task: Task) -> list[str]:
    lines = [f"{task.name}: {task.title}", *_wrapped(task.description), ""]
    lines += [*_wrapped(f"source: {task.source}"), *_wrapped(f"metric: {task.metric}"), ""]
    lines.append("Corruptions, the first unless another is asked for:")
    for name, words in task.corruptions.items():
        lines += _wrapped(f"{name}: {words}")
    for circuit in task.circuits:
        lines += ["", *_circuit(circuit)]
    return lines


def _circuit(circuit: KnownCircuit) -> list[str]:
    lines = [f"Known circuit of {circuit.model}, list {circuit.variant!r}:"]
    lines += _wrapped(f"source: {circuit.source}")
    for role, heads in circuit.roles.items():
        named = ", ".join(f"L{layer}.H{head}" for layer, head in heads)
        lines += _wrapped(f"{role}: {named}")
    if circuit.mlps:
        lines += _wrapped(f"MLPs of layers {', '.join(map(str, circuit.mlps))}")
    for dispute in circuit.disputes:
        lines += _wrapped(f"disputed: {dispute}")
    return lines


def _short(circuit: KnownCircuit) -> str:
    n_mlps = len(circuit.mlps)
    mlps = f" and {n_mlps} MLP{'' if n_mlps == 1 else 's'}" if n_mlps else ""
    return f"{len(circuit.heads)} heads{mlps} of {circuit.model}"


def _sample(prompts: Prompts, encoder: Encoder, index: int) -> list[str]:
    pair = prompts.pairs[index]
    clean, corrupt = (
        textwrap.indent(mark_positions(prompts, encoder, index, text), MARGIN).removeprefix(MARGIN)
        for text in (pair.clean, pair.corrupt)
    )
    return [
        f"clean    {clean}",
        f"corrupt  {corrupt}",
        f"answer   {_answers(pair.answers)}    wrong   {_answers(pair.wrongs)}",
    ]


def _answers(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - MOST_ANSWERS} more" if len(texts) > MOST_ANSWERS else ""
    return ", ".join(repr(text) for text in texts[:MOST_ANSWERS]) + more


def _table(found: Sequence[Any], model: str) -> Table:
    """One row for each task; those that could not be made have dashes."""
    from needlepoint.evaluation.check_tasks import UnmadeTask

    title = f"Tasks on {model}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("\ntask", overflow="fold")
    for name in ("\npairs", "\nchance", "right:\nclean", "\ncorrupt"):
        table.add_column(name, justify="right")
    for name in ("metric:\nclean", "\ncorrupt"):
        table.add_column(name, justify="right", min_width=16)
    for one in found:
        if isinstance(one, UnmadeTask):
            table.add_row(one.task, *["-"] * 6)
            continue
        measured = one.behaviour
        mark = "" if measured.metric == "logit difference" else "P "
        table.add_row(
            one.task,
            str(one.n_pairs),
            f"{measured.chance:.2f}",
            f"{measured.accuracy_clean.estimate:.2f}",
            f"{measured.accuracy_corrupt.estimate:.2f}",
            *[
                f"{mark}{at.estimate:+.2f}\n{at.low:+.2f} to {at.high:+.2f}"
                for at in (measured.metric_clean, measured.metric_corrupt)
            ],
        )
    return table


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False
    )


def _print(text: str) -> None:
    Console().print(text, soft_wrap=True, markup=False, highlight=False)
