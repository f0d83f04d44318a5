"""The command that a run records asks for the same run again."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from needlepoint.cli.asked import Asked
from needlepoint.cli.main import app
from needlepoint.evaluation.configs import DEMO_HEADS, DEMO_NEURONS, HeadsConfig, NeuronsConfig

HEADS = HeadsConfig(task="my pairs.jsonl", ablate_pairs=7, methods=("random", "layer_index"))
NEURONS = NeuronsConfig(features="it's.csv", seed=-3, max_k=16)


@pytest.mark.parametrize(
    "asked",
    [
        Asked("circuit", "smollm2", configs=(HEADS,)),
        Asked("circuit", "gpt2", "float32", configs=(HeadsConfig(),)),
        Asked("circuit", "gpt2", configs=(HeadsConfig(task="docstring", corruption="random_def"),)),
        Asked("probe", "a b/c", configs=(NEURONS,)),
        Asked("probe", "smollm2", configs=(NeuronsConfig(),)),
    ],
)
def test_the_command_is_read_back_as_the_same_request(asked: Asked) -> None:
    words = shlex.split(asked.command)
    assert words[:2] == ["needlepoint", asked.kind]
    _, bound, _ = app.parse_args(words[1:], exit_on_error=False, print_error=False)
    given = bound.arguments
    assert given["config"] == asked.configs[0]
    assert given.get("model", "smollm2") == asked.model
    assert given.get("dtype", "auto") == asked.dtype


def test_only_the_question_and_what_is_unusual_is_written() -> None:
    assert Asked("circuit", "smollm2", configs=(HeadsConfig(),)).command == (
        "needlepoint circuit --task ioi"
    )
    demo = Asked("demo", "smollm2", "float32", Path("somewhere"), (DEMO_HEADS, DEMO_NEURONS))
    assert demo.command == "needlepoint demo --dtype float32"


def test_the_config_names_what_was_asked_and_not_where_it_is_kept() -> None:
    config = Asked("probe", "gpt2", out=Path("/home/somebody/run"), configs=(NEURONS,)).config
    assert config["model"] == "gpt2"
    assert config["neurons"]["max_k"] == 16
    assert "heads" not in config
    assert "somebody" not in str(config)
