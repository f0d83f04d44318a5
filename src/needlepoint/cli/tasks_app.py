"""The commands on behaviours: list them, show prompts of one, check how well a model does them."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from needlepoint.cli.examples import TASKS, TASKS_CHECK, TASKS_LIST, TASKS_SHOW
from needlepoint.cli.options import Model

tasks = App(
    name="tasks",
    help="List the built-in behaviours, show prompts of one, check how well a model does them.",
    help_epilogue=TASKS,
)


@tasks.command(name="list", help_epilogue=TASKS_LIST)
def tasks_list() -> None:
    """List the built-in behaviours: corruptions, metric, source, known circuits."""
    from needlepoint.cli.tasks import list_tasks

    list_tasks()


@tasks.command(name="show", help_epilogue=TASKS_SHOW)
def tasks_show(
    name: Annotated[
        str, Parameter(help="A built-in behaviour, or a JSONL or Python file. The latter is run.")
    ],
    /,
    *,
    model: Model = "smollm2",
    pairs: Annotated[int, Parameter(help="How many prompt pairs to show.")] = 4,
    corruption: Annotated[
        str, Parameter(help="How the corrupt prompts are made; its first way unless given.")
    ] = "",
) -> None:
    """Show what a behaviour is and some prompt pairs, with named positions marked.

    Only the tokenizer of the model is loaded.
    """
    from needlepoint.cli.tasks import show_task

    show_task(name, model, pairs, corruption)


@tasks.command(name="check", help_epilogue=TASKS_CHECK)
def tasks_check(
    *names: Annotated[
        str, Parameter(help="Built-in behaviours, or files as for 'show'; all built-in if none.")
    ],
    model: Model = "smollm2",
    pairs: Annotated[int, Parameter(help="Prompt pairs of each behaviour.")] = 100,
) -> None:
    """Measure how well a model does behaviours, and which are fit for circuit search."""
    from needlepoint.cli.tasks import check_tasks

    check_tasks(names, model, pairs)
