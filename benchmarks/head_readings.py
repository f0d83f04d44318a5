"""What studies of heads share: activations at several positions, and the exact effect of each head.

Activations are read once and kept in the cache folder. Effects are kept as records,
`records/head_effects.TASK.json`, so that studies of the same prompts are judged by the same truth;
those of another model than the packaged default as `records/head_effects.TASK.MODEL.json`.

    python benchmarks/head_readings.py --tasks ioi greater_than
    python benchmarks/head_readings.py --tasks ioi --model gemma3-270m --only effects

A task that the model cannot be asked, or does not do, leaves a record of why and no effects.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from needlepoint._core.errors import DataError, SourceError
from needlepoint._core.files import atomic_path, cache_dir, write_text
from needlepoint._core.progress import progress_bars
from needlepoint._core.provenance import machine, now, versions
from needlepoint.activations.reduce import Rows
from needlepoint.activations.stream import gather
from needlepoint.circuits.ablation import head_effects
from needlepoint.circuits.head_data import HeadData
from needlepoint.circuits.metric import UNITS
from needlepoint.evaluation.check_tasks import check_task
from needlepoint.evaluation.read_heads import pair_batch
from needlepoint.models.load import load_model
from needlepoint.models.model import Model
from needlepoint.models.published import centred_head_weights, value_offsets
from needlepoint.models.sites import Part, Site
from needlepoint.tasks import load_task
from needlepoint.tasks.pairs import Prompts

RECORDS = Path(__file__).parent / "records"
DEFAULT_MODEL = "smollm2"
"""The model whose records bear no model's name."""
DRAWN = 290
"""Pairs drawn for a task; the first are those whose effects were taken."""
READ_PAIRS = 250
EFFECT_PAIRS = 40
CHECK_PAIRS = 100
"""Pairs on which it is seen whether the model does a task."""
FEWER_PAIRS = {"docstring": 16}
"""Tasks whose prompts are long enough that fewer pairs have to do."""
POSITIONS = ("mean", "mean without first", "last")
"""Ways of going from positions to one vector for each head and prompt; the first is the paper's."""


def effect_pairs(task: str) -> int:
    """Pairs on which every head of a task is ablated."""
    return FEWER_PAIRS.get(task, EFFECT_PAIRS)


def record_path(benchmark: str, task: str, model: str = DEFAULT_MODEL) -> Path:
    """Where the record of a task and a model, by the name it is loaded by, is kept."""
    tail = "" if model == DEFAULT_MODEL else f".{model}"
    return RECORDS / f"{benchmark}.{task}{tail}.json"


def lacking(model: Model, task: str) -> str:
    """Why heads of a task cannot be looked for in a model; empty if they can."""
    try:
        found = check_task(model, prompts_of(model, task).first(CHECK_PAIRS))
    except DataError as error:
        return str(error)
    return "" if found.behaviour.present else found.reason


def prompts_of(model: Model, task: str) -> Prompts:
    """The pairs of a task that all studies here share."""
    return load_task(task, model.encoder, n_pairs=DRAWN, seed=0, corruption="")


def span_rows(ids: Sequence[Sequence[int]], first: bool) -> Rows:
    """For each text, in the order of `POSITIONS`: all positions, all but the first, the last."""
    spans = [
        span
        for text, row in enumerate(ids)
        for span in ((text, -1 if first else 0, len(row)), (text, 0, len(row)), last(text, row))
    ]
    return Rows.of(np.array(spans), "mean")


def last(text: int, row: Sequence[int]) -> tuple[int, int, int]:
    return text, len(row) - 1, len(row)


