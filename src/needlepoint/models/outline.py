"""The sizes of a model without its weights, which may take minutes to load."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from needlepoint._core.errors import ModelError
from needlepoint.models.attention_only import AttentionOnlyTransformer
from needlepoint.models.families import Shape, family_of, shape_of
from needlepoint.models.lens_folder import is_lens_folder, lens_config
from needlepoint.models.packaged import PACKAGED, is_cached, packaged_folder
from needlepoint.models.quiet import quiet


@dataclass(frozen=True)
class Outline:
    """What can be known of a model from its configuration."""

    shape: Shape
    positions: int | None
    """Most tokens of a text, the first token included; None if nothing bounds them."""


def model_outline(source: str) -> Outline | None:
    """The outline of a model that lies on this disk.

    Returns:
        None if it is not there yet, or a GGUF file: it has to be loaded to be known.

    Raises:
        ModelError: If its configuration cannot be read, or is of a family without a rule.
    """
    if source in PACKAGED and is_cached(source):
        folder = packaged_folder(source)[0]
    elif Path(source).is_dir():
        folder = Path(source)
    else:
        return None
    if is_lens_folder(folder):
        config = lens_config(folder)
        with torch.device("meta"):
            lens = AttentionOnlyTransformer(config)
        return Outline(shape_of(lens, family_of(config)), config.max_position_embeddings)
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        with quiet(), torch.device("meta"):
            module = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    except (OSError, ValueError, KeyError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{source} does not hold a model that can be read: {reason}") from error
    positions = getattr(module.config, "max_position_embeddings", None)
    return Outline(shape_of(module, family_of(module.config)), positions)
