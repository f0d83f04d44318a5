"""What a command was asked to do, and the command line that asks it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from needlepoint.evaluation.studies import STUDIES


@dataclass(frozen=True)
class Asked:
    """One study or several, of one model."""

    kind: str
    """The command: demo, circuit, probe and so on."""
    model: str
    """Empty for a study that loads its own models."""
    dtype: str = "auto"
    out: Path | None = None
    configs: tuple[Any, ...] = ()
    """What each study is asked; each of a type that `STUDIES` knows."""

    @property
    def config(self) -> dict[str, Any]:
        """What `run.json` says was asked."""
        given = {STUDIES[type(config)].part: asdict(config) for config in self.configs}
        return {"model": self.model, "dtype": self.dtype, **given}

    @property
    def command(self) -> str:
        """The command that asks for the same again: the question, and what is not by default.

        The folder of the run is left out, as nothing that is found depends on it.

        Example:
            >>> from needlepoint.evaluation.configs import HeadsConfig
            >>> Asked("circuit", "gpt2", configs=(HeadsConfig(seed=1),)).command
            'needlepoint circuit --task ioi --seed 1 --model gpt2'
        """
        words = ["needlepoint", self.kind]
        if self.kind != "demo":
            for config in self.configs:
                words += _options(config)
        words += [] if self.model in ("smollm2", "") else ["--model", self.model]
        words += [] if self.dtype == "auto" else ["--dtype", self.dtype]
        return shlex.join(words)


def _options(config: Any) -> Iterator[str]:
    """The question of a config, and its options that are not by default.

    A field whose metadata has `positional` is a word without a name.
    """
    question = STUDIES[type(config)].question
    for field in fields(config):
        value = getattr(config, field.name)
        if field.metadata.get("positional"):
            yield from map(str, value if isinstance(value, tuple) else (value,))
        elif field.name == question or value != field.default:
            yield f"--{field.name.replace('_', '-')}"
            yield from map(str, value if isinstance(value, tuple) else (value,))