def read_z(model: Model, ids: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    """The z of every head on every prompt, `[pair, head, d_head]`, at each of `POSITIONS`."""
    sites = [Site.of(layer, Part.HEADS) for layer in range(model.shape.n_layers)]
    found = gather(model, ids, sites, span_rows(ids, bool(model.prefix)))
    z = torch.cat([found[site] for site in sites], dim=1).float()
    z = z - value_offsets(model).flatten(0, 1)
    return {name: z[at :: len(POSITIONS)].contiguous() for at, name in enumerate(POSITIONS)}


def read_task(model: Model, task: str) -> dict[str, HeadData]:
    """Head data of a task at each of `POSITIONS`, from the cache where it was read before."""
    prompts = prompts_of(model, task).first(READ_PAIRS)
    key = f"{task}.{prompts.sha256[:12]}.{model.card()['sha256'][:12]}.safetensors"
    path = cache_dir() / "head_readings" / key
    if not path.exists():
        sides = {"clean": prompts.clean_ids, "corrupt": prompts.corrupt_ids}
        read = {side: read_z(model, ids) for side, ids in sides.items()}
        tensors = {f"{side}.{name}": z for side in read for name, z in read[side].items()}
        with atomic_path(path) as temporary:
            save_file(tensors, temporary)
    z = load_file(path)
    layers = torch.arange(model.shape.n_layers).repeat_interleave(model.shape.n_heads)
    weights = centred_head_weights(model).float().cpu()
    return {
        name: HeadData(z[f"clean.{name}"], z[f"corrupt.{name}"], weights, layers)
        for name in POSITIONS
    }


@dataclass(frozen=True)
class Effects:
    """The exact effect of every head on every pair, and the metric without ablation."""

    effects: Tensor
    clean: Tensor
    corrupt: Tensor

    @property
    def value_range(self) -> float:
        """Mean clean minus mean corrupt metric."""
        return float(self.clean.mean() - self.corrupt.mean())


def effects_of(task: str, model: str = DEFAULT_MODEL) -> dict[str, Any]:
    """The record of a task's effects.

    Raises:
        SourceError: If there is no such record.
    """
    path = record_path("head_effects", task, model)
    if not path.exists():
        raise SourceError(
            f"there is no record of the head effects of {task} in {model}: run "
            f"python benchmarks/head_readings.py --tasks {task} --model {model} first."
        )
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def read_effects(task: str, model: str = DEFAULT_MODEL) -> Effects:
    """The effects in the record of a task.

    Raises:
        SourceError: If there is no such record, or the model does not do the task.
    """
    record = effects_of(task, model)
    if "skipped" in record:
        raise SourceError(f"{task} was skipped in {model}: {record['skipped']}")
    return Effects(*(torch.tensor(record[key]) for key in ("effects", "clean", "corrupt")))


def measure_effects(model: Model, task: str) -> dict[str, Any]:
    """The record of one task: every head resampled from the paired corrupt prompt, in turn."""
    prompts = prompts_of(model, task).first(effect_pairs(task))
    pairs = pair_batch(model, prompts)
    begin = time.perf_counter()
    effects = head_effects(model, pairs)
    seconds = time.perf_counter() - begin
    with torch.no_grad():
        ends = [
            torch.cat(
                [one.answers(model.last_logits(getattr(one, side))) for _, one in pairs.parts()]
            )
            for side in ("clean", "corrupt")
        ]
    return effects_record(model, task, Effects(effects, *ends)) | {"seconds": round(seconds, 1)}


def effects_record(model: Model, task: str, found: Effects) -> dict[str, Any]:
    """The settings and the figures, in the layout of the record."""
    prompts = prompts_of(model, task).first(effect_pairs(task))
    card = model.card()
    return {
        "benchmark": "head_effects",
        "date": now(),
        "machine": machine(),
        "versions": versions(),
        "model": {key: card[key] for key in ("name", "dtype", "first_token", "sha256")},
        "task": task,
        "corruption": prompts.corruption,
        "prompts": {
            "drawn": DRAWN,
            "first": effect_pairs(task),
            "seed": 0,
            "sha256": prompts.sha256,
            "order": "by token length, pairs of one length in the order in which they were drawn",
        },
        "ablation": "resample, from the paired corrupt prompt, at every position, one head a time",
        "metric": prompts.metric,
        "unit": UNITS[prompts.metric],
        "axes": "effects [pair, head], heads in layer-major order; clean and corrupt [pair]",
        "clean": _rounded(found.clean),
        "corrupt": _rounded(found.corrupt),
        "effects": [_rounded(row) for row in found.effects],
    }


def skipped_record(model: Model, task: str, reason: str) -> dict[str, Any]:
    """What is kept of a task that the model does not do."""
    card = model.card()
    return {
        "benchmark": "head_effects",
        "date": now(),
        "model": {key: card[key] for key in ("name", "dtype", "first_token", "sha256")},
        "task": task,
        "skipped": reason,
        "effects": [],
    }


def write_effects(record: dict[str, Any], model: str = DEFAULT_MODEL) -> None:
    """Keep the record, one line for each key and one for each pair."""
    lines = [f'  "{key}": {json.dumps(value)}' for key, value in record.items() if key != "effects"]
    rows = ",\n".join(f"    {json.dumps(row)}" for row in record["effects"])
    text = "{\n" + ",\n".join([*lines, f'  "effects": [\n{rows}\n  ]']) + "\n}\n"
    write_text(record_path("head_effects", record["task"], model), text)


def _rounded(values: Tensor) -> list[float]:
    return [round(value, 5) for value in cast("list[float]", values.tolist())]


def keep_task(model: Model, name: str, task: str, only: str | None) -> str:
    """Read and measure one task as asked; what came of it, in a word or a sentence."""
    if reason := lacking(model, task):
        write_effects(skipped_record(model, task, reason), name)
        return reason
    if only != "effects":
        read_task(model, task)
    if only != "activations":
        write_effects(measure_effects(model, task), name)
    return "done"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", required=True)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--only", choices=("activations", "effects"))
    args = parser.parse_args()
    model = load_model(args.model)
    with progress_bars():
        for task in args.tasks:
            print(f"{task}: {keep_task(model, args.model, task, args.only)}", flush=True)


if __name__ == "__main__":
    main()
