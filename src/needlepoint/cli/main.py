"""The command `needlepoint`: thin; every command is a call that a notebook could make."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from needlepoint._core.errors import NeedlepointError
from needlepoint.evaluation.configs import DEMO_HEADS, DEMO_NEURONS, HeadsConfig, NeuronsConfig

USER_ERROR = 2
INTERRUPTED = 130

app = App(
    name="needlepoint",
    help="Find the heads and neurons of a language model that matter for something you can name.",
    version_flags=["--version"],
    result_action="return_value",
)

Model = Annotated[
    str, Parameter(help="smollm2 (packaged), a hub name, a local folder, or a GGUF file.")
]
Out = Annotated[
    Path | None, Parameter(help="Run folder to make; by default one in ./needlepoint-runs.")
]
Dtype = Annotated[str, Parameter(help="auto, float32, bfloat16 or float16.")]


@app.command
def demo(*, out: Out = None, model: Model = "smollm2", dtype: Dtype = "auto") -> None:
    """Two questions to a real model, answered and checked causally, with a page to look at.

    Which attention heads name the indirect object, and which MLP neurons know the programming
    language of a text? About three minutes on two cores once the model is cached.
    """
    from needlepoint.cli.runs import run_studies

    run_studies("demo", model, dtype, out, heads=DEMO_HEADS, neurons=DEMO_NEURONS)


@app.command
def circuit(
    config: Annotated[HeadsConfig, Parameter(name="*")] | None = None,
    *,
    model: Model = "smollm2",
    out: Out = None,
    dtype: Dtype = "auto",
) -> None:
    """Find the attention heads that carry out a behaviour."""
    from needlepoint.cli.runs import run_studies

    run_studies("circuit", model, dtype, out, heads=config or HeadsConfig())


@app.command
def probe(
    config: Annotated[NeuronsConfig, Parameter(name="*")] | None = None,
    *,
    model: Model = "smollm2",
    out: Out = None,
    dtype: Dtype = "auto",
) -> None:
    """Find the MLP neurons that carry features of text."""
    from needlepoint.cli.runs import run_studies

    run_studies("probe", model, dtype, out, neurons=config or NeuronsConfig())


@app.command
def models(
    check: Annotated[
        str | None, Parameter(help="Load this model and say whether it is read rightly.")
    ] = None,
) -> None:
    """List the models and families that can be read, or check one."""
    from needlepoint.cli.models import check_one, list_models

    if check is None:
        list_models()
    else:
        check_one(check)


@app.command
def report(run: Path) -> None:
    """Build the page of a run folder again, from its records.

    Args:
        run: The run folder.
    """
    from needlepoint.report import build_report

    Console().print(f"Page: {build_report(run)}", soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 when done, 2 when the input was wrong."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status; what a user can put right is one sentence."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.simplefilter("ignore")
    try:
        app(list(arguments), exit_on_error=False, print_error=False)
    except NeedlepointError as error:
        return _fail(str(error))
    except CycloptsError as error:
        return _fail(f"{_sentence(error)} See 'needlepoint --help'.")
    except KeyboardInterrupt:
        _fail("stopped; what was finished is kept.")
        return INTERRUPTED
    return 0


def _sentence(error: CycloptsError) -> str:
    text = " ".join(str(error).split())
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _fail(sentence: str) -> int:
    Console(stderr=True).print(
        f"needlepoint: {sentence}", soft_wrap=True, markup=False, highlight=False
    )
    return USER_ERROR
