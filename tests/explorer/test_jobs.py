"""Studies of pasted text run in a process of their own, are followed, and can be cancelled."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from needlepoint._core.errors import DataError, UnknownNameError
from needlepoint._core.progress import Bar, progress_to, say
from needlepoint._core.records import RunFolder
from needlepoint.explorer.live import job_process, jobs
from needlepoint.explorer.live.job_process import command_of, config_of
from needlepoint.explorer.live.jobs import Jobs, safe_name
from needlepoint.explorer.questions import JobRequest, JobView
from needlepoint.explorer.server.pasted import labelled_csv

SLOW = """
    import json, signal, sys, time
    print("a library says hello", flush=True)
    print(json.dumps({"step": "reading", "done": 2, "total": 9}), flush=True)
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        sys.exit(130)
"""
FAILS = """
    import json, sys
    print(json.dumps({"error": "there are too few texts."}), flush=True)
    sys.exit(2)
"""
REAL = subprocess.Popen
REQUEST = JobRequest("probe", "digits", "text,label\n")


def wait_for(board: Jobs, state: str, seconds: float = 60) -> JobView:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        view = board.jobs()[0]
        if view.state == state:
            return view
        time.sleep(0.05)
    raise AssertionError(f"the study is not {state} but {board.jobs()[0]}")


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    """Studies whose process is a few lines, given by `script`."""
    found = Jobs("none", "auto", tmp_path)
    yield found
    found.close()


def instead(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Run a few lines in place of the study."""
    code = textwrap.dedent(script)

    def popen(words: list[str], **options: object) -> object:
        assert words[:3] == [sys.executable, "-m", "needlepoint.explorer.live.job_process"]
        return REAL([sys.executable, "-c", code], **options)

    monkeypatch.setattr(jobs.subprocess, "Popen", popen)


def test_a_running_study_says_how_it_stands_and_can_be_cancelled(
    board: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    instead(monkeypatch, SLOW)
    started = board.start(REQUEST)
    assert started.state == "running"
    end = time.monotonic() + 30
    while board.jobs()[0].done != 2:
        assert time.monotonic() < end
        time.sleep(0.05)
    view = board.jobs()[0]
    assert (view.step, view.done, view.total) == ("reading", 2, 9)
    with pytest.raises(DataError, match="'digits' is still running"):
        board.start(REQUEST)
    assert board.cancel(started.id).state == "cancelled"
    assert board.cancel(started.id).state == "cancelled"
    assert list(board.folder.rglob("*.csv")) == []
    board.start(REQUEST)
    board.close()
    assert [view.state for view in board.jobs()] == ["cancelled", "cancelled"]


def test_a_study_that_fails_says_why_in_a_sentence(
    board: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    instead(monkeypatch, FAILS)
    board.start(REQUEST)
    assert wait_for(board, "failed").message == "there are too few texts."
    instead(monkeypatch, "import sys; sys.exit(3)")
    board.start(REQUEST)
    assert "ended with status 3" in wait_for(board, "failed").message
    with pytest.raises(UnknownNameError, match="there is no study"):
        board.cancel("nothing")


def digits(n: int = 120) -> str:
    """Texts that any reader of bytes can tell apart, half of them digits."""
    rng = torch.Generator().manual_seed(0)
    boxes: dict[int, list[str]] = {48: [], 97: []}
    for place in range(n):
        start = 48 if place % 2 else 97
        letters = torch.randint(start, start + 10, (40,), generator=rng).tolist()
        boxes[start].append("".join(map(chr, letters)))
    return labelled_csv("\n".join(boxes[48]), "\n".join(boxes[97]), "")


def test_pasted_texts_end_in_a_run_with_its_page(tmp_path: Path, tiny_folder: Path) -> None:
    asked = {
        "kind": "probe",
        "file": str(tmp_path / "digits.csv"),
        "out": str(tmp_path / "run"),
        "thorough": False,
        "model": str(tiny_folder),
        "dtype": "float32",
    }
    (tmp_path / "digits.csv").write_text(digits())
    heard: list[tuple[str, int, int]] = []
    with progress_to(lambda *step: heard.append(step)):
        job_process.make_run(asked)
    run = RunFolder.open(tmp_path / "run")
    assert run.header["status"] == "done"
    record = run.records()[0]
    assert (record.kind, record.status) == ("probe", "done")
    assert record.summary["features"][0]["f1_one"]["estimate"] > 0.9
    assert (tmp_path / "run" / "report.html").is_file()
    assert run.header["command"].startswith(f"needlepoint probe --features {asked['file']}")
    assert any(total and done == total for _, done, total in heard)


def test_a_request_that_cannot_be_met_leaves_no_folder(
    tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.csv").write_text("text,label\na,yes\nb,no\n")
    asked = {
        "kind": "probe",
        "file": str(tmp_path / "x.csv"),
        "out": str(tmp_path / "run"),
        "thorough": True,
        "model": str(tiny_folder),
        "dtype": "float32",
    }
    assert job_process.main([json.dumps(asked)]) == 2
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert said[-1]["error"]
    assert "Traceback" not in said[-1]["error"]
    assert not (tmp_path / "run").exists()


def test_settings_are_the_commands_and_the_command_says_them() -> None:
    asked = {"kind": "circuit", "file": "a b.jsonl", "model": "m", "dtype": "auto"}
    quick = config_of({**asked, "thorough": False})
    thorough = config_of({**asked, "thorough": True})
    assert command_of(thorough, asked) == "needlepoint circuit --task 'a b.jsonl' --model m"
    assert "--ablate-pairs 12" in command_of(quick, asked)


def test_steps_reach_the_listener_and_nobody_afterwards() -> None:
    heard: list[tuple[str, int, int]] = []
    with progress_to(lambda *step: heard.append(step)), Bar("reading", total=3) as bar:
        bar.advance(2)
        say("now writing")
    bar.advance()
    assert heard == [("reading", 2, 3), ("now writing", 0, 0)]


def test_names_are_safe_as_files() -> None:
    assert safe_name("a/b\x00c\\..") == "a_b_c"
    assert safe_name("\u202e\u4f60\u597d") == "question"
    assert len(safe_name("x" * 300)) == 40
