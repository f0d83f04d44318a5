"""Features, or pieces of a layer, worked on side by side, each run of them by one thread.

A fit is a chain of short steps, and threads that share each step mostly wait for one another. The
fits of two features have nothing to wait for.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from jaxtyping import Int
from torch import Tensor

T = TypeVar("T")


def side_by_side(
    work: Callable[[Int[Tensor, " feature"]], T], n_features: int, device: torch.device
) -> list[T]:
    """What a piece of work makes of each run of features, in order; on a CPU a run for each thread.

    The work must not depend on which features stand together. Elsewhere, and with one thread or
    one feature, there is one run. The number of threads is torch's, and is the same afterwards.

    Example:
        >>> side_by_side(lambda features: features.tolist(), 1, torch.device("cpu"))
        [[0]]
    """
    threads = torch.get_num_threads()
    every = torch.arange(n_features, device=device)
    runs = every.tensor_split(min(threads, n_features))
    if device.type != "cpu" or len(runs) == 1:
        return [work(every)]
    try:
        with ThreadPoolExecutor(
            len(runs), initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            return list(pool.map(work, runs))
    finally:
        torch.set_num_threads(threads)
