"""A process that makes studies, one after the other, and says line by line how they stand.

It reads requests from its standard input, a JSON object on each line, and ends with it. Before the
first it imports what studies need, which takes longer than a small study does.
"""

from __future__ import annotations

import gc
import json
import shlex
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from needlepoint._core.errors import NeedlepointError
from needlepoint._core.progress import progress_to
from needlepoint._core.provenance import now
from needlepoint._core.records import RunFolder
from needlepoint.evaluation.checks import check_heads, check_neurons
from needlepoint.evaluation.configs import DEMO_HEADS, DEMO_NEURONS, HeadsConfig, NeuronsConfig
from needlepoint.evaluation.studies import STUDIES, named
from needlepoint.explorer.live.worker import DONE, FAILED, INTERRUPTED, REFUSED

EVERY = 0.2
"""Seconds between two lines about the same step."""
NEEDED = ("needlepoint.models.load", "needlepoint.report", "transformers.modeling_utils")
"""Modules that every study imports sooner or later, besides those of the studies themselves."""

Config = HeadsConfig | NeuronsConfig


def main() -> int:
    """Make the studies that are asked for on standard input, until it ends or one has a defect."""
    try:
        import_all()
        for line in sys.stdin:
            status = serve(json.loads(line))
            _say(ended=status)
            if status == FAILED:  # whatever it left behind is not built upon
                return status
    except KeyboardInterrupt:  # the way in which a study is cancelled
        return INTERRUPTED
    return DONE


def import_all() -> None:
    """Import what both kinds of study need."""
    for module in NEEDED:
        import_module(module)
    for config in (HeadsConfig, NeuronsConfig):
        named(STUDIES[config].find)


def serve(request: Mapping[str, Any]) -> int:
    """Make the study that a request describes, and say why if that fails.

    Returns:
        `DONE` if a run has been written; `REFUSED` if the request was wrong, `FAILED` if the work
        failed by a defect.
    """
    try:
        with progress_to(_Reporter()):
            make_run(request)
    except NeedlepointError as error:
        _say(error=str(error))
        return REFUSED
    except Exception as error:
        traceback.print_exc()
        _say(error=f"the study failed by a defect ({type(error).__name__}: {error}).")
        return FAILED
    finally:
        gc.collect()  # the model of this study does not wait for the next one
    return DONE


def make_run(request: Mapping[str, Any]) -> Path:
    """Load the model, make the study, write the run folder with its page, and return it.

    Raises:
        NeedlepointError: If the data or the model cannot be used; no folder is left then.
    """
    from needlepoint.models.load import load_model
    from needlepoint.report import build_report

    config, start, started = config_of(request), time.monotonic(), now()
    study = STUDIES[type(config)]
    check_heads(config) if isinstance(config, HeadsConfig) else check_neurons(config)
    _say(step="loading the model")
    model = load_model(request["model"], dtype=request["dtype"])
    _say(step="starting the study")
    found = named(study.find)(model, config)
    asked = {"model": request["model"], "dtype": request["dtype"], study.part: asdict(config)}
    run = RunFolder.create(Path(request["out"]), kind=study.kind, config=asked)
    run.update(started=started, command=command_of(config, request), model=model.card())
    found.save(run)
    run.finish("done")
    build_report(run.path)
    run.update(seconds=round(time.monotonic() - start, 1))
    return run.path


def config_of(request: Mapping[str, Any]) -> Config:
    """The settings of a study: the command's own, or smaller ones for a first look."""
    if request["kind"] == "circuit":
        heads = HeadsConfig() if request["thorough"] else DEMO_HEADS
        return replace(heads, task=request["file"])
    neurons = NeuronsConfig() if request["thorough"] else DEMO_NEURONS
    return replace(neurons, features=request["file"])


def command_of(config: Config, request: Mapping[str, Any]) -> str:
    """The command that asks for the same again.

    Example:
        >>> asked = {"kind": "probe", "model": "smollm2", "dtype": "auto"}
        >>> command_of(NeuronsConfig("digits.csv"), asked)
        'needlepoint probe --features digits.csv'
    """
    words, plain = ["needlepoint", str(request["kind"])], type(config)()
    for name, value in asdict(config).items():
        if value != getattr(plain, name):
            values = value if isinstance(value, (list, tuple)) else (value,)
            words += [f"--{name.replace('_', '-')}", *map(str, values)]
    words += [] if request["model"] == "smollm2" else ["--model", str(request["model"])]
    words += [] if request["dtype"] == "auto" else ["--dtype", str(request["dtype"])]
    return shlex.join(words)


class _Reporter:
    """Passes steps on, but not so often that reading them would cost."""

    def __init__(self) -> None:
        self._last = ("", 0.0)

    def __call__(self, step: str, done: int, total: int) -> None:
        now_ = time.monotonic()
        if step == self._last[0] and now_ - self._last[1] < EVERY and done < total:
            return
        self._last = (step, now_)
        _say(step=step, done=done, total=total)


def _say(**entries: object) -> None:
    print(json.dumps(entries), flush=True)


if __name__ == "__main__":
    sys.exit(main())
