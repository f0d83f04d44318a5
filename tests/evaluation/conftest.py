"""A planted circuit, and labelled texts of two small vocabularies: studies with a known answer."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Generator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch

from needlepoint.evaluation.configs import HeadsConfig, NeuronsConfig
from needlepoint.evaluation.find_heads import judge_heads
from needlepoint.evaluation.find_neurons import judge_neurons
from needlepoint.evaluation.read_neurons import NeuronData, read_neurons
from needlepoint.evaluation.study import Study
from needlepoint.features.collection import Card, Collection
from needlepoint.models.model import Model
from needlepoint.models.planted import PlantedModel, planted_model, planted_prompts
from needlepoint.tasks.pairs import Pair, Prompts, pair_prompts
from needlepoint.testing.tiny import tiny_model

HIGH, LOW = (10, 11, 12), (200, 201, 202)
"""Tokens of the texts with the feature `high`, and of those without."""
HEADS = HeadsConfig(ablate_pairs=12, holdout_pairs=8, random_circuits=10, sae_seeds=1)
NEURONS = NeuronsConfig(max_k=4, permutations=60, ablate_texts=6, random_neurons=2, cards=2)

Make = Callable[..., Collection]
_CACHE = TemporaryDirectory(prefix="needlepoint-evaluation-")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """One cache for the tests of this folder and what they share, and for no test after them."""
    with pytest.MonkeyPatch.context() as patch:
        if item.path.is_relative_to(Path(__file__).parent):  # the hook is called for every test
            patch.setenv("NEEDLEPOINT_CACHE", _CACHE.name)
        return (yield)


@pytest.fixture(scope="session")
def planted() -> PlantedModel:
    return planted_model()


@pytest.fixture(scope="session")
def heads_config() -> HeadsConfig:
    return HEADS


@pytest.fixture(scope="session")
def heads_study(planted: PlantedModel) -> Study:
    return judge_heads(planted.model, planted_prompts(planted, n_pairs=32), HEADS)


@pytest.fixture(scope="session")
def tiny() -> Model:
    return tiny_model("llama")


@pytest.fixture(scope="session")
def toy() -> Make:
    """Makes a collection of 40 documents of two texts each.

    Half of the documents have the feature `high`: their texts are of other tokens. The feature
    `coin` was tossed for each document and is in no text.
    """
    return make_toy


def make_toy(*, seed: int = 0, high: bool = True, coin: bool = True) -> Collection:
    rng = np.random.default_rng(seed)
    ids, documents, labels = [], [], []
    tossed = rng.permutation(np.arange(40) % 2 == 0)
    for document in range(40):
        has = document % 2 == 0
        for _ in range(2):
            length = 12 - int(rng.integers(4))
            ids.append(tuple(rng.choice(HIGH if has else LOW, length).tolist()))
            documents.append(f"document {document}")
            labels.append([has] * high + [bool(tossed[document])] * coin)
    rows = np.array([[text, 0, len(row)] for text, row in enumerate(ids)])
    names = ("high",) * high + ("coin",) * coin
    return _collection(ids, documents, rows, names, labels)


@pytest.fixture(scope="session")
def apart() -> Collection:
    """The toy texts; `high` and `low`, its opposite, are asked on other rows than `coin` is.

    Some rows are asked for all three. Where a feature is not asked its label is wrong.
    """
    toy = make_toy()
    members = np.ones((80, 3), dtype=bool)
    members[::7, :] = [False, True, False]
    members[3::7, 1] = False
    labels = np.column_stack([toy.labels, ~toy.labels[:, 0]])
    return dataclasses.replace(
        toy, features=("high", "coin", "low"), labels=labels ^ ~members, members=members
    )


@pytest.fixture(scope="session")
def token_level() -> Collection:
    """Texts of both vocabularies: each token is a row, with the feature if it is of the first."""
    rng = np.random.default_rng(1)
    ids = [tuple(rng.choice(HIGH + LOW, 8).tolist()) for _ in range(24)]
    rows = np.array([[text, at, at + 1] for text in range(24) for at in range(8)])
    labels = [[ids[text][at] in HIGH] for text, at, _ in rows.tolist()]
    documents = [f"document {text}" for text in range(24)]
    return _collection(ids, documents, rows, ("high",), labels, name="tokens")


def _collection(ids, documents, rows, names, labels, name: str = "toy") -> Collection:
    card = Card(
        name=name,
        title="Toy texts",
        description="Random tokens of two vocabularies.",
        source="made in a test",
        licence="none",
        how_labelled="by which vocabulary was drawn from",
        confounds=("The vocabularies share no token.",),
        aggregation="mean over the text",
    )
    return Collection(
        card,
        "Which neurons tell the vocabularies apart?",
        tuple(ids),
        tuple(documents),
        rows,
        "mean",
        tuple(names),
        np.array(labels),
    )


@pytest.fixture(scope="session")
def neurons_config() -> NeuronsConfig:
    return NEURONS


@pytest.fixture(scope="session")
def neurons_study(tiny: Model, toy: Make) -> Study:
    return judge_neurons(tiny, toy(), NEURONS)


@pytest.fixture(scope="session")
def neuron_data(tiny: Model, toy: Make) -> NeuronData:
    return read_neurons(tiny, toy(), seed=3)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def letter_pairs() -> Callable[[Model], Prompts]:
    """Four pairs of unlike lengths that differ at the named position `changed`, on any model."""
    texts = [("abcdef", "abXdef"), ("ab", "cb"), ("hello you", "hellX you"), ("abcd", "abce")]
    pairs = [
        Pair(clean, corrupt, *(("x", "y") if place % 2 else ("y", "x")))
        for place, (clean, corrupt) in enumerate(texts)
    ]

    def make(model: Model) -> Prompts:
        return pair_prompts(
            pairs,
            model.encoder,
            task="toy",
            description="d",
            question="q?",
            corruption="c",
            positions={"changed": (2, 0, 4, 3)},
        )

    return make


@pytest.fixture(scope="session")
def promised() -> Callable[[str], tuple[dict[str, list[str]], dict[str, set[str]]]]:
    """Reads from the design notes, for a kind of cell, the columns of its tables and the keys
    of those parts of its summary that are spelled out there."""
    text = (Path(__file__).parents[2] / "docs" / "design.md").read_text(encoding="utf-8")

    def read(kind: str) -> tuple[dict[str, list[str]], dict[str, set[str]]]:
        section = re.split(r"^### Cell .*kind `", text, flags=re.M)
        body = next(part for part in section if part.startswith(f"{kind}`")).split("\n## ")[0]
        plain = re.sub(r"\([^()]*\)", "", body)
        tables = {}
        for name, columns in re.findall(r"^\| `(\w+)` \|[^|]*\|(.*)\|$", plain, flags=re.M):
            quoted = ",".join(re.findall(r"`([^`]*)`", columns)).split(",")
            tables[name] = [column.strip() for column in quoted if column.strip()]
        summary = plain[plain.index("Summary:") : plain.index("\n|")].replace("`", "")
        groups = re.findall(r"(\w+):? \[?\{([^{}]*(?:\{[^{}]*\})?[^{}]*)\}", summary)
        keys = {
            name: {part.split(":")[0].strip() for part in re.sub(r"\{.*?\}", "", inside).split(",")}
            for name, inside in groups
        }
        return tables, keys

    return read
