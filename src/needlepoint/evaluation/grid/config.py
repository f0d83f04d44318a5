"""What a grid is asked to do: models x tasks or feature collections x methods x repeats."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import PurePath
from typing import Any, ClassVar

from needlepoint._core.errors import DataError, unknown_name
from needlepoint.evaluation.configs import HeadsConfig, NeuronsConfig, require

DTYPES = ("float32", "bfloat16", "float16")
"""Precisions that a grid can run in. `auto` is none: it is chosen by the clock, and what is found
would depend on it."""
MOST_CELLS = 100_000
AXES = ("models", "tasks", "features", "head_methods", "neuron_methods")
FROM_THE_GRID = (
    ("heads", "task", "tasks"),
    ("heads", "seed", "seed"),
    ("neurons", "features", "features"),
    ("neurons", "seed", "seed"),
)
"""Settings of a study that the grid gives to each cell, and where each comes from."""
_LONGEST_PART, _LONGEST = 255, 1000


@dataclass(frozen=True)
class GridConfig:
    """Studies of heads and of neurons for every model, question, method and repeat.

    Each combination is one cell. Settings that all cells share stand in `heads` and `neurons`.
    Several methods can be compared within a cell (`heads.methods`), which measures what really
    matters once for all of them, or each have cells of their own (`head_methods`).

    Raises:
        DataError: If there is nothing to ask, a name stands twice, or a number is out of range.
        UnknownNameError: If there is no such precision or method of probes.

    Example:
        >>> config = GridConfig(tasks=("ioi", "agreement"), repeats=3)
        >>> config.n_cells
        6
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {
        "extra": "forbid",
        "strict": True,
        "use_attribute_docstrings": True,
    }

    models: tuple[str, ...] = ("smollm2",)
    """Models: smollm2 or gemma3-270m (packaged), hub names, local folders, GGUF files."""
    tasks: tuple[str, ...] = ()
    """Behaviours to find heads for: built-in names, JSONL files of prompt pairs, or Python files,
    which are run."""
    features: tuple[str, ...] = ()
    """Feature collections to find neurons for: built-in names, tables of labelled text, or Python
    files, which are run."""
    head_methods: tuple[str, ...] = ()
    """Methods or words for several, as for heads.methods; each makes cells of its own. If empty,
    each cell compares all of heads.methods."""
    neuron_methods: tuple[str, ...] = ()
    """Ways to select the neurons of sparse probes; each makes cells of its own. If empty, each
    cell uses neurons.method."""
    repeats: int = 1
    """Times that each question is asked, with other seeds."""
    seed: int = 0
    """The one number that all randomness follows from."""
    dtype: str = "float32"
    """Precision in which the models run: float32, bfloat16 or float16."""
    heads: HeadsConfig = field(default_factory=HeadsConfig)
    """Settings of all studies of heads; task and seed come from the grid."""
    neurons: NeuronsConfig = field(default_factory=NeuronsConfig)
    """Settings of all studies of neurons; features and seed come from the grid."""

    def __post_init__(self) -> None:
        for axis in AXES:
            _check_names(axis, getattr(self, axis))
        if not self.models:
            raise DataError("models is empty; name at least one, such as smollm2.")
        if not self.tasks and not self.features:
            raise DataError("there is nothing to ask; give tasks, features or both.")
        require(self, {"repeats": 1})
        if self.dtype not in DTYPES:
            raise unknown_name("dtype", self.dtype, DTYPES)
        for name in self.neuron_methods:
            replace(self.neurons, method=name)  # raises what the method cannot be
        self._check_axes()
        if self.n_cells > MOST_CELLS:
            raise DataError(
                f"the grid has {self.n_cells:,} cells; {MOST_CELLS:,} are the most. Leave out some "
                "models, questions or repeats, or make several runs."
            )

    def _check_axes(self) -> None:
        """What the grid varies may not be fixed for all cells as well."""
        given = _changed(self.heads), _changed(self.neurons)
        for part, name, axis in FROM_THE_GRID:
            if name in given[part == "neurons"]:
                raise DataError(f"{part}.{name} comes from {axis} of the grid; leave it out.")
        for methods, one, questions in (
            ("head_methods", "heads.methods", "tasks"),
            ("neuron_methods", "neurons.method", "features"),
        ):
            part, _, name = one.partition(".")
            if getattr(self, methods) and name in given[part == "neurons"]:
                raise DataError(
                    f"{methods} and {one} are both given; keep {methods} for cells of their own, "
                    f"or {one} for every cell."
                )
            if getattr(self, methods) and not getattr(self, questions):
                raise DataError(f"{methods} needs {questions}, of which there are none; add some.")

    @property
    def n_cells(self) -> int:
        """How many cells there are."""
        heads = len(self.tasks) * max(1, len(self.head_methods))
        neurons = len(self.features) * max(1, len(self.neuron_methods))
        return len(self.models) * (heads + neurons) * self.repeats


def _changed(config: Any) -> set[str]:
    """Names of the settings that are not by default."""
    return {one.name for one in fields(config) if getattr(config, one.name) != one.default}


def _check_names(axis: str, names: tuple[str, ...]) -> None:
    """Names that can be shown and looked for on any disk, each once."""
    seen: set[str] = set()
    for name in names:
        if not name.strip():
            raise DataError(f"{axis} has an empty name; write it out, or leave it out.")
        if not name.isprintable():
            raise DataError(f"{axis}: {ascii(name)[:60]} has characters that cannot be printed.")
        parts = PurePath(name).parts
        if len(name) > _LONGEST or any(len(part.encode()) > _LONGEST_PART for part in parts):
            raise DataError(f"{axis}: {name[:40]!r}... is too long for a name or a path.")
        if name in seen:
            raise DataError(f"{axis} has {name!r} twice; leave one out, or ask for more repeats.")
        seen.add(name)
