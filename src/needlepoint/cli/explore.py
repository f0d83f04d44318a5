"""Start the explorer: the runs it can open, the model it asks, the address it listens at."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from needlepoint._core.cores import free_cores
from needlepoint._core.errors import DataError, NeedlepointError
from needlepoint.cli.folder import RUNS
from needlepoint.explorer.questions import LiveService

NO_MODEL = "none"
EXTRA = "the explorer needs two further packages: pip install 'needlepoint[explorer]'."


@dataclass(frozen=True)
class ExploreAsked:
    """What the command was asked to do."""

    runs: Sequence[Path] = ()
    """Run folders, or folders that hold some; `needlepoint-runs` where none is given."""
    model: str = "smollm2"
    dtype: str = "auto"
    host: str = "127.0.0.1"
    port: int = 8765
    token: bool = False
    out: Path | None = None
    """Where studies started in the explorer are written."""


def explore(asked: ExploreAsked) -> None:
    """Serve the explorer until it is stopped.

    Raises:
        StoreError: If a folder is not there.
        DataError: If the port is taken.
        NeedlepointError: If the packages it needs are not installed.
    """
    try:
        import uvicorn

        from needlepoint.explorer.server.app import create_app
        from needlepoint.explorer.server.guard import Access
    except ModuleNotFoundError as error:
        raise NeedlepointError(EXTRA) from error
    from needlepoint.explorer.live.jobs import Jobs
    from needlepoint.explorer.live.loading import LoadingModel
    from needlepoint.explorer.run_folders.library import Library, require_folders

    require_folders(asked.runs)
    out = asked.out or RUNS
    library = Library(list(dict.fromkeys([*(asked.runs or (RUNS,)), out])))
    with _listening(asked.host, asked.port) as listener:
        access = Access.at(asked.host, listener.getsockname()[1], always=asked.token)
        live = jobs = None
        if asked.model != NO_MODEL:
            live = LoadingModel(lambda: _load(asked), asked.model)
            jobs = Jobs(asked.model, asked.dtype, out)
        console = Console()
        console.print("Open this address in a browser; Ctrl+C stops.", highlight=False)
        console.print(access.url, markup=False, highlight=False, soft_wrap=True)
        app = create_app(library, live, jobs, access)
        config = uvicorn.Config(
            app, log_level="warning", server_header=False, timeout_graceful_shutdown=2
        )
        with suppress(KeyboardInterrupt):  # the way in which it is meant to end
            uvicorn.Server(config).run(sockets=[listener])


def _load(asked: ExploreAsked) -> LiveService:
    import torch

    from needlepoint.explorer.live.service import LiveModel
    from needlepoint.models.load import load_model

    torch.set_num_threads(free_cores())
    return LiveModel(load_model(asked.model, dtype=asked.dtype), asked.model)


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens at the address; port 0 stands for any that is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # so that the address answers from when it is printed
    except OSError as error:
        listener.close()
        raise DataError(
            f"{host} port {port} cannot be listened at ({error.strerror}); choose another port "
            "with --port, or 0 for any that is free."
        ) from error
    return listener
