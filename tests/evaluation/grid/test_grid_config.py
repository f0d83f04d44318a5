"""What a grid can be asked, and how it is refused what it cannot."""

from __future__ import annotations

import pytest

from needlepoint._core.errors import DataError, NeedlepointError
from needlepoint._core.seeds import seed_for
from needlepoint.evaluation.configs import HeadsConfig, NeuronsConfig
from needlepoint.evaluation.grid.cells import cells_of
from needlepoint.evaluation.grid.config import MOST_CELLS, GridConfig


def test_cells_are_all_combinations_each_once() -> None:
    config = GridConfig(
        models=("smollm2", "gemma3-270m"),
        tasks=("ioi", "agreement"),
        features=("latex",),
        head_methods=("eap", "random"),
        neuron_methods=("top_k", "swap", "forward"),
        repeats=2,
    )
    cells = cells_of(config)
    assert len(cells) == config.n_cells == 2 * (2 * 2 + 3) * 2
    assert len({cell.name for cell in cells}) == len(cells)
    heads = [cell.config for cell in cells if isinstance(cell.config, HeadsConfig)]
    assert {(one.task, one.methods) for one in heads} == {
        (task, (method,)) for task in ("ioi", "agreement") for method in ("eap", "random")
    }
    neurons = [cell.config for cell in cells if isinstance(cell.config, NeuronsConfig)]
    assert {one.method for one in neurons} == {"top_k", "swap", "forward"}


def test_cells_of_one_model_come_together() -> None:
    cells = cells_of(GridConfig(models=("a", "b"), tasks=("ioi",), repeats=3))
    assert [cell.model for cell in cells] == ["a"] * 3 + ["b"] * 3


def test_a_seed_follows_from_the_repeat_alone() -> None:
    def seeds(**more: object) -> dict[str, int]:
        config = GridConfig(tasks=("ioi",), repeats=2, **more)  # type: ignore[arg-type]
        return {cell.name: cell.config.seed for cell in cells_of(config)}

    alone = seeds()
    assert list(alone.values()) == [seed_for(0, repeat=0), seed_for(0, repeat=1)]
    more = seeds(models=("smollm2", "gemma3-270m"), features=("latex",))
    assert alone.items() <= more.items()
    assert len(set(more.values())) == 2
    assert set(seeds(seed=1).values()).isdisjoint(alone.values())


def test_shared_settings_reach_every_cell() -> None:
    config = GridConfig(tasks=("ioi",), heads=HeadsConfig(edges=3, methods=("eap", "random")))
    (cell,) = cells_of(config)
    assert isinstance(cell.config, HeadsConfig)
    assert (cell.config.edges, cell.config.methods) == (3, ("eap", "random"))


def test_names_that_would_be_one_file_are_kept_apart() -> None:
    config = GridConfig(tasks=("x/pairs.jsonl", "y/pairs.jsonl", "ioi"))
    names = [cell.name for cell in cells_of(config)]
    assert len({name.casefold() for name in names}) == 3
    assert names[2] == "circuit.ioi.smollm2.r0"
    with pytest.raises(DataError, match=r"'pairs\.jsonl' stands for .*, as another name does"):
        cells_of(GridConfig(tasks=("pairs.jsonl", "./pairs.jsonl")))


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a b/c:d*?.jsonl", "\u00e9\u4e2d", "..", "x" * 200]
)
def test_a_name_of_a_cell_stays_in_the_folder(name: str) -> None:
    (cell,) = cells_of(GridConfig(tasks=(name,)))
    assert all(letter.isascii() and (letter.isalnum() or letter in "._-") for letter in cell.name)
    assert ".." not in cell.name
    assert len(cell.name) < 120


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "there is nothing to ask; give tasks, features or both"),
        ({"tasks": ("ioi",), "models": ()}, "models is empty; name at least one"),
        ({"tasks": ("ioi", "ioi")}, "tasks has 'ioi' twice; leave one out"),
        ({"tasks": (" ",)}, "tasks has an empty name"),
        ({"tasks": ("a\nb",)}, "characters that cannot be printed"),
        ({"tasks": ("x" * 300,)}, "is too long for a name or a path"),
        ({"tasks": ("ioi",), "repeats": 0}, "repeats is 0; it must be at least 1"),
        ({"tasks": ("ioi",), "repeats": MOST_CELLS + 1}, "100,001 cells; 100,000 are the most"),
        ({"tasks": ("ioi",), "dtype": "auto"}, "unknown dtype 'auto'"),
        ({"features": ("x",), "neuron_methods": ("top",)}, "did you mean 'top_k'"),
        (
            {
                "features": ("x",),
                "neuron_methods": ("top_k", "forward"),
                "neurons": NeuronsConfig(ranking="auc"),
            },
            "ranking is auc, but forward starts from no ranking",
        ),
        ({"features": ("x",), "head_methods": ("eap",)}, "head_methods needs tasks"),
        ({"tasks": ("ioi",), "heads": HeadsConfig(task="x")}, "heads.task comes from tasks"),
        ({"tasks": ("ioi",), "heads": HeadsConfig(seed=1)}, "heads.seed comes from seed"),
        (
            {"features": ("x",), "neurons": NeuronsConfig(features="y")},
            "neurons.features comes from features of the grid; leave it out",
        ),
        (
            {"tasks": ("ioi",), "head_methods": ("eap",), "heads": HeadsConfig(methods=("eap",))},
            "head_methods and heads.methods are both given; keep head_methods for cells of their",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_way_out(settings, words) -> None:
    with pytest.raises(NeedlepointError) as caught:
        GridConfig(**settings)
    assert words in str(caught.value)
