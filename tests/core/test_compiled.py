"""Compiled loops: work on threads is done once and whole, and its errors are heard."""

import threading

import numpy as np
import pytest

from needlepoint._core import compiled as module
from needlepoint._core.compiled import compiled, f32, largest, on_threads, rounded, times_two_to


@compiled
def _powers(x, out):
    for i in range(len(x)):
        whole = rounded(x[i])
        out[i] = times_two_to(f32(1.5), whole)


@compiled
def _most(x):
    most = x[0]
    for i in range(len(x)):
        most = largest(most, x[i])
    return most


def test_powers_of_two_go_into_the_exponent():
    x = np.linspace(-80, 80, 321).astype(np.float32)
    out = np.empty_like(x)
    _powers(x, out)
    np.testing.assert_array_equal(out, np.float32(1.5) * np.exp2(np.rint(x)))


@pytest.mark.parametrize("n", [1, 15, 16, 17, 1000])
def test_the_largest_of_any_number(n):
    x = np.random.default_rng(n).normal(size=n).astype(np.float32)
    assert _most(x) == x.max()


@pytest.mark.parametrize("threads", [1, 2, 50])
def test_every_piece_is_worked_on_once(threads):
    done, lock = [], threading.Lock()

    def work(piece):
        with lock:
            done.append(piece)

    on_threads(work, range(20), threads)
    assert sorted(done) == list(range(20))


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
