"""What a command was asked to do, and the command line that asks it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from needlepoint.evaluation.configs import HeadsConfig, NeuronsConfig


@dataclass(frozen=True)
class Asked:
    """One study or both, of one model."""

    kind: str
    """The command: demo, circuit or probe."""
    model: str
    dtype: str = "auto"
    out: Path | None = None
    heads: HeadsConfig | None = None
    neurons: NeuronsConfig | None = None

    @property
    def config(self) -> dict[str, Any]:
        """What `run.json` says was asked."""
        parts = {"heads": self.heads, "neurons": self.neurons}
        given = {name: asdict(part) for name, part in parts.items() if part is not None}
        return {"model": self.model, "dtype": self.dtype, **given}

    @property
    def command(self) -> str:
        """The command that asks for the same again: the question, and what is not by default.

        The folder of the run is left out, as nothing that is found depends on it.

        Example:
            >>> Asked("circuit", "gpt2", heads=HeadsConfig(seed=1)).command
            'needlepoint circuit --task ioi --seed 1 --model gpt2'
        """
        words = ["needlepoint", self.kind]
        if self.kind != "demo":
            for config in (self.heads, self.neurons):
                words += [] if config is None else _options(config)
        words += [] if self.model == "smollm2" else ["--model", self.model]
        words += [] if self.dtype == "auto" else ["--dtype", self.dtype]
        return shlex.join(words)


def _options(config: HeadsConfig | NeuronsConfig) -> Iterator[str]:
    """The first option of a config, which is the question, and those that are not by default."""
    for place, field in enumerate(fields(config)):
        value = getattr(config, field.name)
        if place == 0 or value != field.default:
            yield f"--{field.name.replace('_', '-')}"
            yield from map(str, value if isinstance(value, tuple) else (value,))
