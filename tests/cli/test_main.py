"""What a newcomer sees: help, options, exit statuses."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from importlib.metadata import version

import pytest

from needlepoint._core.errors import StorageFullError
from needlepoint.cli.examples import CIRCUIT, PROBE
from needlepoint.cli.main import app, main
from needlepoint.evaluation.configs import HeadsConfig, NeuronsConfig

COMMANDS = ("demo", "circuit", "probe", "tasks", "models", "report")
HEAVY = ("torch", "transformers", "pandas", "plotly", "sklearn", "zarr", "numpy")


def unwrapped(text: str) -> str:
    return " ".join(text.replace("\u2502", " ").split())


@pytest.mark.parametrize("arguments", [["--help"], ["circuit", "--help"], ["probe", "--help"]])
def test_help_loads_nothing_heavy(arguments) -> None:
    code = (
        "import sys, json; from needlepoint.cli.main import run; status = run(sys.argv[1:]); "
        f"print(json.dumps([status, [name for name in {HEAVY} if name in sys.modules]]))"
    )
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [0, []]


def test_without_a_command_the_help_is_shown(cli) -> None:
    alone = cli()
    assert (alone.status, alone.err) == (0, "")
    assert alone.out == cli("--help").out
    for command in COMMANDS:
        assert command in alone.out
    assert "needlepoint demo" in alone.out


def test_the_version_is_that_of_the_package(cli) -> None:
    assert cli("--version") == (0, version("needlepoint") + "\n", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_fits_80_columns_and_hides_noise(cli, command) -> None:
    shown = cli(command, "--help")
    assert (shown.status, shown.err) == (0, "")
    assert f"  needlepoint {command}" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80
    for noise in ("--no-", "--empty-", "None", "()"):
        assert noise not in shown.out


@pytest.mark.parametrize(
    ("command", "config"), [("circuit", HeadsConfig), ("probe", NeuronsConfig)]
)
def test_every_option_is_described(cli, command, config) -> None:
    shown = unwrapped(cli(command, "--help").out)
    for field in fields(config):
        option = f"--{field.name.replace('_', '-')} "
        described = shown.partition(option)[2].partition(" --")[0]
        words = described.partition("[default")[0].split()
        assert len(words) >= 4, f"{option} is described as {described!r}"
    for option in ("--model", "--out", "--dtype"):
        assert option in shown


@pytest.mark.parametrize("command", ["circuit", "probe", "neuron"])
def test_descriptions_flow_however_their_source_breaks_its_lines(cli, command) -> None:
    panel = cli(command, "--help").out.partition("Parameters")[2].partition("\u2570")[0]
    told = [line[2:] for line in panel.splitlines() if line.startswith("\u2502 ")]
    columns = {len(line) - len(line.lstrip()) for line in told if line.startswith(" " * 8)}
    assert len(told) > 10
    assert len(columns) == 1


def test_names_in_the_help_are_those_that_exist() -> None:
    from needlepoint.circuits.registered import CIRCUIT_METHODS
    from needlepoint.circuits.scores import HEAD_SCORES
    from needlepoint.evaluation.circuits.method_choice import CONTROLS

    def listed(text: str, heading: str) -> set[str]:
        names = text.partition(f"{heading}: ")[2].partition(".")[0]
        return set(names.replace(",", " ").split())

    assert listed(CIRCUIT, "Head scores (they read activations)") == set(HEAD_SCORES)
    on_request = {name for name in CIRCUIT_METHODS if CIRCUIT_METHODS[name].on_request}
    others = set(CIRCUIT_METHODS) - on_request
    assert listed(CIRCUIT, "Circuit methods (they run the model)") == others
    assert listed(CIRCUIT, "GIM's backward pass (where named, not in all)") == on_request
    controls = "Controls (they come with all but head scores named alone)"
    assert listed(CIRCUIT, controls) == set(CONTROLS)
    for text, command in ((CIRCUIT, "tasks"), (PROBE, "features")):
        assert f"'needlepoint {command} list' names them." in text


def test_several_methods_follow_one_option() -> None:
    words = ["circuit", "--methods", "random", "layer_index", "--seed", "7"]
    _, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    assert bound.arguments["config"] == HeadsConfig(methods=("random", "layer_index"), seed=7)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sircuit"], ["sircuit", "circuit", "See 'needlepoint --help'."]),
        (["circuit", "--taks", "ioi"], ["--taks", "--task", "See 'needlepoint circuit --help'."]),
        (["circuit", "ioi"], ["'ioi' is not an option: those start with --."]),
        (["circuit", "--no-methods"], ["--no-methods"]),
        (["circuit", "--task"], ["--task requires an argument"]),
        (["circuit", "--seed", "x"], ["--seed: 'x' is not a whole number."]),
        (["circuit", "--seed", "1.5"], ["--seed: '1.5' is not a whole number."]),
        (["probe", "--max-k", "1e3"], ["--max-k: '1e3' is not a whole number."]),
        (["report"], ["RUN requires an argument"]),
        (["report", "a", "b"], ["'b' is not an option"]),
    ],
)
@pytest.mark.usefixtures("nothing_left", "no_load")
def test_a_command_that_cannot_be_read_is_one_sentence(cli, arguments, words) -> None:
    sentence = cli(*arguments).sentence
    for word in words:
        assert word in sentence


def fail_with(monkeypatch, error: BaseException) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr("needlepoint.cli.models.list_models", fail)


def test_no_space_left_is_the_user_s_to_put_right(cli, monkeypatch) -> None:
    fail_with(monkeypatch, OSError(28, "No space left on device"))
    assert "no space left on the device; free some" in cli("models").sentence
    fail_with(monkeypatch, StorageFullError("no space left while writing x; free some."))
    assert cli("models").sentence == "no space left while writing x; free some."


@pytest.mark.parametrize("defect", [RuntimeError("ours"), OSError(5, "Input/output error")])
def test_a_defect_keeps_its_traceback(cli, monkeypatch, defect) -> None:
    fail_with(monkeypatch, defect)
    with pytest.raises(type(defect)):
        cli("models")


def test_a_message_of_many_lines_is_one_line(cli, monkeypatch) -> None:
    fail_with(monkeypatch, StorageFullError("first\n  second\n[bold]third"))
    assert cli("models").sentence == r"first\n second\n[bold]third"


def test_a_stop_ends_with_130(cli, monkeypatch) -> None:
    fail_with(monkeypatch, KeyboardInterrupt())
    stopped = cli("models")
    assert (stopped.status, stopped.out) == (130, "")
    assert stopped.err == "needlepoint: stopped; nothing was finished, and nothing is kept.\n"


def test_the_process_ends_with_the_status() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["circuit", "--task", "iio"])
    assert ended.value.code == 2


def test_the_installed_command_says_no_more_than_the_sentence() -> None:
    command = [sys.executable, "-c", "from needlepoint.cli.main import main; main()"]
    done = subprocess.run([*command, "report", "."], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "needlepoint: . is not a run folder: it has no run.json.\n"
