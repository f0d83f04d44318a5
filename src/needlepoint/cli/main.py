"""The command `needlepoint`: thin; every command is a call that a notebook could make."""

from __future__ import annotations

import errno
import os
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter, Token, UnusedCliTokensError, convert
from rich.console import Console

from needlepoint._core.errors import NeedlepointError
from needlepoint.cli.asked import Asked
from needlepoint.cli.circuits_app import circuits, compare
from needlepoint.cli.examples import (
    CHECK,
    CIRCUIT,
    COMPARE,
    CONTEXT,
    DEMO,
    EXPLORE,
    FEATURES,
    FEATURES_LIST,
    FEATURES_SHOW,
    FIGURES,
    MODELS,
    NEURON,
    PROBE,
    RANK,
    REPORT,
    SCALING,
    START,
    SUPERPOSITION,
    WEIGHTS,
)
from needlepoint.cli.grid_app import add_grid_commands
from needlepoint.cli.help_text import Flowing
from needlepoint.cli.options import Dtype, Model, Out
from needlepoint.cli.tasks_app import tasks
from needlepoint.evaluation.case_studies.configs import (
    ContextConfig,
    ScalingConfig,
    SuperpositionConfig,
    WeightsConfig,
    of_compounds,
)
from needlepoint.evaluation.configs import DEMO_HEADS, DEMO_NEURONS, HeadsConfig, NeuronsConfig
from needlepoint.evaluation.dossier.config import DossierConfig

DONE, DEFECT, USER_ERROR, INTERRUPTED = 0, 1, 2, 130


def _exact(kind: Any, tokens: Sequence[Token]) -> Any:
    """The value that words stand for; a number that is not whole is refused, not rounded."""
    if kind is int and not re.fullmatch(r"[+-]?\d+", tokens[0].value):
        raise ValueError(f"{tokens[0].value!r} is not a whole number")
    return convert(kind, tokens)


app = App(
    name="needlepoint",
    help="Find the heads and neurons of a language model that matter for something you can name.",
    help_epilogue=START,
    help_format="plaintext",
    help_formatter=Flowing(),
    version_flags=["--version"],
    default_parameter=Parameter(
        negative=(),
        consume_multiple=True,
        converter=_exact,
        show_default=lambda value: {(): None, "": None}.get(value, value),
    ),
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # so that the message can say what is kept
)

Heads = Annotated[HeadsConfig, Parameter(name="*")]
Neurons = Annotated[NeuronsConfig, Parameter(name="*")]
Superposition = Annotated[SuperpositionConfig, Parameter(name="*")]
Context = Annotated[ContextConfig, Parameter(name="*")]
Weights = Annotated[WeightsConfig, Parameter(name="*")]
Scaling = Annotated[ScalingConfig, Parameter(name="*")]
Dossier = Annotated[DossierConfig, Parameter(name="*")]


@app.command(help_epilogue=DEMO)
def demo(*, model: Model = "smollm2", out: Out = None, dtype: Dtype = "auto") -> int:
    """Two questions to a real model, answered, checked causally, shown on a page.

    Which attention heads name the indirect object, and which MLP neurons know
    the programming language of a text? Takes about three minutes on two cores
    once the model is cached.
    """
    return _run(Asked("demo", model, dtype, out, (DEMO_HEADS, DEMO_NEURONS)))


@app.command(help_epilogue=CIRCUIT)
def circuit(
    *,
    config: Heads | None = None,
    model: Model = "smollm2",
    out: Out = None,
    dtype: Dtype = "auto",
) -> int:
    """Find the attention heads that carry out a behaviour, and check them causally."""
    return _run(Asked("circuit", model, dtype, out, (config or HeadsConfig(),)))


app.command(circuits)
app.command(compare, help_epilogue=COMPARE)


@app.command(help_epilogue=PROBE)
def probe(
    *,
    config: Neurons | None = None,
    model: Model = "smollm2",
    out: Out = None,
    dtype: Dtype = "auto",
) -> int:
    """Find the MLP neurons that carry features of text, and check them causally."""
    return _run(Asked("probe", model, dtype, out, (config or NeuronsConfig(),)))


