"""The command `neuron`: what it refuses in one sentence, before a model is loaded."""

import pytest

from needlepoint.cli.asked import Asked
from needlepoint.cli.neuron import check_dossier
from needlepoint.evaluation.dossier.config import DossierConfig

NO_NEURON = "no neuron is named"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "no neuron is named; give one like L12.N345, or several."),
        (["12.345"], "'12.345' is not the address of a neuron; write one like L12.N345."),
        (["L3.H2.z"], "L3.H2.z is not a neuron; write one like L3.N345."),
        (["L1.N2", "--features", "nowhere"], "unknown feature collection 'nowhere'"),
        (
            ["L1.N2", "--features", "programming_language:pyton"],
            "unknown feature of programming_language 'pyton': did you mean 'python'?",
        ),
        (["L1.N2", "--text", "missing.txt"], "there is no file missing.txt"),
        (["L1.N2", "--texts", "1"], "texts is 1; it must be at least 8."),
    ],
)
def test_bad_input_is_one_sentence(cli, words, sentence) -> None:
    found = cli("neuron", *words)
    assert found.status == 2
    assert sentence in " ".join(found.err.split())
    assert "Traceback" not in found.err


def test_an_empty_text_is_refused(tmp_path) -> None:
    path = tmp_path / "empty.txt"
    path.write_text(" \n")
    from needlepoint._core.errors import DataError

    with pytest.raises(DataError, match="holds no text; give a file with some"):
        check_dossier(DossierConfig(("L1.N2",), text=str(path)))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is not UTF-8 text"):
        check_dossier(DossierConfig(("L1.N2",), text=str(path)))


def test_the_command_asks_for_the_same_again() -> None:
    config = DossierConfig(("L1.N2", "L0.N3"), features="places:city", texts=20)
    asked = Asked("neuron", "smollm2", configs=(config,))
    assert asked.command == "needlepoint neuron L1.N2 L0.N3 --features places:city --texts 20"


def test_collection_and_feature_are_parted_unless_it_is_a_file(tmp_path) -> None:
    config = DossierConfig(("L1.N2",), features="places:city")
    assert (config.collection, config.feature) == ("places", "city")
    path = tmp_path / "a:b.csv"
    path.write_text("text,label\n")
    config = DossierConfig(("L1.N2",), features=str(path))
    assert (config.collection, config.feature) == (str(path), "")
