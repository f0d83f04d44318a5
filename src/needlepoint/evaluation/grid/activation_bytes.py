"""What the cells of a grid will keep on disk, and how fast a model reads it."""

from __future__ import annotations

from dataclasses import dataclass

from needlepoint._core.errors import NeedlepointError
from needlepoint._core.text import Encoder
from needlepoint.activations.extract import rows_per_second
from needlepoint.activations.header import Request
from needlepoint.activations.plan import estimate
from needlepoint.activations.stream import BATCH_TOKENS
from needlepoint.evaluation.configs import NeuronsConfig
from needlepoint.evaluation.find_neurons import ask_collection
from needlepoint.evaluation.grid.work import Job
from needlepoint.evaluation.read_neurons import cut_to_fit, longest_window
from needlepoint.features.collection import Collection
from needlepoint.features.windowed import windowed
from needlepoint.models.families import Shape
from needlepoint.models.load import load_encoder, load_model
from needlepoint.models.outline import model_outline


@dataclass(frozen=True)
class Read:
    """One extraction: what it keeps, and how long it takes."""

    bytes: int | None
    """None where that is not known."""
    seconds: float | None = None
    """None if it was not timed."""
    why: str = ""
    """Why something is not known."""


NOTHING = Read(0, 0.0)
"""Of a study of heads: it keeps no activations in the store."""


def activations_of(job: Job, *, measure: bool, is_file: bool) -> Read:
    """What a cell keeps of activations, exactly, if it can be told without the model or download.

    Args:
        job: The cell.
        measure: Whether to load the model and the texts, whatever that takes, and to time a
            forward pass over a few texts.
        is_file: Whether the texts are in a file, and so at hand.
    """
    config = job.config
    if not isinstance(config, NeuronsConfig):
        return NOTHING
    try:
        if measure:
            return _measured(job, config)
        outline = model_outline(job.model)
        if outline is None:
            return Read(None, why="the model is not on this disk; --measure loads it")
        if not is_file:
            return Read(None, why="the texts are not loaded; --measure loads them")
        encoder = load_encoder(job.model)
        most = longest_window(outline.positions, n_prefix=int(encoder.first_token() is not None))
        collection = windowed(ask_collection(config, encoder), most)
        return Read(_bytes(collection, outline.shape))
    except NeedlepointError as error:
        return Read(None, why=str(error))


def _measured(job: Job, config: NeuronsConfig) -> Read:
    model = load_model(job.model, dtype=job.dtype)
    encoder: Encoder = model.encoder
    collection = cut_to_fit(model, ask_collection(config, encoder))
    rows = len(collection.rows)
    rate = rows_per_second(model, collection.ids, rows, BATCH_TOKENS)
    return Read(_bytes(collection, model.shape), rows / rate)


def _bytes(collection: Collection, shape: Shape) -> int:
    widths = {f"L{layer}.mlp.neurons": shape.d_mlp for layer in range(shape.n_layers)}
    request = Request("", "", "", widths, len(collection.rows), collection.reduce)
    return estimate(request).bytes
