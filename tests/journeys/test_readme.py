"""What the README and the guides tell a reader to type exists and can be read."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

import needlepoint
from needlepoint.cli.main import app
from needlepoint.evaluation.configs import HeadsConfig
from needlepoint.models.model import Model

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def marked(name: str) -> list[str]:
    """The lines of the one `sh` block under a `<!-- command: NAME -->` comment."""
    found = re.findall(rf"<!-- command: {name} -->\n```sh\n(.*?)```", README, re.DOTALL)
    assert len(found) == 1, f"README.md has {len(found)} commands marked {name!r}"
    return found[0].splitlines()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def shown_commands() -> list[tuple[str, str]]:
    """Every `needlepoint ...` line in a block of shell or text, and every one in backquotes."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        lines = [line for block in blocks(text, "(?:sh|text|bash)") for line in block.splitlines()]
        lines += re.findall(r"`(needlepoint [^`]+)`", prose)
        for line in lines:
            command = line.removeprefix("$ ").strip()
            if command.startswith("needlepoint "):
                found.append((page.name, command))
    return found


def words_of(line: str) -> list[list[str]]:
    """The commands of a line joined by `&&`, as words."""
    words = shlex.split(line)
    ends = [place for place, word in enumerate(words) if word == "&&"]
    starts = [0, *(end + 1 for end in ends)]
    return [words[a:b] for a, b in zip(starts, [*ends, len(words)], strict=True)]


@pytest.mark.parametrize("name", ["demo", "test"])
def test_each_command_is_one_line_that_needs_nothing_but_python_and_pip(name: str) -> None:
    (line,) = marked(name)
    venv, install, *_ = words_of(line)
    assert venv[:3] == ["python3", "-m", "venv"]
    assert install[:2] == [f"{venv[3]}/bin/pip", "install"]
    for program in [words[0] for words in words_of(line)[1:]]:
        assert program.startswith(f"{venv[3]}/bin/")


@pytest.mark.parametrize("name", ["demo", "test"])
def test_each_command_installs_what_exists_in_pinned_versions(name: str) -> None:
    (line,) = marked(name)
    install = words_of(line)[1]
    constraints = ROOT / install[install.index("-c") + 1]
    pinned = [row for row in constraints.read_text().splitlines() if row and row[0].isalnum()]
    assert all("==" in row for row in pinned)
    assert "torch==2.13.0" in pinned
    target = install[-1]
    assert target.split("[")[0] == "."
    extras = re.findall(r"\[(.*)\]", target)
    for extra in [name for some in extras for name in some.split(",")]:
        assert extra in PROJECT["project"]["optional-dependencies"]
    names = {re.split(r"[=\[<>;]", row)[0].lower() for row in pinned}
    for requirement in PROJECT["project"]["dependencies"]:
        assert re.split(r"[=\[<>;]", requirement)[0].lower() in names


def test_the_commands_run_the_demo_and_the_tests() -> None:
    (line,) = marked("demo")
    program, *arguments = words_of(line)[-1]
    assert program.endswith("/bin/needlepoint")
    assert PROJECT["project"]["scripts"]["needlepoint"] == "needlepoint.cli.main:main"
    command, _, _ = app.parse_args(arguments, exit_on_error=False, print_error=False)
    assert command.__name__ == "demo"
    (line,) = marked("test")
    program, *arguments = words_of(line)[-1]
    assert program.endswith("/bin/python")
    assert arguments[:2] == ["-m", "pytest"]


def test_ci_runs_the_readme_s_test_command() -> None:
    (line,) = marked("test")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert line in script or "command: test" in script


@pytest.mark.parametrize(("page", "line"), shown_commands())
def test_every_command_that_is_shown_can_be_read(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    if words[0].isupper() or "..." in words:
        pytest.skip("a pattern and not a command")
    if "--help" not in words:
        app.parse_args(words, exit_on_error=False, print_error=False)


def test_commands_are_shown_at_all() -> None:
    assert len(shown_commands()) >= 3
    with pytest.raises(Exception, match="nknown option"):
        app.parse_args(["circuit", "--tusk", "x"], exit_on_error=False, print_error=False)


@pytest.mark.journey
def test_the_python_of_the_readme_runs(monkeypatch, smollm2: Model) -> None:
    sizes = {"score_pairs": 24, "ablate_pairs": 2, "holdout_pairs": 4, "sae_seeds": 1}

    def small(**asked: object) -> HeadsConfig:
        HeadsConfig(**asked)  # what the README asks for can be asked for
        return HeadsConfig(**{**asked, **sizes, "random_circuits": 1, "methods": ("random",)})

    monkeypatch.setattr(needlepoint, "load_model", lambda *_, **__: smollm2)
    monkeypatch.setattr(needlepoint, "HeadsConfig", small)
    code = blocks(README, "python")
    assert code
    names: dict[str, object] = {}
    exec("\n".join(code), names)
    study = names["study"]
    assert isinstance(study, needlepoint.Study)
    assert study.record.status == "done"
    assert len(study.tables["heads"]) == 270
    kept = names["kept"]
    assert isinstance(kept, dict)
    assert {str(site) for site in kept} == {"L3.H7.z", "L3.mlp.neurons"}
    assert names["search"].best_score_ > 0.8
    assert names["certificate"].status == "exact"
