"""The commands of the case studies: run on small models, asked again, and asked wrongly."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from needlepoint.cli.asked import Asked
from needlepoint.evaluation.case_studies.configs import (
    CompoundsConfig,
    ContextConfig,
    ScalingConfig,
    SuperpositionConfig,
    WeightsConfig,
)
from needlepoint.testing.tiny import byte_tokenizer, tiny_model


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small and a larger random model in folders."""
    base = tmp_path_factory.mktemp("sizes")
    for name, width in (("small", 16), ("large", 48)):
        model = tiny_model("gpt_neox", intermediate_size=width)
        model.module.save_pretrained(base / name)
        byte_tokenizer().save_pretrained(base / name)
    return base / "small", base / "large"


def page_of(place: Path, kind: str) -> str:
    (run,) = place.glob(f"needlepoint-runs/{kind}-*")
    return (run / "report.html").read_text(encoding="utf-8")


def test_weights_are_shown_with_a_page(cli, place, folders) -> None:
    done = cli("weights", "--model", folders[0], "--dtype", "float32")
    assert done.status == 0, done
    assert "input norm times bias" in done.out
    assert "Pythia (V0, 70M to 6.9B)" in " ".join(done.out.split())
    page = page_of(place, "weights")
    assert "Norms and angles by depth" in page
    assert 'data-figure="s0-others-lines"' in page


def test_weights_of_a_gated_model_say_why_there_is_no_norm_times_bias(
    cli, place, tiny_folder
) -> None:
    done = cli("weights", "--model", tiny_folder, "--dtype", "float32")
    assert done.status == 0, done
    assert "is not defined for tiny: a neuron of a gated MLP" in " ".join(done.out.split())
    assert "not defined: a neuron of a gated MLP" in page_of(place, "weights")


def test_context_neurons_are_found_and_drawn(cli, place, tiny_folder, labelled) -> None:
    options = ("--ablate-texts", 3, "--random-neurons", 1, "--permutations", 20)
    done = cli("context", "--features", labelled, "--model", tiny_folder, *options)
    assert done.status == 0, done
    assert "token AUC" in done.out
    page = page_of(place, "context")
    for words in ("Is it on throughout?", "Does it do anything?", "an F1 of 1"):
        assert words in page


def test_models_are_compared_and_the_command_says_it_again(cli, place, folders, labelled) -> None:
    small, large = folders
    names = (small, large, f"untrained:{small}")
    done = cli("scaling", *names, "--features", labelled, "--draws", 1, "--max-k", 2)
    assert done.status == 0, done
    assert "untrained:small" in done.out
    (run,) = place.glob("needlepoint-runs/scaling-*")
    header = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert header["command"] == (
        f"needlepoint scaling {small} {large} untrained:{small} "
        f"--features {labelled} --max-k 2 --draws 1"
    )
    assert "model" not in header
    page = page_of(place, "scaling")
    assert "top_mono_neurons.csv" in page
    assert "published: all features, chosen on test" in page
    assert not re.search(r"\bnan\b|\bNone\b", re.sub(r"<script.*?</script>", "", page, flags=re.S))


@pytest.mark.parametrize(
    ("config", "command"),
    [
        (SuperpositionConfig(), "needlepoint superposition"),
        (SuperpositionConfig(word="a-b"), "needlepoint superposition --word a-b"),
        (CompoundsConfig(), "needlepoint superposition --compounds all"),
        (
            CompoundsConfig(compounds=("a", "b"), k=3),
            "needlepoint superposition --k 3 --compounds a b",
        ),
        (WeightsConfig(fold="raw"), "needlepoint weights --fold raw"),
        (ContextConfig(), "needlepoint context --features natural_language"),
    ],
)
def test_the_command_of_a_study_is_short(config, command) -> None:
    kind = command.split()[1]
    assert Asked(kind, "smollm2", configs=(config,)).command == command


def test_a_scaling_command_names_its_models(no_load) -> None:
    config = ScalingConfig(models=("gpt2", "untrained:gpt2"))
    asked = Asked("scaling", "", configs=(config,))
    assert asked.command == "needlepoint scaling gpt2 untrained:gpt2"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("superposition", "--word", "social-securty"), "did you mean 'social-security'?"),
        (("superposition", "--compounds", "cell-line"), "did you mean 'cell-lines'?"),
        (("superposition", "--compounds", "all", "cell-lines"), "give 'all' alone or names."),
        (("superposition", "--compounds", "cell-lines", "cell-lines"), "is named twice"),
        (("superposition", "--word", "cell-lines", "--compounds", "all"), "give one of them."),
        (("superposition", "--compounds", "all", "--source", "nowhere"), "has no source"),
        (("superposition", "--layers", "6-0"), "give them as in 0-6 or 1,2,3."),
        (("superposition", "--source", "nowhere"), "has no source 'nowhere'"),
        (("superposition", "--k", "1"), "k is 1; it must be at least 2."),
        (("context", "--features", "natural_langage"), "did you mean 'natural_language'?"),
        (("context", "--source", "nowhere"), "has no source 'nowhere'"),
        (("weights", "--fold", "twice"), "unknown way to fold 'twice'"),
        (("scaling", "gpt2", "gpt2"), "model 'gpt2' is named twice; name each once."),
        (("scaling", "untrained:"), "'untrained:' names no model"),
        (("scaling", "gpt2", "--features", "nothing"), "unknown feature collection 'nothing'"),
        (("scaling", "gpt2", "--dtype", "int8"), "unknown dtype 'int8'"),
    ],
)
def test_bad_input_is_one_sentence_before_any_model_is_loaded(
    cli, no_load, nothing_left, arguments, sentence
) -> None:
    assert sentence in cli(*arguments).sentence


def test_a_model_that_is_not_there_is_said(cli, nothing_left, labelled) -> None:
    outcome = cli("scaling", "no-such-model.gguf", "--features", labelled)
    assert "there is no file no-such-model.gguf" in outcome.sentence
    outcome = cli("scaling", "untrained:no-such-model.gguf", "--features", labelled)
    assert "there is no file no-such-model.gguf" in outcome.sentence
