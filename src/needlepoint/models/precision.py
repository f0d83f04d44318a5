"""Which precision to run in: measured on this machine, taken only if the logits stay put."""

from __future__ import annotations

import copy
import json
import time
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import torch

from needlepoint._core.files import cache_dir, write_text
from needlepoint._core.provenance import machine, versions
from needlepoint.models.model import Batch, Model
from needlepoint.models.products import quick_product

MAX_KL = 1e-4
"""Largest mean KL divergence, in nats, from float32's next-token distribution."""
MIN_AGREEMENT = 0.99
"""Smallest share of positions whose most likely next token is the same."""

_TEXTS = (
    "The committee met on Tuesday to discuss the new budget, and its chair said that the "
    "decision would be announced before the end of the month.",
    "def mean(values):\n    total = 0\n    for value in values:\n        total += value\n    "
    "return total / len(values)\n",
    "When Mary and John went to the store, John gave a drink to Mary. Then they walked home "
    "along the river and talked about the weather.",
    '<div class="menu">\n  <a href="/index.html">Home</a>\n  <a href="/about">About</a>\n</div>',
)


@dataclass(frozen=True)
class Precision:
    """What was measured, and what was chosen."""

    chosen: str
    speedup: float
    """Time of float32 over time of bfloat16, on the same batch."""
    mean_kl: float
    """Mean KL divergence of bfloat16's next-token distribution from float32's, in nats."""
    agreement: float
    """Share of positions with the same most likely next token."""
    max_change: float
    """Largest change of any token's log-probability, in nats."""

    @property
    def sentence(self) -> str:
        """The choice and its reason, in words."""
        return (
            f"bfloat16 is {self.speedup:.2f}x as fast as float32 here; it moves "
            f"log-probabilities by up to {self.max_change:.2g} nats "
            f"(mean KL {self.mean_kl:.1e} nats, "
            f"same top token at {self.agreement:.1%} of positions): running in {self.chosen}."
        )


def choose_precision(model: Model, key: str) -> Precision:
    """Measure float32 against bfloat16 on a float32 model, once for each model and machine.

    bfloat16 is chosen only if it is faster and moves the next-token distribution by less than
    `MAX_KL` and `MIN_AGREEMENT` allow. The model is handed back in float32.
    """
    path = cache_dir() / "precision.json"
    known: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
    place = [str(machine()["processor"]), str(model.device), versions()["torch"]]
    name = "|".join([key, *place, *(["oneDNN"] if quick_product() else [])])
    if name not in known:
        known[name] = asdict(_measure(model))
        write_text(path, json.dumps(known, indent=1))
    return Precision(**known[name])


def _measure(model: Model) -> Precision:
    batch = model.batch([model.encoder.encode(text) for text in _TEXTS * 4])
    few = batch.rows(slice(0, len(_TEXTS)))
    rough_model = replace(model, module=in_precision(model.module, torch.bfloat16))
    with torch.no_grad():
        slow, fast = _seconds(model, batch), _seconds(rough_model, batch)
        exact = model.logits(few).float().log_softmax(-1)[few.mask]
        rough = rough_model.logits(few).float().log_softmax(-1)[few.mask]
    kl = (exact.exp() * (exact - rough)).sum(-1).mean().item()
    agreement = (exact.argmax(-1) == rough.argmax(-1)).float().mean().item()
    good = slow > fast and kl <= MAX_KL and agreement >= MIN_AGREEMENT
    moved = (exact - rough).abs().max().item()
    return Precision("bfloat16" if good else "float32", slow / fast, kl, agreement, moved)


def in_precision(module: Any, dtype: torch.dtype) -> Any:
    """A copy of a module with its weights in another precision; buffers keep theirs."""
    copied = copy.deepcopy(module)
    for parameter in copied.parameters():
        parameter.data = parameter.data.to(dtype)
    return copied


def _seconds(model: Model, batch: Batch, repeats: int = 3) -> float:
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        model.hidden(batch)
        if model.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return median(times[1:])
