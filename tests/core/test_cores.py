"""Free cores are counted from the kernel's idle times."""

import pytest

from needlepoint._core import cores as module
from needlepoint._core.cores import free_cores
from needlepoint._core.provenance import cores


def counters(monkeypatch, idle: list[float], seconds: float = 0.2) -> None:
    """Each core was idle for these shares of the time between two looks."""
    looks = iter(
        [
            dict.fromkeys(range(len(idle)), 100.0),
            {n: 100.0 + share * seconds for n, share in enumerate(idle)},
        ]
    )
    times = iter([0.0, seconds])
    monkeypatch.setattr(module, "_idle_seconds", lambda: next(looks))
    monkeypatch.setattr(module, "cores", lambda: len(idle))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(times))
    monkeypatch.setattr(module.time, "sleep", lambda _: None)


@pytest.mark.parametrize(
    ("idle", "free"),
    [
        ([1.0, 1.0], 2),
        ([1.0, 0.0], 1),
        ([0.0, 0.0], 1),
        ([0.9, 0.8, 1.0, 0.1], 3),
        ([1.3, 1.3], 2),
    ],
)
def test_busy_cores_do_not_count_and_one_always_does(monkeypatch, idle, free) -> None:
    counters(monkeypatch, idle)
    assert free_cores() == free


def test_where_nothing_is_counted_every_core_is_free(monkeypatch) -> None:
    monkeypatch.setattr(module, "_idle_seconds", lambda: None)
    assert free_cores() == cores()


def test_on_this_machine_there_is_at_least_one_and_no_more_than_there_are() -> None:
    assert 1 <= free_cores(0.02) <= cores()