@app.command(help_epilogue=RANK)
def rank(
    features: Annotated[
        str,
        Parameter(help="A built-in collection, or a file as for 'probe'. A Python file is run."),
    ] = "programming_language",
    /,
    *,
    model: Model = "smollm2",
    by: Annotated[str, Parameter(help="The ranking to show.")] = "mean_difference_std",
    top: Annotated[int, Parameter(help="Neurons of each feature to show.")] = 5,
    examples: Annotated[int, Parameter(help="Texts for each feature.")] = 60,
    source: Annotated[
        str, Parameter(help="packages, hub, or a path; the collection's first unless given.")
    ] = "",
    bins: Annotated[int, Parameter(help="Bins of each histogram, for closer bounds.")] = 64,
    candidates: Annotated[
        int,
        Parameter(help="Neurons of a layer for each feature that a second pass keeps."),
    ] = 64,
    seed: Annotated[int, Parameter(help="All randomness follows from it.")] = 0,
    out: Annotated[
        Path | None,
        Parameter(help="A .csv file for this ranking, or a folder for a table of each."),
    ] = None,
    dtype: Dtype = "auto",
) -> None:
    """Rank every neuron of every layer for all features, in one forward pass.

    No activation is stored. Training and validation texts are read, test texts
    are not; nothing is tested. For l1_logistic and linear_svm a second pass over
    all texts stores the leading neurons, which are ranked on the training texts.
    """
    from needlepoint.cli.rank import RankAsked, rank_neurons

    config = NeuronsConfig(features=features, examples=examples, source=source, seed=seed)
    rank_neurons(RankAsked(config, model, by, top, bins, candidates, dtype, out))


@app.command(help_epilogue=NEURON)
def neuron(
    config: Dossier | None = None,
    *,
    model: Model = "smollm2",
    out: Out = None,
    dtype: Dtype = "auto",
) -> int:
    """Describe neurons: what excites them, what they write, what they are used for.

    Name them as L12.N345: layer 12, neuron 345, counted from 0.
    """
    return _run(Asked("neuron", model, dtype, out, (config or DossierConfig(),)))


@app.command(help_epilogue=SUPERPOSITION)
def superposition(
    *,
    config: Superposition | None = None,
    compounds: Annotated[
        tuple[str, ...],
        Parameter(help="Several compounds, or all: a table over them in place of one page."),
    ] = (),
    model: Model = "smollm2",
    out: Out = None,
    dtype: Dtype = "auto",
) -> int:
    """Find a few neurons of early layers that tell a compound word only together.

    Beside their sum: what else each fires on, random bases, and what is left
    when the best neurons are taken away.
    """
    one = config or SuperpositionConfig()
    asked = of_compounds(one, compounds) if compounds else one
    return _run(Asked("superposition", model, dtype, out, (asked,)))


@app.command(help_epilogue=CONTEXT)
def context(
    *,
    config: Context | None = None,
    model: Model = "smollm2",
    out: Out = None,
    dtype: Dtype = "auto",
) -> int:
    """Find neurons that are active throughout texts of one language or kind.

    By text and by token, and switched off on texts of every kind.
    """
    return _run(Asked("context", model, dtype, out, (config or ContextConfig(),)))


@app.command(help_epilogue=WEIGHTS)
def weights(
    *,
    config: Weights | None = None,
    model: Model = "smollm2",
    out: Out = None,
    dtype: Dtype = "auto",
) -> int:
    """Show how the weights of neurons change with depth; no text is read."""
    return _run(Asked("weights", model, dtype, out, (config or WeightsConfig(),)))


@app.command(help_epilogue=SCALING)
def scaling(config: Scaling | None = None, *, out: Out = None) -> int:
    """Ask the same features of several models, with searches of equal size.

    The published curve from 70M to 6.9B parameters is drawn beside.
    """
    return _run(Asked("scaling", "", "auto", out, (config or ScalingConfig(),)))


@app.command(help_epilogue=EXPLORE)
def explore(
    runs: Annotated[
        tuple[Path, ...],
        Parameter(name="run", help="Run folders, or folders that hold some: ./needlepoint-runs."),
    ] = (),
    /,
    *,
    model: Annotated[
        str, Parameter(help="The model to ask live, as for other commands; none for no model.")
    ] = "smollm2",
    dtype: Dtype = "auto",
    host: Annotated[
        str, Parameter(help="Where to listen. If other machines can reach it, a token is asked.")
    ] = "127.0.0.1",
    port: Annotated[int, Parameter(help="Where to listen; any free one if 0.")] = 8765,
    token: Annotated[
        bool, Parameter(help="Ask for a token on this machine too, where others use it.")
    ] = False,
    out: Annotated[
        Path | None, Parameter(help="Where studies are written: ./needlepoint-runs.")
    ] = None,
) -> None:
    """Open runs in a browser, look at a live model, and start studies of pasted text."""
    from needlepoint.cli.explore import ExploreAsked
    from needlepoint.cli.explore import explore as serve

    serve(ExploreAsked(runs, model, dtype, host, port, token, out))


app.command(tasks)
add_grid_commands(app)


