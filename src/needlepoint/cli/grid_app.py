"""The commands on grids: many cells from one config file, run, resumed, verified, exported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from needlepoint.cli.examples_grid import EXPORT, PLAN, RESUME, RUN, SCHEMA, STATUS, VERIFY
from needlepoint.cli.options import Out

Config = Annotated[Path, Parameter(help="A TOML, YAML or JSON file: see docs/grids.md.")]
Folder = Annotated[Path, Parameter(help="The run folder of a grid.")]
Workers = Annotated[
    int, Parameter(help="Local processes that compute cells, each with a model of its own.")
]
Threads = Annotated[
    int, Parameter(help="Threads of each worker; the free cores are shared out if 0.")
]
Ray = Annotated[
    str,
    Parameter(help="Ray cluster whose workers compute cells: local, auto or an address."),
]
Gpus = Annotated[float, Parameter(help="Graphics cards of each worker, on Ray.")]
Memory = Annotated[float, Parameter(help="Bytes of memory that each worker needs, on Ray.")]


def add_grid_commands(app: App) -> None:
    """Hang the commands into the command line."""
    app.command(run, help_epilogue=RUN)
    app.command(plan, help_epilogue=PLAN)
    app.command(status, help_epilogue=STATUS)
    app.command(resume, help_epilogue=RESUME)
    app.command(verify, help_epilogue=VERIFY)
    app.command(export, help_epilogue=EXPORT)
    app.command(schema, help_epilogue=SCHEMA)


def run(
    config: Config,
    /,
    *,
    out: Out = None,
    workers: Workers = 1,
    threads: Threads = 0,
    ray: Ray = "",
    gpus: Gpus = 0.0,
    memory: Memory = 0.0,
) -> int:
    """Run all studies that a config file describes, each into one record.

    One that cannot be done leaves a record that says why, and the others go on.
    """
    from needlepoint.cli.grid_runs import Crew, start_grid

    return start_grid(config, out, Crew(workers, threads, ray, gpus, int(memory)))


def resume(
    folder: Annotated[Path, Parameter(name="run", help="The run folder of a grid.")],
    /,
    *,
    workers: Workers = 1,
    threads: Threads = 0,
    ray: Ray = "",
    gpus: Gpus = 0.0,
    memory: Memory = 0.0,
    retry: Annotated[
        bool, Parameter(help="Compute cells again that failed or were skipped.")
    ] = False,
) -> int:
    """Go on with a run that was stopped, however; what is finished stays as it is.

    Models and data are checked by their hashes first.
    """
    from needlepoint.cli.grid_runs import Crew, go_on

    return go_on(folder, Crew(workers, threads, ray, gpus, int(memory)), retry=retry)


def plan(
    config: Config,
    /,
    *,
    run: Annotated[
        Path | None,
        Parameter(help="A run folder: its cells are there, and its times tell what others take."),
    ] = None,
    measure: Annotated[
        bool,
        Parameter(help="Load models and texts, and time a forward pass over a few of them."),
    ] = False,
) -> None:
    """Show what a config would run: cells, bytes of activations, time. Nothing is computed.

    Times come from finished cells (--run) or a timed pass (--measure). What
    is not known is called unknown.
    """
    from needlepoint.cli.grid_plan import show_plan

    show_plan(config, run, measure=measure)


def status(run: Folder, /) -> None:
    """Show how each cell of a run ended, what is left, and who is at it."""
    from needlepoint.cli.grid_shown import show_status

    show_status(run)


def verify(
    run: Folder,
    /,
    *,
    cells: Annotated[int, Parameter(help="How many finished cells, drawn at random.")] = 2,
    digits: Annotated[
        int, Parameter(help="Digits that numbers must have in common to count as reproduced.")
    ] = 4,
    threads: Threads = 0,
) -> int:
    """Compute some cells of a run again, and say whether their numbers reproduce.

    Every table and the summary is compared, times and memory left out. The
    run is not changed. The exit status is 1 if something does not reproduce.
    """
    from needlepoint.cli.grid_shown import show_verified

    return 0 if show_verified(run, cells, digits, threads) else 1


def export(
    run: Annotated[Path, Parameter(help="A run folder, of a grid or of one study.")],
    /,
    *,
    format: Annotated[str, Parameter(help="csv, parquet or json.")] = "csv",
    out: Annotated[
        Path | None, Parameter(help="Folder to write to; 'export' in the run folder unless given.")
    ] = None,
) -> None:
    """Write a run as a few long tables: one for each kind of table, over all cells."""
    from needlepoint.cli.grid_shown import export_run

    export_run(run, format, out)


def schema() -> None:
    """Print the JSON schema of a grid's config, for editors and other programs."""
    import json

    from needlepoint.evaluation.grid.read_config import json_schema

    print(json.dumps(json_schema(), indent=1))
