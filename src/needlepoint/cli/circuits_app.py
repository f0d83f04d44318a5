"""The commands on circuits that were found: compare runs, write one to a file, judge a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from needlepoint.cli.examples import CIRCUITS, CIRCUITS_EXPORT, CIRCUITS_JUDGE
from needlepoint.cli.options import Dtype, Model

Layout = Literal["needlepoint", "eap-ig", "networkx"]
Level = Literal["edges", "nodes"]
Shared = Literal["equal", "mean", "sum"]

circuits = App(
    name="circuits",
    help="Write the circuit of a run to a file, or judge a circuit in a file on fresh prompts.",
    help_epilogue=CIRCUITS,
)


@circuits.command(name="export", help_epilogue=CIRCUITS_EXPORT)
def export(
    run: Annotated[Path, Parameter(help="The run folder of a 'needlepoint circuit'.")],
    out: Annotated[Path, Parameter(help="The JSON file to write; there must be none yet.")],
    /,
    *,
    method: Annotated[
        str,
        Parameter(
            help="The method whose scores are taken; with --level nodes also effect, the exact "
            "effects that the run measured."
        ),
    ] = "eap",
    level: Annotated[
        Level,
        Parameter(help="Choose edges, or nodes: heads and MLPs with all edges between them."),
    ] = "edges",
    size: Annotated[
        int | None,
        Parameter(help="How many of the strongest; 500 edges or 20 nodes unless given."),
    ] = None,
    layout: Annotated[
        Layout,
        Parameter(
            help="needlepoint (with what is known of its origin), eap-ig (as MIB reads), or "
            "networkx (node-link JSON of what is in the circuit)."
        ),
    ] = "needlepoint",
    cell: Annotated[
        str, Parameter(help="Which circuit, as circuit.ioi, if the run has several.")
    ] = "",
) -> None:
    """Write the strongest edges or nodes of a run as a circuit in a JSON file.

    Edges on no way from the embedding to the logits are pruned, so that fewer
    may be left than asked for. No model is loaded.
    """
    from needlepoint.cli.circuit_export import SIZES, Export, export_circuit

    n = SIZES[level] if size is None else size
    export_circuit(Export(run, out, method, n, layout, cell, level))


@circuits.command(name="judge", help_epilogue=CIRCUITS_JUDGE)
def judge(
    file: Annotated[Path, Parameter(help="A circuit as JSON, in any layout of 'export'.")],
    /,
    *,
    task: Annotated[
        str, Parameter(help="A built-in behaviour, or a JSONL or Python file. The latter is run.")
    ] = "ioi",
    model: Model = "smollm2",
    corruption: Annotated[
        str, Parameter(help="How the corrupt prompts are made; its first way unless given.")
    ] = "",
    ablation: Annotated[
        str,
        Parameter(help="What is cut is replaced by: resample, mean or zero; else as in the file."),
    ] = "",
    pairs: Annotated[int, Parameter(help="Prompt pairs to run it on.")] = 12,
    random_circuits: Annotated[
        int, Parameter(help="Random circuits of each kind to compare with, 20 at least.")
    ] = 20,
    minimality: Annotated[
        int,
        Parameter(help="Edges or nodes taken out one by one, to see what it could do without."),
    ] = 0,
    shared: Annotated[
        Shared,
        Parameter(
            help="What copies of an input that heads share mean in a file of another tool: equal, "
            "mean, or sum (gradients of each head)."
        ),
    ] = "equal",
    seed: Annotated[
        int, Parameter(help="Another than of the run that found it: prompts follow from it.")
    ] = 1,
    dtype: Dtype = "auto",
) -> None:
    """Run a circuit from a file on fresh prompts: is it enough, and is it all?

    Faithfulness is the share of the behaviour that is left when all else is
    cut, completeness the share that is lost when the circuit is. Beside them:
    random circuits of its size, and of its size in every layer. Pairs of a file
    are taken from its start: leave out those that served to find the circuit.
    """
    from needlepoint.cli.circuit_judge import Judge, judge_file

    judge_file(
        Judge(
            file,
            task,
            model,
            corruption,
            ablation,
            pairs,
            random_circuits,
            minimality,
            shared,
            seed,
            dtype,
        )
    )


def compare(
    first: Annotated[Path, Parameter(help="A run folder of 'circuit', or of a grid.")],
    second: Annotated[Path, Parameter(help="Another, of the same model or a like grid.")],
    /,
) -> None:
    """Hold two runs of 'circuit' against one another: effects, circuits, methods.

    Of two grids, all cells that they have in common: to how many digits their
    tables agree, and how their circuits differ. What else differs between the
    runs, such as model or settings, is listed first. No model is loaded.
    """
    from needlepoint.cli.compare import show_comparison
    from needlepoint.cli.compare_grids import are_grids, show_grids

    if are_grids(first, second):
        show_grids(first, second)
    else:
        show_comparison(first, second)
