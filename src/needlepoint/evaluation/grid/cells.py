"""The cells of a grid: their names, settings and seeds, in the order in which they are run."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from needlepoint._core.errors import DataError
from needlepoint._core.seeds import seed_for
from needlepoint.evaluation.configs import HeadsConfig, NeuronsConfig
from needlepoint.evaluation.grid.config import GridConfig

_LONGEST = 48


@dataclass(frozen=True)
class Cell:
    """One study of a grid: a model, a question, a method, a repeat."""

    name: str
    """Unique in the grid, and the name of its record."""
    model: str
    question: str
    """The task or the feature collection, as the config has it."""
    method: str
    """The method that this cell has for itself; empty if the shared settings say which."""
    repeat: int
    config: HeadsConfig | NeuronsConfig
    """What the study is asked, with the seed of the repeat."""

    @property
    def kind(self) -> str:
        """Kind of its record."""
        return kind_of(self.config)

    @property
    def reads(self) -> str:
        """What of the store it reads; cells with the same one read the same activations.

        Empty for a study of heads, which keeps none there.
        """
        if isinstance(self.config, HeadsConfig):
            return ""
        return f"{self.model} | {self.question} | {self.repeat}"


def kind_of(config: HeadsConfig | NeuronsConfig) -> str:
    """Kind of the record that a study leaves."""
    return "circuit" if isinstance(config, HeadsConfig) else "probe"


def cells_of(config: GridConfig) -> tuple[Cell, ...]:
    """All cells of a grid, those of one model together, methods of one question side by side.

    A cell's seed follows from the grid's seed and the number of the repeat and from nothing else:
    all models, questions and methods of a repeat see the same split, and adding one leaves the
    others as they were.

    Raises:
        DataError: If two names stand for one file.

    Example:
        >>> grid = GridConfig(tasks=("ioi",), head_methods=("eap", "random"))
        >>> [cell.name for cell in cells_of(grid)]
        ['circuit.ioi.smollm2.eap.r0', 'circuit.ioi.smollm2.random.r0']
    """
    words = {axis: _words(axis, getattr(config, axis)) for axis in ("models", "tasks", "features")}
    return tuple(_cells(config, words))


def _cells(config: GridConfig, words: Mapping[str, Mapping[str, str]]) -> Iterator[Cell]:
    for model in config.models:
        for repeat in range(config.repeats):
            seed = seed_for(config.seed, repeat=repeat)
            for axis, question, method, study in _studies(config):
                parts = [kind_of(study), words[axis][question], words["models"][model]]
                name = ".".join([*parts, *([_word(method)] if method else []), f"r{repeat}"])
                yield Cell(name, model, question, method, repeat, replace(study, seed=seed))


def _studies(
    config: GridConfig,
) -> Iterator[tuple[str, str, str, HeadsConfig | NeuronsConfig]]:
    """Axis, question, method and settings of each study of one model and repeat."""
    for task in config.tasks:
        heads = replace(config.heads, task=task)
        for method in config.head_methods or ("",):
            yield "tasks", task, method, replace(heads, methods=(method,)) if method else heads
    for features in config.features:
        neurons = replace(config.neurons, features=features)
        for method in config.neuron_methods or ("",):
            yield "features", features, method, replace(neurons, method=method or neurons.method)


def _words(axis: str, names: Iterable[str]) -> dict[str, str]:
    """A word for each name that can be part of a file's; a hash where two would be the same."""
    names = tuple(names)
    places = Counter(Path(name).resolve() for name in names)
    for name in names:
        place = Path(name).resolve()
        if places[place] > 1:
            raise DataError(f"{axis}: {name!r} stands for {place}, as another name does.")
    short = {name: _word(name) for name in names}
    spelled = Counter(word.casefold() for word in short.values())
    return {
        name: word if spelled[word.casefold()] == 1 else f"{word}-{_digest(name)}"
        for name, word in short.items()
    }


def _word(name: str) -> str:
    """A name without what files cannot be called; of a file or an absolute path the last part.

    It follows from the name alone, and not from what lies on this disk.

    Example:
        >>> _word("EleutherAI/pythia-70m"), _word("data/my pairs.jsonl")
        ('EleutherAI-pythia-70m', 'my-pairs')
    """
    path = Path(name)
    if path.suffix.lower() in (".jsonl", ".py", ".csv", ".parquet", ".gguf"):
        name = path.stem
    elif path.is_absolute() or name.startswith("."):
        name = path.name
    word = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")
    return word if 0 < len(word) <= _LONGEST else f"{word[:_LONGEST]}-{_digest(name)}".strip("-")


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]
