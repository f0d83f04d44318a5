"""Nothing here unpickles, or runs code that came with data; the source itself is looked at."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import needlepoint
from needlepoint._core.errors import DataError, ModelError
from needlepoint.circuits.exchange.eap_ig import open_eap_ig
from needlepoint.circuits.exchange.json_file import open_circuit
from needlepoint.models.load import load_encoder, load_model

SOURCE = Path(needlepoint.__file__).parent
UNPICKLES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
RUNS_CODE = {"_core/user_code.py": {"exec", "compile"}}
"""The one door through which a user's own Python file is run."""
YAML_LOADERS = {"_PlainLoader"}


def dotted(node: ast.AST) -> str:
    """The name that is called, as far as it is one."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (name.name.partition(".")[0] for name in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield (node.module or "").partition(".")[0]
        yield from (name.name for name in node.names)


def unsafe_call(node: ast.Call) -> str:
    """What is unsafe about a call; empty if nothing is."""
    name = dotted(node.func)
    last = name.rpartition(".")[2]
    given = {key.arg: key.value for key in node.keywords}

    def is_given(key: str, value: object) -> bool:
        return isinstance(found := given.get(key), ast.Constant) and found.value is value

    if last == "load" and name.startswith("torch") and not is_given("weights_only", True):
        return "torch.load can run code"
    if "allow_pickle" in given and not is_given("allow_pickle", False):
        return "allow_pickle"
    if last in ("read_pickle", "to_pickle", "load_module", "extractall", "unpack_archive"):
        return last
    if name in ("yaml.load", "yaml.load_all") and dotted(given.get("Loader", node)) not in (
        YAML_LOADERS
    ):
        return "yaml.load without a plain loader"
    if last in ("unsafe_load", "full_load", "unsafe_load_all"):
        return last
    if "trust_remote_code" in given and isinstance(given["trust_remote_code"], ast.Constant):
        return "" if is_given("trust_remote_code", False) else "trust_remote_code"
    if "shell" in given and not is_given("shell", False):
        return "a shell"
    return name if name in ("eval", "exec", "compile", "__import__", "os.system") else ""


def faults(path: Path, tree: ast.AST) -> Iterator[str]:
    allowed = RUNS_CODE.get(path.as_posix(), set())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name in UNPICKLES.intersection(imported(node)):
                yield f"{path}:{node.lineno} imports {name}"
        elif isinstance(node, ast.Call):
            reason = unsafe_call(node)
            if reason and reason not in allowed:
                yield f"{path}:{node.lineno}: {reason}"


def test_no_module_unpickles_or_runs_what_it_reads() -> None:
    files = sorted(SOURCE.rglob("*.py"))
    assert len(files) > 100
    found = [
        fault
        for path in files
        for fault in faults(path.relative_to(SOURCE), ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


@pytest.mark.parametrize("folder", ["benchmarks", "examples"])
def test_no_script_unpickles_or_runs_what_it_reads(folder: str) -> None:
    files = sorted((Path(__file__).parents[2] / folder).glob("*.py"))
    assert files
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in files}
    found = [fault for path, tree in trees.items() for fault in faults(Path(path.name), tree)]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "from torch.serialization import pickle",
        "torch.load('x')",
        "torch.load('x', weights_only=False)",
        "np.load('x', allow_pickle=True)",
        "yaml.load(text)",
        "yaml.load(text, Loader=yaml.Loader)",
        "yaml.unsafe_load(text)",
        "pd.read_pickle('x')",
        "AutoModel.from_pretrained('x', trust_remote_code=True)",
        "subprocess.run('ls', shell=True)",
        "tarfile.open('x').extractall('y')",
        "eval('1')",
        "exec('1')",
    ],
)
def test_the_look_at_the_source_sees(line: str) -> None:
    assert list(faults(Path("some.py"), ast.parse(line)))


@pytest.mark.parametrize("load", [load_model, load_encoder])
def test_code_of_the_hub_is_off_unless_asked_for(load) -> None:
    assert inspect.signature(load).parameters["trust_remote_code"].default is False


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth"])
def test_weights_that_would_be_unpickled_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    (tmp_path / name).write_bytes(b"\x80\x04cposix\nsystem\n(S'false'\ntR.")
    with pytest.raises(ModelError, match=rf"only {name}, which would have to be unpickled") as got:
        load_model(str(tmp_path))
    assert "safetensors" in str(got.value)
    assert "\n" not in str(got.value)


@pytest.mark.parametrize("name", ["circuit.pt", "circuit.pth", "circuit.bin", "circuit.pkl"])
def test_circuits_that_would_be_unpickled_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04cposix\nsystem\n(S'false'\ntR.")
    for read in (open_eap_ig, open_circuit):
        with pytest.raises(DataError) as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value)
