"""Methods run one after another, each after what the one before it left behind is gone."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

from needlepoint.evaluation.circuits.method_runs import Ran


def one_by_one(run: Callable[[str], Ran], names: Sequence[str]) -> Ran:
    """What each name gives, garbage collected before each."""
    ran = Ran({}, {})
    for name in names:
        gc.collect()
        ran = ran.merged(run(name))
    return ran
