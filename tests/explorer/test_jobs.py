"""Studies of pasted text run beside the explorer, are followed, and can be cancelled."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from needlepoint._core.errors import DataError, UnknownNameError
from needlepoint._core.progress import Bar, progress_to, say
from needlepoint.explorer.live import job_process, standby, worker
from needlepoint.explorer.live.job_process import command_of, config_of
from needlepoint.explorer.live.jobs import Jobs, safe_name
from needlepoint.explorer.live.worker import DONE, FAILED, REFUSED
from needlepoint.explorer.questions import JobRequest, JobView

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
SERVES = """
    import json, os, sys
    for line in sys.stdin:
        print(json.dumps({"step": str(os.getpid())}), flush=True)
        asked = json.loads(line)["file"]
        if "wrong" in asked:
            print(json.dumps({"error": "there are too few texts."}), flush=True)
        print(json.dumps({"ended": 2 if "wrong" in asked else "broken" in asked}), flush=True)
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


def instead(monkeypatch: pytest.MonkeyPatch, script: str) -> list[subprocess.Popen[str]]:
    """Run a few lines in place of the study; the processes that are started are noted."""
    code, made = textwrap.dedent(script), []

    def popen(words: list[str], **options: object) -> object:
        assert words[:3] == [sys.executable, "-m", "needlepoint.explorer.live.job_process"]
        made.append(REAL([sys.executable, "-c", code], **options))
        return made[-1]

    monkeypatch.setattr(worker.subprocess, "Popen", popen)
    return made


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


def ended(board: Jobs, name: str) -> JobView:
    """A study of a name, when it has ended."""
    board.start(replace(REQUEST, name=name))
    end = time.monotonic() + 30
    while board.jobs()[0].state == "running" and time.monotonic() < end:
        time.sleep(0.02)
    return board.jobs()[0]


def test_one_process_started_ahead_makes_study_after_study(
    board: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = instead(monkeypatch, SERVES)
    board.prepare()
    board.prepare()
    assert len(made) == 1
    assert ended(board, "one").state == "done"
    refused = ended(board, "wrong")
    assert (refused.state, refused.message) == ("failed", "there are too few texts.")
    assert ended(board, "two").state == "done"
    assert len(made) == 1
    assert ended(board, "broken").state == "failed"
    assert made[0].poll() is not None
    assert ended(board, "three").state == "done"
    assert len(made) == 2
    made[1].kill()
    made[1].wait()
    assert ended(board, "four").state == "done"
    assert len(made) == 3
    board.close()
    assert made[2].poll() is not None


def test_a_process_that_nobody_uses_is_ended(board: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    made = instead(monkeypatch, SERVES)
    monkeypatch.setattr(standby, "IDLE", 0.05)
    board.prepare()
    assert made[0].wait(20) is not None


def test_requests_are_served_until_a_defect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The loop of the real process, with studies that end as they are told to."""

    def make_run(request: Mapping[str, object]) -> None:
        if error := {"refused": DataError("too few."), "defect": KeyError("x")}.get(request["is"]):
            raise error

    monkeypatch.setattr(job_process, "make_run", make_run)
    monkeypatch.setattr(job_process, "import_all", lambda: None)
    asked = [{"is": "fine"}, {"is": "refused"}, {"is": "defect"}, {"is": "never read"}]
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{json.dumps(one)}\n" for one in asked)))
    assert job_process.main() == FAILED
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["ended"] for one in said if "ended" in one] == [DONE, REFUSED, FAILED]
    assert [one["error"].split(":")[0] for one in said if "error" in one] == [
        "too few.",
        "the study failed by a defect (KeyError",
    ]


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
    assert job_process.serve(asked) == REFUSED
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
