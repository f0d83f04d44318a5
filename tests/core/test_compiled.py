"""Compiled loops: work on threads is done once and whole, and its errors are heard."""

import os
import subprocess
import sys
import threading

import pytest

from needlepoint._core import compiled as module
from needlepoint._core.compiled import compiled, on_threads


@pytest.mark.parametrize("threads", [1, 2, 50])
def test_every_piece_is_worked_on_once(threads):
    done, lock = [], threading.Lock()

    def work(piece):
        with lock:
            done.append(piece)

    on_threads(work, range(20), threads)
    assert sorted(done) == list(range(20))


def test_work_within_work_finds_its_way():
    """Threads are few and shared: what waits for them does its own work meanwhile."""
    done, lock = [], threading.Lock()

    def inner(piece):
        with lock:
            done.append(piece)

    on_threads(lambda piece: on_threads(inner, range(10 * piece, 10 * piece + 10), 2), range(6), 2)
    assert sorted(done) == list(range(60))


FORKS = """
import os
from needlepoint._core.compiled import on_threads

on_threads(lambda piece: None, range(4), 2)
child = os.fork()
done = []
on_threads(done.append, range(4), 2)
if child == 0:
    os._exit(0 if sorted(done) == [0, 1, 2, 3] else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_a_fork_has_threads_of_its_own():
    """A process of its own: others' threads do not bear a fork."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKS]
    assert subprocess.run(command, timeout=120, check=False).returncode == 0


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_on_a_thread_is_raised(threads):
    def work(piece):
        if piece == 3:
            raise ValueError("piece 3")

    with pytest.raises(ValueError, match="piece 3"):
        on_threads(work, range(5), threads)


def test_without_a_folder_to_keep_code_in_it_is_compiled_all_the_same(monkeypatch):
    plain = module.njit

    def nowhere(*, cache=False, **settings):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return plain(**settings)

    monkeypatch.setattr(module, "njit", nowhere)

    def double(x):
        return 2 * x

    assert compiled(double)(21) == 42
    assert module.to_the_bit(double)(0.5) == 1.0
