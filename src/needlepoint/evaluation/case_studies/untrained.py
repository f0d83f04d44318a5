"""A model with the weights it started from: what its shape and its tokens alone give."""

from __future__ import annotations

from dataclasses import replace

import torch

from needlepoint._core.seeds import seed_for
from needlepoint.models.model import Model


def untrained_copy(model: Model, *, seed: int = 0) -> Model:
    """The same model with random weights, drawn as its class draws them before training.

    It is not the checkpoint that training began with, which is rarely published. Embeddings are
    random too, but tokens still differ, so that what tokens alone tell can still be read.

    Args:
        model: A model in memory; it stays as it is.
        seed: The seed of the whole run.

    Example:
        >>> from needlepoint.models.micro import micro_model
        >>> untrained_copy(micro_model()).name
        'micro, untrained'
    """
    kind = type(model.module)
    drawn = seed_for(seed, model=model.name, use="untrained")
    with torch.random.fork_rng():
        torch.manual_seed(drawn)
        module = kind(model.module.config)
    module = module.to(device=model.device, dtype=model.dtype).eval()
    provenance = {"source": f"random weights in the shape of {model.name}, seed {drawn}"}
    return replace(model, module=module, name=f"{model.name}, untrained", provenance=provenance)
