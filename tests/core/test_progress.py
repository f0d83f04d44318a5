"""Bars only for those who wait, only where they can be drawn, and gone afterwards."""

from __future__ import annotations

import io

import pytest

from needlepoint._core import progress
from needlepoint._core.progress import Bar, progress_bars, say


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """Time that moves when it is told to."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress.time, "monotonic", made.monotonic)
    return made


def terminal(monkeypatch, kind: type[io.StringIO] = Terminal) -> io.StringIO:
    made = kind()
    monkeypatch.setattr("sys.stderr", made)
    monkeypatch.setenv("TERM", "xterm")
    return made


def work(clock: Clock, seconds: float) -> None:
    with Bar("reading things", total=2) as bar:
        for _ in range(2):
            clock.now += seconds / 2
            bar.advance()


def test_short_work_shows_nothing(monkeypatch, clock) -> None:
    shown = terminal(monkeypatch)
    with progress_bars():
        work(clock, 1.9)
    assert shown.getvalue() == ""


def test_long_work_shows_a_bar_on_standard_error_only(monkeypatch, clock, capsys) -> None:
    shown = terminal(monkeypatch)
    with progress_bars():
        work(clock, 5.0)
    assert "reading things" in shown.getvalue()
    assert "2/2" in shown.getvalue()
    assert capsys.readouterr().out == ""


def test_a_library_call_shows_nothing(monkeypatch, clock) -> None:
    shown = terminal(monkeypatch)
    work(clock, 5.0)
    say("hello")
    with progress_bars():
        pass
    work(clock, 5.0)
    say("hello")
    assert shown.getvalue() == ""


def test_bars_stay_off_after_an_error_inside(monkeypatch, clock) -> None:
    shown = terminal(monkeypatch)
    with pytest.raises(RuntimeError), progress_bars():
        raise RuntimeError
    work(clock, 5.0)
    assert shown.getvalue() == ""


def test_a_file_gets_notes_but_neither_bars_nor_blank_lines(monkeypatch, clock) -> None:
    shown = terminal(monkeypatch, io.StringIO)
    with progress_bars():
        work(clock, 5.0)
        say("Reading [all] of it.")
    assert shown.getvalue() == "Reading [all] of it.\n"