@app.command(help_epilogue=MODELS)
def models(
    *,
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


features = App(
    name="features",
    help="List the built-in feature collections, or show one: its card, counts and samples.",
    help_epilogue=FEATURES,
)
app.command(features)


@features.command(name="list", help_epilogue=FEATURES_LIST)
def features_list() -> None:
    """List the built-in collections: features, sources, download size, licence."""
    from needlepoint.cli.features import list_features

    list_features()


@features.command(name="show", help_epilogue=FEATURES_SHOW)
def features_show(
    name: Annotated[
        str,
        Parameter(help="A built-in collection, or a file as for 'probe'. A Python file is run."),
    ],
    wanted: Annotated[
        tuple[str, ...], Parameter(name="feature", help="Features to show; all unless given.")
    ] = (),
    /,
    *,
    model: Model = "smollm2",
    source: Annotated[
        str,
        Parameter(
            help="packages, hub, or a path, as the collection has it; its first unless given."
        ),
    ] = "",
    examples: Annotated[int, Parameter(help="Positive rows of each feature to load.")] = 60,
    n: Annotated[int, Parameter(help="Samples with the feature, and without it, to print.")] = 3,
) -> None:
    """Show the card of a collection, its counts, and samples with the labelled tokens marked."""
    from needlepoint.cli.features import show_features

    show_features(name, wanted, model=model, source=source, examples=examples, n=n)


@app.command(help_epilogue=CHECK)
def check(
    path: Annotated[
        Path,
        Parameter(
            help="A JSONL, CSV or Parquet file, or a Python file that defines a task named TASK "
            "or a collection named SPEC. A Python file is run."
        ),
    ],
    /,
    *,
    model: Model = "smollm2",
) -> int:
    """Check a task or a collection of your own against what the studies rely on.

    What is wrong is said in a sentence each, with what to change. The exit
    status is 2 if anything is.
    """
    from needlepoint.cli.check import check_file

    return USER_ERROR if check_file(path, model) else DONE


@app.command(help_epilogue=REPORT)
def report(run: Path, /) -> None:
    """Build the page of a run folder again, from its records.

    Args:
        run: The run folder.
    """
    from needlepoint.report import build_report

    Console().print(f"Page: {build_report(run)}", soft_wrap=True, markup=False, highlight=False)


@app.command(help_epilogue=FIGURES)
def figures(
    run: Annotated[Path, Parameter(help="The run folder.")],
    /,
    *,
    out: Annotated[
        Path | None, Parameter(help="Where to; the folder 'figures' of the run unless given.")
    ] = None,
    kind: Annotated[str, Parameter(name="--format", help="pdf, svg or png.")] = "pdf",
    width: Annotated[
        float, Parameter(help="Inches: 5.5 is a page of one column, 3.25 a column of two.")
    ] = 5.5,
    only: Annotated[
        str, Parameter(help="Part of the names of the figures wanted; all unless given.")
    ] = "",
) -> None:
    """Draw every picture of a run's page for a paper, with its numbers as CSV and a caption.

    From the records alone; needs pip install 'needlepoint[figures]'.
    """
    from needlepoint.cli.figures import make_figures

    make_figures(run, out, kind=kind, width=width, only=only)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the status of `run`."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command; what a user can put right is one sentence on standard error.

    Returns:
        The exit status: 0 when done, 1 when part of it failed by a defect and left its traceback
        in a record, 2 when the input was wrong, 130 when it was stopped.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TQDM_DISABLE", "1")  # the bars of other libraries
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            status = app(list(arguments), exit_on_error=False, print_error=False)
    except NeedlepointError as error:
        return _fail(str(error))
    except CycloptsError as error:
        return _fail(f"{_sentence(error)} See '{_help_of(error)}'.")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return _fail("no space left on the device; free some, or give --out on another disk.")
    except KeyboardInterrupt as stop:
        _fail(str(stop) or "stopped; nothing was finished, and nothing is kept.")
        return INTERRUPTED
    return status if isinstance(status, int) else DONE


def _run(asked: Asked) -> int:
    from needlepoint.cli.runs import run_studies

    return run_studies(asked)


def _sentence(error: CycloptsError) -> str:
    if isinstance(error, UnusedCliTokensError):
        return f"{' '.join(error.unused_tokens or ())!r} is not an option: those start with --."
    text = " ".join(str(error).split())
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _help_of(error: CycloptsError) -> str:
    return " ".join(["needlepoint", *(error.command_chain or ()), "--help"])


def _fail(sentence: str) -> int:
    line = " ".join(f"needlepoint: {sentence}".split())
    Console(stderr=True).print(line, soft_wrap=True, markup=False, highlight=False)
    return USER_ERROR
