"""A transformer with a neuron whose every trait is known."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from needlepoint.evaluation.dossier.config import DossierConfig
from needlepoint.evaluation.dossier.corpus import Texts
from needlepoint.evaluation.dossier.find import write_dossier
from needlepoint.evaluation.study import Study
from needlepoint.models import planted_parts as parts
from needlepoint.models.model import Model
from needlepoint.models.planted import planted_model

SITE = "L0.N7"
N_TEXTS, LENGTH = 48, 30


@dataclass(frozen=True)
class Planted:
    """The model, texts for it, and the dossier of its neuron."""

    model: Model
    texts: Texts
    study: Study
    config: DossierConfig


def plant(model: Model) -> None:
    """Neuron 7 of layer 0 fires on "b" after "a", and on "q" anywhere, and says "c"."""
    ids = {letter: model.encoder.encode(letter)[0] for letter in "abcq"}
    up, down = model.blocks[0].mlp.up, model.blocks[0].mlp.down
    token, before, after = parts.TOKEN.start, parts.BEFORE.start, parts.NEXT.start
    with torch.no_grad():
        up.weight[7] = 0
        up.weight[7, token + ids["b"]] = up.weight[7, before + ids["a"]] = 1
        up.weight[7, token + ids["q"]] = 2
        up.bias[7] = -1
        down.weight[:, 7] = 0
        down.weight[after + ids["c"], 7] = 1


def planted_texts(model: Model) -> Texts:
    """Random letters with "a b c" and "q c" in half of the texts, neither in the others."""
    draw = np.random.default_rng(0)
    ids = {letter: model.encoder.encode(letter)[0] for letter in parts.LETTERS}
    rest = [ids[letter] for letter in parts.LETTERS if letter not in "qa"]
    found = []
    for number in range(N_TEXTS):
        text = draw.choice(rest, size=LENGTH).tolist()
        if number % 2:
            text[5:8] = [ids["a"], ids["b"], ids["c"]]
            text[20:22] = [ids["q"], ids["c"]]
        else:
            text[9] = ids["a"]
            text[10] = ids["d"]
        found.append(tuple(text))
    names = tuple(f"text {number}" for number in range(N_TEXTS))
    return Texts(tuple(found), names, "planted text")


@pytest.fixture(scope="package")
def planted() -> Planted:
    model = planted_model().model
    plant(model)
    texts = planted_texts(model)
    config = DossierConfig((SITE, "L0.N9"), ablate_texts=6)
    return Planted(model, texts, write_dossier(model, texts, None, config), config)
