"""The models of a comparison: loaded by name, trained or not, and how large they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from needlepoint.evaluation.case_studies.configs import UNTRAINED, ScalingConfig
from needlepoint.evaluation.case_studies.untrained import untrained_copy
from needlepoint.models.load import load_model
from needlepoint.models.model import Model


@dataclass(frozen=True)
class Scale:
    """How large a model is."""

    model: str
    """What it is called: the name it was asked for by, of a folder its last part."""
    title: str
    parameters: int
    neurons: int
    layers: int
    d_model: int
    d_mlp: int
    trained: bool

    @property
    def size(self) -> tuple[int, bool]:
        """What models are put in order by: their neurons, and of equals the untrained first."""
        return self.neurons, self.trained


def labels_of(names: Sequence[str]) -> list[str]:
    """What models are called: of a folder or file its own name, unless two have the same.

    Example:
        >>> labels_of(["smollm2", "untrained:smollm2"])
        ['smollm2', 'untrained:smollm2']
    """
    short = []
    for name in names:
        prefix = UNTRAINED if name.startswith(UNTRAINED) else ""
        path = Path(name.removeprefix(prefix))
        short.append(prefix + path.resolve().name if path.exists() else name)
    return [one if short.count(one) == 1 else name for one, name in zip(short, names, strict=True)]


def open_model(name: str, config: ScalingConfig) -> Model:
    """The model of a name; random weights in its shape if the name begins with `untrained:`.

    Raises:
        ModelError: If it cannot be loaded.
    """
    model = load_model(name.removeprefix(UNTRAINED), dtype=config.dtype)
    return untrained_copy(model, seed=config.seed) if name.startswith(UNTRAINED) else model


def scale_of(model: Model, label: str, *, trained: bool = True) -> Scale:
    """The sizes of a model."""
    return Scale(
        label,
        model.name,
        sum(weight.numel() for weight in model.module.parameters()),
        model.shape.n_neurons,
        model.shape.n_layers,
        model.shape.d_model,
        model.shape.d_mlp,
        trained,
    )
