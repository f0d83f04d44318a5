"""Tiny models of every family, made once and shared; no test may change one."""

from collections.abc import Callable

import pytest
import torch

from needlepoint.models.load import load_model
from needlepoint.models.model import Batch, Model
from needlepoint.models.plain import PlainConfig, PlainTransformer
from needlepoint.testing.tiny import TINY_FAMILIES, byte_tokenizer, draw_weights, tiny_model

Maker = Callable[[str], Model]
FAMILY_NAMES = [*TINY_FAMILIES, "plain"]


def random_plain(n_kv_heads: int = 2) -> Model:
    config = PlainConfig(257, 32, 3, 4, 12, 48, n_kv_heads, max_position_embeddings=256)
    module = PlainTransformer(config)
    draw_weights(module, seed=5)
    return load_model(module, tokenizer=byte_tokenizer(), device="cpu").named("tiny plain")


@pytest.fixture(scope="session")
def tiny() -> Maker:
    """A tiny model by the name of its family, the same one each time."""
    made: dict[str, Model] = {}

    def make(name: str) -> Model:
        if name not in made:
            made[name] = random_plain() if name == "plain" else tiny_model(name)
        return made[name]

    return make


@pytest.fixture(params=FAMILY_NAMES)
def model(request: pytest.FixtureRequest, tiny: Maker) -> Model:
    """A tiny model of each family in turn."""
    return tiny(request.param)


@pytest.fixture
def fresh() -> Maker:
    """A tiny model of one's own, which may be broken."""
    return lambda name: random_plain() if name == "plain" else tiny_model(name)


@pytest.fixture(scope="session")
def texts() -> list[list[int]]:
    """Token ids of three texts of different lengths, longer than the sliding windows."""
    rng = torch.Generator().manual_seed(11)
    return [torch.randint(256, (n,), generator=rng).tolist() for n in (7, 5, 9)]


@pytest.fixture
def batch(model: Model, texts: list[list[int]]) -> Batch:
    return model.batch(texts)


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield
